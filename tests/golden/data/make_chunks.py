#!/usr/bin/python3
"""Makes chunks_v0.h5 and chunks_latest.h5: datasets of every kind of chunk index, filter and number that the HDF5 reader knows. Run in this folder; needs h5py.

Element k (in C order) of a dataset of numbers is (7 k + 3) mod 101; where the attribute "written" names a count of rows, the rows after it hold the attribute
"fill". Text k is "k" repeated k mod 5 times with an umlaut after it.
"""
import zlib

import h5py
import numpy as np


def ramp(shape, dtype="f4"):
    return (np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape) * 7 + 3).__mod__(101).astype(dtype)


def skip(dataset, masks):
    """Rewrites chunks as if some of their filters had been skipped."""
    grid = dataset.chunks
    whole = ramp(dataset.shape, dataset.dtype)
    for at, mask, store in masks:
        block = np.zeros(grid, dataset.dtype)
        part = whole[tuple(slice(a, a + c) for a, c in zip(at, grid))]
        block[tuple(slice(0, n) for n in part.shape)] = part
        dataset.id.write_direct_chunk(at, store(block), mask)


def shuffled(block):
    return np.frombuffer(block.tobytes(), np.uint8).reshape(-1, block.dtype.itemsize).T.tobytes()


def write(path, libver):
    with h5py.File(path, "w", libver=libver) as f:
        def make(name, shape=(23, 10), dtype="f4", **options):
            f.create_dataset(name, data=ramp(shape, dtype), **options)
            return f[name]

        make("contiguous")
        make("scalar_list", (1,))
        make("plain", chunks=(5, 3))
        make("whole_rows", chunks=(5, 10))
        make("single", chunks=(23, 10))
        make("larger_than_array", chunks=(30, 16), maxshape=(None, None))
        make("gzip", chunks=(5, 3), compression="gzip")
        make("shuffle", chunks=(5, 3), shuffle=True)
        make("shuffle_gzip", (50, 40), chunks=(16, 9), compression="gzip", shuffle=True)
        make("lzf", chunks=(5, 3), compression="lzf")
        make("shuffle_lzf", (50, 40), chunks=(16, 9), compression="lzf", shuffle=True)
        make("fletcher", chunks=(5, 3), fletcher32=True)
        make("all_filters", (50, 40), chunks=(16, 9), compression="gzip", shuffle=True, fletcher32=True)
        make("odd_fletcher", (7, 7), "u1", chunks=(7, 7), fletcher32=True)
        make("long_fletcher", (4000,), "u2", chunks=(3000,), fletcher32=True)
        make("scale_offset", (23, 10), "i4", chunks=(5, 3), scaleoffset=0)
        make("list", (1000,), "i4", chunks=(37,), compression="gzip")
        make("cube", (7, 5, 6), chunks=(3, 2, 4), compression="gzip", shuffle=True)
        make("cube_rows", (7, 5, 6), chunks=(3, 2, 6))
        make("growing", maxshape=(None, 10), chunks=(5, 3))
        make("growing_gzip", maxshape=(None, 10), chunks=(5, 3), compression="gzip")
        make("growing_columns", maxshape=(30, None), chunks=(5, 3), compression="gzip")
        make("growing_list", (3000,), "u1", maxshape=(None,), chunks=(2,))
        make("growing_both", maxshape=(None, None), chunks=(5, 3), compression="gzip")
        make("growing_both_plain", (60, 40), "u1", maxshape=(None, None), chunks=(2, 2))
        make("limited", maxshape=(40, 20), chunks=(5, 3))
        make("limited_gzip", maxshape=(40, 20), chunks=(5, 3), compression="gzip")
        make("paged", (3000,), "u1", chunks=(2,))
        make("early", chunks=(5, 3))
        for kind in ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]:
            make("type_" + kind, (50, 6), kind, chunks=(16, 4), compression="gzip", shuffle=True)
        for kind in [">i2", ">u4", ">i8", ">f2", ">f4", ">f8"]:
            make("big_" + kind[1:], (50, 6), kind, chunks=(16, 4), compression="gzip", shuffle=True)
            make("big_contiguous_" + kind[1:], (50, 6), kind)
        f.create_dataset("bool", data=ramp((50, 6), "i4") % 2 == 1, chunks=(16, 4), compression="gzip")

        part = f.create_dataset("partly", (23, 10), "f4", chunks=(5, 3), compression="gzip", fillvalue=7)
        part[:10] = ramp((23, 10))[:10]
        part.attrs["written"], part.attrs["fill"] = 10, 7
        for name, options in {"never": dict(chunks=(5, 3)), "never_contiguous": {}, "never_growing": dict(chunks=(5, 3), maxshape=(None, 10), compression="gzip")}.items():
            never = f.create_dataset(name, (23, 10), "i2", fillvalue=-5, **options)
            never.attrs["written"], never.attrs["fill"] = 0, -5

        skipped = make("skipped", chunks=(5, 3), compression="gzip")
        skip(skipped, [((0, 0), 1, lambda b: b.tobytes()), ((20, 9), 1, lambda b: b.tobytes()), ((5, 3), 0, lambda b: zlib.compress(b.tobytes()))])
        skipped = make("skipped_shuffle", chunks=(5, 3), compression="gzip", shuffle=True)
        skip(skipped, [((0, 0), 3, lambda b: b.tobytes()), ((0, 3), 2, shuffled), ((0, 6), 1, lambda b: zlib.compress(b.tobytes()))])

        words = [str(k) * (k % 5) + ("ä" if k % 3 == 0 else "") for k in range(700)]
        text = h5py.string_dtype("utf-8")
        f.create_dataset("text", data=np.array(words, object), dtype=text)
        f.create_dataset("text_gzip", data=np.array(words, object), dtype=text, chunks=(64,), compression="gzip")
        f.create_dataset("text_table", data=np.array(words, object).reshape(100, 7), dtype=text, chunks=(9, 2), compression="gzip", shuffle=True)
        f.create_dataset("text_fixed", data=np.array([w.encode() for w in words]), chunks=(64,), compression="gzip")


if __name__ == "__main__":
    write("chunks_v0.h5", "earliest")
    write("chunks_latest.h5", "latest")
