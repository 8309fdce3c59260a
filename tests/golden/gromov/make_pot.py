"""Small entropic Gromov-Wasserstein problems solved by POT; run with a Python that has ot (0.8 or later) and numpy.

Writes pot.json beside this script: costs, epsilon, the coupling, gw_dist and log["err"], for the square and the KL loss.
"""
import json
import os
import warnings

import numpy as np
import ot

warnings.simplefilter("ignore")


def cloud(rng, n, d):
    x = rng.normal(size=(n, d))
    x[: n // 3] += 2.5
    return x


def distance(x):
    c = np.sqrt(((x[:, None] - x[None]) ** 2).sum(-1))
    return np.round(c / c.max(), 6)


def main():
    rng = np.random.default_rng(7)
    cases = []
    for loss, n, m, epsilon in [
        ("square_loss", 12, 12, 5e-3),
        ("square_loss", 15, 10, 2e-3),
        ("square_loss", 9, 14, 5e-2),
        ("kl_loss", 12, 10, 5e-2),
    ]:
        c1, c2 = distance(cloud(rng, n, 3)), distance(cloud(rng, m, 2))
        p, q = ot.unif(n), ot.unif(m)
        t, log = ot.gromov.entropic_gromov_wasserstein(c1, c2, p, q, loss, epsilon, tol=1e-9, max_iter=200, log=True)
        cases.append(
            dict(loss=loss, epsilon=epsilon, c1=c1.tolist(), c2=c2.tolist(), coupling=t.tolist(), gw_dist=float(log["gw_dist"]), err=[float(e) for e in log["err"]])
        )
    out = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pot.json")
    with open(out, "w") as f:
        json.dump(dict(pot=ot.__version__, numpy=np.__version__, cases=cases), f)
        f.write("\n")


if __name__ == "__main__":
    main()
