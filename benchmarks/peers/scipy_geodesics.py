"""Times scipy's all-pairs shortest paths on a given graph.

usage: python scipy_geodesics.py GRAPH.npz ROUNDS      (members start, neighbour, length: rows of a symmetric sparse matrix)
Needs scipy and numpy. Prints one JSON object: best seconds and sums for hops and for edge lengths.
"""
import json
import sys
import time

import numpy as np
import scipy
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra


def best(run, rounds):
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return min(seconds), float(result.sum())


def main():
    data, rounds = np.load(sys.argv[1]), int(sys.argv[2])
    n = len(data["start"]) - 1
    graph = csr_matrix((data["length"], data["neighbour"], data["start"]), shape=(n, n))
    hop_seconds, hop_sum = best(lambda: dijkstra(graph, directed=True, unweighted=True), rounds)
    length_seconds, length_sum = best(lambda: dijkstra(graph, directed=True), rounds)
    print(json.dumps(dict(scipy=scipy.__version__, hop_seconds=hop_seconds, hop_sum=hop_sum, length_seconds=length_seconds, length_sum=length_sum)))


if __name__ == "__main__":
    main()
