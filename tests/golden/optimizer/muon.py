"""Writes muon.csv: four updates of a wide and a tall matrix by Muon in double precision, as Keller Jordan's and Moonlight's code run it.

Momentum 0.95 with Nesterov, five quintic Newton-Schulz iterations, decoupled weight decay, update scale 0.2 sqrt(max(rows, columns)).
Values come from integers, so that the test draws the same ones."""
import torch

LR, DECAY, MOMENTUM, CLIP = 0.02, 0.1, 0.95, 0.5
torch.set_default_dtype(torch.float64)


def uniform(count, salt):
    mask = (1 << 64) - 1
    values = []
    for index in range(count):
        z = ((index + 1) * 0x9E3779B97F4A7C15 + salt * 0xD1342543DE82EF95) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        z ^= z >> 31
        values.append((z >> 40) * 2.0**-24 - 0.5)
    return torch.tensor(values)


def newton_schulz(g):
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g / (g.norm() + 1e-7)
    tall = g.shape[0] > g.shape[1]
    if tall:
        x = x.T
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


with open("muon.csv", "w", newline="\n") as file:
    file.write("rows,columns,step,index,value,momentum\n")
    for rows, columns in ((5, 9), (11, 4)):
        weights = uniform(rows * columns, 41).reshape(rows, columns)
        buffer = torch.zeros_like(weights)
        for step in range(1, 5):
            gradient = CLIP * uniform(rows * columns, 50 + step).reshape(rows, columns)
            buffer.mul_(MOMENTUM).add_(gradient)
            update = newton_schulz(gradient.add(buffer, alpha=MOMENTUM))
            weights.mul_(1 - LR * DECAY).add_(update, alpha=-LR * 0.2 * max(rows, columns) ** 0.5)
            for index, (w, m) in enumerate(zip(weights.flatten().tolist(), buffer.flatten().tolist())):
                file.write(f"{rows},{columns},{step},{index},{w!r},{m!r}\n")
