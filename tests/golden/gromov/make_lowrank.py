"""Low-rank Gromov-Wasserstein couplings by the algorithm that POT publishes; run with a Python that has numpy.

Writes lowrank.json beside this script. POT 0.8.2 has no low-rank Gromov-Wasserstein; this follows Scetbon, Peyre, Cuturi 2022 (algorithm 2) with Scetbon, Cuturi, Peyre 2021
(algorithm 2, LR-Dykstra) and the conventions of ot.gromov.lowrank_gromov_wasserstein_samples (POT 0.9.4): gamma = 10 / largest squared gradient, Dykstra to 1e-3, 1e-16 added to
the factors after every projection, error = symmetric Kullback-Leibler change over gamma squared. Costs are dense and products are formed as they are written in the papers.
After the given number of iterations the factors are projected once more, to 1e-9, so that they can be compared with a solver that returns couplings of the masses.
"""
import json
import os

import numpy as np


def cloud(rng, n, d):
    x = rng.normal(size=(n, d))
    x[: n // 3] += 2.5
    return np.round(x, 6)


def cost(x):
    return ((x[:, None] - x[None]) ** 2).sum(-1)


def dykstra(k1, k2, k3, a, b, alpha, tolerance, limit):
    r = len(k3)
    tilde = k3.copy()
    q31, q32, q1, q2, v1, v2 = (np.ones(r) for _ in range(6))
    for iteration in range(limit):
        u1, u2 = a / (k1 @ v1), b / (k2 @ v2)
        g = np.maximum(alpha, tilde * q31)
        q31 = tilde * q31 / g
        tilde = g
        g = (tilde * q32 * (v1 * q1 * (k1.T @ u1)) * (v2 * q2 * (k2.T @ u2))) ** (1 / 3)
        new1, new2 = g / (k1.T @ u1), g / (k2.T @ u2)
        q1, q2, q32 = v1 * q1 / new1, v2 * q2 / new2, tilde * q32 / g
        v1, v2, tilde = new1, new2, g
        if np.abs(u1 * (k1 @ v1) - a).sum() + np.abs(u2 * (k2 @ v2) - b).sum() <= tolerance:
            break
    return u1[:, None] * k1 * v1, u2[:, None] * k2 * v2, g, iteration + 1


def loss(c1, c2, t):
    return float(((c1[:, None, :, None] - c2[None, :, None, :]) ** 2 * t[:, :, None, None] * t[None, None]).sum())


def symmetric_kl(x, y):
    return float(((x - y) * (np.log(x + 1e-16) - np.log(y + 1e-16))).sum())


def solve(c1, c2, q, r, g, iterations, alpha=1e-10):
    a, b = np.full(len(c1), 1 / len(c1)), np.full(len(c2), 1 / len(c2))
    errors, inner = [], 0
    for _ in range(iterations):
        t = (q / g) @ r.T
        full = -4 * c1 @ t @ c2
        grad_q, grad_r = full @ r / g, full.T @ q / g
        omega = np.diag(q.T @ full @ r)
        grad_g = -omega / g**2
        gamma = 10 / max(np.abs(grad_q).max(), np.abs(grad_r).max(), np.abs(grad_g).max()) ** 2
        new_q, new_r, new_g, count = dykstra(q * np.exp(-gamma * grad_q), r * np.exp(-gamma * grad_r), g * np.exp(-gamma * grad_g), a, b, alpha, 1e-3, 10000)
        errors.append((symmetric_kl(new_q, q) + symmetric_kl(new_r, r) + symmetric_kl(new_g, g)) / gamma**2)
        inner += count
        q, r, g = new_q + 1e-16, new_r + 1e-16, new_g + 1e-16
    return (*dykstra(q, r, g, a, b, alpha, 1e-9, 10000)[:3], errors, inner)


def main():
    rng = np.random.default_rng(31)
    cases = []
    for n, m, rank, iterations, scale in [(13, 11, 3, 1, 1.0), (13, 11, 3, 40, 1.0), (10, 12, 5, 8, 0.6), (9, 9, 9, 25, 1.0)]:
        x, y = cloud(rng, n, 3), cloud(rng, m, 2)
        divisors = float(np.round(cost(x).max() / scale, 6)), float(np.round(cost(y).max() / scale, 6))
        q, r, g = np.abs(rng.normal(size=(n, rank))) + 1, np.abs(rng.normal(size=(m, rank))) + 1, np.abs(rng.normal(size=rank)) + 1
        q, r, g = np.round(q / q.sum(1, keepdims=True) / n, 9), np.round(r / r.sum(1, keepdims=True) / m, 9), np.round(g / g.sum(), 9)
        c1, c2 = cost(x) / divisors[0], cost(y) / divisors[1]
        found_q, found_r, found_g, errors, inner = solve(c1, c2, q, r, g, iterations)
        t = (found_q / found_g) @ found_r.T
        cases.append(dict(x=x.tolist(), y=y.tolist(), divisors=divisors, start=dict(q=q.tolist(), r=r.tolist(), g=g.tolist()), iterations=iterations, q=found_q.tolist(), r=found_r.tolist(),
                          g=found_g.tolist(), errors=errors, inner=inner, gw=loss(c1, c2, t)))
    out = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lowrank.json")
    with open(out, "w") as f:
        json.dump(dict(numpy=np.__version__, cases=cases), f)
        f.write("\n")
    for case in cases:
        print(np.shape(case["q"]), "gw", case["gw"], "first and last error", case["errors"][0], case["errors"][-1], "inner", case["inner"])


if __name__ == "__main__":
    main()
