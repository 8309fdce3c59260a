"""Times the first outer iterations of POT's entropic Gromov-Wasserstein on squared distances of given points.

usage: OPENBLAS_CORETYPE=Zen python pot_gw_points.py FOLDER --epsilon E [--steps N]      (FOLDER holds x.npy and y.npy)
Needs ot (0.8) and numpy. Prints one JSON object: seconds of every outer iteration timed (gradient and Sinkhorn), library core name.
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

warnings.simplefilter("ignore")


class Enough(Exception):
    pass


def cost(x):
    c = ot.dist(x, x, metric="sqeuclidean")
    return c / c.mean()


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
    parser.add_argument("--epsilon", type=float, required=True)
    parser.add_argument("--steps", type=int, default=2)
    args = parser.parse_args()
    c1, c2 = (cost(np.load(os.path.join(args.folder, name))) for name in ("x.npy", "y.npy"))
    p, q = ot.unif(len(c1)), ot.unif(len(c2))
    marks, solve = [], ot.gromov.sinkhorn

    def timed(*arguments, **options):
        # One call per outer iteration, at its end.
        result = solve(*arguments, **options)
        marks.append(time.perf_counter())
        if len(marks) > args.steps:
            raise Enough
        return result

    # The first iteration also sets up constants; time is counted from the end of the one before.
    ot.gromov.sinkhorn = timed
    marks.append(time.perf_counter())
    try:
        ot.gromov.entropic_gromov_wasserstein(c1, c2, p, q, "square_loss", args.epsilon, max_iter=1000, tol=1e-9)
    except Enough:
        pass
    print(json.dumps(dict(pot=ot.__version__, numpy=np.__version__, openblas_core=blas_core(), step_seconds=list(np.diff(marks)))))


if __name__ == "__main__":
    main()
