#!/usr/bin/python3
"""Golden values for over-representation: exact rational tails (Python integers), scipy's hypergeom, statsmodels' Benjamini-Hochberg. Writes enrichment.json beside itself."""
import json
import os
import sys
from fractions import Fraction
from math import comb, log

import numpy as np
import scipy
import scipy.stats
import statsmodels
from statsmodels.stats.multitest import multipletests

HERE = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))


def exact_log(k, universe, marked, drawn):
    least, most = max(0, drawn + marked - universe), min(drawn, marked)
    top = sum(comb(marked, x) * comb(universe - marked, drawn - x) for x in range(max(k, least), most + 1))
    tail = Fraction(top, comb(universe, drawn))
    if tail == 0:
        return None
    # log of a quotient of big integers: bit lengths first, so that nothing overflows.
    a, b = tail.numerator, tail.denominator
    if 2 * a > b:
        return float(np.log1p(-float(Fraction(b - a, b))))
    shift_a, shift_b = max(0, a.bit_length() - 900), max(0, b.bit_length() - 900)
    return log(a >> shift_a) - log(b >> shift_b) + (shift_a - shift_b) * log(2)


cases = [(1, 20, 5, 4), (2, 20, 5, 4), (4, 20, 5, 4), (5, 20, 5, 4), (0, 20, 5, 4), (3, 20, 18, 4), (2, 20, 18, 4), (15, 200, 30, 15), (3, 200, 40, 15), (10, 200, 199, 12),
         (5, 3000, 120, 60), (2, 3000, 120, 60), (40, 3000, 120, 60), (1, 20000, 300, 200), (3, 20000, 300, 200), (12, 20000, 300, 200), (200, 20000, 300, 200),
         (16, 20000, 15, 200), (15, 20000, 15, 200), (100, 20000, 10000, 200), (101, 20000, 10000, 200), (7, 33000, 25, 180), (1, 1, 1, 1), (6, 60000, 1500, 12)]
tails = [dict(k=k, universe=n, marked=m, drawn=d, log=exact_log(k, n, m, d), scipy=float(scipy.stats.hypergeom.sf(k - 1, n, m, d))) for k, n, m, d in cases]
rng = np.random.default_rng(7)
families = []
for n in (1, 5, 40):
    p = rng.uniform(size=n) ** 3
    p[: n // 4] = p[0]
    families.append(dict(p=p.tolist(), q=multipletests(p, method="fdr_bh")[1].tolist()))
padded = families[2]["p"] + [1.0] * 100
families.append(dict(p=families[2]["p"], tests=140, q=multipletests(padded, method="fdr_bh")[1][:40].tolist()))
with open(os.path.join(HERE, "enrichment.json"), "w") as out:
    json.dump(dict(scipy=scipy.__version__, statsmodels=statsmodels.__version__, tails=tails, families=families), out, indent=1)
    out.write("\n")
