"""Gromov-Wasserstein problems with other marginals, asymmetric costs and OTT's stopping rule; run with a Python that has numpy and ot 0.8.2.

Writes marginals.json beside this script. The tensor product is the four-fold sum itself, so nothing is shared with a solver that factorises it.
- semi-relaxed: K = G exp(-2 L(G) / eps), rows rescaled to p (the algorithm of ot.gromov.entropic_semirelaxed_gromov_wasserstein, POT 0.9), change every 10.
- unbalanced: algorithm 1 of Sejourne, Vialard, Peyre 2021 with its alternating, exp-domain Sinkhorn on (f, g), no translation step.
- partial: ot.partial.entropic_partial_gromov_wasserstein; it linearises with L(T), so its reg is OTT's epsilon.
- asymmetric: balanced, the gradient is the mean of those of (C1, C2) and of the transposes.
- ott: costs compared by OTT's rule (rtol 1e-3, atol 1e-8, from the fifth on), cost L(T), epsilon as given.
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


def skewed(rng, x):
    c = distance(x) * (1 + 0.3 * rng.random((len(x), len(x))))
    return np.round(c / c.max(), 6)


def tensor(loss, c1, c2, t):
    a, b = c1[:, None, :, None], c2[None, :, None, :]
    if loss == "square":
        cost = (a - b) ** 2
    else:
        cost = a * np.log((a + 1e-15) / (b + 1e-15)) - a + b
    return (cost * t[None, None]).sum((2, 3))


def gradient(loss, c1, c2, t):
    """Half the gradient of the objective, for costs that need not be symmetric."""
    return 0.5 * (tensor(loss, c1, c2, t) + tensor(loss, c1.T, c2.T, t))


def value(loss, c1, c2, t):
    return float((tensor(loss, c1, c2, t) * t).sum())


def semirelaxed(loss, c1, c2, p, eps, iterations):
    g = np.outer(p, np.full(len(c2), 1 / len(c2)))
    err = []
    for it in range(iterations):
        k = g * np.exp(-2 * gradient(loss, c1, c2, g) / eps)
        new = k * (p / k.sum(1))[:, None]
        if it % 10 == 0:
            err.append(float(np.linalg.norm(new - g)))
        g = new
        if it % 10 == 0 and err[-1] <= 1e-9:
            break
    return g, err


def kl(a, b):
    return float((a * np.log(a / b)).sum() - a.sum() + b.sum())


def quadratic(a, b):
    return 2 * a.sum() * kl(a, b) + (a.sum() - b.sum()) ** 2


def unbalanced(loss, c1, c2, p, q, eps, rho, iterations, inner):
    pq = np.outer(p, q)
    gamma = pq.copy()
    f, g = np.zeros(len(p)), np.zeros(len(q))
    for it in range(iterations):
        pi = gamma
        mass = pi.sum()
        rows, columns = pi.sum(1), pi.sum(0)
        c = gradient(loss, c1, c2, pi) + rho * (rows * np.log(rows / p)).sum() + rho * (columns * np.log(columns / q)).sum() + eps * (pi * np.log(pi / pq)).sum()
        e, r = mass * eps, mass * rho
        for _ in range(inner):
            last = f
            f = -e * r / (e + r) * np.log((np.exp((g[None] - c) / e) * q[None]).sum(1))
            g = -e * r / (e + r) * np.log((np.exp((f[:, None] - c) / e) * p[:, None]).sum(0))
            if np.abs(f - last).max() < 1e-13 * e:
                break
        gamma = np.exp((f[:, None] + g[None] - c) / e) * pq
        gamma = gamma * np.sqrt(mass / gamma.sum())
        if np.linalg.norm(gamma - pi) < 1e-12:
            break
    objective = value(loss, c1, c2, gamma) + rho * (quadratic(gamma.sum(1), p) + quadratic(gamma.sum(0), q)) + eps * quadratic(gamma, pq)
    return gamma, objective


def sinkhorn(c, p, q, eps):
    f, g = np.zeros(len(p)), np.zeros(len(q))
    for _ in range(50000):
        g = eps * (np.log(q) - np.log(np.exp((f[:, None] - c) / eps).sum(0)))
        f = eps * (np.log(p) - np.log(np.exp((g[None] - c) / eps).sum(1)))
        t = np.exp((f[:, None] + g[None] - c) / eps)
        if np.abs(t.sum(0) - q).sum() < 1e-13:
            return t, float(f @ p + g @ q)
    raise SystemExit("Sinkhorn did not converge: choose a larger epsilon")


def balanced(loss, c1, c2, p, q, eps, iterations):
    t = np.outer(p, q)
    for _ in range(iterations):
        last = t
        t, _ = sinkhorn(2 * gradient(loss, c1, c2, t), p, q, eps)
        if np.linalg.norm(t - last) < 1e-12:
            break
    return t


def ott(loss, c1, c2, p, q, eps):
    t, _ = sinkhorn(gradient(loss, c1, c2, np.outer(p, q)), p, q, eps)
    costs = []
    while len(costs) < 50:
        t, cost = sinkhorn(gradient(loss, c1, c2, t), p, q, eps)
        costs.append(cost)
        if len(costs) >= 5 and np.isclose(costs[-2], costs[-1], rtol=1e-3):
            break
    return t, costs


def main():
    rng = np.random.default_rng(11)
    cases = []

    def add(kind, loss, c1, c2, t, **more):
        cases.append(dict(kind=kind, loss=loss, c1=c1.tolist(), c2=c2.tolist(), coupling=t.tolist(), gw=value(loss, c1, c2, t), **more))

    for loss, n, m, eps in [("square", 12, 9, 5e-2), ("square", 9, 13, 5e-3), ("kl", 10, 8, 5e-2)]:
        c1, c2 = distance(cloud(rng, n, 3)), distance(cloud(rng, m, 2))
        g, err = semirelaxed(loss, c1, c2, ot.unif(n), eps, 400)
        add("semi-relaxed", loss, c1, c2, g, epsilon=eps, err=err)
    c1, c2 = skewed(rng, cloud(rng, 9, 3)), skewed(rng, cloud(rng, 8, 2))
    g, err = semirelaxed("square", c1, c2, ot.unif(9), 2e-2, 400)
    add("semi-relaxed", "square", c1, c2, g, epsilon=2e-2, err=err)

    for loss, n, m, eps, rho in [("square", 12, 9, 2e-2, 1.0), ("square", 9, 11, 1e-2, 0.1), ("square", 8, 8, 5e-2, 0.02), ("kl", 9, 8, 5e-2, 0.5)]:
        c1, c2 = distance(cloud(rng, n, 3)), distance(cloud(rng, m, 2))
        g, objective = unbalanced(loss, c1, c2, ot.unif(n), ot.unif(m), eps, rho, 3000, 20000)
        add("unbalanced", loss, c1, c2, g, epsilon=eps, rho=rho, objective=objective)

    for n, m, eps, mass in [(12, 9, 2e-2, 0.7), (9, 12, 1e-2, 0.4), (10, 10, 2e-2, 1.0)]:
        c1, c2 = distance(cloud(rng, n, 3)), distance(cloud(rng, m, 2))
        g, log = ot.partial.entropic_partial_gromov_wasserstein(c1, c2, ot.unif(n), ot.unif(m), eps, mass, tol=1e-11, numItermax=400, log=True)
        add("partial", "square", c1, c2, g, epsilon=eps, mass=mass, half=float(log["partial_gw_dist"]), err=[float(e) for e in log["err"]])

    for loss, eps in (("square", 5e-2), ("kl", 0.5)):
        c1, c2 = skewed(rng, cloud(rng, 10, 3)), skewed(rng, cloud(rng, 8, 2))
        add("asymmetric", loss, c1, c2, balanced(loss, c1, c2, ot.unif(10), ot.unif(8), eps, 2000), epsilon=eps)

    for n, m, eps in [(12, 10, 1e-2), (10, 10, 2e-2)]:
        c1, c2 = distance(cloud(rng, n, 3)), distance(cloud(rng, m, 2))
        t, costs = ott("square", c1, c2, ot.unif(n), ot.unif(m), eps)
        add("ott", "square", c1, c2, t, epsilon=eps, costs=costs)

    out = os.path.join(os.path.dirname(os.path.abspath(__file__)), "marginals.json")
    with open(out, "w") as f:
        json.dump(dict(pot=ot.__version__, numpy=np.__version__, cases=cases), f)
        f.write("\n")
    for case in cases:
        print(case["kind"], case["loss"], case["epsilon"], "mass", np.sum(case["coupling"]), "gw", case["gw"], len(case.get("err", case.get("costs", []))))


if __name__ == "__main__":
    main()
