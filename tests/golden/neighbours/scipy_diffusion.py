#!/usr/bin/python3
"""Diffusion map and pseudotime of a weighted graph with SciPy's eigsh, by the definitions that scanpy follows: scipy_diffusion.py EDGES CELLS COMPONENTS ROOT DCS
EDGES holds a line "row column weight" per stored entry of the symmetric matrix. Prints the eigenvalues on one line, the pseudotime on the next."""
import sys

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import eigsh

table = np.loadtxt(sys.argv[1])
cells, components, root, dcs = (int(a) for a in sys.argv[2:6])
w = sp.csr_matrix((table[:, 2].astype(np.float32).astype(np.float64), (table[:, 0].astype(int), table[:, 1].astype(int))), shape=(cells, cells))
q = sp.diags(1 / np.asarray(w.sum(axis=0)).ravel())
k = q @ w @ q
z = sp.diags(1 / np.sqrt(np.asarray(k.sum(axis=0)).ravel()))
values, vectors = eigsh(z @ k @ z, k=components, which="LM", ncv=max(2 * components + 1, int(np.sqrt(cells))), v0=np.random.RandomState(0).normal(size=cells))
values, vectors = values[::-1], vectors[:, ::-1]
print(*(repr(v) for v in values))
squares = np.zeros(cells)
for j in range(dcs):
    factor = 1 if values[j] >= 0.9994 else values[j] / (1 - values[j])
    squares += (factor * (vectors[root, j] - vectors[:, j])) ** 2
labels = connected_components(w)[1]
squares[labels != labels[root]] = np.inf
time = np.sqrt(squares)
print(*(repr(t) for t in time / time[np.isfinite(time)].max()))
