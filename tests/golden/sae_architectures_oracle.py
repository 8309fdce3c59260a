#!/usr/bin/python3
"""Losses and gradients of every autoencoder architecture, by automatic differentiation from the formulas (docs/sae.md), in double precision.

    /usr/bin/python3 tests/golden/sae_architectures_oracle.py          writes tests/golden/sae_architectures_oracle.json

Tokens and parameters come from an integer recipe (`uniform`, `tensor`), so that nothing large is stored: the test builds the same float32 numbers. Stored are
the losses of one step, and of every gradient its norm, its sum against a recipe vector and 24 elements.
"""
import json
import os

import numpy as np
import torch

from sae_autograd import Jump, Step, Window, keep, tensor, uniform

N, D_IN, D_SAE, K = 24, 16, 60, 4
ALPHA, AUX_K, WINDOW = 0.5, 3, 0.04


# name: shape, salt, scale, shift
PARAMETERS = {
    "W_enc": ((D_IN, D_SAE), 1, 0.25, 0.0), "W_gate": ((D_IN, D_SAE), 2, 0.25, 0.0), "W_dec": ((D_SAE, D_IN), 3, 0.75, 0.0), "b_enc": ((D_SAE,), 4, 0.05, 0.02),
    "b_gate": ((D_SAE,), 5, 0.05, -0.02), "r_mag": ((D_SAE,), 6, 1.0, 0.0), "threshold": ((D_SAE,), 7, 0.05, 0.05), "b_dec": ((D_IN,), 8, 0.1, 0.0)}


def run(architecture, loss="", ste="exact", tied=True, choice="dead", double_bias=False, free=False, subtract=False, lam=0.3, mean=False, p=1.0, prefixes=None, pre=0.0):
    names = {"gated": ["W_enc", "b_enc", "b_gate"] + ([] if tied else ["W_gate"]), "gated-original": ["W_enc", "b_enc", "b_gate", "r_mag"]}.get(architecture, ["W_enc", "b_enc"])
    names = names + ["W_dec", "b_dec"] + (["threshold"] if architecture == "jumprelu" else [])
    w = {name: torch.nn.Parameter(torch.from_numpy(tensor(*PARAMETERS[name]).astype(np.float64))) for name in names}
    x = torch.from_numpy(tensor((N, D_IN), 9, float(np.sqrt(12.0 / D_IN))).astype(np.float64))
    dead = torch.arange(D_SAE) % 3 == 1
    inside = x - w["b_dec"] if subtract else x
    norms = w["W_dec"].norm(dim=1) if free else w["W_dec"].detach().norm(dim=1)
    z = inside @ w["W_enc"]
    per = x.shape[0] * (D_SAE if mean else 1)
    sparsity, auxiliary, below, candidates = torch.zeros(()), torch.zeros(()), torch.zeros(()), None
    if architecture == "gated":
        gate, magnitude = (z if tied else inside @ w["W_gate"]) + w["b_gate"], z + w["b_enc"]
        soft = torch.sigmoid(gate)
        opened = soft + ((gate > 0).double() - soft).detach() if ste == "exact" else Window.apply(gate, WINDOW)
        acts = opened * torch.relu(magnitude)
        sparsity = (torch.relu(gate) * norms).sum() / per
        candidates = torch.relu(magnitude) * (dead if choice == "dead" else (gate <= 0))
    elif architecture == "gated-original":
        gate, magnitude = z + w["b_gate"], z * torch.exp(w["r_mag"]) + w["b_enc"]
        acts = (gate > 0).double() * torch.relu(magnitude)
        sparsity = (torch.relu(gate) * norms).sum() / per
        auxiliary = ((torch.relu(gate) @ w["W_dec"].detach() + w["b_dec"].detach() - x) ** 2).sum(1).mean()
    else:
        z = z + w["b_enc"]
        candidates = torch.relu(z) * dead
        if architecture == "relu":
            acts = torch.relu(z)
            sparsity = (torch.where(acts > 0, acts.clamp_min(1e-30) ** p, acts) * norms).sum() / per
        elif architecture == "topk":
            acts = keep(z, K)
        elif architecture in ("batchtopk", "matryoshka"):
            acts = keep(z.flatten(), N * K).view_as(z)
        else:
            acts = Jump.apply(z, w["threshold"], WINDOW)
            l0 = Step.apply(z, w["threshold"], WINDOW).sum()
            sparsity = {"l0": l0 / per, "quadratic": (l0 / N / 20 - 1) ** 2, "tanh": torch.tanh(4 * acts * norms).sum() / per}[loss]
            if loss == "tanh":
                below = (torch.relu(w["threshold"] - z) * dead * norms).sum() / N
    recon = acts @ w["W_dec"] + w["b_dec"]
    fit = ((recon - x) ** 2).sum(1).mean()
    if prefixes:
        fit = sum(((acts[:, :q] @ w["W_dec"][:q] + w["b_dec"] - x) ** 2).sum(1).mean() for q in prefixes) / len(prefixes)
    if candidates is not None:
        decoder = w["W_dec"] if choice == "dead" else w["W_dec"].detach()
        aux = keep(candidates, AUX_K) @ decoder + (w["b_dec"].detach() if double_bias else 0)
        # The residual is the target: no gradient reaches the reconstruction from here, and b_dec is in it once.
        auxiliary = ((aux - (x - recon).detach()) ** 2).sum(1).mean()
    total = fit + lam * sparsity + ALPHA * auxiliary + pre * below
    total.backward()
    gradients = {}
    for name, value in sorted(w.items()):
        g = value.grad.numpy().reshape(-1)
        pick = np.unique((np.arange(24) * g.size) // 24)
        gradients[name] = {"norm": float(np.sqrt((g * g).sum())), "projection": float((g * uniform(g.size, 31)).sum()), "index": pick.tolist(), "value": [float("%.12g" % g[i]) for i in pick]}
    return {"losses": {"loss": float(total), "recon": float(((recon - x) ** 2).sum(1).mean()), "sparsity": float(sparsity), "aux": float(auxiliary), "below": float(below),
                       "active": int((acts != 0).sum())}, "gradients": gradients}


def main():
    cases = [
        dict(architecture="gated", choice="closed", double_bias=True), dict(architecture="gated", ste="windowed", choice="closed"), dict(architecture="gated", subtract=True, free=True),
        dict(architecture="gated", tied=False, ste="windowed", mean=True, lam=8.0), dict(architecture="gated", tied=False, choice="closed", subtract=True),
        dict(architecture="gated-original", subtract=True), dict(architecture="gated-original", free=True),
        dict(architecture="relu"), dict(architecture="relu", p=0.5, free=True, lam=0.02), dict(architecture="topk", subtract=True), dict(architecture="topk"),
        dict(architecture="batchtopk", subtract=True), dict(architecture="matryoshka", prefixes=[8, 24, 60], subtract=True), dict(architecture="matryoshka", prefixes=[60]),
        dict(architecture="jumprelu", loss="l0"), dict(architecture="jumprelu", loss="quadratic", subtract=True), dict(architecture="jumprelu", loss="tanh", pre=0.2, free=True),
        dict(architecture="jumprelu", loss="tanh", pre=0.2, mean=True, lam=5.0)]
    torch.set_default_dtype(torch.float64)
    results = []
    for case in cases:
        result = {"case": case, **run(**case)}
        results.append(result)
        print(case, result["losses"], flush=True)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sae_architectures_oracle.json")
    with open(path, "w", encoding="utf-8") as out:
        json.dump({"made_by": "tests/golden/sae_architectures_oracle.py, torch %s, numpy %s, double precision" % (torch.__version__, np.__version__), "tokens": N, "d_in": D_IN, "d_sae": D_SAE,
                   "k": K, "aux_coefficient": ALPHA, "aux_k": AUX_K, "bandwidth": WINDOW, "parameters": {n: {"salt": s[1], "scale": s[2], "shift": s[3]} for n, s in PARAMETERS.items()},
                   "cases": results}, out, separators=(",", ":"))
        out.write("\n")


main()
