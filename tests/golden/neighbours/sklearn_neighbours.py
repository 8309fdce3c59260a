#!/usr/bin/python3
"""Exact nearest neighbours by scikit-learn, differences summed in double precision: sklearn_neighbours.py CELLS K METRIC [CELLS K METRIC ...]
A line of CELLS holds the coordinates of a cell. Prints for each cell the K - 1 others and then their distances, nearest first."""
import sys

import numpy as np
from sklearn.neighbors import NearestNeighbors

for cells, k, metric in zip(sys.argv[1::3], sys.argv[2::3], sys.argv[3::3]):
    x = np.loadtxt(cells, dtype=np.float64)
    others = int(k) - 1
    distances, indices = NearestNeighbors(n_neighbors=others, algorithm="brute", metric=metric).fit(x).kneighbors()
    for i in range(len(x)):
        print(*indices[i], *(repr(float(d)) for d in distances[i]))
