#!/usr/bin/python3
"""Times scikit-learn's brute-force neighbours and pairwise distances on float32 standard normal data, n rows of d columns.

scikit-learn's Euclidean distances of float32 input are summed in float64 (pairwise_distances in upcast blocks, kneighbors in its ArgKmin
kernel); cosine uses a float32 product; cityblock goes through scipy's float64 loops.

    OPENBLAS_CORETYPE=Zen OMP_NUM_THREADS=2 /usr/bin/python3 benchmarks/peers/sklearn_distance.py --what knn --metric euclidean --n 10000 --d 512
"""
import argparse
import ctypes
import glob
import json
import time

import numpy
import scipy
import sklearn
from sklearn.metrics import pairwise_distances
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", choices=["knn", "pairwise"], default="knn")
    parser.add_argument("--metric", default="euclidean")
    parser.add_argument("--n", type=int, default=10000)
    parser.add_argument("--d", type=int, default=512)
    parser.add_argument("--k", type=int, default=15)
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    x = numpy.random.default_rng(0).standard_normal((options.n, options.d)).astype(numpy.float32)
    pairwise_distances(x[:300], metric=options.metric)
    NearestNeighbors(n_neighbors=options.k, algorithm="brute", metric=options.metric).fit(x[:300]).kneighbors()
    times = []
    for _ in range(options.repeats):
        start = time.perf_counter()
        if options.what == "knn":
            result = NearestNeighbors(n_neighbors=options.k, algorithm="brute", metric=options.metric).fit(x).kneighbors()[0]
        else:
            result = pairwise_distances(x, metric=options.metric, n_jobs=None)
        times.append(time.perf_counter() - start)
    print(json.dumps({
        "what": options.what, "metric": options.metric, "n": options.n, "d": options.d, "seconds": times, "result_type": str(result.dtype),
        "openblas_core": openblas_core(), "sklearn": sklearn.__version__, "scipy": scipy.__version__, "numpy": numpy.__version__,
    }))


if __name__ == "__main__":
    main()
