#!/usr/bin/python3
"""What scanpy's preprocessing does to a matrix of counts, by its published formulas in plain NumPy and pandas: scanpy_formulas.py COUNTS.npy SET CONTROLS BINS
COUNTS holds cells x genes; SET names genes by number, separated by commas; CONTROLS and BINS are score_genes' ctrl_size and n_bins. Prints JSON, with null for NaN.
With R at hand also seurat_v3, whose trend is R's loess (the program that skmisc wraps as well)."""
import json
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import pandas as pd

counts = np.load(sys.argv[1]).astype(np.float64)
genes = [int(g) for g in sys.argv[2].split(",")]
controls, bins = int(sys.argv[3]), int(sys.argv[4])
cells, d = counts.shape
out = {}
np.seterr(all="ignore")

# calculate_qc_metrics
total = counts.sum(axis=1)
out["n_genes"] = np.count_nonzero(counts, axis=1)
out["total"] = total
falling = -np.sort(-counts, axis=1)
out["top"] = [falling[:, :n].sum(axis=1) / total * 100 for n in (5, 20, 50)]
out["pct_set"] = counts[:, genes].sum(axis=1) / total * 100
out["n_cells"] = np.count_nonzero(counts, axis=0)
out["gene_total"] = counts.sum(axis=0)

# normalize_total, without and with genes that dominate a cell
def normalise(totals, target):
    factor = totals / target
    return counts / np.where(factor == 0, 1, factor)[:, None]

normal = normalise(total, np.median(total[total > 0]))
out["normalised"] = normal
quiet = ~(counts > 0.05 * total[:, None]).any(axis=0)
reduced = counts[:, quiet].sum(axis=1)
out["excluded"] = np.flatnonzero(~quiet)
out["without_excluded"] = normalise(reduced, np.median(reduced[reduced > 0]))

# log1p, and the dispersions of flavor seurat from those logarithms as they are stored
logs = np.log1p(normal.astype(np.float32).astype(np.float64)).astype(np.float32).astype(np.float64)
out["logs"] = logs
back = np.expm1(logs)
mean, var = back.mean(axis=0), back.var(axis=0, ddof=1)
mean[mean == 0] = 1e-12
dispersion = var / mean
dispersion[dispersion == 0] = np.nan
frame = pd.DataFrame({"mean": np.log1p(mean), "dispersion": np.log(dispersion)})
frame["bin"] = pd.cut(frame["mean"], bins=20)
within = frame.groupby("bin", observed=True)["dispersion"]
centre, width = within.transform("mean"), within.transform("std")
alone = width.isna()
width[alone], centre[alone] = centre[alone], 0
z = ((frame["dispersion"] - centre) / width).to_numpy()
out["means"], out["dispersions"], out["dispersions_norm"] = frame["mean"], frame["dispersion"], z
zero = np.nan_to_num(z)
out["by_cutoff"] = ((frame["mean"] > 0.0125) & (frame["mean"] < 3) & (zero > 0.5) & (zero < np.inf)).astype(int)
out["by_top"] = (np.nan_to_num(z, nan=-np.inf) >= np.sort(z[~np.isnan(z)])[::-1][29]).astype(int)

# scale
deviation = logs.std(axis=0, ddof=1)
deviation[logs.max(axis=0) == logs.min(axis=0)] = 1
out["deviations"] = deviation
out["scaled"] = np.clip((logs - logs.mean(axis=0)) / deviation, -2, 2)
out["scaled_uncentred"] = np.minimum(logs / deviation, 2)

# score_genes, with genes of the set drawn among the controls (scanpy 1.x) and without
averages = pd.Series(logs.mean(axis=0))
cut = averages.rank(method="min") // int(np.round(d / (bins - 1)))
for name, among in (("score", True), ("score_apart", False)):
    np.random.seed(0)
    chosen = set()
    for own in np.unique(cut.loc[genes]):
        pool = cut[(cut == own) & (True if among else ~cut.index.isin(genes))].index.to_series()
        chosen |= set(pool.sample(controls) if controls < len(pool) else pool) - set(genes)
    out[name + "_controls"] = sorted(int(c) for c in chosen)
    out[name] = logs[:, genes].mean(axis=1) - logs[:, sorted(chosen)].mean(axis=1)

# seurat_v3
if shutil.which("Rscript"):
    mean, var = counts.mean(axis=0), counts.var(axis=0, ddof=1)
    varies = var > 0
    with tempfile.TemporaryDirectory() as folder:
        np.savetxt(folder + "/in", np.c_[np.log10(mean[varies]), np.log10(var[varies])], fmt="%.17g")
        subprocess.run(["Rscript", "-e", f't <- read.table("{folder}/in"); write(format(loess(t$V2 ~ t$V1, span = 0.3, degree = 2)$fitted, digits = 17), "{folder}/out", ncolumns = 1)'], check=True, capture_output=True)
        trend = np.loadtxt(folder + "/out")
    sd = np.ones(d)
    sd[varies] = np.sqrt(10 ** trend)
    cut_off = np.minimum(counts, sd * np.sqrt(cells) + mean)
    out["variances_norm"] = (cells * mean**2 + (cut_off**2).sum(axis=0) - 2 * cut_off.sum(axis=0) * mean) / ((cells - 1) * sd**2)
    out["loess"] = trend

def plain(value):
    if isinstance(value, list):
        return [plain(v) for v in value]
    value = np.asarray(value, dtype=np.float64)
    return np.where(np.isfinite(value), value, None).tolist()

print(json.dumps({key: plain(value) for key, value in out.items()}))
