#!/usr/bin/python3
"""Makes the small files that the readers of BioSup.Data are tested with. Run in this folder; needs numpy (and anndata, h5py for the h5ad part).

Every numeric array holds the values ramp(shape) so that the tests can compute what they expect.
"""
import io
import json
import pickle
import struct
import sys
import zipfile

import numpy as np


def ramp(shape, dtype):
    return (np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape) * 3 % 101 - 20).astype(dtype)


def save_version(path, array, version):
    with open(path, "wb") as f:
        np.lib.format.write_array(f, array, version=version)


def save_pickled(path, array, protocol, replace=None):
    """An object array whose pickle uses the given protocol and, when asked, another module name (NumPy 2 renamed numpy.core)."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": array.shape})
    body = pickle.dumps(array, protocol=protocol)
    if replace:
        assert protocol == 2, "names in later protocols carry their length"
        body = body.replace(*replace)
    with open(path, "wb") as f:
        f.write(header.getvalue() + body)


def numpy_files():
    for name in ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]:
        # Unsigned types get the same values modulo their range.
        a = ramp((5, 3), np.int64).astype(np.dtype("<" + name)) if name[0] in "iu" else ramp((5, 3), "<" + name)
        np.save(f"c_{name}.npy", a)
    np.save("bool.npy", ramp((5, 3), np.int64) % 2 == 0)
    np.save("fortran_f4.npy", np.asfortranarray(ramp((5, 3), "<f4")))
    np.save("fortran_3d_i2.npy", np.asfortranarray(ramp((2, 3, 4), "<i2")))
    np.save("big_f8.npy", ramp((5, 3), ">f8"))
    np.save("big_fortran_u2.npy", np.asfortranarray((ramp((5, 3), np.int64) + 20).astype(">u2")))
    np.save("vector_f4.npy", ramp((7,), "<f4"))
    np.save("scalar_f8.npy", np.float64(2.5))
    np.save("empty_f4.npy", np.zeros((0, 4), "<f4"))
    save_version("version2.npy", ramp((5, 3), "<f4"), (2, 0))
    save_version("version3.npy", ramp((5, 3), "<f4"), (3, 0))
    words = np.array(["Control", "SNCA µ", "", "日本語 😀"])
    np.save("unicode.npy", words)
    np.save("unicode_big.npy", words.astype(">U9"))
    np.save("bytes.npy", np.array([b"abc", b"", b"de"]))
    np.save("complex.npy", np.zeros(3, complex))
    np.save("record.npy", np.zeros(3, [("a", "f4"), ("b", "i4")]))
    objects = np.array(["line:a", "line:b", "line:a", "日本語 😀", ""], dtype=object)
    for protocol in [2, 3, 4, 5]:
        save_pickled(f"object_p{protocol}.npy", objects, protocol)
    save_pickled("object_numpy2.npy", objects, 2, (b"cnumpy.core.multiarray", b"cnumpy._core.multiarray"))
    mixed = np.array(["text", 7, 2.5, True, None, np.str_("scalar")], dtype=object)
    save_pickled("object_mixed.npy", mixed, 4)
    np.save("object_2d_fortran.npy", np.asfortranarray(np.array([["a", "b", "c"], ["d", "e", "f"]], dtype=object)), allow_pickle=True)
    save_pickled("object_hostile.npy", np.array([np.datetime64("2020-01-01"), {1: 2}], dtype=object), 4)


def archives():
    members = dict(X_all=ramp((5, 3), "<f4"), y=np.arange(5), lines=np.array(["a", "b", "a", "c", "b"], dtype=object),
                   uids=np.array([f"plate/{i}.tar:{i:04}" for i in range(5)], dtype=object), usage_ema=ramp((3,), "<f4"),
                   which_layer=np.array("layer3"), fortran=np.asfortranarray(ramp((5, 3), "<f8")))
    np.savez("cache_stored.npz", **members)
    np.savez_compressed("cache_deflated.npz", **members)
    single = io.BytesIO()
    np.save(single, ramp((5, 3), "<f4"))
    with zipfile.ZipFile("no_extension.npz", "w") as z:
        z.writestr("bare", single.getvalue())


def safetensors():
    arrays = {"f64": ramp((2, 3), "<f8"), "f32": ramp((5, 3), "<f4"), "f16": ramp((2, 2), "<f2"), "i64": ramp((3,), "<i8"),
              "u8": (ramp((4,), np.int64) + 20).astype("u1"), "bool": np.array([True, False, True])}
    names = {"f64": "F64", "f32": "F32", "f16": "F16", "i64": "I64", "u8": "U8", "bool": "BOOL"}
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for key, array in arrays.items():
        header[key] = {"dtype": names[key], "shape": list(array.shape), "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    bf16 = (ramp((4,), "<f4").view("<u4") >> 16).astype("<u2")
    header["bf16"] = {"dtype": "BF16", "shape": [4], "data_offsets": [len(data), len(data) + 8]}
    data += bf16.tobytes()
    text = json.dumps(header).encode()
    with open("mixed.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


if __name__ == "__main__":
    print("python", sys.version.split()[0], "numpy", np.__version__)
    numpy_files()
    archives()
    safetensors()
