"""Training steps of sparse autoencoders as fast as PyTorch 1.13 can be made to run them on a processor, without leaving PyTorch.

Nothing goes through autograd: gradients are written by hand, every large array exists once and is filled with `out=`, a tied model takes one
encoder product, the losses come from the training forward pass, and no scalar is read back. Active pairs are lists: decoding and both weight gradients
are embedding_bag over token or latent order, products r . W_dec,j are gathered rows or one dense product, whichever is faster. The largest
pre-activations are found by the maxima of 16 strided panels first, which is exact. The encoder is kept transposed, [d_sae, d_in], so that its gradient has rows.
AdamW runs over one flat array in pieces that stay in the cache; it takes less time than torch.optim.AdamW(foreach=True).

`Best.variants` names the formulations of an architecture; the caller times them and keeps the fastest.
"""
import ctypes

import torch
import torch.nn.functional as F

PANELS = 16
CHUNK = 262144
PAIRS = 1024


def keep_freed_memory():
    """Lets glibc reuse large blocks; otherwise every temporary array costs its page faults."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-3, 1 << 30)
        libc.mallopt(-1, 0x7FFFFFFF)
    except OSError:
        pass


def largest(z, k):
    """The k largest of every row: (values, indices), exact, unordered."""
    n, width = z.shape
    if width % PANELS or width // PANELS < 2 * k:
        return torch.topk(z, k, dim=1, sorted=False)
    stride = width // PANELS
    panels = torch.topk(z.view(n, PANELS, stride).amax(1), k, dim=1, sorted=False)[1]
    candidates = (panels[:, None, :] + stride * torch.arange(PANELS)[None, :, None]).reshape(n, -1)
    values, at = torch.topk(z.gather(1, candidates), k, dim=1, sorted=False)
    return values, candidates.gather(1, at)


def above(z, threshold):
    """Flat indices of the elements above a number, token by token."""
    n, width = z.shape
    if width % PANELS:
        return (z > threshold).view(-1).nonzero().view(-1)
    stride = width // PANELS
    panels = (z.view(n, PANELS, stride).amax(1) > threshold).view(-1).nonzero().view(-1)
    token = torch.div(panels, stride, rounding_mode="floor")
    flat = ((token * width + panels - token * stride)[:, None] + stride * torch.arange(PANELS)).view(-1)
    return flat[z.view(-1)[flat] > threshold]


class Best:
    variants = {"gated": ("sparse", "dense"), "gated-windowed": ("sparse", "sparse, dense r W_dec^T"), "topk": ("sparse", "sparse, dense r W_dec^T", "dense"), "batchtopk": ("sparse", "sparse, dense r W_dec^T", "dense")}

    def __init__(self, architecture, variant, n, w_enc, b_enc, b_gate, w_dec, b_dec, k, dead, bandwidth, aux_k=32, lr=1e-7, weight_decay=1e-4):
        self.architecture, self.dense, self.dense_q = architecture, variant == "dense", "dense" in variant
        self.k, self.bandwidth, self.aux_k, self.lr, self.weight_decay = k, bandwidth, aux_k, lr, weight_decay
        self.gated = architecture.startswith("gated")
        parts = [w_enc.t(), w_dec, b_enc, b_gate, b_dec] if self.gated else [w_enc.t(), w_dec, b_enc, b_dec]
        self.parameters = torch.cat([p.detach().reshape(-1) for p in parts])
        self.gradients, self.m, self.v = (torch.zeros_like(self.parameters) for _ in range(3))
        shapes = [p.shape for p in parts]

        def views(flat):
            pieces = flat.split([s.numel() for s in shapes])
            return [p.view(s) for p, s in zip(pieces, shapes)]

        values, grads = views(self.parameters), views(self.gradients)
        if not self.gated:
            values.insert(3, None)
            grads.insert(3, None)
        self.enc, self.dec, self.b_enc, self.b_gate, self.b_dec = values
        self.g_enc, self.g_dec, self.g_b_enc, self.g_b_gate, self.g_b_dec = grads
        latents, d = self.dec.shape
        dtype = self.parameters.dtype
        self.z = torch.empty(n, latents, dtype=dtype)
        self.q = torch.empty(n, latents, dtype=dtype) if self.dense_q or architecture == "gated" else None
        self.gate = torch.empty(n, latents, dtype=dtype) if self.gated else None
        self.rows = torch.empty(PAIRS, d, dtype=dtype), torch.empty(PAIRS, d, dtype=dtype)
        self.usage = torch.zeros(latents, dtype=dtype)
        self.dead = dead.nonzero().view(-1)
        self.starts = torch.arange(n)
        self.scratch = torch.empty(CHUNK, dtype=dtype)
        self.guess = None
        self.steps = 0

    def decode(self, token, latent, value):
        """Sum of value * W_dec[latent] for every token; tokens ascend."""
        return F.embedding_bag(latent, self.dec, torch.searchsorted(token, self.starts), mode="sum", per_sample_weights=value)

    def products(self, token, latent, r):
        """r[token] . W_dec[latent] of every pair."""
        if self.dense_q:
            return self.q.view(-1)[token * len(self.dec) + latent]
        out = torch.empty(len(token), dtype=r.dtype)
        for begin in range(0, len(token), PAIRS):
            here = latent[begin:begin + PAIRS]
            a, b = self.rows[0][:len(here)], self.rows[1][:len(here)]
            torch.index_select(self.dec, 0, here, out=a)
            torch.index_select(r, 0, token[begin:begin + PAIRS], out=b)
            torch.sum(a.mul_(b), 1, out=out[begin:begin + PAIRS])
        return out

    def by_latent(self, token, latent):
        """Order of the pairs by latent, their tokens in it and where each latent begins."""
        order = torch.argsort(latent.int())
        counts = torch.bincount(latent, minlength=len(self.dec))
        return order, token[order], counts.cumsum(0) - counts

    @torch.no_grad()
    def losses(self, x, sparsity, aux_coeff):
        """Gradients of every parameter; the losses as tensors."""
        if self.gated:
            return self.losses_gated(x, sparsity, aux_coeff)
        return self.losses_dense(x, aux_coeff) if self.dense else self.losses_topk(x, aux_coeff)

    def residual(self, x, recon):
        error = recon.add_(self.b_dec).sub_(x)
        sse = torch.dot(error.view(-1), error.view(-1))
        return error, sse, ((x - x.mean(0)) ** 2).sum()

    def losses_gated(self, x, sparsity, aux_coeff):
        n, latents = len(x), len(self.dec)
        delta = self.b_enc - self.b_gate
        torch.addmm(self.b_gate, x, self.enc.t(), out=self.gate)
        norms = self.dec.norm(dim=1)
        torch.add(self.gate, delta, out=self.z)
        # Every pair whose gate is open or, with a window, inside it.
        flat = above(self.gate, 0 if self.architecture == "gated" else -0.5 * self.bandwidth)
        token = torch.div(flat, latents, rounding_mode="floor")
        latent = flat - token * latents
        g, m = self.gate.view(-1)[flat], self.z.view(-1)[flat]
        is_open, positive = (g > 0).to(x.dtype), (m > 0).to(x.dtype)
        a = m * is_open * positive
        firing = (a > 0).nonzero().view(-1)
        token_a, latent_a, a = token[firing], latent[firing], a[firing]
        active = None
        if self.dense:
            active = torch.mul(self.z, self.gate > 0, out=self.q).clamp_min_(0)
            recon = active @ self.dec
        else:
            recon = self.decode(token_a, latent_a, a)
        error, sse, sst = self.residual(x, recon)
        r = error * (2 / n)
        loss_sparsity = torch.dot(g * is_open, norms[latent]) / (n * latents)
        if self.dense:
            torch.mm(active.t(), r, out=self.g_dec)
        else:
            order, token_sorted, begins = self.by_latent(token_a, latent_a)
            self.g_dec.copy_(F.embedding_bag(token_sorted, r, begins, mode="sum", per_sample_weights=a[order]))
        self.usage.mul_(0.99).add_(torch.bincount(latent_a, minlength=latents), alpha=0.01 / n)

        # Auxiliary reconstruction by the largest magnitudes behind closed gates.
        closed = flat if self.architecture == "gated" else flat[is_open > 0]
        self.z.view(-1).index_fill_(0, closed, 0)
        values, indices = largest(self.z, self.aux_k)
        values.clamp_min_(0)
        error_aux = F.embedding_bag(indices, self.dec, mode="sum", per_sample_weights=values).add_(self.b_dec).add_(error)
        loss_aux = torch.dot(error_aux.view(-1), error_aux.view(-1)) / n
        token_aux, latent_aux = self.starts[:, None].expand_as(indices).reshape(-1), indices.view(-1)
        dense_q, self.dense_q = self.dense_q, False
        dm_aux = self.products(token_aux, latent_aux, error_aux * (2 * aux_coeff / n)) * (values.view(-1) > 0)
        self.dense_q = dense_q

        penalty = is_open * norms[latent] * (sparsity / (n * latents))
        self.g_b_dec.copy_(r.sum(0))
        if self.architecture == "gated":
            torch.mm(r, self.dec.t(), out=self.q)
            q = self.q.view(-1)[flat]
            s = torch.sigmoid_(self.gate)
            at = s.view(-1)[flat]
            torch.ops.aten.sigmoid_backward(self.q.mul_(self.z.clamp_min_(0)), s, grad_input=self.q)
            dg, dm = q * m * positive * at * (1 - at) + penalty, q * positive
            # The magnitudes at open pairs were zeroed, so these elements of q are zero.
            self.g_b_gate.copy_(self.q.sum(0)).index_add_(0, latent, dg)
            self.q.view(-1).index_copy_(0, flat, dg + dm)
            self.q.view(-1).index_add_(0, token_aux * latents + latent_aux, dm_aux)
            torch.mm(self.q.t(), x, out=self.g_enc)
        else:
            if self.dense_q:
                torch.mm(r, self.dec.t(), out=self.q)
            q = self.products(token, latent, r)
            dg, dm = q * m * positive * (g < 0.5 * self.bandwidth) * (1 / self.bandwidth) + penalty, q * positive * is_open
            self.g_b_gate.zero_().index_add_(0, latent, dg)
            order, token_sorted, begins = self.by_latent(torch.cat([token, token_aux]), torch.cat([latent, latent_aux]))
            self.g_enc.copy_(F.embedding_bag(token_sorted, x, begins, mode="sum", per_sample_weights=torch.cat([dg + dm, dm_aux])[order]))
        self.g_b_enc.zero_().index_add_(0, latent, dm).index_add_(0, latent_aux, dm_aux)
        return sse / n, loss_sparsity, loss_aux, sse / sst, torch.tensor(len(a) / n)

    def select(self, n):
        """Pairs of the k largest of every token or the n*k largest of the batch; tokens ascend."""
        latents = len(self.dec)
        if self.architecture == "topk":
            values, indices = largest(self.z, self.k)
            return self.starts[:, None].expand_as(indices).reshape(-1), indices.view(-1), values.view(-1).clamp_min_(0)
        wanted = n * self.k
        flat = above(self.z, 0 if self.guess is None else self.guess)
        if len(flat) < wanted and self.guess is not None:
            flat = above(self.z, 0)
        values = self.z.view(-1)[flat]
        if len(values) > wanted:
            smallest = torch.kthvalue(values, len(values) - wanted + 1)[0]
            self.guess = 0.9 * smallest
            keep = values >= smallest
            flat, values = flat[keep], values[keep]
        token = torch.div(flat, latents, rounding_mode="floor")
        return token, flat - token * latents, values

    def losses_topk(self, x, aux_coeff):
        n = len(x)
        torch.addmm(self.b_enc, x, self.enc.t(), out=self.z)
        token, latent, a = self.select(n)
        error, sse, sst = self.residual(x, self.decode(token, latent, a))
        r = error * (2 / n)
        if self.dense_q:
            torch.mm(r, self.dec.t(), out=self.q)
        dz = self.products(token, latent, r) * (a > 0)
        self.usage.mul_(0.99).add_(torch.bincount(latent, weights=(a > 0).to(x.dtype), minlength=len(self.dec)), alpha=0.01 / n)
        order, token_sorted, begins = self.by_latent(token, latent)
        self.g_dec.copy_(F.embedding_bag(token_sorted, r, begins, mode="sum", per_sample_weights=a[order]))
        self.g_enc.copy_(F.embedding_bag(token_sorted, x, begins, mode="sum", per_sample_weights=dz[order]))
        self.g_b_enc.zero_().index_add_(0, latent, dz)
        self.g_b_dec.copy_(r.sum(0))
        loss_aux = self.auxiliary(x, error, aux_coeff)
        return sse / n, torch.zeros(()), loss_aux, sse / sst, (a > 0).sum() / n

    def auxiliary(self, x, error, aux_coeff):
        """AuxK over dead latents, whose rows of the gradients no active pair touches in the same step except by chance: they are added."""
        if len(self.dead) == 0:
            return torch.zeros(())
        n = len(x)
        values, at = torch.topk(self.z.index_select(1, self.dead), min(self.aux_k, len(self.dead)), dim=1, sorted=False)
        values.clamp_min_(0)
        decoder = self.dec.index_select(0, self.dead)
        error_aux = F.embedding_bag(at, decoder, mode="sum", per_sample_weights=values).add_(error)
        r = error_aux * (2 * aux_coeff / n)
        token, local = self.starts[:, None].expand_as(at).reshape(-1), at.view(-1)
        dense_q, self.dense_q = self.dense_q, False
        dz = self.products(token, self.dead[local], r) * (values.view(-1) > 0)
        self.dense_q = dense_q
        order = torch.argsort(local.int())
        counts = torch.bincount(local, minlength=len(self.dead))
        begins = counts.cumsum(0) - counts
        self.g_dec.index_add_(0, self.dead, F.embedding_bag(token[order], r, begins, mode="sum", per_sample_weights=values.view(-1)[order]))
        self.g_enc.index_add_(0, self.dead, F.embedding_bag(token[order], x, begins, mode="sum", per_sample_weights=dz[order]))
        self.g_b_enc.index_add_(0, self.dead[local], dz)
        return torch.dot(error_aux.view(-1), error_aux.view(-1)) / n

    def losses_dense(self, x, aux_coeff):
        """The same with dense activations: five products, no lists."""
        n = len(x)
        torch.addmm(self.b_enc, x, self.enc.t(), out=self.z)
        token, latent, a = self.select(n)
        flat = token * len(self.dec) + latent
        self.q.zero_().view(-1).index_copy_(0, flat, a)
        error, sse, sst = self.residual(x, self.q @ self.dec)
        r = error * (2 / n)
        torch.mm(self.q.t(), r, out=self.g_dec)
        mask = self.q > 0
        self.usage.mul_(0.99).add_(mask.sum(0), alpha=0.01 / n)
        torch.mm(r, self.dec.t(), out=self.q).mul_(mask)
        torch.mm(self.q.t(), x, out=self.g_enc)
        self.g_b_enc.copy_(self.q.sum(0))
        self.g_b_dec.copy_(r.sum(0))
        loss_aux = self.auxiliary(x, error, aux_coeff)
        return sse / n, torch.zeros(()), loss_aux, sse / sst, (a > 0).sum() / n

    @torch.no_grad()
    def step(self, x, sparsity, aux_coeff):
        result = self.losses(x, sparsity, aux_coeff)
        self.steps += 1
        # The rows of the decoder have unit length.
        dots = (self.g_dec * self.dec).sum(1, keepdim=True)
        self.g_dec.addcmul_(self.dec, dots, value=-1)
        scale = (1 / (torch.linalg.vector_norm(self.gradients) + 1e-6)).clamp_(max=1)
        rate, root = self.lr / (1 - 0.9 ** self.steps), (1 - 0.999 ** self.steps) ** 0.5
        for p, g, m, v in zip(*(t.split(CHUNK) for t in (self.parameters, self.gradients, self.m, self.v))):
            g.mul_(scale)
            m.lerp_(g, 0.1)
            v.mul_(0.999).addcmul_(g, g, value=0.001)
            denominator = torch.sqrt(v, out=self.scratch[:len(v)]).div_(root).add_(1e-8)
            p.mul_(1 - self.lr * self.weight_decay).addcdiv_(m, denominator, value=-rate)
        self.dec.div_(self.dec.norm(dim=1, keepdim=True).clamp_min_(1e-12))
        dead = (self.usage < 5e-4).sum()
        return result + (dead,)
