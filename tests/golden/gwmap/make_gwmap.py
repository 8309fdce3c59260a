"""Small goldens of the GW-map protocol: image space, cell space, soft targets, within-label blocks.

Image side: log1p(max(x, 0)) -> StandardScaler -> row L2 -> PCA. Cell side: totals to 1e4 -> log1p -> PCA. Soft targets: T Y with rows of T divided by their sums,
zero sums replaced by 1e-15, over all cells and within the block of one label.
Run with NumPy and scikit-learn; writes gwmap.json beside itself.
"""
import json
import os

import numpy as np
import sklearn
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler, normalize

rng = np.random.default_rng(7)
n, m, d, genes = 14, 11, 9, 8
latents = np.maximum(rng.gamma(0.7, 1.0, (n, d)) - 0.3, -0.05).astype(np.float32)
counts = rng.poisson(rng.gamma(1.0, 20.0, (m, genes))).astype(np.float32)
coupling = rng.random((n, m)) ** 4
coupling[3] = 0
coupling /= coupling.sum()
image_labels = [["a", "b", "c"][i % 3] for i in range(n)]
cell_labels = [["b", "a", "c"][j % 3] for j in range(m)]


def signed(scores, components):
    # The entry of largest magnitude of every component is positive (scikit-learn 1.5 and later).
    signs = np.sign(components[np.arange(len(components)), np.abs(components).argmax(1)])
    return scores * signs


def project(x, k):
    pca = PCA(k, svd_solver="full").fit(x)
    return signed(pca.transform(x), pca.components_), pca.explained_variance_ratio_


images = normalize(StandardScaler().fit_transform(np.log1p(np.maximum(latents.astype(np.float64), 0))))
image_scores, image_shares = project(images, 4)
logged = np.log1p(counts.astype(np.float64) / counts.sum(1, keepdims=True) * 1e4)
cell_scores, cell_shares = project(logged, 3)


def soft(t, y):
    mass = t.sum(1, keepdims=True)
    mass[mass == 0] = 1e-15
    return (t / mass) @ y


rows = [i for i in range(n) if image_labels[i] == "b"]
columns = [j for j in range(m) if cell_labels[j] == "b"]
out = {
    "numpy": np.__version__, "sklearn": sklearn.__version__,
    "latents": latents.tolist(), "counts": counts.tolist(), "coupling": coupling.tolist(), "image_labels": image_labels, "cell_labels": cell_labels,
    "image_scores": image_scores.tolist(), "image_shares": image_shares.tolist(), "logged": logged.tolist(), "cell_scores": cell_scores.tolist(), "cell_shares": cell_shares.tolist(),
    "soft": soft(coupling, logged).tolist(), "soft_within_b": soft(coupling[np.ix_(rows, columns)], logged[columns]).tolist(),
}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "gwmap.json"), "w") as f:
    json.dump(out, f)
