#!/usr/bin/python3
"""scikit-learn's PCA by the full decomposition, with the sign rule of its versions from 1.5 on: sklearn_pca.py MATRIX.npy COMPONENTS [MATRIX.npy COMPONENTS ...]
Prints a JSON list: variance, ratio, components and scores of each matrix."""
import json
import sys

import numpy as np
from sklearn.decomposition import PCA

out = []
for file, count in zip(sys.argv[1::2], sys.argv[2::2]):
    x = np.load(file).astype(np.float64)
    fit = PCA(int(count), svd_solver="full").fit(x)
    rows = fit.components_
    sign = np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)])[:, None]
    scores = (x - x.mean(axis=0)) @ (rows * sign).T
    out.append({"variance": fit.explained_variance_.tolist(), "ratio": fit.explained_variance_ratio_.tolist(), "components": (rows * sign).ravel().tolist(), "scores": scores.ravel().tolist()})
print(json.dumps(out))
