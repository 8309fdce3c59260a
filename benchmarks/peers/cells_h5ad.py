"""Writes h5ad files with anndata, and times reading them with anndata and with h5py alone.

usage: python cells_h5ad.py write FOLDER CELLS VARIABLES     dense_gzip.h5ad, dense.h5ad and csr.h5ad: float32, one value in ten is not zero;
                                                             chunks.bin: the chunks of the first as stored, each after its length
       python cells_h5ad.py read FILE ROUNDS
Needs anndata, h5py, scipy and numpy. Reading prints one JSON object: best seconds of anndata.read_h5ad and of h5py's reading of the arrays of X, the sum of X, and versions.
"""
import json
import os
import struct
import sys
import time
import warnings

import anndata
import h5py
import numpy as np
from scipy import sparse

warnings.simplefilter("ignore")


def write(folder, cells, variables):
    random = np.random.default_rng(0)
    x = random.standard_normal((cells, variables), dtype=np.float32)
    x[random.random((cells, variables), dtype=np.float32) > 0.1] = 0
    anndata.AnnData(x).write_h5ad(os.path.join(folder, "dense_gzip.h5ad"), compression="gzip")
    anndata.AnnData(x).write_h5ad(os.path.join(folder, "dense.h5ad"))
    anndata.AnnData(sparse.csr_matrix(x)).write_h5ad(os.path.join(folder, "csr.h5ad"))
    with h5py.File(os.path.join(folder, "dense_gzip.h5ad")) as file, open(os.path.join(folder, "chunks.bin"), "wb") as out:
        stored = file["X"].id
        for i in range(stored.get_num_chunks()):
            chunk = stored.read_direct_chunk(stored.get_chunk_info(i).chunk_offset)[1]
            out.write(struct.pack("<i", len(chunk)) + chunk)


def arrays(path):
    with h5py.File(path) as file:
        x = file["X"]
        return [x[()]] if isinstance(x, h5py.Dataset) else [x[name][()] for name in ("data", "indices", "indptr")]


def best(run, rounds):
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def main():
    if sys.argv[1] == "write":
        write(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        print("{}")
        return
    path, rounds = sys.argv[2], int(sys.argv[3])
    whole, data = best(lambda: anndata.read_h5ad(path), rounds)
    plain, _ = best(lambda: arrays(path), rounds)
    print(json.dumps(dict(anndata_seconds=whole, h5py_seconds=plain, sum=float(data.X.sum(dtype=np.float64)), anndata=anndata.__version__, h5py=h5py.__version__)))


if __name__ == "__main__":
    main()
