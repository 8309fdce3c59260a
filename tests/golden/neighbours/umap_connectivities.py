#!/usr/bin/python3
"""umap-learn's fuzzy simplicial set of given neighbours: umap_connectivities.py LISTS K [LISTS K ...]
A line of LISTS holds the K neighbours of a cell, itself first, and their K distances. Prints a line "case row column weight" for each stored entry."""
import sys

import numpy as np
from umap.umap_ import fuzzy_simplicial_set

for case, (lists, size) in enumerate(zip(sys.argv[1::2], sys.argv[2::2])):
    k = int(size)
    table = np.loadtxt(lists)
    indices, distances = table[:, :k].astype(np.int64), table[:, k:].astype(np.float32)
    result = fuzzy_simplicial_set(np.zeros((len(table), 1), np.float32), k, np.random.RandomState(0), "euclidean", knn_indices=indices, knn_dists=distances)
    graph = result[0].tocoo()
    for i, j, w in zip(graph.row, graph.col, graph.data):
        print(case, i, j, repr(float(w)))
