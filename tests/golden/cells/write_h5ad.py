"""Writes a small h5ad file with anndata 0.8 as an analysis begun elsewhere: counts in a layer, raw, a categorical, a neighbour graph with unsorted rows.

usage: write_h5ad.py OUT.h5ad
"""
import sys

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

rng = np.random.RandomState(0)
n, d = 60, 12
groups = np.repeat(["a", "b", "c"], n // 3)
counts = rng.poisson(np.exp(rng.normal(0, 0.3, (3, d)))[np.repeat(np.arange(3), n // 3)] * 4).astype(np.float32)
adata = anndata.AnnData(sparse.csr_matrix(np.log1p(counts)), dtype=np.float32,
                        obs=pd.DataFrame({"line": pd.Categorical(groups), "death": rng.rand(n)}, index=[f"cell{i}" for i in range(n)]),
                        var=pd.DataFrame(index=[f"gene{j}" for j in range(d)]))
adata.layers["counts"] = sparse.csr_matrix(counts)
adata.raw = adata
adata.uns["log1p"] = {}
adata.uns["line_colors"] = np.array(["#112233", "#445566", "#778899"], dtype=object)
distances = ((counts[:, None] - counts[None]) ** 2).sum(-1) ** 0.5
order = np.argsort(distances, axis=1, kind="stable")[:, 1:6]
rows = np.repeat(np.arange(n), 5)
graph = sparse.csr_matrix((np.take_along_axis(distances, order, 1).ravel() + 0.5, order.ravel(), np.arange(0, 5 * n + 1, 5)), shape=(n, n))
adata.obsp["distances"] = graph
weights = graph.copy()
weights.data = np.exp(-weights.data / 10)
adata.obsp["connectivities"] = weights.maximum(weights.T).tocsr()
adata.uns["neighbors"] = {"connectivities_key": "connectivities", "distances_key": "distances", "params": {"n_neighbors": 6, "method": "umap"}}
adata = adata[:, : d - 2].copy()
adata.write_h5ad(sys.argv[1])
