#!/usr/bin/python3
"""Moran's I and its null under normality by dense formulas in NumPy, as scanpy defines the statistic and PySAL the null: moran.py EDGES VALUES
EDGES holds a line "row column weight" per stored entry, VALUES a line per cell. Prints a line "I variance z ln-p" per column, p one-sided."""
import sys

import numpy as np
from scipy.stats import norm

edges, x = np.loadtxt(sys.argv[1]), np.loadtxt(sys.argv[2], ndmin=2)
n = len(x)
w = np.zeros((n, n))
w[edges[:, 0].astype(int), edges[:, 1].astype(int)] = edges[:, 2].astype(np.float32)
s0, s1, s2 = w.sum(), 0.5 * ((w + w.T) ** 2).sum(), ((w.sum(axis=0) + w.sum(axis=1)) ** 2).sum()
variance = (n**2 * s1 - n * s2 + 3 * s0**2) / ((n**2 - 1) * s0**2) - 1 / (n - 1) ** 2
for column in x.T:
    z = column - column.mean()
    i = n / s0 * (z @ w @ z) / (z @ z)
    score = (i + 1 / (n - 1)) / np.sqrt(variance)
    print(repr(i), repr(variance), repr(score), repr(norm.logsf(score)))
