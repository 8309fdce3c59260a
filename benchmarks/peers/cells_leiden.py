"""Times igraph's and leidenalg's Leiden on given graphs.

usage: python cells_leiden.py GRAPH.npz RESOLUTION SEEDS      (members start, columns, values: rows of a symmetric sparse matrix)
Needs igraph, leidenalg and numpy; both search on one thread, they have no other. Prints one JSON object: for each of igraph and leidenalg with n_iterations -1, and igraph with 2,
the seconds, the modularity and the number of communities of every seed. Building the graph is not timed.
"""
import json
import random
import sys
import time

import igraph
import leidenalg
import numpy as np


def main():
    data, resolution, seeds = np.load(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    n = len(data["start"]) - 1
    rows = np.repeat(np.arange(n), np.diff(data["start"]))
    upper = rows < data["columns"]
    graph = igraph.Graph(n=n, edges=np.stack([rows[upper], data["columns"][upper]], axis=1))
    weights = data["values"][upper].astype(float).tolist()

    def by_igraph(seed, iterations):
        random.seed(seed)
        return graph.community_leiden(objective_function="modularity", weights=weights, resolution_parameter=resolution, beta=0.01, n_iterations=iterations)

    def by_leidenalg(seed, iterations):
        return leidenalg.find_partition(graph, leidenalg.RBConfigurationVertexPartition, weights=weights, resolution_parameter=resolution, n_iterations=iterations, seed=seed)

    result = dict(versions=f"igraph {igraph.__version__}, leidenalg {leidenalg.version}")
    for name, search, iterations in (("igraph", by_igraph, -1), ("igraph2", by_igraph, 2), ("leidenalg", by_leidenalg, -1)):
        seconds, quality, communities = [], [], []
        for seed in range(seeds):
            start = time.perf_counter()
            found = search(seed, iterations)
            seconds.append(time.perf_counter() - start)
            communities.append(len(found))
            quality.append(float(igraph.GraphBase.modularity(graph, found.membership, weights, resolution)))
        result[name] = dict(seconds=seconds, modularity=quality, communities=communities)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
