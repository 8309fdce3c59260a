#!/usr/bin/python3
"""Modularity of ten seeds of igraph's and leidenalg's Leiden on one graph: igraph_leiden.py EDGES NODES RESOLUTION...
EDGES holds a line "from to weight" per edge. Prints a line "igraph|leidenalg RESOLUTION q1 ... q10" for each."""
import random
import sys

import igraph
import leidenalg

edges, weights = [], []
with open(sys.argv[1]) as lines:
    for line in lines:
        a, b, w = line.split()
        edges.append((int(a), int(b)))
        weights.append(float(w))
graph = igraph.Graph(n=int(sys.argv[2]), edges=edges)


def quality(membership, resolution):
    # igraph's own function; the method of Graph, which hides it, takes no resolution in 0.10.2 and returns the value for 1 whatever it is given.
    return float(igraph.GraphBase.modularity(graph, membership, weights, resolution))


for resolution in sys.argv[3:]:
    gamma = float(resolution)
    found = {"igraph": [], "leidenalg": []}
    for seed in range(10):
        random.seed(seed)
        a = graph.community_leiden(objective_function="modularity", weights=weights, resolution_parameter=gamma, beta=0.01, n_iterations=-1)
        b = leidenalg.find_partition(graph, leidenalg.RBConfigurationVertexPartition, weights=weights, resolution_parameter=gamma, n_iterations=-1, seed=seed)
        found["igraph"].append(quality(a.membership, gamma))
        found["leidenalg"].append(quality(b.membership, gamma))
    for name, values in found.items():
        print(name, resolution, *(repr(q) for q in values))
