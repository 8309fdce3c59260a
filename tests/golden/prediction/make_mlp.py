#!/usr/bin/python3
"""Golden values for the predictability network: PyTorch in double precision, with given initial values, batches and dropout masks. Writes mlp.json beside itself."""
import json
import os
import sys

import torch

HERE = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
torch.set_default_dtype(torch.float64)
torch.manual_seed(20)
ROWS, INPUTS, HIDDEN, OUTPUTS, BATCH, EPOCHS, RATE = 20, 5, 7, 4, 8, 3, 0.4


class Masked(torch.nn.Module):
    """Dropout by a given mask."""
    mask = None

    def forward(self, x):
        return x if self.mask is None or not self.training else x * self.mask


def flat(tensor):
    return [float(f"{v:.17g}") for v in tensor.detach().reshape(-1)]


def state(model):
    norms, linears = [m for m in model if isinstance(m, torch.nn.BatchNorm1d)], [m for m in model if isinstance(m, torch.nn.Linear)]
    return [dict(gamma=flat(n.weight), beta=flat(n.bias), mean=flat(n.running_mean), variance=flat(n.running_var), weight=flat(l.weight.T), bias=flat(l.bias)) for n, l in zip(norms, linears)]


def train(dropout):
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(INPUTS), torch.nn.Linear(INPUTS, HIDDEN), torch.nn.ReLU(), Masked(), torch.nn.BatchNorm1d(HIDDEN),
                                torch.nn.Linear(HIDDEN, HIDDEN), torch.nn.ReLU(), Masked(), torch.nn.BatchNorm1d(HIDDEN), torch.nn.Linear(HIDDEN, OUTPUTS))
    drops = [m for m in model if isinstance(m, Masked)]
    # Of this size some gradients are longer than the clip and some are not.
    x, y = torch.randn(ROWS, INPUTS) * 2 + 1, torch.randn(ROWS, OUTPUTS) * 0.5
    initial, steps = state(model), []
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-2, weight_decay=1.2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5, eta_min=1e-6)
    for _ in range(EPOCHS):
        order = torch.randperm(ROWS)
        for first in range(0, ROWS, BATCH):
            rows = order[first:first + BATCH]
            masks = [(torch.rand(len(rows), HIDDEN) >= RATE).double() / (1 - RATE) if dropout else torch.ones(len(rows), HIDDEN) for _ in drops]
            for drop, mask in zip(drops, masks):
                drop.mask = mask
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(x[rows]), y[rows])
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            steps.append(dict(rows=rows.tolist(), masks=[flat(m) for m in masks], loss=loss.item(), norm=norm.item(), rate=schedule.get_last_lr()[0]))
            optimizer.step()
        schedule.step()
    model.eval()
    output = model(x)
    return dict(dropout=dropout, x=flat(x), y=flat(y), initial=initial, steps=steps, final=state(model), output=flat(output), error=torch.nn.functional.mse_loss(output, y).item())


with open(os.path.join(HERE, "mlp.json"), "w", encoding="utf-8") as f:
    json.dump(dict(torch=torch.__version__, rows=ROWS, inputs=INPUTS, hidden=HIDDEN, outputs=OUTPUTS, batch=BATCH, cases=[train(False), train(True)]), f)
