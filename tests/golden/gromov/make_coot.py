"""Entropic co-optimal transport; run with a Python that has numpy and scipy. Writes coot.json beside this script.

The alternation of Titouan et al. 2020 with the conventions of ot.coot.co_optimal_transport (POT 0.9.4; POT 0.8.2 has none): the sample coupling is solved first, from the product of the
feature masses (uniform in the first cases, given in the last), with cost sum_kl (X_ik - Y_jl)^2 Q_kl, then the feature coupling with cost sum_ij (X_ik - Y_jl)^2 P_ij; every entropic problem to 1e-13, until the sample coupling stands still.
The objective is sum (X_ik - Y_jl)^2 P_ij Q_kl + eps_s KL(P | a b^T) + eps_f KL(Q | c d^T).
"""
import json
import os

import numpy as np
from scipy.special import logsumexp


def sinkhorn(c, eps, a, b):
    f, g = np.zeros(len(a)), np.zeros(len(b))
    for _ in range(100000):
        g = eps * (np.log(b) - logsumexp((f[:, None] - c) / eps, axis=0))
        f = eps * (np.log(a) - logsumexp((g[None] - c) / eps, axis=1))
        t = np.exp((f[:, None] + g[None] - c) / eps)
        if np.abs(t.sum(0) - b).sum() < 1e-13:
            return t
    raise SystemExit("Sinkhorn did not converge: choose a larger epsilon")


def kl(p, a, b):
    return float((p * np.log(p / np.outer(a, b))).sum())


def main():
    rng = np.random.default_rng(41)
    cases = []
    for n, m, d, e, eps_s, eps_f, weighed in [(12, 10, 5, 4, 0.1, 0.1, False), (9, 11, 6, 6, 0.5, 0.3, False), (8, 10, 5, 6, 0.3, 0.4, True)]:
        x, y = np.round(rng.normal(size=(n, d)) + np.linspace(0, 2, d), 6), np.round(rng.normal(size=(m, e)) + np.linspace(0, 2, e), 6)
        cube = (x[:, None, :, None] - y[None, :, None, :]) ** 2
        masses = [np.round(rng.uniform(1, 3, k), 3) if weighed else np.ones(k) for k in (n, m, d, e)]
        a, b, u, v = masses = [w / w.sum() for w in masses]
        p, q = np.outer(a, b), np.outer(u, v)
        values = []
        for _ in range(2000):
            last = p
            p = sinkhorn((cube * q[None, None]).sum((2, 3)), eps_s, a, b)
            q = sinkhorn((cube * p[:, :, None, None]).sum((0, 1)), eps_f, u, v)
            values.append(float((cube * p[:, :, None, None] * q[None, None]).sum()) + eps_s * kl(p, a, b) + eps_f * kl(q, u, v))
            if np.abs(p - last).sum() < 1e-12:
                break
        cases.append(dict(masses=[w.tolist() for w in masses] if weighed else None, x=x.tolist(), y=y.tolist(), epsilon_samples=eps_s, epsilon_features=eps_f, samples=p.tolist(), features=q.tolist(), objectives=values))
        print(n, m, d, e, "objective", values[0], values[-1], "iterations", len(values))
    out = os.path.join(os.path.dirname(os.path.abspath(__file__)), "coot.json")
    with open(out, "w") as f:
        json.dump(dict(numpy=np.__version__, cases=cases), f)
        f.write("\n")


if __name__ == "__main__":
    main()
