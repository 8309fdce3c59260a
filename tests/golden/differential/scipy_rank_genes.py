#!/usr/bin/python3
"""Tests of every gene between groups of cells by SciPy and statsmodels: scipy_rank_genes.py TABLE REFERENCE [REFERENCE ...]
A line of TABLE holds the group of a cell (-1 for none) and its values. A REFERENCE is a group, or -1 for all other cells. Prints lines "NAME REFERENCE GROUP value per gene";
the scores and fold changes by the definitions that scanpy follows, p-values by scipy.stats, logarithms beyond the doubles by norm.logsf and mpmath."""
import sys
import warnings

import mpmath
import numpy as np
from scipy.stats import mannwhitneyu, norm, rankdata, ttest_ind_from_stats
from statsmodels.stats.multitest import multipletests

warnings.simplefilter("ignore")
mpmath.mp.dps = 30
table = np.loadtxt(sys.argv[1])
codes, x = table[:, 0].astype(int), table[:, 1:]


def say(name, group, values):
    print(name, reference, group, *("NaN" if np.isnan(v) else "Infinity" if v == np.inf else "-Infinity" if v == -np.inf else repr(float(v)) for v in values))


def log_two_sided_t(t, freedom):
    if np.isinf(t):
        return -np.inf
    x = mpmath.mpf(freedom) / (freedom + mpmath.mpf(t) ** 2)
    return float(mpmath.log(mpmath.betainc(mpmath.mpf(freedom) / 2, mpmath.mpf(1) / 2, 0, x, regularized=True)))


for reference, group in [(int(r), g) for r in sys.argv[2:] for g in range(codes.max() + 1)]:
    if group == reference:
        continue
    own, other = x[codes == group], x[codes == reference] if reference >= 0 else x[codes != group]
    n, m = len(own), len(other)
    result = {k: [] for k in ("u", "p", "logp", "loga", "z", "zt", "t", "logt", "o", "logo")}
    for gene in range(x.shape[1]):
        a, b = own[:, gene], other[:, gene]
        both = np.concatenate([a, b])
        ranks, ties = rankdata(both), np.unique(both, return_counts=True)[1].astype(float)
        tie = (ties**3 - ties).sum()
        r = ranks[:n].sum()
        with np.errstate(all="ignore"):
            asymptotic = mannwhitneyu(a, b, alternative="two-sided", method="asymptotic")
            s = np.sqrt(n * m / 12 * (n + m + 1 - tie / ((n + m) * (n + m - 1))))
            z = (max(asymptotic.statistic, n * m - asymptotic.statistic) - n * m / 2 - 0.5) / s
        normal = 0.0 if s == 0 else min(0, np.log(2) + norm.logsf(z))
        assert np.isclose(np.exp(normal), asymptotic.pvalue, rtol=1e-9, atol=1e-300)
        result["loga"].append(normal)
        if a.std() == 0 and b.std() == 0 or (np.ptp(a) == 0 and np.ptp(b) == 0):
            u, p, logp = r - n * (n + 1) / 2, 1.0, 0.0
        else:
            u, p = mannwhitneyu(a, b, alternative="two-sided")
            exact = (n <= 8 or m <= 8) and tie == 0
            logp = np.log(p) if exact else normal
        deviation = n * m * (n + m + 1) / 12
        result["u"].append(u), result["p"].append(p), result["logp"].append(logp)
        result["z"].append((r - n * (n + m + 1) / 2) / np.sqrt(deviation))
        share = 1 - tie / ((n + m) ** 3 - (n + m))
        result["zt"].append((r - n * (n + m + 1) / 2) / np.sqrt(share * deviation) if share > 0 else 0)
        va, vb = (0 if np.ptp(v) == 0 else v.var(ddof=1) for v in (a, b))
        ma, mb = (v[0] if np.ptp(v) == 0 else v.mean() for v in (a, b))
        for name, size in (("t", m), ("o", n)):
            t, p = ttest_ind_from_stats(ma, np.sqrt(va), n, mb, np.sqrt(vb), size, equal_var=False)
            if np.isnan(t):
                t, logp = 0.0, 0.0
            elif p > 1e-280:
                logp = np.log(p)
            else:
                logp = log_two_sided_t(t, 1.0 if np.isinf(t) else (va / n + vb / size) ** 2 / ((va / n) ** 2 / (n - 1) + (vb / size) ** 2 / (size - 1)))
            result[name].append(t), result["log" + name].append(logp)
    for name, values in result.items():
        say(name, group, values)
    say("logz", group, np.minimum(0, np.log(2) + norm.logsf(np.abs(result["z"]))))
    say("logzt", group, np.minimum(0, np.log(2) + norm.logsf(np.abs(result["zt"]))))
    say("q", group, multipletests(result["p"], method="fdr_bh")[1])
    say("bonferroni", group, np.minimum(np.array(result["p"]) * x.shape[1], 1))
    mean, rest = own.mean(axis=0), other.mean(axis=0)
    say("mean", group, mean)
    say("mean_rest", group, rest)
    say("scanpy", group, np.log2((np.expm1(mean) + 1e-9) / (np.expm1(rest) + 1e-9)))
    say("seurat", group, np.log2((np.expm1(own).mean(axis=0) + 1) / (np.expm1(other).mean(axis=0) + 1)))
    say("paper", group, np.log2((mean + 1e-10) / (rest + 1e-10)))
    say("pts", group, (own != 0).mean(axis=0))
    say("pts_rest", group, (other != 0).mean(axis=0))
