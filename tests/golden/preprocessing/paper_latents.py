#!/usr/bin/python3
"""The paper's preparation of latents, by its published order, in plain NumPy: paper_latents.py LATENTS.npy USAGE.npy LABELS VALUES PER_CLASS SEED
LABELS holds a class per line, VALUES a number or "nan" per line. Prints JSON: the rows drawn, the class variation, the DE of every mutation and the union, the scaled matrices."""
import json
import sys

import numpy as np
from scipy.stats import mannwhitneyu
from statsmodels.stats.multitest import multipletests

x, usage = np.load(sys.argv[1]).astype(np.float64), np.load(sys.argv[2]).ravel()
labels, values = np.array(open(sys.argv[3]).read().split()), np.loadtxt(sys.argv[4])
per_class, seed = int(sys.argv[5]), int(sys.argv[6])
classes = ["Control", "GBA", "LRRK2", "SNCA"]
out = {}

alive = np.flatnonzero(usage >= 1e-5)
out["alive"] = alive
x = x[:, alive]
x = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)).astype(np.float32).astype(np.float64)
keep = np.flatnonzero(np.isin(labels, classes))
x, labels, values = x[keep], labels[keep], values[keep]

means = np.stack([x[labels == c].mean(axis=0) for c in classes])
out["cv"] = means.std(axis=0, ddof=1) / np.maximum(np.abs(means.mean(axis=0)), 1e-12)

def compare(cases, top=None):
    p = np.ones(x.shape[1])
    a, b = x[labels == "Control"], x[cases]
    for j in range(x.shape[1]):
        if a[:, j].std() > 0 or b[:, j].std() > 0:
            p[j] = mannwhitneyu(a[:, j], b[:, j], alternative="two-sided").pvalue
    change = np.log2((b.mean(axis=0) + 1e-10) / (a.mean(axis=0) + 1e-10))
    q = multipletests(p, method="fdr_bh")[1]
    mask = (q < 0.05) & (np.abs(change) >= 0.2)
    if top is not None:
        order = [j for j in np.argsort(-np.abs(change), kind="stable") if mask[j]][:top]
        mask = np.isin(np.arange(len(mask)), order)
    return change, q, mask

change, q, mask = compare(labels == "SNCA")
out["log2fc"], out["log10q"], out["differs"] = change, np.log10(q), mask.astype(int)
pooled = compare(labels != "Control")
union = pooled[2] & (pooled[0] < 0)
for c in classes[1:]:
    union |= compare(labels == c, top=3)[2]
out["union"] = union.astype(int)

rng = np.random.RandomState(seed)
drawn = []
for c in classes:
    own = np.flatnonzero(labels == c)
    ordered = np.concatenate([own[np.isfinite(values[own])], own[~np.isfinite(values[own])]])
    take, known = min(per_class, len(own)), int(np.isfinite(values[own]).sum())
    drawn.extend(rng.choice(ordered[: max(take, known)], size=take, replace=False))
drawn = np.sort(drawn)
out["rows"] = keep[drawn]

y = x[drawn].astype(np.float32).astype(np.float64)
def standard(m):
    s = m.std(axis=0)
    return (m - m.mean(axis=0)) / np.where(s == 0, 1e-12, s)
low, middle, high = np.percentile(y, [25, 50, 75], axis=0)
out["log"], out["std"], out["log_std"] = np.log1p(y), standard(y), standard(np.log1p(y).astype(np.float32).astype(np.float64))
out["median"], out["iqr"] = y - middle, (y - middle) / np.where(high == low, 1, high - low)
print(json.dumps({key: np.asarray(value, dtype=np.float64).tolist() for key, value in out.items()}))
