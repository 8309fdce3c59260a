#!/usr/bin/python3
"""Twenty training steps of every autoencoder architecture, by automatic differentiation from the formulas (docs/sae.md) and torch.optim.AdamW, in double precision.

    /usr/bin/python3 tests/golden/sae_training_oracle.py          writes tests/golden/sae_training_oracle.json

A case is a training configuration as `biosup sae train` reads it. Tokens and initial weights come from an integer recipe (`uniform`), so that nothing large is
stored: the test builds the same float32 numbers. Stored are the figures of every step, and of every final tensor its norm, its sum against a recipe vector and
24 elements; and, as the yardstick for an implementation in single precision, how far the same program strays from these numbers when it runs in float32: the largest
deviation of sixteen runs that differ in the order of tokens and of dimensions, hence of every sum.

Choices among latents (gates, the k largest, who is dead) must be those of double precision in all of them: a case in which rounding decides one is refused.
"""
import json
import os

import numpy as np
import torch

from sae_autograd import Jump, Step, Window, keep, tensor, uniform

D_IN, D_SAE, BATCH, BATCHES, STEPS, ORDERS = 18, 60, 24, 4, 20, 16
COLUMNS = ["lr", "sparsity_coeff", "p", "loss", "recon", "sparsity", "aux", "fvu", "grad_norm", "active", "dead"]
EXACT = ("active", "dead")


def start(c):
    """Initial weights: the decoder a transposed encoder with unit rows. Biases are spread, so that some latents hardly ever fire."""
    architecture = c["architecture"]
    gated = architecture in ("gated", "gated-original")
    w_enc = tensor((D_IN, D_SAE), 41, 0.9)
    w_dec = w_enc.T.astype(np.float64)
    w = {"W_enc": w_enc, "W_dec": (w_dec / np.sqrt((w_dec * w_dec).sum(1, keepdims=True))).astype(np.float32), "b_dec": tensor((D_IN,), 42, 0.1)}
    if gated:
        w["b_gate"] = tensor((D_SAE,), 43, 0.8, -0.7)
        w["b_enc"] = tensor((D_SAE,), 44, 0.1, -0.02)
    else:
        w["b_enc"] = tensor((D_SAE,), 44, 0.8, -0.5 if architecture == "relu" else -0.2)
    if architecture == "gated" and not c.get("tied", True):
        w["W_gate"] = tensor((D_IN, D_SAE), 45, 0.9)
    if architecture == "gated-original":
        w["r_mag"] = tensor((D_SAE,), 46, 1.0)
    if architecture == "jumprelu":
        w["threshold"] = tensor((D_SAE,), 47, 0.6, 0.4)
    if architecture in ("batchtopk", "matryoshka"):
        w["threshold"] = np.zeros(D_SAE, np.float32)
    return w


def learning_rate(c, step):
    warm = int(c["lr_warmup_fraction"] * STEPS)
    if step < warm:
        return c["lr"] * step / warm
    progress = (step - warm) / max(1, STEPS - warm)
    return c["lr"] * {"cosine": 0.5 * (1 + np.cos(np.pi * progress)), "linear": 1 - progress, "constant": 1.0,
                      "wsd": min(1.0, (STEPS - step) / max(1, c.get("lr_decay_fraction", 0.2) * STEPS))}[c["lr_schedule"]]


def sparsity_at(c, step):
    warm, ramp = c["sparsity_warmup_steps"], int(c["sparsity_ramp_fraction"] * STEPS)
    return 0.0 if step < warm else c["sparsity_coeff"] * min(1.0, (step - warm) / ramp if ramp else 1.0)


def exponent_at(c, step):
    end = c.get("p_end", 1.0)
    return 1 - (1 - end) * np.ceil(np.clip((step - STEPS / 2) / (STEPS / 2), 0, 1) * 50) / 50


def forward(c, w, x, lam, p, dead, training):
    """Losses of a batch: total, reconstruction, penalty, auxiliary; activations."""
    architecture, width, per = c["architecture"], c["ste_bandwidth"], x.shape[0] * (D_SAE if c["sparsity_scale"] == "mean" else 1)
    inside = x - w["b_dec"] if c["subtract_decoder_bias"] else x
    norms = w["W_dec"].norm(dim=1) if c["decoder_norm"] == "free" else w["W_dec"].detach().norm(dim=1)
    z = inside @ w["W_enc"]
    zero = torch.zeros((), dtype=x.dtype)
    sparsity, auxiliary, below, candidates, choice = zero, zero, zero, None, c["aux_kind"]
    if architecture == "gated":
        gate, magnitude = (inside @ w["W_gate"] if "W_gate" in w else z) + w["b_gate"], z + w["b_enc"]
        soft, hard = torch.sigmoid(gate), (gate > 0).to(x.dtype)
        opened = Window.apply(gate, width) if c["ste"] == "windowed" else soft + (hard - soft).detach()
        acts = opened * torch.relu(magnitude)
        sparsity = (torch.relu(gate) * norms).sum() / per
        candidates = torch.relu(magnitude) * (dead if choice == "dead" else (gate <= 0))
    elif architecture == "gated-original":
        gate, magnitude = z + w["b_gate"], z * torch.exp(w["r_mag"]) + w["b_enc"]
        acts = (gate > 0).to(x.dtype) * torch.relu(magnitude)
        sparsity = (torch.relu(gate) * norms).sum() / per
        auxiliary = ((torch.relu(gate) @ w["W_dec"].detach() + w["b_dec"].detach() - x) ** 2).sum(1).mean()
    else:
        z = z + w["b_enc"]
        candidates = torch.relu(z) * dead
        if architecture == "relu":
            acts = torch.relu(z)
            sparsity = (torch.where(acts > 0, acts.clamp_min(1e-30) ** p, acts) * norms).sum() / per
        elif architecture == "topk":
            acts = keep(z, c["k"])
        elif architecture in ("batchtopk", "matryoshka"):
            acts = keep(z.flatten(), x.shape[0] * c["k"]).view_as(z)
        else:
            acts = Jump.apply(z, w["threshold"], width)
            l0 = Step.apply(z, w["threshold"], width).sum()
            if c["jumprelu_loss"] == "tanh":
                sparsity = torch.tanh(c["tanh_scale"] * acts * norms).sum() / per
                below = (torch.relu(w["threshold"] - z) * dead * norms).sum() / x.shape[0]
            else:
                sparsity = l0 / per if c["jumprelu_loss"] == "l0" else (l0 / x.shape[0] / c["target_l0"] - 1) ** 2
    recon = acts @ w["W_dec"] + w["b_dec"]
    fit = error = ((recon - x) ** 2).sum(1).mean()
    if "prefixes" in c:
        fit = sum(((acts[:, :q] @ w["W_dec"][:q] + w["b_dec"] - x) ** 2).sum(1).mean() for q in c["prefixes"]) / len(c["prefixes"])
    if candidates is not None and training:
        aux = keep(candidates, c["aux_k"]) @ (w["W_dec"] if choice == "dead" else w["W_dec"].detach()) + (w["b_dec"].detach() if c["aux_double_bias"] else 0)
        # The residual is the target: no gradient reaches the reconstruction from here. Where the whole reconstruction is 0 the loss is left out.
        if float(aux.detach().abs().sum()) > 0:
            auxiliary = ((aux - (x - recon).detach()) ** 2).sum(1).mean()
    total = fit + lam * sparsity + c["aux_coeff"] * auxiliary + c["pre_act_coeff"] * below
    return total, error, sparsity, auxiliary, recon, acts


def train(c, dtype, order=0):
    """Figures of every step and the final tensors. `order` > 0 sums in another order: tokens of a batch and dimensions change places."""
    torch.set_default_dtype(dtype)
    x_all = tensor((BATCHES * BATCH, D_IN), 48, float(np.sqrt(12.0 / D_IN)))
    w = start(c)
    dims = np.argsort(uniform(D_IN, 60 + order)) if order else np.arange(D_IN)
    rows = np.argsort(uniform(BATCH, 70 + order)) if order else np.arange(BATCH)
    axis = {"W_enc": 0, "W_gate": 0, "W_dec": 1, "b_dec": 0}
    w = {k: torch.nn.Parameter(torch.from_numpy(np.take(v, dims, axis[k]) if k in axis else v).to(dtype)) for k, v in w.items()}
    average = "threshold" in w and c["architecture"] != "jumprelu"
    theta = w.pop("threshold").detach() if average else None
    groups = [{"params": [v for k, v in w.items() if k != "threshold"]}]
    if "threshold" in w:
        groups.append({"params": [w["threshold"]], "weight_decay": 0.0})
    optimiser = torch.optim.AdamW(groups, lr=c["lr"], betas=(0.9, 0.999), eps=1e-8, weight_decay=c["weight_decay"])
    usage, since = torch.zeros(D_SAE), torch.zeros(D_SAE, dtype=torch.long)
    log_lambda, smoothed, last_error, scale, table = 0.0, None, None, 1.0, []
    for step in range(STEPS):
        at = (step % BATCHES) * BATCH
        x = torch.from_numpy(x_all[at : at + BATCH][rows][:, dims]).to(dtype)
        lr, p, lam = learning_rate(c, step), exponent_at(c, step), sparsity_at(c, step) * np.exp(log_lambda) * scale
        total, error, sparsity, auxiliary, recon, acts = forward(c, w, x, lam, p, since >= c["dead_after_tokens"], True)
        optimiser.zero_grad()
        total.backward()
        with torch.no_grad():
            fired = acts != 0
            usage.mul_(0.99).add_(fired.to(dtype).mean(0), alpha=0.01)
            since = torch.where(fired.any(0), torch.zeros_like(since), since + BATCH)
            if average:
                smallest, decay = acts[fired].min(), min(0.999, max(0.0, 1 - 5.0 / STEPS))
                theta = torch.full_like(theta, float(smallest)) if step == 0 else decay * theta + (1 - decay) * smallest
            decoder = w["W_dec"]
            if c["decoder_norm"] == "unit":
                unit = decoder / decoder.norm(dim=1, keepdim=True)
                decoder.grad -= (decoder.grad * unit).sum(1, keepdim=True) * unit
            norm = torch.nn.utils.clip_grad_norm_(list(w.values()), c["grad_clip"])
            for group in optimiser.param_groups:
                group["lr"] = lr
            optimiser.step()
            if c["decoder_norm"] == "unit":
                decoder /= decoder.norm(dim=1, keepdim=True)
            if "threshold" in w:
                w["threshold"].clamp_min_(0)
            fvu = ((recon - x) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()
            l0 = float(fired.sum()) / BATCH
            table.append([float(v) for v in (lr, lam, p, total, error, sparsity, auxiliary, fvu, norm, fired.sum(), (since >= c["dead_after_tokens"]).sum())])
            if "target_l0" in c and c.get("jumprelu_loss") != "quadratic_l0" and step >= c["sparsity_warmup_steps"] and (step + 1) % 10 == 0:
                ramp_end = c["sparsity_warmup_steps"] + int(c["sparsity_ramp_fraction"] * STEPS)
                logarithm = np.log(l0 / c["target_l0"])
                smoothed = logarithm if smoothed is None else 0.5 * (smoothed + logarithm)
                off = float(np.clip(smoothed, -2, 2))
                log_lambda += 1.5 * ((0.0 if last_error is None else off - last_error) + off * 10 / max(0.03 * STEPS, 40))
                log_lambda, last_error = float(np.clip(log_lambda, -np.log(1000), 0 if step < ramp_end else np.log(1000))), off
            if exponent_at(c, step + 1) != p:
                before, after = (float(forward(c, w, x, 1, q, since < 0, False)[2]) for q in (p, exponent_at(c, step + 1)))
                scale *= before / after
    final = {k: v.detach().numpy() for k, v in w.items()}
    if average:
        final["threshold"] = theta.numpy()
    final["usage_ema"] = usage.numpy()
    back = np.argsort(dims)
    return np.array(table), {k: np.take(v, back, axis[k]).reshape(-1).astype(np.float64) if k in axis else v.astype(np.float64) for k, v in sorted(final.items())}


def run(config):
    c = {"sparsity_scale": "per_token", "sparsity_coeff": 0.0, "ste": "exact", "ste_bandwidth": 0.01, "aux_kind": "closed_gate", "aux_double_bias": False, "aux_k": 0, "subtract_decoder_bias": False,
         "decoder_norm": "unit", "pre_act_coeff": 0.0, "dead_after_tokens": 48, **config}
    rows, final = train(c, torch.float64)
    strayed, tensors = np.zeros(len(COLUMNS)), {k: [0.0, 0.0] for k in final}
    for order in range(ORDERS):
        single_rows, single = train(c, torch.float32, order)
        for name in EXACT:
            k = COLUMNS.index(name)
            if (single_rows[:, k] != rows[:, k]).any():
                raise SystemExit("%s: rounding decides '%s' at step %d; choose other numbers" % (config, name, int(np.argmax(single_rows[:, k] != rows[:, k]))))
        strayed = np.maximum(strayed, (np.abs(single_rows - rows) / np.maximum(np.abs(rows), 1e-300)).max(0))
        for name, value in final.items():
            e = single[name] - value
            tensors[name] = [max(tensors[name][0], float(np.abs(e).max())), max(tensors[name][1], float(np.sqrt((e * e).sum())))]
    stored = {}
    for name, v in final.items():
        pick = np.unique((np.arange(24) * v.size) // 24)
        stored[name] = {"norm": float(np.sqrt((v * v).sum())), "projection": float((v * uniform(v.size, 31)).sum()), "index": pick.tolist(), "value": [float("%.12g" % v[i]) for i in pick],
                        "float32_largest": float("%.3g" % tensors[name][0]), "float32_norm": float("%.3g" % tensors[name][1])}
    dead = rows[:, -1].astype(int)
    print(json.dumps(config), "\n   loss %.4f -> %.4f  active %d -> %d  dead %s  aux steps %d  float32 strays %.1e (loss) %.1e (W_enc)" % (rows[0, 3], rows[-1, 3], rows[0, 9], rows[-1, 9],
          dead.tolist(), int((rows[:, 6] > 0).sum()), strayed[3], tensors["W_enc"][0]), flush=True)
    return {"config": config, "rows": [[float("%.12g" % v) for v in row] for row in rows], "float32": [float("%.3g" % v) for v in strayed], "final": stored}


def main():
    common = {"d_sae": D_SAE, "batch": BATCH, "lr": 5e-3, "lr_schedule": "cosine", "lr_warmup_fraction": 0.1, "weight_decay": 0.01, "sparsity_warmup_steps": 2, "sparsity_ramp_fraction": 0.2,
              "grad_clip": 1.0, "aux_coeff": 0.125, "log_every": 1}
    penalty = {**common, "sparsity_coeff": 0.05}
    dead = {"aux_kind": "dead", "aux_k": 2, "dead_after_tokens": 48}
    gated, jump, chosen = {"architecture": "gated", **penalty}, {"architecture": "jumprelu", **penalty, **dead, "subtract_decoder_bias": False, "ste_bandwidth": 0.2}, {**common, **dead, "k": 3}
    chosen = {k: v for k, v in chosen.items() if not k.startswith("sparsity")} | {"sparsity_warmup_steps": 0, "sparsity_ramp_fraction": 0}
    cases = [
        {**gated, "aux_k": 2, "aux_double_bias": True, "target_l0": 3},
        {**gated, **dead, "decoder_norm": "free", "subtract_decoder_bias": True},
        {**gated, **dead, "ste": "windowed", "ste_bandwidth": 0.2, "lr_schedule": "wsd", "lr_decay_fraction": 0.3},
        {**gated, "aux_k": 2, "tied": False, "sparsity_scale": "mean", "sparsity_coeff": 3.0, "lr_schedule": "linear"},
        {**gated, **dead, "tied": False, "ste": "windowed", "ste_bandwidth": 0.2, "subtract_decoder_bias": True},
        {"architecture": "gated-original", **penalty, "aux_k": 0, "aux_coeff": 1.0, "subtract_decoder_bias": True, "target_l0": 3},
        {"architecture": "relu", **penalty, **dead, "dead_after_tokens": 24, "subtract_decoder_bias": True, "lr_schedule": "constant"},
        {"architecture": "relu", **penalty, **dead, "subtract_decoder_bias": False, "p_end": 0.5, "decoder_norm": "free", "target_l0": 3},
        {"architecture": "topk", **chosen, "subtract_decoder_bias": True},
        {"architecture": "topk", **chosen, "subtract_decoder_bias": False, "decoder_norm": "free", "lr_schedule": "wsd"},
        {"architecture": "batchtopk", **chosen, "subtract_decoder_bias": True},
        {"architecture": "matryoshka", **chosen, "dead_after_tokens": 30, "prefixes": [8, 24, 60], "subtract_decoder_bias": True},
        {**jump, "jumprelu_loss": "l0", "sparsity_coeff": 0.02, "target_l0": 3},
        {**jump, "jumprelu_loss": "quadratic_l0", "target_l0": 3, "subtract_decoder_bias": True},
        {**jump, "jumprelu_loss": "tanh", "tanh_scale": 4.0, "pre_act_coeff": 0.02, "decoder_norm": "free"}]
    torch.set_num_threads(1)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sae_training_oracle.json")
    results = [run(case) for case in cases]
    with open(path, "w", encoding="utf-8") as out:
        json.dump({"made_by": "tests/golden/sae_training_oracle.py, torch %s, numpy %s, double precision" % (torch.__version__, np.__version__), "d_in": D_IN, "d_sae": D_SAE, "batch": BATCH,
                   "batches": BATCHES, "steps": STEPS, "columns": COLUMNS, "cases": results}, out, separators=(",", ":"))
        out.write("\n")
    print(os.path.getsize(path), "bytes")


main()
