"""Times scikit-learn's exact nearest neighbours on given cells.

usage: python cells_knn.py CELLS.npy K METRIC      (float32, cells x coordinates)
Brute force on all cells; for euclidean also a k-d tree, built whole and asked for 1000 cells, its time scaled to all of them. Needs scikit-learn and numpy.
Prints one JSON object: seconds of each, the sum of all distances of the brute search, versions and the core OpenBLAS runs on.
"""
import ctypes
import json
import sys
import time

import numpy as np
import sklearn
from sklearn.neighbors import NearestNeighbors


def openblas_core():
    for line in open("/proc/self/maps"):
        path = line.split()[-1]
        if "blas" in path and ".so" in path:
            try:
                library = ctypes.CDLL(path)
                library.openblas_get_corename.restype = ctypes.c_char_p
                return library.openblas_get_corename().decode()
            except (OSError, AttributeError):
                continue
    return "unknown"


def main():
    x, k, metric = np.load(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    NearestNeighbors(n_neighbors=k - 1, algorithm="brute", metric=metric).fit(x[:300]).kneighbors()
    start = time.perf_counter()
    distances, _ = NearestNeighbors(n_neighbors=k - 1, algorithm="brute", metric=metric).fit(x).kneighbors()
    result = dict(brute=time.perf_counter() - start, sum=float(distances.sum(dtype=np.float64)))
    if metric == "euclidean":
        start = time.perf_counter()
        tree = NearestNeighbors(n_neighbors=k, algorithm="kd_tree", metric=metric, n_jobs=2).fit(x)
        built = time.perf_counter()
        some = min(1000, len(x))
        tree.kneighbors(x[:: max(1, len(x) // some)][:some])
        result["kd_tree"] = built - start + (time.perf_counter() - built) * len(x) / some
    print(json.dumps(dict(result, core=openblas_core(), sklearn=sklearn.__version__, numpy=np.__version__)))


if __name__ == "__main__":
    main()
