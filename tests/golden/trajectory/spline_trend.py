#!/usr/bin/python3
"""Dense transcription of pyGAM's LinearGAM(s(0, n_splines, spline_order=3)): spline_trend.py POINTS SPLINES LAMBDA
POINTS holds "x y" lines. Prints the effective degrees, the residual variance and the adjusted R² on one line, then "x fit lower upper" of 200 points from the
first to the last x and of 4 points beyond them. Singular values and quantiles as in pyGAM, the splines by SciPy."""
import sys

import numpy as np
import scipy.interpolate
import scipy.linalg
import scipy.stats

points = np.loadtxt(sys.argv[1])
x, y = points[:, 0], points[:, 1]
splines, lam = int(sys.argv[2]), float(sys.argv[3])
low, high = x.min(), x.max()
curves = [scipy.interpolate.BSpline(np.arange(-3, splines + 1) / (splines - 3), np.eye(splines)[i], 3) for i in range(splines)]


def design(at):
    position = (at - low) / (high - low)
    inside = np.clip(position, 0, 1)
    value = np.column_stack([b(inside) for b in curves])
    slope = np.column_stack([b.derivative()(inside) for b in curves])
    return np.column_stack([value + slope * (position - inside)[:, None], np.ones(len(at))])


a = design(x)
n, m = a.shape
d = np.diff(np.eye(splines), n=2, axis=0)
p = np.zeros((m, m))
p[:splines, :splines] = lam * d.T @ d
e = scipy.linalg.cholesky(p + np.sqrt(np.finfo(float).eps) * np.eye(m))
q, r = np.linalg.qr(a)
k = min(n, m)
u, s, vt = np.linalg.svd(np.vstack([r, e]), full_matrices=False)
b = vt.T @ np.diag(1 / s) @ u[:k].T @ q.T
c = b @ y
edof = (u[:k] ** 2).sum()
residual = ((y - a @ c) ** 2).sum()
variance = residual / (n - edof)
cov = b @ b.T * variance
print(repr(edof), repr(variance), repr(1 - residual / (n - edof - 1) / (((y - y.mean()) ** 2).sum() / (n - 1))))
width = high - low
for at in (np.linspace(low, high, 200), np.array([low - width, low - 0.1 * width, high + 0.1 * width, high + width])):
    rows = design(at)
    fit = rows @ c
    half = scipy.stats.t.ppf(0.975, df=n - edof) * np.sqrt(((rows @ cov) * rows).sum(axis=1))
    for line in zip(at, fit, fit - half, fit + half):
        print(*(repr(v) for v in line))
