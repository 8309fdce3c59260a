#!/usr/bin/python3
"""
Golden values for boosted trees: scikit-learn's HistGradientBoostingRegressor, an independent program for the same method (binned features, second-order gains, no least leaf).
Out-of-fold R2 of stumps only: in deeper trees two features often set the same rows apart, and the programs choose differently. What trees make of the rows they were fitted to does not
depend on that choice, so fits are compared with deeper trees. Writes trees.json beside itself.
"""
import json
import os
import sys

import numpy as np
import sklearn
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_predict

HERE = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
N, P, SEED = 150, 4, 5
r = np.random.RandomState(SEED)
x = r.standard_normal((N, P)).astype(np.float32)
noise = r.standard_normal((N, 3))
y = np.column_stack([x[:, 0] * x[:, 1] + 0.2 * noise[:, 0], np.sin(2 * x[:, 2]) + x[:, 3] + 0.5 * noise[:, 1], noise[:, 2]]).astype(np.float32)
y64 = y.astype(np.float64)


def model(trees, depth=1):
    return HistGradientBoostingRegressor(max_iter=trees, max_depth=depth, max_leaf_nodes=None, learning_rate=0.1, l2_regularization=1, min_samples_leaf=1, max_bins=255, early_stopping=False)


def run(trees):
    predictions = np.column_stack([cross_val_predict(model(trees), x.astype(np.float64), y64[:, t], cv=KFold(5, shuffle=True, random_state=SEED)) for t in range(y.shape[1])])
    return dict(trees=trees, r2=r2_score(y64, predictions, multioutput="raw_values").tolist())


def fit(trees, depth, target):
    return dict(trees=trees, depth=depth, target=target, values=model(trees, depth).fit(x.astype(np.float64), y64[:, target]).predict(x.astype(np.float64)).tolist())


with open(os.path.join(HERE, "trees.json"), "w", encoding="utf-8") as f:
    json.dump(dict(sklearn=sklearn.__version__, rows=N, columns=P, targets=3, folds=5, seed=SEED, x=[float(str(v)) for v in x.ravel()], y=[float(str(v)) for v in y.ravel()],
                   cases=[run(5), run(50), run(200)],
                   fits=[fit(30, 2, 0), fit(20, 3, 0), fit(20, 3, 1), fit(20, 3, 2), fit(20, 4, 0), fit(20, 5, 2)]), f)
