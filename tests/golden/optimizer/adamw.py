#!/usr/bin/env python3
"""Writes adamw.csv: parameters after each of six steps of torch.optim.AdamW, single precision, gradients clipped to norm 2.

Columns: step, index, parameter before, gradient, parameter after. Made with Debian's python3-torch 1.13.1; the numbers are exact decimal
representations of floats (%.9g). Run with the system Python: /usr/bin/python3 adamw.py
"""
import pathlib

import torch

torch.manual_seed(0)
count = 21
parameter = torch.nn.Parameter(torch.randn(count))
optimizer = torch.optim.AdamW([parameter], lr=3e-3, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.05)
lines = ["step,index,before,gradient,after"]
for step in range(1, 7):
    before = parameter.detach().clone()
    gradient = torch.randn(count) * (10.0 ** (step - 4))
    gradient[3] = 0.0
    parameter.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_([parameter], 2.0)
    optimizer.step()
    for i in range(count):
        lines.append(f"{step},{i},{before[i].item():.9g},{gradient[i].item():.9g},{parameter[i].item():.9g}")
pathlib.Path(__file__).with_suffix(".csv").write_text("\n".join(lines) + "\n")
