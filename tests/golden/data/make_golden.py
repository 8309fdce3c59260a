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
        z.writestr(zipfile.ZipInfo("bare"), single.getvalue())


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


def anndata_object():
    """Every kind of element that anndata 0.8 writes."""
    import anndata
    import pandas as pd
    import scipy.sparse as sp

    n, d = 6, 4
    x = ramp((n, d), np.float32)
    x[x < 0] = 0
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(n)])
    obs["line"] = pd.Categorical(["SNCA", "GBA", "Control", "SNCA", None, "GBA"])
    obs["stage"] = pd.Categorical(["late", "early", "late", "mid", "mid", "early"], categories=["early", "mid", "late"], ordered=True)
    obs["death"] = [0.5, np.nan, 1.5, 2.0, -1.0, 0.25]
    obs["death32"] = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], np.float32)
    obs["count"] = [1, 2, 3, 4, 5, 2**40]
    obs["alive"] = [True, False, True, True, False, True]
    obs["batch"] = pd.array([1, None, 3, 4, 5, 6], dtype="Int32")
    obs["flag"] = pd.array([True, None, False, True, True, False], dtype="boolean")
    obs["uid"] = [f"plate/µ{i}.tar:{i:04}" for i in range(n)]
    obs["grade"] = pd.Categorical([3, 1, 2, 1, 2, 3])
    var = pd.DataFrame({"usage": np.arange(d, dtype=np.float32) / 4}, index=[f"latent{j}" for j in range(d)])
    a = anndata.AnnData(sp.csr_matrix(x), obs=obs, var=var, dtype=np.float32)
    a.layers["dense"] = ramp((n, d), np.float64)
    a.layers["csc"] = sp.csc_matrix(x * 2)
    a.layers["ints"] = ramp((n, d), np.int32)
    a.obsm["X_pca"] = ramp((n, 3), np.float32)
    a.obsm["frame"] = pd.DataFrame({"a": np.arange(n, dtype=float), "b": list("uvwxyz")}, index=obs.index)
    a.varm["PCs"] = ramp((d, 2), np.float64)
    a.obsp["distances"] = sp.csr_matrix(np.diag(np.arange(n, dtype=np.float64)))
    a.varp["corr"] = ramp((d, d), np.float64)
    a.uns["neighbors"] = {"params": {"n_neighbors": 15, "method": "umap"}, "connectivities_key": "connectivities"}
    a.uns["colors"] = np.array(["#aabbcc", "#ddeeff"], dtype=object)
    a.uns["iroot"] = 3
    a.uns["ratio"] = 0.25
    a.uns["log1p"] = {"base": np.float32(2.0)}
    a.uns["done"] = True
    a.uns["title"] = "fünf"
    a.uns["empty"] = {}
    a.uns["names"] = np.rec.fromarrays([np.array(["g1", "g2"], dtype="U4"), np.array(["h1", "h2"], dtype="U4")], names=["A", "B"])
    a.uns["scores"] = np.rec.fromarrays([np.array([1.5, 2.5], np.float32), np.array([3, 4], np.int64)], names=["A", "B"])
    a.raw = a.copy()
    return a


def h5ad_files():
    import h5py
    import pandas as pd

    a = anndata_object()
    a.write_h5ad("anndata08.h5ad")
    a.write_h5ad("anndata08_gzip.h5ad", compression="gzip")
    small = a[:, :3].copy()
    small.X = small.X.toarray()
    del small.raw, small.uns, small.varm, small.varp, small.obsp, small.obsm, small.layers
    small.obs = small.obs[["line"]]
    small.write_h5ad("dense_lzf.h5ad", compression="lzf")
    small.obs = pd.DataFrame(index=small.obs.index)
    small.write_h5ad("no_columns.h5ad")

    text = h5py.string_dtype("utf-8")

    def mark(node, kind, version):
        node.attrs["encoding-type"], node.attrs["encoding-version"] = kind, version

    def strings(group, name, values):
        data = group.create_dataset(name, data=np.array(values, dtype=object), dtype=text)
        mark(data, "string-array", "0.2.0")
        return data

    # Elements that are newer than anndata 0.8: null, nullable-string-array (also as an index), unsigned minimal indices.
    with h5py.File("newer.h5ad", "w", libver="latest") as f:
        mark(f, "anndata", "0.1.0")
        x = f.create_dataset("X", data=h5py.Empty("f4"))
        mark(x, "null", "0.1.0")
        for axis, n in [("obs", 3), ("var", 2)]:
            g = f.create_group(axis)
            mark(g, "dataframe", "0.2.0")
            g.attrs["_index"] = "_index"
            g.attrs.create("column-order", ["note"] if axis == "obs" else [], dtype=text if axis == "obs" else None)
            index = g.create_group("_index")
            mark(index, "nullable-string-array", "0.1.0")
            strings(index, "values", [f"{axis}{i}" for i in range(n)])
            index["mask"] = np.zeros(n, bool)
            mark(index["mask"], "array", "0.2.0")
            if axis == "obs":
                note = g.create_group("note")
                mark(note, "nullable-string-array", "0.1.0")
                note.attrs["na-value"] = "NA"
                strings(note, "values", ["a", "b", "c"])
                note["mask"] = np.array([False, True, False])
        layers = f.create_group("layers")
        mark(layers, "dict", "0.1.0")
        m = layers.create_group("counts")
        mark(m, "csr_matrix", "0.1.0")
        m.attrs["shape"] = np.array([3, 2], "i8")
        m["data"], m["indices"], m["indptr"] = np.array([5, 7, 9], "u2"), np.array([1, 0, 1], "u1"), np.array([0, 1, 1, 3], "u1")
        uns = f.create_group("uns")
        mark(uns, "dict", "0.1.0")
        mark(uns.create_dataset("nothing", data=h5py.Empty("f4")), "null", "0.1.0")
        awkward = uns.create_group("ragged")
        mark(awkward, "awkward-array", "0.1.0")

    # anndata < 0.7: obs and var are compound datasets, sparse matrices carry h5sparse attributes, nothing says its encoding.
    with h5py.File("legacy06.h5ad", "w") as f:
        x = f.create_group("X")
        x.attrs["h5sparse_format"] = "csr"
        x.attrs["h5sparse_shape"] = np.array([3, 2])
        x["data"], x["indices"], x["indptr"] = np.array([5, 7, 9], "f4"), np.array([1, 0, 1], "i4"), np.array([0, 1, 1, 3], "i4")
        f["obs"] = np.array([(b"c0", 0, 1.5), (b"c1", 1, 2.5), (b"c2", 0, 3.5)], dtype=[("index", "S2"), ("louvain", "i1"), ("score", "f4")])
        f["var"] = np.array([(b"g0",), (b"g1",)], dtype=[("index", "S2")])
        f["obsm"] = np.array([([1.0, 2.0],), ([3.0, 4.0],), ([5.0, 6.0],)], dtype=[("X_pca", "f8", (2,))])
        f.create_group("uns")["louvain_categories"] = np.array([b"0", b"1"])

    # anndata 0.7: dataframe 0.1.0, a categorical is a dataset of codes that refers to its categories.
    with h5py.File("legacy07.h5ad", "w") as f:
        f["X"] = ramp((3, 2), np.float32)
        for axis, n in [("obs", 3), ("var", 2)]:
            g = f.create_group(axis)
            mark(g, "dataframe", "0.1.0")
            g.attrs["_index"] = "index"
            g.create_dataset("index", data=np.array([f"{axis}{i}" for i in range(n)], dtype=object), dtype=text)
            g.attrs.create("column-order", ["line"] if axis == "obs" else [], dtype=text)
            if axis == "obs":
                c = g.create_group("__categories").create_dataset("line", data=np.array(["GBA", "SNCA"], dtype=object), dtype=text)
                c.attrs["ordered"] = False
                codes = g.create_dataset("line", data=np.array([1, -1, 0], "i1"))
                codes.attrs["categories"] = c.ref
        mark(f.create_group("layers"), "dict", "0.1.0")


def ten_x_files():
    """Three genes (one of them an antibody, two of one name) by two cells, in the four forms that Cell Ranger has written."""
    import gzip
    import os

    import h5py

    # genes x cells: g0 = (3, 0), g1 = (0, 5), ab = (7, 1)
    mtx = "%%MatrixMarket matrix coordinate integer general\n%metadata\n3 2 4\n1 1 3\n3 1 7\n2 2 5\n3 2 1\n"
    for folder, pack in [("tenx_v2", False), ("tenx_v3", True)]:
        os.makedirs(folder, exist_ok=True)

        def put(name, content):
            path = os.path.join(folder, name + (".gz" if pack else ""))
            data = content.encode()
            with open(path, "wb") as f:
                f.write(gzip.compress(data, mtime=0) if pack else data)

        put("matrix.mtx", mtx)
        put("barcodes.tsv", "AAAC-1\nAAAG-1\n")
        if pack:
            put("features.tsv", "ENSG0\tTP53\tGene Expression\nENSG1\tTP53\tGene Expression\nAB1\tCD3\tAntibody Capture\n")
        else:
            put("genes.tsv", "ENSG0\tTP53\nENSG1\tTP53\nENSG2\tACTB\n")
    data, indices, indptr = np.array([3, 7, 5, 1], "i4"), np.array([0, 2, 1, 2], "i8"), np.array([0, 2, 4], "i8")
    with h5py.File("tenx_v3.h5", "w") as f:
        m = f.create_group("matrix")
        m["data"], m["indices"], m["indptr"], m["shape"] = data, indices, indptr, np.array([3, 2], "i4")
        m["barcodes"] = np.array([b"AAAC-1", b"AAAG-1"], "S18")
        g = m.create_group("features")
        g["id"], g["name"] = np.array([b"ENSG0", b"ENSG1", b"AB1"]), np.array([b"TP53", b"TP53", b"CD3"])
        g["feature_type"], g["genome"] = np.array([b"Gene Expression", b"Gene Expression", b"Antibody Capture"]), np.array([b"GRCh38", b"GRCh38", b""])
    with h5py.File("tenx_v2.h5", "w") as f:
        m = f.create_group("GRCh38")
        m["data"], m["indices"], m["indptr"], m["shape"] = data, indices, indptr, np.array([3, 2], "i4")
        m["barcodes"] = np.array([b"AAAC-1", b"AAAG-1"], "S18")
        m["genes"], m["gene_names"] = np.array([b"ENSG0", b"ENSG1", b"ENSG2"]), np.array([b"TP53", b"TP53", b"ACTB"])


if __name__ == "__main__":
    print("python", sys.version.split()[0], "numpy", np.__version__)
    numpy_files()
    archives()
    safetensors()
    h5ad_files()
    ten_x_files()
