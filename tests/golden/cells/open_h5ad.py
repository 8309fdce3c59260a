"""Opens a file that `biosup cells` wrote with anndata 0.8 (Debian's python3-anndata), checks that what scanpy wants is where and as it wants it, and saves it again.

usage: open_h5ad.py IN.h5ad AGAIN.h5ad
Prints one JSON object with what was found. A failed check ends with an assertion.
"""
import json
import sys
import warnings

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

warnings.simplefilter("ignore", FutureWarning)


def check_embedding(adata, key, dtype=np.float32):
    x = adata.obsm[key]
    assert isinstance(x, np.ndarray) and x.ndim == 2 and x.shape[0] == adata.n_obs, key
    assert x.dtype == dtype, (key, x.dtype)
    assert np.isfinite(x).all(), key


def check_pca(adata):
    check_embedding(adata, "X_pca")
    k = adata.obsm["X_pca"].shape[1]
    assert adata.varm["PCs"].shape == (adata.n_vars, k)
    for key in "variance", "variance_ratio":
        assert adata.uns["pca"][key].shape == (k,), key
    assert isinstance(adata.uns["pca"]["params"], dict)


def check_neighbors(adata):
    described = adata.uns["neighbors"]
    for which in "connectivities", "distances":
        graph = adata.obsp[described[which + "_key"]]
        assert sparse.isspmatrix_csr(graph) and graph.shape == (adata.n_obs, adata.n_obs), which
        assert np.isfinite(graph.data).all() and (graph.data >= 0).all()
        # An order that scipy, and with it scanpy, relies on; files begun elsewhere keep theirs.
        assert graph.has_sorted_indices or not any(step["step"] == "neighbors" for step in adata.uns["biosup"]["steps"].values())
    weights = adata.obsp[described["connectivities_key"]]
    assert abs(weights - weights.T).max() < 1e-6
    assert described["params"]["n_neighbors"] > 1 and isinstance(described["params"]["method"], str)


def check_groups(adata, key):
    column = adata.obs[key]
    assert isinstance(column.dtype, pd.CategoricalDtype), key
    assert list(column.cat.categories) == [str(c) for c in range(len(column.cat.categories))], key
    assert (column.value_counts().values > 0).all(), key
    if key + "_colors" in adata.uns:
        colours = adata.uns[key + "_colors"]
        assert len(colours) >= len(column.cat.categories) and all(c.startswith("#") and len(c) == 7 for c in colours), colours


def check_ranks(adata):
    ranks = adata.uns["rank_genes_groups"]
    groups = ranks["names"].dtype.names
    assert set(groups) <= set(map(str, adata.obs[ranks["params"]["groupby"]].cat.categories)), groups
    known = set(adata.var_names) if adata.raw is None else set(adata.raw.var_names)
    for key, kind in ("names", "OU"), ("scores", "f"), ("pvals", "f"), ("pvals_adj", "f"), ("logfoldchanges", "f"):
        table = ranks[key]
        assert table.dtype.names == groups, key
        assert all(table.dtype[g].kind in kind for g in groups), (key, table.dtype)
    for group in groups:
        names = ranks["names"][group]
        assert all((n.decode() if isinstance(n, bytes) else n) in known for n in names)
        scores = ranks["scores"][group]
        assert (np.diff(scores) <= 0).all() or (np.diff(np.abs(scores)) <= 0).all()
        assert ((ranks["pvals"][group] >= 0) & (ranks["pvals"][group] <= 1)).all()


CHECKS = {
    "pca": ("obsm/X_pca", check_pca),
    "neighbors": ("uns/neighbors", check_neighbors),
    "umap": ("obsm/X_umap", lambda a: check_embedding(a, "X_umap")),
    "diffmap": ("obsm/X_diffmap", lambda a: (check_embedding(a, "X_diffmap"), len(a.uns["diffmap_evals"]) == a.obsm["X_diffmap"].shape[1])),
    "phate": ("obsm/X_phate", lambda a: np.isfinite(a.obsm["X_phate"]).all()),
    "leiden": ("obs/leiden", lambda a: check_groups(a, "leiden")),
    "rank_genes_groups": ("uns/rank_genes_groups", check_ranks),
}


def has(adata, place):
    axis, key = place.split("/")
    return key in getattr(adata, axis)


def main(path, again):
    adata = anndata.read_h5ad(path)
    found = [name for name, (place, _) in CHECKS.items() if has(adata, place)]
    for name in found:
        CHECKS[name][1](adata)
    if "paga" in adata.uns:
        n = len(adata.obs[adata.uns["paga"]["groups"]].cat.categories)
        assert adata.uns["paga"]["connectivities"].shape == (n, n) and adata.uns["paga"]["connectivities_tree"].shape == (n, n)
        found.append("paga")
    if "dpt_pseudotime" in adata.obs:
        assert adata.obs["dpt_pseudotime"].dtype == np.float32 or adata.obs["dpt_pseudotime"].dtype == np.float64
        assert 0 <= int(adata.uns["iroot"]) < adata.n_obs
        found.append("dpt")
    assert adata.obs_names.is_unique
    adata.write_h5ad(again)
    back = anndata.read_h5ad(again)
    assert list(back.var_names) == list(adata.var_names)
    assert (back.obs.dtypes.astype(str) == adata.obs.dtypes.astype(str)).all()
    print(json.dumps({
        "found": found,
        "cells": adata.n_obs,
        "variables": adata.n_vars,
        "x": type(adata.X).__name__,
        "x_dtype": str(adata.X.dtype),
        "raw": None if adata.raw is None else list(adata.raw.shape),
        "obs": {c: str(adata.obs[c].dtype) for c in adata.obs},
        "uns": sorted(adata.uns),
        "steps": [s["text"] for _, s in sorted(adata.uns["biosup"]["steps"].items())],
    }))


main(*sys.argv[1:])
