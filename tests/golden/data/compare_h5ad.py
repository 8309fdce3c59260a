#!/usr/bin/python3
"""compare_h5ad.py A B: opens both files with anndata and exits with 0 when they hold the same, else says where they differ."""
import sys
import warnings

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

warnings.simplefilter("ignore")


def check(condition, where, what):
    if not condition:
        sys.exit(f"{where}: {what}")


def same(a, b, where):
    if isinstance(a, dict) or hasattr(a, "keys") and not isinstance(a, pd.DataFrame):
        check(sorted(a.keys()) == sorted(b.keys()), where, f"keys {sorted(a.keys())} and {sorted(b.keys())}")
        for key in a.keys():
            same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, pd.DataFrame):
        # Index, columns, dtypes, categories and their order, missing values.
        try:
            pd.testing.assert_frame_equal(a, b)
        except AssertionError as e:
            sys.exit(f"{where}: {e}")
    elif sp.issparse(a):
        check(type(a) is type(b) and a.shape == b.shape and a.dtype == b.dtype, where, f"{a!r} and {b!r}")
        check((a != b).nnz == 0, where, "values differ")
    elif isinstance(a, np.ndarray):
        check(isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape, where, f"{a!r} and {b!r}")
        if a.dtype.names:
            for name in a.dtype.names:
                same(a[name], b[name], f"{where}.{name}")
        else:
            check(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), where, f"{a!r} and {b!r}")
    else:
        check(type(a) is type(b) and a == b, where, f"{a!r} and {b!r}")


x, y = (anndata.read_h5ad(path) for path in sys.argv[1:3])
for part in ["X", "obs", "var", "obsm", "varm", "obsp", "varp", "layers", "uns"]:
    same(getattr(x, part), getattr(y, part), part)
check((x.raw is None) == (y.raw is None), "raw", "is in one file only")
if x.raw is not None:
    for part in ["X", "var", "varm"]:
        same(getattr(x.raw, part), getattr(y.raw, part), f"raw/{part}")
print("equal, by anndata", anndata.__version__)
