#!/usr/bin/python3
"""Makes distances.json: 12 x 7 float32 points, their distances by scipy and scikit-learn in float64, and the 4 nearest neighbours of each.

Made with scipy 1.10.1, scikit-learn 1.2.1, numpy 1.24.2:  /usr/bin/python3 tests/golden/distance/make_distances.py
"""
import json
import os

import numpy
import scipy
import sklearn
from scipy.spatial.distance import cdist
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors

METRICS = ["euclidean", "sqeuclidean", "cosine", "correlation", "cityblock", "chebyshev", "hamming"]

points = numpy.round(numpy.random.default_rng(7).standard_normal((12, 7)) * 4) / 4 + 0.5
points = points.astype(numpy.float32).astype(numpy.float64)
out = {"scipy": scipy.__version__, "sklearn": sklearn.__version__, "numpy": numpy.__version__, "points": points.tolist(), "metrics": {}}
for metric in METRICS:
    entry = {"scipy": cdist(points, points, metric).tolist(), "sklearn": pairwise_distances(points, metric=metric).tolist()}
    distances, _ = NearestNeighbors(n_neighbors=4, algorithm="brute", metric=metric).fit(points).kneighbors()
    entry["nearest"] = distances.tolist()
    out["metrics"][metric] = entry
zero = points.copy()
zero[3] = 0
out["zero_row_cosine_sklearn"] = pairwise_distances(zero, metric="cosine").tolist()
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "distances.json"), "w") as file:
    json.dump(out, file)
    file.write("\n")
