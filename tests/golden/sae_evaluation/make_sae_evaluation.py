"""Expected values of the statistics of `biosup sae eval`, from SciPy, scikit-learn, PyTorch and NumPy.

    /usr/bin/python3 make_sae_evaluation.py > sae_evaluation.json

Inputs stand in the file beside the results."""
import json
import numpy as np
import scipy
import sklearn
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import entropy, mannwhitneyu
from sklearn.linear_model import LogisticRegression

rng = np.random.default_rng(20261123)


def numbers(a):
    return np.asarray(a, float).ravel().tolist()


def rank_sums():
    cases = []
    for n, m, ties in [(12, 30, False), (40, 25, True), (9, 9, True), (200, 300, False)]:
        x, y = rng.normal(0.4, 1, n), rng.normal(0, 1, m)
        if ties:
            x, y = np.maximum(np.round(x, 1), 0), np.maximum(np.round(y, 1), 0)
        r = mannwhitneyu(x, y, alternative="two-sided", method="asymptotic")
        cases.append(dict(x=numbers(x), y=numbers(y), u=float(r.statistic), p=float(r.pvalue)))
    return cases


def benjamini_hochberg():
    p = np.concatenate([rng.uniform(0, 1, 20), rng.uniform(0, 0.01, 10), [0.5, 0.5, 1.0]])
    order = np.argsort(p)
    q = np.minimum.accumulate((p[order] * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1]
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(q, 1)
    return dict(p=numbers(p), q=numbers(adjusted))


def assignment():
    cost = rng.normal(size=(23, 31))
    rows, columns = linear_sum_assignment(cost)
    return dict(rows=23, columns=31, costs=numbers(cost), total=float(cost[rows, columns].sum()), assigned=columns.tolist())


def latents():
    """Eight latents on 40 images of four classes: class means, Gini impurity, purity and entropy of sums, log2 fold changes against class 0."""
    labels = np.repeat(np.arange(4), [13, 9, 11, 7])
    x = np.maximum(rng.normal(-0.3, 1, (40, 8)), 0) * (1 + (labels[:, None] == np.arange(8) % 4) * 3)
    x[:, 7] = 0
    x = x.astype(np.float32).astype(float)
    means = np.stack([x[labels == c].mean(0) for c in range(4)])
    sums = np.stack([x[labels == c].sum(0) for c in range(4)])
    shares = (means + 1e-8) / (means + 1e-8).sum(0)
    used = x.any(0)
    return dict(labels=labels.tolist(), x=numbers(x), gini=numbers(1 - (shares**2).sum(0)), purity=numbers((sums.max(0) / np.where(used, sums.sum(0), 1))[used]),
                entropy=numbers(entropy(sums[:, used], base=2)), log2_fold_change=numbers(np.log2((means[2] + 1e-10) / (means[0] + 1e-10))[used]),
                p=[float(mannwhitneyu(x[labels == 2, j], x[labels == 0, j], method="asymptotic").pvalue) for j in range(8) if used[j]])


def logistic():
    """A common scale: centred, divided by the root of the mean variance of the training columns; scikit-learn's optimum."""
    labels = np.arange(90) % 3
    x = rng.normal(size=(90, 6)) * [3, 1, 1, 0.2, 0.05, 1] + np.eye(6)[labels] * [2, 1, 1, 0, 0, 0]
    train, test = np.arange(60), np.arange(60, 90)
    scale = np.sqrt(x[train].var(0).mean())
    z = (x - x[train].mean(0)) / scale
    m = LogisticRegression(C=0.7, tol=1e-12, max_iter=20000).fit(z[train], labels[train])
    return dict(labels=labels.tolist(), x=numbers(x), predicted=m.predict(z[test]).tolist())


def sgd():
    """torch.optim.SGD with momentum on a linear map without bias, batches of 256 of given orders."""
    n, d, classes = 300, 5, 3
    x, y = rng.normal(size=(n, d)), rng.integers(0, classes, n)
    start = rng.uniform(-0.4, 0.4, (classes, d))
    orders = [rng.permutation(n).tolist() for _ in range(4)]
    w = torch.nn.Parameter(torch.tensor(start))
    optimiser = torch.optim.SGD([w], lr=0.1, momentum=0.9)
    for order in orders:
        for first in range(0, n, 256):
            batch = order[first:first + 256]
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(torch.tensor(x[batch]) @ w.T, torch.tensor(y[batch])).backward()
            optimiser.step()
    return dict(x=numbers(x), labels=y.tolist(), start=numbers(start), orders=orders, weights=numbers(w.detach().numpy()))


def decoder():
    rows = rng.normal(size=(37, 11)).astype(np.float32).astype(float)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = np.abs(unit @ unit.T)
    pairs = cosines[np.triu_indices(37, 1)]
    np.fill_diagonal(cosines, -1)
    s = np.linalg.svd(rows, compute_uv=False)
    return dict(rows=numbers(rows), mean=float(pairs.mean()), std=float(pairs.std(ddof=1)), largest=numbers(cosines.max(1)), nearest=cosines.argmax(1).tolist(),
                histogram=np.histogram(pairs, bins=50, range=(0, 1))[0].tolist(), effective_rank=float(np.exp(entropy(s / s.sum()))))


print(json.dumps(dict(versions=dict(numpy=np.__version__, scipy=scipy.__version__, sklearn=sklearn.__version__, torch=torch.__version__), rank_sums=rank_sums(),
                      benjamini_hochberg=benjamini_hochberg(), assignment=assignment(), latents=latents(), logistic=logistic(), sgd=sgd(), decoder=decoder())))
