"""Times SCOT's SNARE-seq alignment with POT: the same costs, epsilon and tolerances as biosup's suite.

usage: OPENBLAS_CORETYPE=Zen python pot_gw.py FOLDER_OF_GW_SNARESEQ [--max-iter N]
Needs ot (0.8), scikit-learn, scipy, numpy. Prints one JSON object: seconds of the solve alone, trace, library core name.
"""
import argparse
import ctypes
import glob
import json
import os
import time
import warnings

import numpy as np
import ot
from scipy.sparse.csgraph import dijkstra
from sklearn.neighbors import kneighbors_graph
from sklearn.preprocessing import normalize

warnings.simplefilter("ignore")


def cost(x, k):
    graph = kneighbors_graph(normalize(x), k, mode="connectivity", metric="correlation", include_self=True)
    d = dijkstra(graph, directed=False)
    d[~np.isfinite(d)] = d[np.isfinite(d)].max()
    return d / d.max()


def blas_core():
    for pattern in ("/usr/lib/x86_64-linux-gnu/openblas*/libopenblas.so.0", "/usr/lib/x86_64-linux-gnu/libopenblas.so.0"):
        for path in glob.glob(pattern):
            library = ctypes.CDLL(path)
            library.openblas_get_corename.restype = ctypes.c_char_p
            return library.openblas_get_corename().decode()
    return "unknown"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--max-iter", type=int, default=1000)
    args = parser.parse_args()
    c1 = cost(np.load(os.path.join(args.folder, "atac.npy")), 110)
    c2 = cost(np.load(os.path.join(args.folder, "rna.npy")), 110)
    p, q = ot.unif(len(c1)), ot.unif(len(c2))
    start = time.perf_counter()
    _, log = ot.gromov.entropic_gromov_wasserstein(c1, c2, p, q, "square_loss", 1e-3, max_iter=args.max_iter, tol=1e-9, log=True)
    seconds = time.perf_counter() - start
    print(json.dumps(dict(pot=ot.__version__, numpy=np.__version__, openblas_core=blas_core(), seconds=seconds, max_iter=args.max_iter, err=[float(e) for e in log["err"]])))


if __name__ == "__main__":
    main()
