#!/usr/bin/env python3
"""Times one training step of a sparse autoencoder in PyTorch: eager in fp32 on the processor, as fast as PyTorch can be made to run it there, or with
--device cuda eager and through torch.compile under bf16 autocast, one figure per width.

`--formulation eager`, the gated autoencoder as the reference training script writes its step: two encoder products although the weights are tied, the
straight-through gate from two sigmoids, dense masks, top-k over the whole row, three .item() calls, a second forward pass for FVU, projection of
the decoder gradient, global clip, AdamW, renormalisation, dead count. `gated-windowed` replaces the derivative of the gate by a rectangle. `topk` and
`batchtopk` are what trainers of these write: top-k over all pre-activations, a dense matrix of activations, autograd, the same update.
`--formulation best`: torch_sae_best.py; all its variants are timed and the fastest is reported.
For gated autoencoders the biases are set so that about `--l0` latents of a token are active and nearly every magnitude pre-activation is positive, which is what
training converges to; for the others `--l0` is k. `--dead` is the share of latents that counts as dead for topk and batchtopk.
`--check` compares the gradients of both formulations in double precision and exits with 1 where they differ.

    OPENBLAS_CORETYPE=Zen OMP_NUM_THREADS=2 /usr/bin/python3 benchmarks/peers/torch_sae_step.py --seconds 20 --formulation best --architecture topk
    python3 benchmarks/peers/torch_sae_step.py --device cuda [--compile] [--tiny]
"""
import argparse
import contextlib
import ctypes
import glob
import json
import sys
import time

import torch
import torch.nn.functional as F

import torch_sae_best


def openblas_core():
    for path in glob.glob("/usr/lib/x86_64-linux-gnu/openblas-*/libblas.so.3") + glob.glob("/usr/lib/x86_64-linux-gnu/libopenblas*.so*") + glob.glob("/usr/lib/x86_64-linux-gnu/openblas-*/libopenblas*.so*"):
        try:
            library = ctypes.CDLL(path)
            library.openblas_get_corename.restype = ctypes.c_char_p
            return library.openblas_get_corename().decode()
        except (OSError, AttributeError):
            continue
    return "unknown"


def isa():
    """Instruction set that PyTorch's own loops use."""
    line = [line for line in torch.__config__.show().splitlines() if "CPU capability" in line]
    return line[0].rsplit(" ", 1)[1] if line else "unknown"


class Window(torch.autograd.Function):
    """A step whose derivative is a rectangle around it."""

    @staticmethod
    def forward(ctx, g, bandwidth):
        ctx.save_for_backward(g)
        ctx.bandwidth = bandwidth
        return (g > 0).to(g.dtype)

    @staticmethod
    def backward(ctx, grad):
        g, = ctx.saved_tensors
        return grad * (g.abs() < 0.5 * ctx.bandwidth) / ctx.bandwidth, None


class Sae(torch.nn.Module):
    def __init__(self, d_in, d_sae, l0, bandwidth=0.0):
        super().__init__()
        self.bandwidth = bandwidth
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
        if self.bandwidth > 0:
            gate = Window.apply(gate_pre, self.bandwidth)
        else:
            hard = (gate_pre > 0).to(gate_pre.dtype)
            gate = torch.sigmoid(gate_pre) + (hard - torch.sigmoid(gate_pre)).detach()
        magnitude = F.relu(mag_pre)
        acts = gate * magnitude
        recon = acts @ self.w_dec + self.b_dec
        closed = (gate == 0).to(gate.dtype)
        candidates = magnitude * closed
        values, indices = torch.topk(candidates, aux_k, dim=1)
        acts_aux = torch.zeros_like(candidates).scatter(1, indices, values)
        recon_aux = acts_aux @ self.w_dec.detach() + self.b_dec.detach()
        return recon, acts, gate_pre, recon_aux


def losses(model, x, sparsity, aux_coeff, forward, autocast):
    with autocast:
        recon, acts, gate_pre, recon_aux = forward(x)
    loss_recon = ((recon - x) ** 2).sum(dim=1).mean()
    norms = model.w_dec.detach().norm(dim=1)
    loss_sparsity = (F.relu(gate_pre) * norms).mean()
    loss_aux = torch.zeros((), device=x.device)
    if bool(recon_aux.abs().sum() > 0):
        loss_aux = ((recon_aux - (x - recon.detach())) ** 2).sum(dim=1).mean()
    return loss_recon + sparsity * loss_sparsity + aux_coeff * loss_aux, loss_recon, loss_sparsity, loss_aux, acts


def step(model, optimiser, x, sparsity, aux_coeff, forward=None, autocast=contextlib.nullcontext()):
    forward = forward or model
    loss, loss_recon, loss_sparsity, loss_aux, acts = losses(model, x, sparsity, aux_coeff, forward, autocast)
    loss.backward()
    with torch.no_grad():
        model.usage_ema.mul_(0.99).add_((acts != 0).float().mean(dim=0), alpha=0.01)
    scalars = loss_recon.item(), loss_sparsity.item(), loss_aux.item()
    # The training script evaluates FVU with a second forward pass, graph included.
    with autocast:
        again = forward(x)[0].detach()
    sse = ((x - again) ** 2).sum().item()
    sst = ((x - x.mean(dim=0)) ** 2).sum().item()
    dead = update(model, optimiser)
    return scalars, sse / sst, dead, float((acts != 0).float().sum(dim=1).mean()), float((model.usage_ema > 0).float().mean())


class TopKSae(torch.nn.Module):
    """The k largest of every token, or n k of the batch; auxiliary reconstruction by dead latents."""

    def __init__(self, d_in, d_sae, k, batch, dead):
        super().__init__()
        self.k, self.batch = k, batch
        self.w_enc = torch.nn.Parameter(0.02 * torch.randn(d_in, d_sae))
        self.b_enc = torch.nn.Parameter(torch.zeros(d_sae))
        w_dec = self.w_enc.detach().t().clone()
        self.w_dec = torch.nn.Parameter(w_dec / w_dec.norm(dim=1, keepdim=True))
        self.b_dec = torch.nn.Parameter(torch.zeros(d_in))
        self.register_buffer("usage_ema", torch.zeros(d_sae))
        self.register_buffer("dead", torch.arange(d_sae) < dead * d_sae)

    def forward(self, x, aux_k=32):
        z = F.relu(x @ self.w_enc + self.b_enc)
        flat = z.flatten() if self.batch else z
        values, indices = torch.topk(flat, self.k * (len(x) if self.batch else 1), dim=-1, sorted=False)
        acts = torch.zeros_like(flat).scatter(-1, indices, values).view_as(z)
        recon_aux = None
        if bool(self.dead.any()):
            values, indices = torch.topk(torch.where(self.dead, z, torch.zeros_like(z)), min(aux_k, int(self.dead.sum())), dim=1, sorted=False)
            recon_aux = torch.zeros_like(z).scatter(1, indices, values) @ self.w_dec
        return acts @ self.w_dec + self.b_dec, acts, recon_aux


def topk_losses(model, x, aux_coeff):
    recon, acts, recon_aux = model(x)
    loss_recon = ((recon - x) ** 2).sum(dim=1).mean()
    loss_aux = torch.zeros(()) if recon_aux is None else ((recon_aux - (x - recon.detach())) ** 2).sum(dim=1).mean()
    return loss_recon + aux_coeff * loss_aux, loss_recon, loss_aux, recon, acts


def topk_step(model, optimiser, x, sparsity, aux_coeff):
    loss, loss_recon, loss_aux, recon, acts = topk_losses(model, x, aux_coeff)
    loss.backward()
    with torch.no_grad():
        model.usage_ema.mul_(0.99).add_((acts != 0).float().mean(dim=0), alpha=0.01)
        scalars = loss_recon.item(), 0.0, loss_aux.item()
        fvu = (((x - recon) ** 2).sum() / ((x - x.mean(dim=0)) ** 2).sum()).item()
    dead = update(model, optimiser)
    return scalars, fvu, dead, float((acts != 0).float().sum(dim=1).mean()), float((model.usage_ema > 0).float().mean())


def update(model, optimiser):
    with torch.no_grad():
        unit = model.w_dec / model.w_dec.norm(dim=1, keepdim=True).clamp_min(1e-12)
        model.w_dec.grad -= (model.w_dec.grad * unit).sum(dim=1, keepdim=True) * unit
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    with torch.no_grad():
        model.w_dec /= model.w_dec.norm(dim=1, keepdim=True).clamp_min(1e-12)
        dead = (model.usage_ema < 5e-4).sum().item()
    optimiser.zero_grad(set_to_none=True)
    return dead


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


def build(args):
    if args.architecture.startswith("gated"):
        return Sae(args.d_in, args.d_sae, args.l0, args.bandwidth if args.architecture == "gated-windowed" else 0.0)
    return TopKSae(args.d_in, args.d_sae, int(args.l0), args.architecture == "batchtopk", args.dead)


def build_best(args, variant, model):
    gated = args.architecture.startswith("gated")
    encoder, bias = (model.w_mag, model.b_mag) if gated else (model.w_enc, model.b_enc)
    dead = torch.zeros(args.d_sae, dtype=torch.bool) if gated else model.dead
    return torch_sae_best.Best(args.architecture, variant, args.tokens, encoder, bias, model.b_gate if gated else None, model.w_dec, model.b_dec, int(args.l0), dead, args.bandwidth)


def tokens(args):
    x = torch.randn(args.tokens, args.d_in)
    return x / x.norm(dim=1, keepdim=True)


def check(args):
    """Both formulations must have the same gradients and the same parameters after two steps."""
    torch.set_default_dtype(torch.float64)
    worst = 0.0
    for architecture, dead in (("gated", 0.0), ("gated-windowed", 0.0), ("topk", 0.0), ("topk", 0.2), ("batchtopk", 0.0), ("batchtopk", 0.2)):
        args.architecture, args.dead, args.tokens, args.d_in, args.d_sae, args.l0 = architecture, dead, 96, 24, 1040, 9
        for variant in torch_sae_best.Best.variants[architecture]:
            torch.manual_seed(0)
            x, model = tokens(args), build(args)
            gated = architecture.startswith("gated")
            best = build_best(args, variant, model)
            (losses(model, x, 800.0, 0.03125, model, contextlib.nullcontext()) if gated else topk_losses(model, x, 0.03125))[0].backward()
            best.losses(x, 800.0, 0.03125)
            pairs = [(model.w_mag if gated else model.w_enc, best.g_enc.t()), (model.b_mag if gated else model.b_enc, best.g_b_enc), (model.w_dec, best.g_dec), (model.b_dec, best.g_b_dec)]
            if gated:
                pairs.append((model.b_gate, best.g_b_gate))
            errors = [float((p.grad - g).abs().max() / p.grad.abs().max()) for p, g in pairs]
            model.zero_grad(set_to_none=True)
            best.guess, optimiser = None, torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
            best.lr = 1e-3
            for _ in range(2):
                (step if gated else topk_step)(model, optimiser, x, 800.0, 0.03125)
                best.step(x, 800.0, 0.03125)
            errors += [float((p - b).abs().max()) for p, b in ((model.w_dec, best.dec), (model.b_dec, best.b_dec), (model.w_mag if gated else model.w_enc, best.enc.t()))]
            print(f"{architecture}, {variant}, dead {dead}: largest difference {max(errors):.1e}")
            worst = max(worst, *errors)
    return 0 if worst < 1e-7 else 1


def measure(work, seconds, least):
    times = []
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds or len(times) < least:
        t0 = time.perf_counter()
        last = work()
        times.append(time.perf_counter() - t0)
    return times, last


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="", help="cuda: figures for GPUs, one per width; without it the processor, in fp32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--tiny", action="store_true", help="small sizes on the processor, in the format of the figures for GPUs")
    parser.add_argument("--formulation", choices=("eager", "best"), default="eager")
    parser.add_argument("--architecture", choices=("gated", "gated-windowed", "topk", "batchtopk"), default="gated")
    parser.add_argument("--check", action="store_true", help="compare the gradients of both formulations")
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--d-in", type=int, default=512)
    parser.add_argument("--d-sae", type=int, default=4096)
    parser.add_argument("--l0", type=float, default=32)
    parser.add_argument("--bandwidth", type=float, default=0.01)
    parser.add_argument("--dead", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if args.device or args.tiny:
        device_figures(args)
        return
    torch.set_num_threads(args.threads)
    if args.check:
        sys.exit(check(args))
    torch.manual_seed(0)
    x, model = tokens(args), build(args)
    if args.formulation == "best":
        torch_sae_best.keep_freed_memory()
        rates = {}
        for variant in torch_sae_best.Best.variants[args.architecture]:
            best = build_best(args, variant, model)
            best.step(x, 800.0, 0.03125)
            rates[variant] = min(measure(lambda: best.step(x, 800.0, 0.03125), 0, 3)[0])
            del best
        variant = min(rates, key=rates.get)
        best = build_best(args, variant, model)
        run = lambda: best.step(x, 800.0, 0.03125)
    else:
        variant = "autograd"
        # A learning rate of 1e-7 keeps the sparsity where it was set while the whole update is still computed.
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-7, weight_decay=1e-4)
        run = lambda: (step if args.architecture.startswith("gated") else topk_step)(model, optimiser, x, 800.0, 0.03125)
    run()
    times, last = measure(run, args.seconds, 3)
    fvu, l0 = (float(last[3]), float(last[4])) if args.formulation == "best" else (last[1], last[3])
    best_time, median = min(times), sorted(times)[len(times) // 2]
    a, b = torch.randn(args.tokens, args.d_in), torch.randn(args.d_in, args.d_sae)
    gemm = measure(lambda: a @ b, 0, 10)[0]
    print(json.dumps({
        "torch": torch.__version__, "isa": isa(), "openblas_core": openblas_core(), "threads": torch.get_num_threads(), "formulation": args.formulation,
        "architecture": args.architecture, "variant": variant, "tokens": args.tokens, "d_in": args.d_in, "d_sae": args.d_sae, "l0": l0, "fvu": fvu, "steps": len(times),
        "best_ms": 1e3 * best_time, "median_ms": 1e3 * median, "tokens_per_s": args.tokens / median, "gemm_gflops": 2e-9 * args.tokens * args.d_in * args.d_sae / min(gemm)}))


main()
