#!/usr/bin/python3
"""Writes example.zarr.zip: a small AnnData in zarr version 3 as the specifications of zarr and anndata describe it, with nothing but Python's own modules.

zstd frames hold their content as it is (raw blocks), which every reader of zstd must take; gzip, crc32c and an index of shards are written where they are asked for."""
import gzip
import json
import struct
import zipfile


def zstd(content):
    """A frame with the size of its content (4 bytes), no sum, raw blocks of up to 128 KiB, the last one marked."""
    frame = struct.pack("<IBI", 0xFD2FB528, 0xA0, len(content))
    pieces = [content[i : i + 131072] for i in range(0, len(content), 131072)] or [b""]
    for i, piece in enumerate(pieces):
        frame += struct.pack("<I", len(piece) << 3 | (i == len(pieces) - 1))[:3] + piece
    return frame


def crc32c(content):
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    total = 0xFFFFFFFF
    for byte in content:
        total = total >> 8 ^ table[(total ^ byte) & 255]
    return struct.pack("<I", total ^ 0xFFFFFFFF)


BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
ZSTD = {"name": "zstd", "configuration": {"level": 0, "checksum": False}}
FORMATS = {"float32": "f", "float64": "d", "int8": "b", "int32": "i", "int64": "q", "bool": "?"}
STORE = {}


def group(path, kind=None, version="0.1.0", **attributes):
    if kind:
        attributes = {"encoding-type": kind, "encoding-version": version, **attributes}
    STORE[path + "zarr.json"] = {"attributes": attributes, "zarr_format": 3, "node_type": "group"}


def array(path, data_type, shape, chunk, codecs, chunks, kind="array", version="0.2.0", fill=0, **attributes):
    STORE[path + "/zarr.json"] = {
        "shape": shape,
        "data_type": data_type,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": codecs,
        "attributes": {"encoding-type": kind, "encoding-version": version, **attributes},
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }
    for place, content in chunks.items():
        STORE["/".join([path, "c", *place.split()])] = content


def vector(path, data_type, values, **more):
    array(path, data_type, [len(values)], [max(1, len(values))], [BYTES, ZSTD], {"0": zstd(struct.pack(f"<{len(values)}{FORMATS[data_type]}", *values))}, **more)


def texts(path, values, **more):
    body = struct.pack("<I", len(values)) + b"".join(struct.pack("<I", len(v.encode())) + v.encode() for v in values)
    array(path, "string", [len(values)], [len(values)], [{"name": "vlen-utf8", "configuration": {}}, ZSTD], {"0": zstd(body)}, kind="string-array", fill="", **more)


def frame(path, index, columns):
    group(path + "/", "dataframe", "0.2.0", **{"_index": "_index", "column-order": columns})
    texts(path + "/_index", index)


group("", "anndata")
frame("obs", ["c0", "c1", "c2", "c3", "c4"], ["line", "death", "batch"])
group("obs/line/", "categorical", "0.2.0", ordered=False)
vector("obs/line/codes", "int8", [1, 0, -1, 1, 0])
texts("obs/line/categories", ["GBA", "SNCA µ"])
vector("obs/death", "float64", [0.5, float("nan"), 1.5, 2.0, -1.0])
group("obs/batch/", "nullable-integer")
vector("obs/batch/values", "int64", [1, 2, 3, 4, 5])
vector("obs/batch/mask", "bool", [False, True, False, False, False], fill=False)
frame("var", ["g0", "g1", "g2"], [])

# X: 5 x 3, shards of 4 x 4 with inner chunks of 2 x 2, of which the last on the right of the first shard is not stored.
x = [[1, 0, 0], [0, 2, 0], [3, 0, 0], [0, 0, 4], [5, 6, 7]]
shards = {}
for row in (0, 4):
    body, index = b"", b""
    for r in (row, row + 2):
        for c in (0, 2):
            values = [x[i][j] if i < 5 and j < 3 else 0 for i in (r, r + 1) for j in (c, c + 1)]
            stored = r < 5 and any(values)
            content = zstd(struct.pack("<4f", *values))
            index += struct.pack("<QQ", len(body), len(content)) if stored else b"\xff" * 16
            body += content if stored else b""
    shards[f"{row // 4} 0"] = body + index + crc32c(index)
inner = {"chunk_shape": [2, 2], "codecs": [BYTES, ZSTD], "index_codecs": [BYTES, {"name": "crc32c"}], "index_location": "end"}
array("X", "float32", [5, 3], [4, 4], [{"name": "sharding_indexed", "configuration": inner}], shards, fill=0.0)

for branch in ("layers", "obsm", "varm", "obsp", "varp", "uns"):
    group(branch + "/", "dict")
group("layers/counts/", "csr_matrix", shape=[5, 3])
vector("layers/counts/data", "float32", [1, 2, 3, 4, 5, 6, 7])
vector("layers/counts/indices", "int32", [0, 1, 0, 2, 0, 1, 2])
vector("layers/counts/indptr", "int32", [0, 1, 2, 3, 4, 7])
# obsm/X_pca: gzip with a sum, in chunks of 2 rows; the second holds the fill value and is not stored.
pca = [[0.5 * (i + 1), 1 - i] for i in range(5)]
pca[2], pca[3] = [float("inf"), float("inf")], [float("inf"), float("inf")]
chunks = {}
for start in (0, 4):
    content = gzip.compress(struct.pack("<4d", *(v for i in (start, start + 1) for v in (pca[i] if i < 5 else [0, 0]))), mtime=0)
    chunks[f"{start // 2} 0"] = content + crc32c(content)
array("obsm/X_pca", "float64", [5, 2], [2, 2], [BYTES, {"name": "gzip", "configuration": {"level": 5}}, {"name": "crc32c"}], chunks, fill="Infinity")
array("uns/title", "string", [], [], [{"name": "vlen-utf8", "configuration": {}}, ZSTD], {"": zstd(struct.pack("<II", 1, 6) + "fünf!".encode())}, kind="string", fill="")
array("uns/nothing", "bool", [], [], [BYTES, ZSTD], {}, kind="null", version="0.1.0", fill=False)
fields = [["A", {"name": "fixed_length_utf32", "configuration": {"length_bytes": 8}}], ["B", "int32"]]
array("uns/names", {"name": "structured", "configuration": {"fields": fields}}, [2], [2], [BYTES, ZSTD],
      {"0": zstd("g1".encode("utf-32-le") + struct.pack("<i", 7) + "g2".encode("utf-32-le") + struct.pack("<i", -8))}, kind="rec-array", fill="")

root = STORE["zarr.json"]
root["consolidated_metadata"] = {"kind": "inline", "must_understand": False,
                                 "metadata": {key[: -len("/zarr.json")]: value for key, value in STORE.items() if key.endswith("/zarr.json")}}
with zipfile.ZipFile("example.zarr.zip", "w") as archive:
    for key in sorted(STORE):
        content = STORE[key]
        name = key.rstrip("/")
        archive.writestr(zipfile.ZipInfo(name), json.dumps(content) if isinstance(content, dict) else content)
