#!/usr/bin/python3
"""Golden values of gated-SAE training, by automatic differentiation from the formulas (docs/sae.md), in double precision.

    /usr/bin/python3 tests/golden/sae_oracle.py          writes tests/golden/sae_oracle_<d_in>x<d_sae>.json

Every case trains 60 steps (two of them 5) of fixed order. Tokens and initial weights come from an integer recipe (`uniform`), so that nothing large is stored:
the test builds the same float32 numbers. Stored are the figures of every step, and of every final tensor its norm, its sum against a recipe vector
and 48 elements.
"""
import json
import os
import sys

import numpy as np
import torch

from sae_autograd import uniform


def make_tokens(n, d):
    """Three of 2 d directions each, with intensities, and noise; norms close to 1. Element-wise operations only: no sum whose order matters."""
    directions = 2 * d
    atoms = uniform(directions * d, 11).reshape(directions, d) * np.sqrt(12.0 / d)
    pick = ((uniform(n * 3, 12) + 0.5) * directions).astype(np.int64).reshape(n, 3)
    strength = (uniform(n * 3, 13) + 1.0).reshape(n, 3) * 0.55
    noise = uniform(n * d, 14).reshape(n, d) * (0.1 * np.sqrt(12.0 / d))
    x = noise
    for j in range(3):
        x = x + strength[:, j : j + 1] * atoms[pick[:, j]]
    return x.astype(np.float32)


def make_weights(d, latents, tied):
    w_mag = (uniform(d * latents, 21).reshape(d, latents) * (0.02 * np.sqrt(12.0))).astype(np.float32)
    w_gate = None if tied else (uniform(d * latents, 22).reshape(d, latents) * (0.02 * np.sqrt(12.0))).astype(np.float32)
    w_dec = w_mag.T.astype(np.float64)
    w_dec = (w_dec / np.sqrt((w_dec * w_dec).sum(axis=1, keepdims=True))).astype(np.float32)
    return w_mag, w_gate, w_dec


def learning_rate(step, total, base):
    warm = int(0.1 * total)
    if step < warm:
        return base * step / warm
    return 0.5 * base * (1 + np.cos(np.pi * (step - warm) / max(1, total - warm)))


def sparsity(step, total, final, warm):
    ramp = int(0.1 * total)
    if step < warm:
        return 0.0
    return final if ramp == 0 else final * min(1.0, (step - warm) / ramp)


def train(d, latents, batch, tied, lam, per_token, double_bias, b_gate, b_mag, steps, warm):
    torch.set_default_dtype(torch.float64)
    x_all = torch.from_numpy(make_tokens(4 * batch, d)).double()
    w_mag, w_gate, w_dec = make_weights(d, latents, tied)
    p = {"W_mag": w_mag, "b_mag": np.full(latents, np.float32(b_mag)), "b_gate": np.full(latents, np.float32(b_gate)), "W_dec": w_dec, "b_dec": np.zeros(d)}
    if not tied:
        p["W_gate"] = w_gate
    p = {k: torch.nn.Parameter(torch.from_numpy(np.asarray(v)).double()) for k, v in p.items()}
    usage = torch.zeros(latents)
    optimiser = torch.optim.AdamW(p.values(), lr=3e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-4)
    rows = []
    for step in range(steps):
        at = (step % 4) * batch
        x = x_all[at : at + batch]
        lr, coeff = learning_rate(step, steps, 3e-4), sparsity(step, steps, lam, warm)
        gate_pre = x @ (p["W_mag"] if tied else p["W_gate"]) + p["b_gate"]
        mag_pre = x @ p["W_mag"] + p["b_mag"]
        hard, soft = (gate_pre > 0).double(), torch.sigmoid(gate_pre)
        gate = soft + (hard - soft).detach()
        acts = gate * torch.relu(mag_pre)
        recon = acts @ p["W_dec"] + p["b_dec"]
        values, indices = torch.topk(torch.relu(mag_pre) * (hard == 0).double(), 32, dim=1)
        recon_aux = torch.zeros_like(acts).scatter(1, indices, values) @ p["W_dec"].detach()
        if double_bias:
            recon_aux = recon_aux + p["b_dec"].detach()
        loss_recon = ((recon - x) ** 2).sum(1).mean()
        penalty = torch.relu(gate_pre) * p["W_dec"].detach().norm(dim=1)
        loss_sparsity = penalty.sum(1).mean() if per_token else penalty.mean()
        loss_aux = torch.zeros(())
        if float(recon_aux.abs().sum()) > 0:
            loss_aux = ((recon_aux - (x - recon.detach())) ** 2).sum(1).mean()
        loss = loss_recon + coeff * loss_sparsity + 0.03125 * loss_aux
        optimiser.zero_grad()
        loss.backward()
        with torch.no_grad():
            usage.mul_(0.99).add_((acts != 0).double().mean(0), alpha=0.01)
            w, g = p["W_dec"], p["W_dec"].grad
            unit = w / w.norm(dim=1, keepdim=True)
            g -= (g * unit).sum(1, keepdim=True) * unit
            norm = torch.nn.utils.clip_grad_norm_(list(p.values()), 1.0)
            for group in optimiser.param_groups:
                group["lr"] = lr
            optimiser.step()
            w /= w.norm(dim=1, keepdim=True)
            sst = ((x - x.mean(0)) ** 2).sum()
            fvu = ((recon - x) ** 2).sum() / sst
        rows.append([float(v) for v in (lr, coeff, loss, loss_recon, loss_sparsity, loss_aux, fvu, (acts != 0).double().sum(1).mean(), norm)])
    final = {}
    tensors = {k: v.detach().numpy().reshape(-1) for k, v in p.items()}
    tensors["usage_ema"] = usage.numpy()
    for name, v in sorted(tensors.items()):
        pick = np.unique((np.arange(48) * v.size) // 48)
        final[name] = {"norm": float(np.sqrt((v * v).sum())), "projection": float((v * uniform(v.size, 31)).sum()), "index": pick.tolist(), "value": [float("%.9g" % v[i]) for i in pick]}
    return rows, final


def main():
    folder = os.path.dirname(os.path.abspath(__file__))
    for d, latents, batch in ((64, 256, 96), (512, 1024, 128)):
        cases = []
        for tied in (True, False):
            # Sixty steps from the usual start; the warm-up of lambda is 10, since the paper's 100 would leave it at 0.
            # The last two start where training ends: closed gates in front of positive magnitudes, so that the auxiliary loss has latents to choose from.
            # There the loss is discontinuous (a gate opens onto a magnitude that is not 0), so single and double precision part as soon as rounding
            # decides one of the millions of gates: five steps.
            for lam, per_token, double_bias, b_gate, b_mag, steps, warm in ((0.0, False, True, 0.1, 0.0, 60, 10), (50.0, False, True, 0.1, 0.0, 60, 10), (800.0, False, True, 0.1, 0.0, 60, 10),
                                                                            (0.2, True, False, 0.1, 0.0, 60, 10), (50.0, False, True, -0.025, -0.015, 5, 2), (0.2, True, False, -0.03, -0.02, 5, 2)):
                rows, final = train(d, latents, batch, tied, lam, per_token, double_bias, b_gate, b_mag, steps, warm)
                cases.append({"tied": tied, "lambda": lam, "per_token": per_token, "double_bias": double_bias, "b_gate": b_gate, "b_mag": b_mag, "steps": steps, "sparsity_warmup": warm, "rows": [[float("%.10g" % v) for v in row] for row in rows], "final": final})
                print(d, latents, tied, lam, "last loss %.6f  aux %.4f  l0 %.1f" % (rows[-1][2], rows[-1][5], rows[-1][7]), flush=True)
        path = os.path.join(folder, "sae_oracle_%dx%d.json" % (d, latents))
        with open(path, "w", encoding="utf-8") as out:
            json.dump({"made_by": "tests/golden/sae_oracle.py, torch %s, numpy %s, double precision" % (torch.__version__, np.__version__), "d_in": d, "d_sae": latents, "batch": batch,
                       "columns": ["lr", "sparsity_coeff", "loss", "recon", "sparsity", "aux", "fvu", "l0", "grad_norm"], "cases": cases}, out, separators=(",", ":"))
            out.write("\n")
        print(path, os.path.getsize(path), "bytes", file=sys.stderr)


main()
