#!/usr/bin/env python3
"""Matrix products of PyTorch (cuBLAS) in bf16, tf32 and fp32: ceilings seen from another program.

    python3 benchmarks/peers/torch_gemm.py [--device cuda] [--tiny]
"""
import torch

from device_bench import Bench, arguments


def main():
    bench = Bench(arguments(__doc__).parse_args(), "ceilings")
    cube = bench.size(8192, 32)
    shapes = [(cube, cube, cube), (bench.size(65536, 64), bench.size(8192, 32), bench.size(512, 16))]
    for m, n, k in shapes:
        for precision, dtype, tf32 in (("bf16", torch.bfloat16, False), ("tf32", torch.float32, True), ("fp32", torch.float32, False)):
            torch.backends.cuda.matmul.allow_tf32 = tf32
            a = torch.randn(m, k, device=bench.device).to(dtype)
            b = torch.randn(k, n, device=bench.device).to(dtype)
            c = torch.empty(m, n, device=bench.device, dtype=dtype)
            bench.measure(f"cuBLAS {precision} {m}x{n}x{k}", "torch", lambda: torch.mm(a, b, out=c), operations=2.0 * m * n * k)
            del a, b, c


main()
