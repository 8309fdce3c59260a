#!/usr/bin/python3
"""Golden values for ridge predictability: scikit-learn's Ridge in KFold and StratifiedKFold, R2 of pooled out-of-fold predictions. Writes ridge.json beside itself."""
import json
import os
import sys

import numpy as np
import sklearn
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict

HERE = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))


def case(name, n, p, targets, alpha, folds, seed, stratified=False, scale=1.0):
    r = np.random.RandomState(seed)
    # Single precision throughout, as both sides read it.
    x = (r.standard_normal((n, p)) * np.logspace(0, -2, p) * scale + 3).astype(np.float32)
    y = ((x - 3) @ r.standard_normal((p, targets)) / scale + 0.5 * r.standard_normal((n, targets)) * (1 + np.arange(targets)) + 10).astype(np.float32)
    labels = (np.arange(n) * 7 % 11 < 4).astype(int)
    splitter = (StratifiedKFold if stratified else KFold)(folds, shuffle=True, random_state=seed)
    x64, y64, order = x.astype(np.float64), y.astype(np.float64), r.permutation(n)

    def predict(values):
        return np.column_stack([cross_val_predict(Ridge(alpha=alpha, solver="svd"), x64, values[:, t], cv=list(splitter.split(x64, labels))) for t in range(targets)])

    predictions, permuted = predict(y64), predict(y64[order])
    return dict(name=name, rows=n, columns=p, targets=targets, alpha=alpha, folds=folds, seed=seed, labels=labels.tolist() if stratified else None,
                x=[float(str(v)) for v in x.ravel()], y=[float(str(v)) for v in y.ravel()], predictions=predictions.ravel().tolist(),
                r2=r2_score(y64, predictions, multioutput="raw_values").tolist(), order=order.tolist(),
                permuted_r2=r2_score(y64[order], permuted, multioutput="raw_values").tolist())


cases = [case("tall", 61, 6, 4, 1.0, 5, 42), case("stratified", 40, 5, 3, 0.1, 4, 7, stratified=True), case("wide", 24, 40, 3, 10.0, 5, 3),
         case("badly conditioned", 50, 12, 3, 1e-3, 5, 11, scale=1e4)]
with open(os.path.join(HERE, "ridge.json"), "w", encoding="utf-8") as f:
    json.dump(dict(versions=dict(numpy=np.__version__, sklearn=sklearn.__version__), cases=cases), f)
