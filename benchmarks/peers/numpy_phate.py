"""Times the parts of PHATE as its authors' program computes them, with dense NumPy and scikit-learn.

usage: python numpy_phate.py X.npy KNN DECAY T STEPS OUT.npy
Prints one JSON object with seconds: affinities, the power of the walk, distances of the potential, the entropy's singular values, one step of scikit-learn's SMACOF (mean of STEPS).
OUT receives the potential.
"""
import json
import sys
import time

import numpy as np
import sklearn
from sklearn.manifold import smacof
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors


def timed(run):
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def affinities(x, knn, decay):
    search = NearestNeighbors(n_neighbors=min(6 * (knn + 1), len(x))).fit(x)
    d, j = search.kneighbors(x)
    width = np.maximum(d[:, knn], np.finfo(float).eps)[:, None]
    a = np.zeros((len(x), len(x)))

    def put(rows, d, j):
        with np.errstate(over="ignore"):
            w = np.exp(-((d / width[rows]) ** decay))
        a[rows[:, None], j] = np.where(w < 1e-4, 0, w)

    put(np.arange(len(x)), d, j)
    # Cells whose kernel reaches beyond the neighbours found.
    wide = np.flatnonzero(d[:, -1] < (width * 9.22 ** (1 / decay))[:, 0])
    if len(wide):
        put(wide, *search.kneighbors(x[wide], n_neighbors=len(x)))
    k = (a + a.T) / 2
    return k / k.sum(axis=1, keepdims=True)


def main():
    x, knn, decay, t, steps = np.load(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
    graph, p = timed(lambda: affinities(x, knn, decay))
    power, pt = timed(lambda: np.linalg.matrix_power(p, t))
    distances, (u, d) = timed(lambda: (lambda u: (u, pairwise_distances(u)))(-np.log(pt + 1e-7)))
    singular = timed(lambda: np.linalg.svd(p, compute_uv=False))[0] if len(x) <= 2000 else None
    start = np.random.RandomState(0).normal(size=(len(x), 2))
    d = (d + d.T) / 2
    np.fill_diagonal(d, 0)
    scaling = timed(lambda: smacof(d, n_components=2, init=start, n_init=1, max_iter=steps, eps=0))[0] / steps
    np.save(sys.argv[6], u)
    print(json.dumps(dict(sklearn=sklearn.__version__, numpy=np.__version__, graph=graph, power=power, distances=distances, singular=singular, step=scaling)))


if __name__ == "__main__":
    main()
