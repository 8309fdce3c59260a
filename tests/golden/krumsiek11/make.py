#!/usr/bin/python3
"""Simulated differentiation of blood progenitors into four fates with known time, and its pseudotimes: make.py
Writes krumsiek11.json. make.py SEEDS prints Kendall's tau of as many other realisations (seeds from 1 on) instead.

The Boolean network of Krumsiek et al. (PLOS ONE 2011, table 1) made continuous as by Wittmann et al. (BMC Systems Biology 2009): a gene approaches, at a rate of 0.02 a step, the sum over the states
of its regulators in which its rule is true of the product of Hill functions h = x^2 / (x^2 + c^2) of those that are on and 1 - h of those that are off. The thresholds are c = 0.1 / strength.
800 steps, every fifth is kept, Gaussian noise of 0.001 at each; a run counts when its end differs by 0.25 or more in at least two genes from the ends of all before, until there are four.
The random numbers are those of NumPy's RandomState(0) in the order in which scanpy.tl.sim(model="krumsiek11") takes them, so that the values, to the four decimals kept here, are those of
scanpy.datasets.krumsiek11 (640 cells, 11 genes): compared in the first and last cells of each of the four runs."""
import json
import os
import sys
from itertools import product

import numpy as np

from pseudotime import kendall, orders

# gene: rule over the states of its regulators, and these with the strength of their influence.
NETWORK = {
    "Gata2": (lambda gata2, gata1, fog1, pu1: gata2 and not (gata1 and fog1) and not pu1, {"Gata2": 1, "Gata1": 0.1, "Fog1": 1, "Pu.1": 1.15}),
    "Gata1": (lambda gata1, gata2, fli1, pu1: (gata1 or gata2 or fli1) and not pu1, {"Gata1": 0.1, "Gata2": 1, "Fli1": 1, "Pu.1": 1.21}),
    "Fog1": (lambda gata1: gata1, {"Gata1": 0.1}),
    "EKLF": (lambda gata1, fli1: gata1 and not fli1, {"Gata1": 0.2, "Fli1": 1}),
    "Fli1": (lambda gata1, eklf: gata1 and not eklf, {"Gata1": 0.2, "EKLF": 1}),
    "SCL": (lambda gata1, pu1: gata1 and not pu1, {"Gata1": 1, "Pu.1": 1}),
    "Cebpa": (lambda cebpa, gata1, fog1, scl: cebpa and not (gata1 and fog1 and scl), {"Cebpa": 10, "Gata1": 1, "Fog1": 1, "SCL": 1}),
    "Pu.1": (lambda cebpa, pu1, gata1, gata2: (cebpa or pu1) and not (gata1 or gata2), {"Cebpa": 10, "Pu.1": 10, "Gata1": 1, "Gata2": 1}),
    "cJun": (lambda pu1, gfi1: pu1 and not gfi1, {"Pu.1": 1, "Gfi1": 1}),
    "EgrNab": (lambda pu1, cjun, gfi1: pu1 and cjun and not gfi1, {"Pu.1": 1, "cJun": 1, "Gfi1": 1.3}),
    "Gfi1": (lambda cebpa, egrnab: cebpa and not egrnab, {"Cebpa": 1, "EgrNab": 5}),
}
GENES = list(NETWORK)
BEGIN = {"Gata2": 0.8, "Pu.1": 0.8, "Cebpa": 0.8}
STEPS, EVERY, RUNS, NOISE, RATE, APART = 800, 5, 4, 0.001, 0.02, 0.25


def regulation():
    """For each gene its regulators, their thresholds, and the states [states, regulators] that turn it on."""
    table = []
    for rule, strengths in NETWORK.values():
        regulators = [GENES.index(g) for g in strengths]
        on = [state for state in product([False, True], repeat=len(regulators)) if rule(*state)]
        table.append((regulators, 0.1 / np.array(list(strengths.values())), np.array(on)))
    return table


def step(x, table):
    change = np.empty_like(x)
    for gene, (regulators, threshold, on) in enumerate(table):
        h = x[regulators] ** 2 / (x[regulators] ** 2 + threshold**2)
        change[gene] = RATE * (np.where(on, h, 1 - h).prod(axis=1).sum() - x[gene])
    return x + change


def simulate(seed):
    """[cells, genes], run after run."""
    random, table, kept, ends = np.random.RandomState(seed), regulation(), [], []
    while len(kept) < RUNS:
        random.rand(len(GENES))  # scanpy draws a beginning that it does not use
        x = np.array([BEGIN.get(g, 0) for g in GENES]) + 0.001 * random.randn(len(GENES))
        run = np.empty((STEPS, len(GENES)))
        run[0] = x + NOISE * random.randn(len(GENES))
        for t in range(1, STEPS):
            run[t] = step(run[t - 1], table) + NOISE * random.randn(len(GENES))
        if all(np.sort(np.abs(run[-1] - end))[-2] >= APART for end in ends):
            ends.append(run[-1])
            kept.append(run[::EVERY])
            random.randn(STEPS // EVERY * len(GENES))  # noise of the measurement, which is 0
    return np.round(np.concatenate(kept), 4)


def tell(seed):
    x = simulate(seed)
    for k in (15, 30):
        values, scanpy, exact = orders(x, k)
        print(f"seed {seed} k {k} eigenvalues {values[1]:.5f} {values[2]:.5f} {values[3]:.5f} scanpy", *(f"{t:.4f}" for t in kendall(scanpy)), "exact", *(f"{t:.4f}" for t in kendall(exact)), flush=True)


def main():
    if len(sys.argv) > 1:
        for seed in range(1, 1 + int(sys.argv[1])):
            tell(seed)
        return
    tell(0)
    x = simulate(0)
    golden = {"genes": GENES, "runs": RUNS, "tenthousandths": [int(v) for v in np.rint(10000 * x).ravel()]}
    for k in (15, 30):
        values, scanpy, exact = orders(x, k)
        golden[f"k{k}"] = {"eigenvalues": [round(v, 12) for v in values], "scanpy": [round(v, 7) for v in scanpy], "exact": [round(v, 7) for v in exact]}
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "krumsiek11.json"), "w", newline="\n") as file:
        json.dump(golden, file)


if __name__ == "__main__":
    main()
