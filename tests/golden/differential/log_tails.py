#!/usr/bin/python3
"""Logarithms of upper tails: log_tails.py > log_tails.txt. Prints lines "normal z ln-p", "t t freedom ln-p" and "chi2 x freedom ln-p", to the last digit of a double:
SciPy's norm.logsf, and mpmath where SciPy's own logsf underflows (t, chi2)."""
import mpmath
import numpy as np
from scipy.stats import norm

mpmath.mp.dps = 40
for z in (-40, -12.5, -6, -1.0001, -0.9999, -0.3, 0, 1e-8, 0.5, 2, 4.9999, 5, 5.0001, 8, 19.99, 20, 37.5, 38.6, 100, 3e4, 1e9):
    print("normal", repr(float(z)), repr(float(norm.logsf(z))))


def half_tail(t, freedom):
    a, size = mpmath.mpf(freedom) / 2, abs(mpmath.mpf(t))
    value = mpmath.betainc(a, mpmath.mpf(1) / 2, 0, freedom / (freedom + size * size), regularized=True) / 2
    return mpmath.log1p(-value) if t < 0 else mpmath.log(value)


for freedom in (1.0, 1.7, 3.0, 12.25, 39.9, 41.0, 300.0, 4321.5, 250000.0):
    for t in (-30.0, -3.0, -0.4, 1e-9, 0.01, 0.7, 1.2, 1.7, 1.8, 2.5, 6.0, 37.0, 400.0, 1e5, 1e160):
        print("t", repr(t), repr(freedom), repr(float(half_tail(t, freedom))))
def chi_tail(y, a):
    return mpmath.log1p(-mpmath.gammainc(a, 0, y, regularized=True)) if y < a else mpmath.log(mpmath.gammainc(a, y, mpmath.inf, regularized=True))


for freedom in (1, 2, 5, 30, 400):
    for x in (1e-9, 0.02, 1.0, 3.9, 29.0, 33.0, 380.0, 430.0, 3000.0, 1e6):
        print("chi2", repr(x), repr(float(freedom)), repr(float(chi_tail(mpmath.mpf(x) / 2, mpmath.mpf(freedom) / 2))))
