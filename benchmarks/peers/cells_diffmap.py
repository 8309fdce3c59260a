"""Times a diffusion map of a given graph the way scanpy computes it.

usage: python cells_diffmap.py GRAPH.npz COMPONENTS ROUNDS      (members start, columns, values: rows of the symmetric connectivities)
Transitions by sparse products, then scipy.sparse.linalg.eigsh(which="LM") with ncv = max(2 k + 1, sqrt(cells)). Needs scipy and numpy.
Prints one JSON object: best seconds, eigenvalues, versions and the core OpenBLAS runs on.
"""
import json
import sys
import time

import numpy as np
import scipy
import scipy.sparse as sp
from scipy.sparse.linalg import eigsh

from cells_knn import openblas_core


def diffmap(w, components):
    q = sp.diags(1 / np.asarray(w.sum(axis=0)).ravel())
    k = q @ w @ q
    z = sp.diags(1 / np.sqrt(np.asarray(k.sum(axis=0)).ravel()))
    cells = w.shape[0]
    v0 = np.random.RandomState(0).uniform(-1, 1, cells)
    values, vectors = eigsh((z @ k @ z).astype(np.float64), k=components, which="LM", ncv=max(2 * components + 1, int(np.sqrt(cells))), v0=v0)
    return values[::-1]


def main():
    data, components, rounds = np.load(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    n = len(data["start"]) - 1
    w = sp.csr_matrix((data["values"].astype(np.float64), data["columns"], data["start"]), shape=(n, n))
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        values = diffmap(w, components)
        seconds.append(time.perf_counter() - start)
    print(json.dumps(dict(seconds=min(seconds), values=values.tolist(), core=openblas_core(), scipy=scipy.__version__, numpy=np.__version__)))


if __name__ == "__main__":
    main()
