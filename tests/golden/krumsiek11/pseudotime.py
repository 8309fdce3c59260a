#!/usr/bin/python3
"""Diffusion pseudotime of points from their coordinates on, with dense NumPy in double precision and no eigensolver but LAPACK's: pseudotime.py POINTS K
POINTS holds a line of coordinates per cell, K neighbours count the cell itself, the root is the first cell, 10 of 15 diffusion components count.
Prints the 15 eigenvalues, the pseudotime by scanpy's rule and the one by the exact rule, a line each."""
import sys

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist
from scipy.stats import kendalltau

BOUND = 0.9994


def nearest(x, k):
    """Distances and indices of the k - 1 nearest other cells."""
    d = cdist(x, x)
    np.fill_diagonal(d, -1)
    j = np.argsort(d, axis=1, kind="stable")[:, 1:k]
    return np.take_along_axis(d, j, 1), j


def umap_weights(x, k):
    """Fuzzy union of w = exp(-(d - rho) / sigma): rho is the smallest distance above 0, sigma such that the weights of a cell sum to log2(k)."""
    d, j = nearest(x, k)
    a = np.zeros((len(x), len(x)))
    mean = d.sum(axis=1) / k
    for i in range(len(x)):
        rho = d[i][d[i] > 0].min(initial=np.inf)
        beyond = np.maximum(d[i] - rho, 0) if np.isfinite(rho) else np.zeros(k - 1)
        low, high, sigma = 0.0, np.inf, 1.0
        for _ in range(64):
            total = np.exp(-beyond / sigma).sum()
            if abs(total - np.log2(k)) < 1e-5:
                break
            if total > np.log2(k):
                high = sigma
            else:
                low = sigma
            sigma = 2 * sigma if np.isinf(high) else (low + high) / 2
        sigma = max(sigma, 1e-3 * (mean[i] if np.isfinite(rho) else mean.mean()))
        a[i, j[i]] = np.exp(-beyond / sigma)
    return a + a.T - a * a.T


def diffusion_map(w, components=15):
    """Eigenpairs of largest magnitude, falling, of Z^-1 K Z^-1 with K = Q^-1 W Q^-1."""
    q = w.sum(axis=1)
    k = w / np.outer(q, q)
    z = np.sqrt(k.sum(axis=1))
    values, vectors = np.linalg.eigh(k / np.outer(z, z))
    largest = np.argsort(-np.abs(values))[:components]
    largest = largest[np.argsort(-values[largest])]
    return values[largest], vectors[:, largest]


def pseudotime(values, vectors, trivial, exact, root=0, components=10):
    """sqrt of the sum of (weight * (psi(root) - psi))^2. scanpy's rule: weight 1 from 0.9994 on; exact: the trivial vectors alone are left out."""
    value, vector = values[:components], vectors[:, :components]
    if exact:
        weight = np.where(np.arange(components) < trivial, 0, value / (1 - np.where(np.arange(components) < trivial, 0, value)))
    else:
        weight = np.where(value < BOUND, value / (1 - np.where(value < BOUND, value, 0)), 1)
    time = np.sqrt((((vector - vector[root]) * weight) ** 2).sum(axis=1))
    return time / time.max()


def orders(x, k):
    """Eigenvalues and the pseudotime by each rule, of a graph of one component."""
    w = umap_weights(x, k)
    parts = connected_components(csr_matrix(w))[0]
    values, vectors = diffusion_map(w)
    return values, pseudotime(values, vectors, parts, False), pseudotime(values, vectors, parts, True)


def kendall(time, branches=4):
    """Kendall's tau of time and position in each of equally long branches."""
    rows = time.reshape(branches, -1)
    return [kendalltau(np.arange(rows.shape[1]), row)[0] for row in rows]


if __name__ == "__main__":
    for line in orders(np.loadtxt(sys.argv[1]), int(sys.argv[2])):
        print(*(repr(float(v)) for v in line))
