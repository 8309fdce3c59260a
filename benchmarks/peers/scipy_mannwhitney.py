"""Times scipy's Mann-Whitney tests of many genes between two groups of cells.

usage: python scipy_mannwhitney.py VALUES.npy FIRST ROUNDS RESULT.npz
VALUES is [genes, cells] (a gene's cells side by side, the layout that scipy is fastest on), the first FIRST cells are one group. One call tests all genes (axis), with the normal
distribution asked for, so that no pass decides on it. Writes members u and p; prints one JSON object.
"""
import json
import sys
import time

import numpy as np
import scipy
from scipy.stats import mannwhitneyu


def main():
    values, first, rounds = np.load(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        result = mannwhitneyu(values[:, :first], values[:, first:], alternative="two-sided", axis=1, method="asymptotic")
        seconds.append(time.perf_counter() - start)
    np.savez(sys.argv[4], u=result.statistic, p=result.pvalue)
    print(json.dumps(dict(scipy=scipy.__version__, numpy=np.__version__, seconds=min(seconds))))


if __name__ == "__main__":
    main()
