"""Fused Gromov-Wasserstein problems with other marginals; run with a Python that has numpy and ot 0.8.2.

Writes fused.json beside this script. The tensor product is the four-fold sum of make_marginals.py.
- semi-relaxed: K = G exp(-(alpha 2 L(G) + (1 - alpha) M) / eps), rows rescaled to p (the algorithm of ot.gromov.entropic_semirelaxed_fused_gromov_wasserstein, POT 0.9).
- unbalanced: the linearised problem of FUGW (Thual et al. 2022) with one plan for both, cost alpha L(G) + (1 - alpha) / 2 M and the constants of Sejourne et al. 2021.
  The script stops if the derivative of (1 - alpha) <M, G> + alpha <L(G), G> + rho KL2(rows) + rho KL2(columns) + eps KL2(G) is not zero in every entry.
- partial: ot.partial.entropic_partial_wasserstein on alpha L(G) + (1 - alpha) / 2 M: with alpha = 1 ot.partial.entropic_partial_gromov_wasserstein of POT 0.8.2.
"""
import json
import os
import warnings

import numpy as np
import ot

from make_marginals import cloud, distance, gradient, quadratic, value

warnings.simplefilter("ignore")


def semirelaxed(loss, c1, c2, between, p, eps, alpha, iterations):
    g = np.outer(p, np.full(len(c2), 1 / len(c2)))
    err = []
    for it in range(iterations):
        k = g * np.exp(-(2 * alpha * gradient(loss, c1, c2, g) + (1 - alpha) * between) / eps)
        new = k * (p / k.sum(1))[:, None]
        if it % 10 == 0:
            err.append(float(np.linalg.norm(new - g)))
        g = new
        if it % 10 == 0 and err[-1] <= 1e-9:
            break
    return g, err


def objective(loss, c1, c2, between, p, q, eps, rho, alpha, g):
    return (1 - alpha) * (between * g).sum() + alpha * value(loss, c1, c2, g) + rho * (quadratic(g.sum(1), p) + quadratic(g.sum(0), q)) + eps * quadratic(g, np.outer(p, q))


def slope_of(a, b):
    """Derivative of quadratic(a, b) in a."""
    return 2 * (a * np.log(a / b)).sum() + 2 * a.sum() * np.log(a / b)


def unbalanced(loss, c1, c2, between, p, q, eps, rho, alpha):
    pq = np.outer(p, q)
    gamma = pq.copy()
    f, g = np.zeros(len(p)), np.zeros(len(q))
    for it in range(3000):
        pi = gamma
        mass, rows, columns = pi.sum(), pi.sum(1), pi.sum(0)
        c = alpha * gradient(loss, c1, c2, pi) + 0.5 * (1 - alpha) * between
        c = c + rho * (rows * np.log(rows / p)).sum() + rho * (columns * np.log(columns / q)).sum() + eps * (pi * np.log(pi / pq)).sum()
        e, r = mass * eps, mass * rho
        for _ in range(20000):
            last = f
            f = -e * r / (e + r) * np.log((np.exp((g[None] - c) / e) * q[None]).sum(1))
            g = -e * r / (e + r) * np.log((np.exp((f[:, None] - c) / e) * p[:, None]).sum(0))
            if np.abs(f - last).max() < 1e-13 * e:
                break
        gamma = np.exp((f[:, None] + g[None] - c) / e) * pq
        gamma = gamma * np.sqrt(mass / gamma.sum())
        if np.linalg.norm(gamma - pi) < 1e-12:
            break
    slope = (1 - alpha) * between + 2 * alpha * gradient(loss, c1, c2, gamma)
    slope = slope + rho * (slope_of(gamma.sum(1), p)[:, None] + slope_of(gamma.sum(0), q)[None]) + eps * slope_of(gamma, pq)
    if np.abs(slope).max() > 1e-8:
        raise SystemExit(f"not stationary: largest derivative {np.abs(slope).max()}")
    return gamma, objective(loss, c1, c2, between, p, q, eps, rho, alpha, gamma)


def partial(loss, c1, c2, between, p, q, eps, mass, alpha):
    g = np.outer(p, q)
    err = []
    for it in range(400):
        last = g
        g = ot.partial.entropic_partial_wasserstein(p, q, alpha * gradient(loss, c1, c2, g) + 0.5 * (1 - alpha) * between, eps, mass)
        if it % 10 == 0:
            err.append(float(np.linalg.norm(g - last)))
            if err[-1] <= 1e-11:
                break
    return g, err


def main():
    rng = np.random.default_rng(23)
    cases = []

    def problem(n, m):
        return distance(cloud(rng, n, 3)), distance(cloud(rng, m, 2)), np.round(rng.random((n, m)), 6), ot.unif(n), ot.unif(m)

    def add(kind, loss, c1, c2, between, t, **more):
        cases.append(dict(kind=kind, loss=loss, c1=c1.tolist(), c2=c2.tolist(), between=between.tolist(), coupling=t.tolist(), gw=value(loss, c1, c2, t),
                          linear=float((between * t).sum()), **more))

    for loss, n, m, eps, alpha in [("square", 11, 9, 5e-2, 0.5), ("kl", 9, 8, 8e-2, 0.8)]:
        c1, c2, between, p, q = problem(n, m)
        t, err = semirelaxed(loss, c1, c2, between, p, eps, alpha, 400)
        add("semi-relaxed", loss, c1, c2, between, t, epsilon=eps, alpha=alpha, err=err)
    for loss, n, m, eps, rho, alpha in [("square", 11, 9, 2e-2, 1.0, 0.5), ("square", 9, 10, 2e-2, 0.3, 0.9), ("kl", 9, 8, 5e-2, 0.5, 0.7)]:
        c1, c2, between, p, q = problem(n, m)
        t, total = unbalanced(loss, c1, c2, between, p, q, eps, rho, alpha)
        add("unbalanced", loss, c1, c2, between, t, epsilon=eps, alpha=alpha, rho=rho, objective=float(total))
    for n, m, eps, mass, alpha in [(11, 9, 2e-2, 0.7, 0.5), (9, 10, 2e-2, 0.4, 0.8)]:
        c1, c2, between, p, q = problem(n, m)
        t, err = partial("square", c1, c2, between, p, q, eps, mass, alpha)
        add("partial", "square", c1, c2, between, t, epsilon=eps, alpha=alpha, mass=mass, err=err)

    out = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fused.json")
    with open(out, "w") as f:
        json.dump(dict(pot=ot.__version__, numpy=np.__version__, cases=cases), f)
        f.write("\n")
    for case in cases:
        print(case["kind"], case["loss"], case["epsilon"], "mass", np.sum(case["coupling"]), "gw", case["gw"], "linear", case["linear"], len(case.get("err", [])))


if __name__ == "__main__":
    main()
