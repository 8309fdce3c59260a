"""Expected figures of tests/Imaging.Tests/Patches, printed for pasting. Debian python3-numpy 1.24.2, python3-scipy 1.10.1, python3-torch 1.13.1.

The image is a formula, so that no file is needed: I(x, y) = (7919 x + 104729 y + 31 x y) mod 65536, 23 rows, 31 columns.
"""
import numpy as np
import scipy.ndimage as ndimage
import torch

height, width = 23, 31
y, x = np.mgrid[0:height, 0:width]
image = ((x * 7919 + y * 104729 + x * y * 31) % 65536).astype(np.float64)

# The kernel [0 1 0; 1 -4 1; 0 1 0] with mirrored border (OpenCV: BORDER_REFLECT_101, SciPy: 'mirror').
print("Laplacian variance", repr(ndimage.laplace(image, mode="mirror").var()))
for p in (0.10, 0.5, 0.995):
    print("quantile", p, repr(np.quantile(image, p)))

# Patch figures of the 16 x 16 patch at (5, 3): three channels I, I / 4, I mod 600.
channels = np.stack([image, np.floor(image / 4), image % 600])[:, 3:19, 5:21]
print("std sum", repr(sum(c.std() for c in channels)))
print("Laplacian variance of the maximum", repr(ndimage.laplace(channels.max(0), mode="mirror").var()))
stretched = []
for c in channels:
    if c.std() >= 655:
        low, high = np.percentile(c, [10, 99.5])
        stretched.append(np.clip((c - low) / (high - low), 0, 1) * 65535)
print("background", repr((np.max(stretched, axis=0) < 4000).mean()))

# Standardisation with the unbiased deviation, and bilinear upsampling 5 -> 8 without aligned corners.
unit = torch.tensor(image / 65535)
print("standardised [0,1]", repr(((unit - unit.mean()) / unit.std().clamp(min=0.01))[0, 1].item()))
small = torch.arange(25, dtype=torch.float64).reshape(1, 1, 5, 5) ** 2
for size in (8, 3):
    out = torch.nn.functional.interpolate(small, size=(size, size), mode="bilinear", align_corners=False, antialias=size < 5)
    print("resampled to", size, [round(v, 9) for v in out.flatten().tolist()])
