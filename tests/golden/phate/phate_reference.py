#!/usr/bin/python3
"""PHATE step by step from its definition with dense NumPy matrices: phate_reference.py X.npy KNN DECAY T OUT.npz

T is a number, or 0 for the knee of the von Neumann entropy. OUT receives the potential, the entropy, the classical solution and SMACOF's layout of the potential's distances;
a line tells t, SMACOF's stress as a share, and the rank correlation of its distances with the potential's."""
import sys

import numpy as np
from scipy.spatial import procrustes
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr
from sklearn.manifold import smacof

x = np.load(sys.argv[1])
knn, decay, t, out = int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), sys.argv[5]

# Affinities: the width of a cell is the distance of its knn-th other cell; column 0 of the sorted row is the cell itself.
d = squareform(pdist(x))
width = np.maximum(np.sort(d, axis=1)[:, knn], np.finfo(float).eps)
with np.errstate(over="ignore"):
    a = np.exp(-((d / width[:, None]) ** decay))
a[a < 1e-4] = 0
k = (a + a.T) / 2
p = k / k.sum(axis=1, keepdims=True)

# Entropy of the singular values of p, p², …; the first of a hundred counts as t = 0.
s = np.linalg.svd(p, compute_uv=False)
share = np.array([s ** (i + 1) / np.sum(s ** (i + 1)) for i in range(100)]) + np.finfo(float).eps
entropy = -np.sum(share * np.log(share), axis=1)


def residual(i, y):
    return np.abs(np.polyval(np.polyfit(i, y, 1), i) - y).sum()


at = np.arange(100)
if t == 0:
    t = 1 + int(np.argmin([residual(at[: b + 1], entropy[: b + 1]) + residual(at[b:], entropy[b:]) for b in range(1, 99)]))

potential = -np.log(np.linalg.matrix_power(p, t) + 1e-7)
wanted = pdist(potential)
square = squareform(wanted) ** 2
centred = square - square.mean(axis=0)[None, :]
centred = centred - centred.mean(axis=1)[:, None]
u, values, _ = np.linalg.svd(centred)
classic = u[:, :2] * values[:2]
layout, stress = smacof(squareform(wanted), n_components=2, init=classic, n_init=1, max_iter=3000, eps=1e-6)
stress = np.sum((pdist(layout) - wanted) ** 2) / np.sum(wanted**2)
turned = procrustes(classic, layout)[1]
np.savez(out, potential=potential, entropy=entropy, classic=classic, layout=turned)
print(t, repr(stress), repr(spearmanr(pdist(layout), wanted).correlation))
