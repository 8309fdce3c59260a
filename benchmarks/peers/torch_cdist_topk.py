#!/usr/bin/env python3
"""Nearest neighbours and distances of PyTorch: torch.cdist and topk in blocks of queries, as people write it.

    python3 benchmarks/peers/torch_cdist_topk.py [--device cuda] [--tiny]
"""
import torch

from device_bench import Bench, arguments


def neighbours(points, k, block):
    distances, indices = [], []
    for start in range(0, points.shape[0], block):
        # One more than asked for: the point itself is among them.
        d, i = torch.cdist(points[start:start + block], points).topk(k + 1, dim=1, largest=False)
        distances.append(d)
        indices.append(i)
    return torch.cat(distances), torch.cat(indices)


def main():
    bench = Bench(arguments(__doc__).parse_args(), "knn")
    d, k = bench.size(512, 16), bench.size(15, 3)
    torch.backends.cuda.matmul.allow_tf32 = False
    for n in (bench.size((10_000, 50_000, 100_000), (200,))):
        points = 2 * torch.rand(n, d, device=bench.device) - 1
        block = bench.size(10_000, 64)
        bench.measure(f"n={n} d={d} k={k}", "torch.cdist + topk", lambda: neighbours(points, k, block), operations=2.0 * n * n * d, note=f"blocks of {block} queries")
    n = bench.size(50_000, 100)
    x, y = 2 * torch.rand(n, d, device=bench.device) - 1, 2 * torch.rand(n, d, device=bench.device) - 1
    bench.measure(f"sqeuclidean expanded {n}x{n}x{d}", "torch.cdist", lambda: torch.cdist(x, y), operations=2.0 * n * n * d, suite="distance", note="with the square root")


main()
