#!/usr/bin/python3
"""Golden values for the geometry metrics: NumPy, SciPy and scikit-learn state what is right. Writes geometry.json and .npy inputs beside itself."""
import json
import os
import sys

import numpy as np
import scipy
import scipy.stats
import sklearn
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, r2_score
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

HERE = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))


def random_state():
    out = []
    for seed in (0, 42, 123, 4294967295):
        r = np.random.RandomState(seed)
        out.append(dict(seed=seed, uniform=r.random_sample(4).tolist(), permutation=r.permutation(31).tolist(),
                        choice=r.choice(1000, 12, replace=False).tolist(), words=[int(v) for v in r.randint(0, 2**32, 3, dtype=np.uint32)]))
    return out


def folds(labels):
    k = [dict(n=n, splits=s, seed=seed, test=[t.tolist() for _, t in KFold(s, shuffle=True, random_state=seed).split(np.zeros(n))])
         for n, s, seed in ((23, 5, 42), (10, 3, 7), (120, 5, 42))]
    s = [dict(splits=n, seed=seed, test=[t.tolist() for _, t in StratifiedKFold(n, shuffle=True, random_state=seed).split(labels, labels)])
         for n, seed in ((5, 42), (3, 1))]
    return k, s


def local(x, y):
    out = []
    n = len(y)
    index = NearestNeighbors(n_neighbors=26, algorithm="brute").fit(x).kneighbors(x)[1][:, 1:]
    for k in (5, 10, 15, 25):
        nn = index[:, :k]
        ratio = y[nn].std(axis=1) / y.std()
        w, p = scipy.stats.wilcoxon(ratio - 1, alternative="less")
        weights = np.zeros((n, n))
        weights[np.arange(n)[:, None], nn] = 1
        z = y - y.mean()
        moran = n / weights.sum() * (z @ weights @ z) / (z @ z)
        s0, s1 = weights.sum(), 0.5 * ((weights + weights.T) ** 2).sum()
        s2 = ((weights.sum(0) + weights.sum(1)) ** 2).sum()
        expected = -1 / (n - 1)
        variance = (n * n * s1 - n * s2 + 3 * s0 * s0) / ((n * n - 1) * s0 * s0) - expected**2
        zscore = (moran - expected) / variance**0.5
        out.append(dict(k=k, mean_ratio=ratio.mean(), median_ratio=np.median(ratio), wilcoxon_w=w, wilcoxon_p=p, morans_I=moran, variance=variance,
                        morans_z=zscore, morans_p=scipy.stats.norm.sf(zscore), morans_log10_p=scipy.stats.norm.logsf(zscore) / np.log(10),
                        morans_z_paper=(moran - expected) / ((1 - expected**2) / (n - 1)) ** 0.5))
    return out


def erank(x, centre):
    s = np.linalg.svd(x - x.mean(0) if centre else x, compute_uv=False)
    p = s[s > 1e-12] / s[s > 1e-12].sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def cka(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    return float(np.linalg.norm(y.T @ x) ** 2 / np.linalg.norm(x.T @ x) / np.linalg.norm(y.T @ y))


def ridge(x, y):
    out = np.zeros_like(y)
    scores, alphas = [], []
    for train, test in KFold(5, shuffle=True, random_state=42).split(x):
        scaler = StandardScaler().fit(x[train])
        a, b = scaler.transform(x[train]), scaler.transform(x[test])
        pca = PCA(min(250, x.shape[1], len(train) - 1), svd_solver="full").fit(a)
        model = RidgeCV(alphas=np.logspace(-3, 5, 50)).fit(pca.transform(a), y[train])
        out[test] = model.predict(pca.transform(b))
        scores.append(r2_score(y[test], out[test]))
        alphas.append(model.alpha_)
    return dict(r2=r2_score(y, out), folds=scores, alphas=alphas, predictions=out.tolist())


def probe(x, labels):
    predicted = np.zeros_like(labels)
    for train, test in StratifiedKFold(5, shuffle=True, random_state=42).split(x, labels):
        scaler = StandardScaler().fit(x[train])
        model = LogisticRegression(C=1.0, solver="newton-cg", tol=1e-8, max_iter=100000).fit(scaler.transform(x[train]), labels[train])
        predicted[test] = model.predict(scaler.transform(x[test]))
    whole = LogisticRegression(C=1.0, solver="newton-cg", tol=1e-8, max_iter=100000).fit(x, labels)
    return dict(accuracy=float((predicted == labels).mean()), balanced=balanced_accuracy_score(labels, predicted), macro_f1=f1_score(labels, predicted, average="macro"),
                confusion=confusion_matrix(labels, predicted).tolist(), coefficients=whole.coef_.tolist())


def principal(x):
    pca = PCA(5, svd_solver="full").fit(x)
    c = pca.components_ * np.sign(pca.components_[np.arange(5), np.abs(pca.components_).argmax(1)])[:, None]
    return dict(components=c.tolist(), variance=pca.explained_variance_.tolist(), ratio=pca.explained_variance_ratio_.tolist(), singular=pca.singular_values_.tolist())


def signed_rank():
    r = np.random.RandomState(5)
    cases = [r.normal(-0.2, 1, 30), np.round(r.normal(-0.3, 1, 80), 1), r.normal(-0.1, 1, 200), r.normal(-1, 1, 3000)]
    return [dict(d=c.tolist() if len(c) < 1000 else None, n=len(c), w=float(scipy.stats.wilcoxon(c, alternative="less").statistic),
                 p=float(scipy.stats.wilcoxon(c, alternative="less").pvalue)) for c in cases[:3]]


def main():
    r = np.random.RandomState(2024)
    labels = r.permutation(np.repeat([2, 0, 1, 3], [40, 35, 25, 20]))
    x = r.normal(size=(120, 12)) @ r.normal(size=(12, 12)) + 1.5 * np.eye(4)[labels] @ r.normal(size=(4, 12))
    x[:, 7] = 0.1
    y = np.tanh(x @ r.normal(size=12) / 6) + 0.3 * r.normal(size=120)
    wide = r.normal(size=(120, 150)) + np.tile(x, (1, 13))[:, :150] * 0.3
    rows = r.normal(size=(70, 9))
    for name, a in (("x", x), ("y", y), ("wide", wide), ("rows", rows)):
        np.save(os.path.join(HERE, name + ".npy"), a)
    k, s = folds(labels)
    cosines = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = np.abs(cosines @ cosines.T)[np.triu_indices(len(rows), 1)]
    golden = dict(
        versions=dict(numpy=np.__version__, scipy=scipy.__version__, sklearn=sklearn.__version__), labels=labels.tolist(), random_state=random_state(), kfold=k, stratified=s,
        local=local(x, y), erank=dict(raw=erank(x, False), centred=erank(x, True), wide=erank(wide, True)), cka=dict(x_wide=cka(x, wide), x_rows=cka(x[:70], rows)),
        coherence=dict(mean=cosines.mean(), std=cosines.std(ddof=1), largest=cosines.max()), ridge=dict(x=ridge(x, y), wide=ridge(wide, y)),
        probe=probe(x, labels), pca=dict(x=principal(x), wide=principal(wide)), signed_rank=signed_rank(),
        spearman=scipy.stats.spearmanr(np.round(x[:, 0]), y)[0], pearson=scipy.stats.pearsonr(x[:, 0], y)[0],
        ranks=scipy.stats.rankdata(np.round(x[:, 0])).tolist(), log_tails=[[z, scipy.stats.norm.logsf(z) / np.log(10)] for z in (-3.0, 0.0, 1.5, 8.0, 19.9, 20.1, 37.0, 100.0)])
    with open(os.path.join(HERE, "geometry.json"), "w") as f:
        json.dump(golden, f, indent=None, separators=(",", ":"))
        f.write("\n")


main()
