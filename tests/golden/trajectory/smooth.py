#!/usr/bin/python3
"""scipy.ndimage.gaussian_filter1d with its defaults: smooth.py SERIES SIGMA, a line of SERIES per series. Prints a line per series."""
import sys

import numpy as np
from scipy.ndimage import gaussian_filter1d

for line in open(sys.argv[1]):
    print(*(repr(v) for v in gaussian_filter1d(np.array([float(v) for v in line.split()]), sigma=float(sys.argv[2]))))
