"""What the oracles of the autoencoder share: numbers from an integer recipe, and the derivatives that are defined rather than taken (docs/sae.md)."""
import numpy as np
import torch

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniform(count, salt):
    """splitmix64 of (salt, index): multiples of 2^-24 in [-0.5, 0.5), the same bits on any machine."""
    with np.errstate(over="ignore"):
        z = (np.arange(count, dtype=np.uint64) + np.uint64(1)) * GOLDEN + np.uint64(salt) * np.uint64(0xD1342543DE82EF95)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) * 2.0 ** -24 - 0.5


def tensor(shape, salt, scale, shift=0.0):
    return (scale * uniform(int(np.prod(shape)), salt) + shift).astype(np.float32).reshape(shape)


class Window(torch.autograd.Function):
    """1[x > 0] with the derivative of a rectangle of the given width."""

    @staticmethod
    def forward(ctx, x, width):
        ctx.save_for_backward(x)
        ctx.width = width
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, = ctx.saved_tensors
        return grad * (x.abs() < ctx.width / 2) / ctx.width, None


class Step(torch.autograd.Function):
    """H(z - theta): no gradient to z, a rectangle to theta (arXiv 2407.14435, eq. 12)."""

    @staticmethod
    def forward(ctx, z, theta, width):
        ctx.save_for_backward(z, theta)
        ctx.width = width
        return (z > theta).to(z.dtype)

    @staticmethod
    def backward(ctx, grad):
        z, theta = ctx.saved_tensors
        return None, -(1 / ctx.width) * ((z - theta).abs() < ctx.width / 2) * grad, None


class Jump(torch.autograd.Function):
    """z H(z - theta) (arXiv 2407.14435, eq. 11)."""

    @staticmethod
    def forward(ctx, z, theta, width):
        ctx.save_for_backward(z, theta)
        ctx.width = width
        return z * (z > theta)

    @staticmethod
    def backward(ctx, grad):
        z, theta = ctx.saved_tensors
        return grad * (z > theta), -(theta / ctx.width) * ((z - theta).abs() < ctx.width / 2) * grad, None


def keep(values, count):
    """The largest positive entries of every row, the rest 0."""
    top, index = torch.topk(torch.relu(values), min(count, values.shape[-1]), dim=-1)
    return torch.zeros_like(values).scatter(-1, index, top)
