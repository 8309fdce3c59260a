#!/usr/bin/python3
"""A value along pseudotime in three bins of equal width between the 5th and the 95th percentile, with NumPy and SciPy: bins.py POINTS
Prints "edge edge edge edge", then per bin "n mean deviation", then per pair "p delta"."""
import sys

import numpy as np
from scipy.stats import mannwhitneyu

time, value = np.loadtxt(sys.argv[1]).T
low, high = np.percentile(time, [5, 95])
edges = np.linspace(low, high, 4)
inside = (time >= low) & (time <= high)
bins = np.clip(np.digitize(time, edges[1:-1]), 0, 2)
groups = [value[inside & (bins == b)] for b in range(3)]
print(*(repr(e) for e in edges))
for g in groups:
    print(len(g), repr(g.mean()), repr(g.std()))
for i, j in ((0, 1), (0, 2), (1, 2)):
    a, b = groups[i], groups[j]
    p = mannwhitneyu(a, b, alternative="two-sided", method="asymptotic").pvalue
    d = np.sign(a[:, None] - b[None, :]).mean()
    print(repr(p), repr(d))
