"""What the peers' scripts for GPUs share: timing by events from cold caches, and one JSON line per figure in the format of benchmarks/Device.

A figure is {"suite", "name", "contender", "ms" (median), "ms_low", "ms_high" (10th and 90th percentile), "repetitions", ...}; one that cannot be had is
{"suite", "name", "contender", "status": "NotAvailable", "reason"}. With --tiny sizes are small and the processor is used: it shows that a script works.
"""
import argparse
import json
import time

import torch


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--tiny", action="store_true", help="small sizes on the processor: shows that the script works")
    return parser


class Bench:
    def __init__(self, args, suite):
        self.suite, self.tiny = suite, args.tiny
        self.repetitions = 2 if args.tiny else args.repetitions
        self.device = torch.device("cpu" if args.tiny else args.device)
        self.cuda = self.device.type == "cuda"
        torch.manual_seed(0)
        if self.cuda:
            torch.cuda.set_device(self.device)
            cache = getattr(torch.cuda.get_device_properties(self.device), "L2_cache_size", 0)
            # Twice the second-level cache, so that every repetition starts cold.
            self.flush = torch.empty(max(2 * cache, 64 << 20) // 4, device=self.device)

    def size(self, full, tiny):
        return tiny if self.tiny else full

    def time(self, work, repetitions=None, warmups=3):
        """Milliseconds of `work` on the device: median, 10th and 90th percentile."""
        for _ in range(1 if self.tiny else warmups):
            work()
        times = []
        for _ in range(repetitions if repetitions and not self.tiny else self.repetitions):
            if self.cuda:
                begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
                self.flush.fill_(1.0)
                begin.record()
                work()
                end.record()
                end.synchronize()
                times.append(begin.elapsed_time(end))
            else:
                start = time.perf_counter()
                work()
                times.append(1e3 * (time.perf_counter() - start))
        times.sort()
        return {"ms": percentile(times, 0.5), "ms_low": percentile(times, 0.1), "ms_high": percentile(times, 0.9), "repetitions": len(times)}

    def measure(self, name, contender, work, repetitions=None, warmups=3, operations=None, suite=None, note=None, scale=1.0):
        """Times `work` and prints the figure; what PyTorch refuses is printed with its reason. `scale` divides the time among several iterations."""
        try:
            if self.cuda:
                torch.cuda.reset_peak_memory_stats()
            timing = self.time(work, repetitions, warmups)
            for key in ("ms", "ms_low", "ms_high"):
                timing[key] /= scale
            if operations:
                timing["tflops"] = operations / timing["ms"] * 1e-9
            if self.cuda:
                peak = f"peak memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"
                note = f"{note}, {peak}" if note else peak
            self.emit(name, contender, suite, note=note, **timing)
        except (RuntimeError, NotImplementedError, TypeError) as error:
            self.missing(name, contender, str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__, suite)
        finally:
            if self.cuda:
                torch.cuda.empty_cache()

    def emit(self, name, contender, suite=None, **fields):
        line = {"suite": suite or self.suite, "name": name, "contender": contender}
        line.update({key: value for key, value in fields.items() if value is not None})
        if self.tiny:
            line["tiny"] = True
        print(json.dumps(line), flush=True)

    def missing(self, name, contender, reason, suite=None):
        self.emit(name, contender, suite, status="NotAvailable", reason=reason)


def percentile(ordered, share):
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
