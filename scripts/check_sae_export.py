#!/usr/bin/env python3
"""Recomputes latents from exported sparse autoencoders and compares them with those of `biosup sae encode`.

Each export is read and run as the program it was written for does it, in float32 with PyTorch; none of those programs needs to be installed. What their loaders
require (SAELens 6.49.2, dictionary_learning at a711efe, sparsify at 001d98e) is checked name by name: keys, tensors, shapes and types.

    biosup sae encode --model DIR --tokens x.npy --pool none --out l.npz
    biosup sae export --model DIR --format sae-lens --out lens
    check_sae_export.py --case x.npy l.npz lens [--case ...] [--tolerance 1e-5]

An export is a folder (cfg.json and sae_weights.safetensors: SAELens; cfg.json and sae.safetensors: sparsify; config.json and ae.pt: dictionary_learning) or a file
(.safetensors with a threshold: JumpReLU; with W_mag, or a .pt: the published code of the paper). Where the model normalises tokens, the export carries how, and it is
done here first, as a user would have to. A pair within 1e-6 of its threshold (or of the k-th largest pre-activation) may be active on one side only; such pairs are
counted and not compared. Exit code 0 when every export agrees, 1 otherwise.
"""
import argparse
import json
import os
import struct
import sys

import numpy
import torch

NEAR = 1e-6


def read_safetensors(path):
    """Tensors and metadata of a safetensors file."""
    with open(path, "rb") as file:
        length, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    metadata = header.pop("__metadata__", {})
    types = {"F32": numpy.float32, "F64": numpy.float64, "I64": numpy.int64, "I32": numpy.int32, "U8": numpy.uint8}
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = torch.from_numpy(numpy.frombuffer(data[begin:end], dtype=types[entry["dtype"]]).reshape(entry["shape"]).copy())
    return tensors, metadata


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def normalise(x, normaliser):
    """Centres by the mean of the training tokens and scales every token to unit length."""
    if not normaliser or normaliser["normalise"] == "none":
        return x
    if normaliser["centring"] == "batch":
        raise SystemExit("the model centres by batch: latents depend on the order of the tokens, there is nothing to compare")
    x = x - torch.tensor(normaliser["mean"], dtype=torch.float32)
    return x / x.norm(dim=1, keepdim=True).clamp_min(1e-12)


def top_k(post, k):
    """Activations and how far each pre-activation lies from the boundary of the choice."""
    values, indices = torch.topk(post, min(k + 1, post.shape[1]), dim=-1)
    acts = torch.zeros_like(post).scatter(-1, indices[:, :k], values[:, :k])
    if values.shape[1] == k:
        return acts, torch.full_like(post, numpy.inf)
    return acts, torch.minimum((post - values[:, k - 1:k]).abs(), (post - values[:, k:]).abs())


def jump(pre, threshold):
    return torch.relu(pre) * (pre > threshold), (pre - threshold).abs()


def gated(gate, magnitude):
    return (gate > 0) * torch.relu(magnitude), gate.abs()


def require(tensors, shapes):
    """What load_state_dict(strict=True) asks for: these names and no other, of these shapes; types are float32 unless given."""
    assert set(tensors) == set(shapes), (sorted(tensors), sorted(shapes))
    for name, shape in shapes.items():
        shape, dtype = shape if shape and isinstance(shape[0], tuple) else (shape, torch.float32)
        assert tuple(tensors[name].shape) == shape and tensors[name].dtype == dtype, (name, tensors[name].shape, tensors[name].dtype)


def sae_lens(folder, x):
    """sae_lens/loading/pretrained_sae_loaders.py (sae_lens_disk_loader), then process_sae_in and encode of the class of sae_lens/saes that cfg.json names."""
    cfg = read_json(os.path.join(folder, "cfg.json"))
    w, _ = read_safetensors(os.path.join(folder, "sae_weights.safetensors"))
    architecture, d, latents = cfg["architecture"], cfg["d_in"], cfg["d_sae"]
    keys = {"architecture", "d_in", "d_sae", "dtype", "device", "apply_b_dec_to_input", "normalize_activations", "reshape_activations", "metadata"}
    assert set(cfg) == keys | ({"k", "rescale_acts_by_decoder_norm"} if architecture == "topk" else set()), sorted(cfg)
    assert cfg["normalize_activations"] == cfg["reshape_activations"] == "none" and cfg["dtype"] == "float32"
    # Below this version the loader takes the configuration apart and drops metadata.
    assert int(cfg["metadata"]["sae_lens_version"].split(".")[0]) >= 6
    x = normalise(x, cfg["metadata"].get("normaliser"))
    sae_in = x - w["b_dec"] * cfg["apply_b_dec_to_input"]
    own = {"standard": ["b_enc"], "topk": ["b_enc"], "jumprelu": ["b_enc", "threshold"], "gated": ["b_gate", "b_mag", "r_mag"]}[architecture]
    require(w, {"W_enc": (d, latents), "W_dec": (latents, d), "b_dec": (d,)} | {name: (latents,) for name in own})
    if architecture == "gated":
        return gated(sae_in @ w["W_enc"] + w["b_gate"], sae_in @ (w["W_enc"] * w["r_mag"].exp()) + w["b_mag"])
    hidden = sae_in @ w["W_enc"] + w["b_enc"]
    if architecture == "standard":
        return torch.relu(hidden), torch.full_like(hidden, numpy.inf)
    if architecture == "topk":
        assert not cfg["rescale_acts_by_decoder_norm"]
        return top_k(torch.relu(hidden), cfg["k"])
    return jump(hidden, w["threshold"].relu())


def dictionary_learning(folder, x):
    """dictionary_learning/utils.py (load_dictionary), then from_pretrained and encode of dictionary.py, trainers/top_k.py, batch_top_k.py and
    matryoshka_batch_top_k.py, with use_threshold where that is its default."""
    config = read_json(os.path.join(folder, "config.json"))
    s = torch.load(os.path.join(folder, "ae.pt"), weights_only=True)
    trainer = config["trainer"]
    name, d, latents = trainer["dict_class"], trainer["activation_dim"], trainer["dict_size"]
    x = normalise(x, config.get("normaliser"))
    linear = {"encoder.weight": (latents, d), "encoder.bias": (latents,), "decoder.weight": (d, latents)}
    plain = {"W_enc": (d, latents), "b_enc": (latents,), "W_dec": (latents, d), "b_dec": (d,)}
    selection = {"k": ((), torch.int32), "threshold": ()}
    require(s, {"AutoEncoder": linear | {"bias": (d,)}, "AutoEncoderNew": linear | {"decoder.bias": (d,)},
                "AutoEncoderTopK": linear | selection | {"b_dec": (d,)}, "BatchTopKSAE": linear | selection | {"b_dec": (d,)},
                "JumpReluAutoEncoder": plain | {"threshold": (latents,)},
                "GatedAutoEncoder": {"decoder_bias": (d,), "r_mag": (latents,), "gate_bias": (latents,), "mag_bias": (latents,), "encoder.weight": (latents, d), "decoder.weight": (d, latents)},
                "MatryoshkaBatchTopKSAE": plain | selection | {"group_sizes": (tuple(s["group_sizes"].shape), torch.int64) if "group_sizes" in s else ()}}[name])
    if name == "GatedAutoEncoder":
        x_enc = torch.nn.functional.linear(x - s["decoder_bias"], s["encoder.weight"])
        return gated(x_enc + s["gate_bias"], s["r_mag"].exp() * x_enc + s["mag_bias"])
    if name == "JumpReluAutoEncoder":
        return jump(x @ s["W_enc"] + s["b_enc"], s["threshold"])
    if "k" in s:
        assert s["k"].item() == trainer["k"]
    if name == "MatryoshkaBatchTopKSAE":
        assert s["group_sizes"].sum() == latents
        post = torch.relu((x - s["b_dec"]) @ s["W_enc"] + s["b_enc"])
        return jump(post, s["threshold"])
    if name == "AutoEncoder":
        # from_pretrained brings the columns of decoder.weight to unit length unless they have it, and the encoder takes the lengths over.
        length = s["decoder.weight"].norm(dim=0)
        if not torch.allclose(length, torch.ones_like(length)):
            s["encoder.weight"], s["encoder.bias"] = s["encoder.weight"] * length[:, None], s["encoder.bias"] * length
    bias = {"AutoEncoder": "bias", "AutoEncoderNew": None}.get(name, "b_dec")
    post = torch.relu(torch.nn.functional.linear(x if bias is None else x - s[bias], s["encoder.weight"], s["encoder.bias"]))
    if name == "AutoEncoderTopK":
        return top_k(post, s["k"].item())
    if name == "BatchTopKSAE":
        return jump(post, s["threshold"])
    return post, torch.full_like(post, numpy.inf)


def sparsify(folder, x):
    """sparsify/sparse_coder.py (load_from_disk; keys that config.py does not know are dropped) and fused_encoder.py."""
    cfg = read_json(os.path.join(folder, "cfg.json"))
    w, _ = read_safetensors(os.path.join(folder, "sae.safetensors"))
    d, latents = cfg["d_in"], cfg["num_latents"]
    require(w, {"encoder.weight": (latents, d), "encoder.bias": (latents,), "W_dec": (latents, d), "b_dec": (d,)})
    assert cfg["activation"] == "topk" and not cfg["transcode"] and not cfg["skip_connection"]
    x = normalise(x, cfg.get("normaliser"))
    return top_k(torch.relu(torch.nn.functional.linear(x - w["b_dec"], w["encoder.weight"], w["encoder.bias"])), cfg["k"])


def reference(w, x):
    """The published GatedSAE, whose script normalises tokens before."""
    z = x @ w["W_mag"]
    g = (z if "W_gate" not in w else x @ w["W_gate"]) + w["b_gate"]
    assert ("_tied_weights_flag" in w) == ("W_gate" not in w)
    return gated(g, z + w["b_mag"])


def latents(path, x):
    if os.path.isdir(path):
        if os.path.exists(os.path.join(path, "ae.pt")):
            return "dictionary_learning", dictionary_learning(path, x)
        if os.path.exists(os.path.join(path, "sae.safetensors")):
            return "sparsify", sparsify(path, x)
        return "SAELens", sae_lens(path, x)
    if path.endswith(".pt"):
        checkpoint = torch.load(path)
        assert checkpoint["args"]["d_in"] == x.shape[1]
        return "published checkpoint", reference(checkpoint["sae"], x)
    w, metadata = read_safetensors(path)
    if "W_mag" in w:
        return "published state dictionary", reference(w, x)
    x = normalise(x, json.loads(metadata["normaliser"]) if "normaliser" in metadata else None)
    return "JumpReLU", jump(x @ w["W_enc"] + w["b_enc"], w["threshold"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", nargs=3, action="append", required=True, metavar=("TOKENS.npy", "LATENTS.npz", "EXPORT"))
    parser.add_argument("--tolerance", type=float, default=1e-5)
    args = parser.parse_args()
    failed = False
    for tokens, expected, path in args.case:
        x = torch.from_numpy(numpy.load(tokens).astype(numpy.float32))
        ours = torch.from_numpy(numpy.load(expected)["X"])
        name, (acts, distance) = latents(path, x)
        if acts.shape != ours.shape:
            print(f"{path}: {name}, {tuple(acts.shape)} latents, {tuple(ours.shape)} were expected")
            failed = True
            continue
        apart = ((acts > 0) != (ours > 0)) & (distance < NEAR)
        largest = float((acts - ours).abs()[~apart].max())
        active = float((ours > 0).float().sum(dim=1).mean())
        good = largest <= args.tolerance and int(apart.sum()) <= 1 + acts.numel() // 100000
        failed |= not good
        print(f"{path}: {name}, {active:.1f} active per token, largest difference {largest:.1e}, {int(apart.sum())} pairs at the threshold{'' if good else ': DIFFERENT'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
