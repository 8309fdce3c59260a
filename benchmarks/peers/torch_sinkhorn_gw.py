#!/usr/bin/env python3
"""Log-domain Sinkhorn and entropic Gromov-Wasserstein in PyTorch, single precision, written as POT writes them; POT's own torch backend where it can be imported.

The setting is GW-map's: epsilon 0.0015 in OTT's convention (0.003 in POT's) on costs divided by their mean, 20 outer iterations of at most 300 inner ones.
Costs are given: only the solve is timed, while our figure includes the costs.

    python3 benchmarks/peers/torch_sinkhorn_gw.py [--device cuda] [--tiny]
"""
import torch

from device_bench import Bench, arguments


def sinkhorn_log(log_a, log_b, cost, reg, iterations):
    """ot.bregman.sinkhorn_log without its stopping rule."""
    scaled = -cost / reg
    u, v = torch.zeros_like(log_a), torch.zeros_like(log_b)
    for _ in range(iterations):
        v = log_b - torch.logsumexp(scaled + u[:, None], 0)
        u = log_a - torch.logsumexp(scaled + v[None, :], 1)
    return torch.exp(scaled + u[:, None] + v[None, :])


def entropic_gromov(c1, c2, p, q, epsilon, outer, inner):
    """ot.gromov.entropic_gromov_wasserstein with the square loss, projected gradient descent."""
    plan = torch.outer(p, q)
    constant = ((c1 ** 2) @ p)[:, None] + ((c2 ** 2) @ q)[None, :]
    log_p, log_q = torch.log(p), torch.log(q)
    for _ in range(outer):
        gradient = 2 * (constant - 2 * c1 @ plan @ c2.T)
        plan = sinkhorn_log(log_p, log_q, gradient, epsilon, inner)
    return plan


def domain_cost(n, seed, device):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(n, 3, generator=generator).to(device)
    cost = torch.cdist(points, points)
    return cost / cost.mean()


def main():
    bench = Bench(arguments(__doc__).parse_args(), "sinkhorn")
    torch.backends.cuda.matmul.allow_tf32 = False
    for n in bench.size((4_000, 10_000, 12_000), (64,)):
        cost = domain_cost(n, 1, bench.device)
        log_mass = torch.full((n,), 1.0 / n, device=bench.device).log()
        each = bench.size(10, 2)
        bench.measure(f"iteration {n}x{n}, two readings", "torch, as POT writes it", lambda: sinkhorn_log(log_mass, log_mass, cost, 0.05, each), scale=each,
                      note=f"{each} iterations and the plan, divided by {each}")
    for n in bench.size((2_000, 12_000), (48,)):
        c1, c2 = domain_cost(n, 1, bench.device), domain_cost(n, 2, bench.device)
        mass = torch.full((n,), 1.0 / n, device=bench.device)
        outer, inner = bench.size(20, 2), bench.size(300, 5)
        bench.measure(f"geodesic {n}x{n}", "torch, as POT writes it", lambda: entropic_gromov(c1, c2, mass, mass, 0.003, outer, inner), repetitions=3, warmups=1, suite="gw",
                      note=f"solve only, {outer} x {inner} iterations")
        if n <= 2_000:
            pot(bench, n, c1, c2, mass, outer)


def pot(bench, n, c1, c2, mass, outer):
    name, contender = f"geodesic {n}x{n}", "POT, torch backend"
    try:
        import ot
    except ImportError as error:
        bench.missing(name, contender, f"POT cannot be imported: {error}", "gw")
        return
    bench.measure(name, contender, lambda: ot.gromov.entropic_gromov_wasserstein(c1, c2, mass, mass, "square_loss", epsilon=0.003 if not bench.tiny else 0.05, max_iter=outer, tol=0),
                  repetitions=3, warmups=1, suite="gw", note=f"POT {ot.__version__}, its inner defaults, solve only, {outer} outer iterations")


main()
