#!/usr/bin/env python3
"""Times one training step of the gated sparse autoencoder in PyTorch, written as the reference training script writes it: eager in fp32 on the processor, or with
--device cuda eager and through torch.compile under bf16 autocast, one figure per width.

Two encoder products although the weights are tied, the straight-through gate from two sigmoids, dense masks, top-k over the whole row, three
.item() calls, a second forward pass for FVU, projection of the decoder gradient, global clip, AdamW, renormalisation, dead count.
The biases are set so that about `--l0` latents of a token are active and nearly every magnitude pre-activation is positive, which is what
training converges to.

    OPENBLAS_CORETYPE=Zen OMP_NUM_THREADS=2 /usr/bin/python3 benchmarks/peers/torch_sae_step.py --seconds 20
    python3 benchmarks/peers/torch_sae_step.py --device cuda [--compile] [--tiny]
"""
import argparse
import contextlib
import ctypes
import glob
import json
import time

import torch
import torch.nn.functional as F


def openblas_core():
    for path in glob.glob("/usr/lib/x86_64-linux-gnu/openblas-*/libblas.so.3") + glob.glob("/usr/lib/x86_64-linux-gnu/libopenblas*.so*") + glob.glob("/usr/lib/x86_64-linux-gnu/openblas-*/libopenblas*.so*"):
        try:
            library = ctypes.CDLL(path)
            library.openblas_get_corename.restype = ctypes.c_char_p
            return library.openblas_get_corename().decode()
        except (OSError, AttributeError):
            continue
    return "unknown"


class Sae(torch.nn.Module):
    def __init__(self, d_in, d_sae, l0):
        super().__init__()
        self.w_mag = torch.nn.Parameter(0.02 * torch.randn(d_in, d_sae))
        # z of a unit-norm token is N(0, 0.02): the gate bias sits at the quantile that leaves l0 latents open.
        quantile = 0.02 * torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(1 - l0 / d_sae))
        self.b_mag = torch.nn.Parameter(torch.full((d_sae,), 0.05))
        self.b_gate = torch.nn.Parameter(-quantile * torch.ones(d_sae))
        w_dec = self.w_mag.detach().t().clone()
        self.w_dec = torch.nn.Parameter(w_dec / w_dec.norm(dim=1, keepdim=True))
        self.b_dec = torch.nn.Parameter(torch.zeros(d_in))
        self.register_buffer("usage_ema", torch.zeros(d_sae))

    def forward(self, x, aux_k=32):
        gate_pre = x @ self.w_mag + self.b_gate
        mag_pre = x @ self.w_mag + self.b_mag
        hard = (gate_pre > 0).float()
        gate = torch.sigmoid(gate_pre) + (hard - torch.sigmoid(gate_pre)).detach()
        magnitude = F.relu(mag_pre)
        acts = gate * magnitude
        recon = acts @ self.w_dec + self.b_dec
        closed = (gate == 0).float()
        candidates = magnitude * closed
        values, indices = torch.topk(candidates, aux_k, dim=1)
        acts_aux = torch.zeros_like(candidates).scatter(1, indices, values)
        recon_aux = acts_aux @ self.w_dec.detach() + self.b_dec.detach()
        return recon, acts, gate_pre, recon_aux


def step(model, optimiser, x, sparsity, aux_coeff, forward=None, autocast=contextlib.nullcontext()):
    forward = forward or model
    with autocast:
        recon, acts, gate_pre, recon_aux = forward(x)
    loss_recon = ((recon - x) ** 2).sum(dim=1).mean()
    norms = model.w_dec.detach().norm(dim=1)
    loss_sparsity = (F.relu(gate_pre) * norms).mean()
    loss_aux = torch.zeros((), device=x.device)
    if bool(recon_aux.abs().sum() > 0):
        loss_aux = ((recon_aux - (x - recon.detach())) ** 2).sum(dim=1).mean()
    loss = loss_recon + sparsity * loss_sparsity + aux_coeff * loss_aux
    loss.backward()
    with torch.no_grad():
        model.usage_ema.mul_(0.99).add_((acts != 0).float().mean(dim=0), alpha=0.01)
    scalars = loss_recon.item(), loss_sparsity.item(), loss_aux.item()
    # The training script evaluates FVU with a second forward pass, graph included.
    with autocast:
        again = forward(x)[0].detach()
    sse = ((x - again) ** 2).sum().item()
    sst = ((x - x.mean(dim=0)) ** 2).sum().item()
    with torch.no_grad():
        unit = model.w_dec / model.w_dec.norm(dim=1, keepdim=True).clamp_min(1e-12)
        model.w_dec.grad -= (model.w_dec.grad * unit).sum(dim=1, keepdim=True) * unit
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    with torch.no_grad():
        model.w_dec /= model.w_dec.norm(dim=1, keepdim=True).clamp_min(1e-12)
        dead = (model.usage_ema < 5e-4).sum().item()
    optimiser.zero_grad(set_to_none=True)
    return scalars, sse / sst, dead, float((acts != 0).float().sum(dim=1).mean()), float((model.usage_ema > 0).float().mean())


def device_figures(args):
    """Every width on the device, eager or compiled, in bf16 as the reference trains."""
    from device_bench import Bench

    bench = Bench(args, "sae")
    contender = "torch.compile bf16" if args.compile else "torch eager bf16"
    n, d = bench.size(65536, 64), bench.size(512, 16)
    for d_sae, l0 in bench.size(((1024, 32), (2048, 32), (4096, 32), (8192, 8), (8192, 32)), ((64, 8),)):
        name = f"step {n}x{d}->{d_sae} L0={l0} bf16"
        if args.compile and not hasattr(torch, "compile"):
            bench.missing(name, contender, f"PyTorch {torch.__version__} has no torch.compile")
            continue
        x = torch.randn(n, d)
        x = (x / x.norm(dim=1, keepdim=True)).to(bench.device)
        model = Sae(d, d_sae, l0).to(bench.device)
        forward = torch.compile(model) if args.compile else model
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-7, weight_decay=1e-4)
        last = []

        def work():
            last[:] = [step(model, optimiser, x, 800.0, 0.03125, forward, torch.autocast(bench.device.type, dtype=torch.bfloat16))]

        try:
            work()
        except Exception as error:  # The compiler of PyTorch has exceptions of its own for what it cannot do.
            bench.missing(name, contender, f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}")
            continue
        bench.measure(name, contender, work, note=f"PyTorch {torch.__version__}, active latents per token {last[0][3]:.1f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="", help="cuda: figures for GPUs, one per width; without it the processor, in fp32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--tiny", action="store_true", help="small sizes on the processor, in the format of the figures for GPUs")
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--d-in", type=int, default=512)
    parser.add_argument("--d-sae", type=int, default=4096)
    parser.add_argument("--l0", type=float, default=32)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if args.device or args.tiny:
        device_figures(args)
        return
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    x = torch.randn(args.tokens, args.d_in)
    x /= x.norm(dim=1, keepdim=True)
    model = Sae(args.d_in, args.d_sae, args.l0)
    # A learning rate of 1e-7 keeps the sparsity where it was set while the whole update is still computed.
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-7, weight_decay=1e-4)
    step(model, optimiser, x, 800.0, 0.03125)
    times = []
    begin = time.perf_counter()
    while time.perf_counter() - begin < args.seconds or len(times) < 3:
        t0 = time.perf_counter()
        _, fvu, _, l0, _ = step(model, optimiser, x, 800.0, 0.03125)
        times.append(time.perf_counter() - t0)
    best, median = min(times), sorted(times)[len(times) // 2]
    a, b = torch.randn(args.tokens, args.d_in), torch.randn(args.d_in, args.d_sae)
    gemm = []
    for _ in range(10):
        t0 = time.perf_counter()
        a @ b
        gemm.append(time.perf_counter() - t0)
    print(json.dumps({
        "torch": torch.__version__, "openblas_core": openblas_core(), "threads": torch.get_num_threads(), "tokens": args.tokens, "d_in": args.d_in, "d_sae": args.d_sae,
        "l0": l0, "fvu": fvu, "steps": len(times), "best_ms": 1e3 * best, "median_ms": 1e3 * median, "tokens_per_s": args.tokens / median,
        "gemm_gflops": 2e-9 * args.tokens * args.d_in * args.d_sae / min(gemm)}))


main()
