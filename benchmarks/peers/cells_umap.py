"""Times umap-learn on given cells.

usage: python cells_umap.py CELLS.npz RESULT.npz SEED THREADS      (members x float32 [cells, coordinates]; indices, distances [cells, k], each cell the first of its own row)
SEED is a number, which makes umap-learn run on one thread, or "none". Needs umap-learn. The compiled functions are warmed up on a few cells first.
Writes the layout from the given neighbours as member "layout"; prints one JSON object: seconds of the layout from the given neighbours ("given", graph, start and passes), and from the cells ("whole").
"""
import json
import sys
import time
import warnings

import numba
import numpy as np
import umap
from umap.umap_ import find_ab_params, fuzzy_simplicial_set, simplicial_set_embedding

warnings.filterwarnings("ignore")


def main():
    data, seed, threads = np.load(sys.argv[1]), sys.argv[3], int(sys.argv[4])
    numba.set_num_threads(threads)
    x, k = data["x"], data["indices"].shape[1]
    a, b = find_ab_params(1.0, 0.5)

    def given(cells, indices, distances):
        # As scanpy calls it; a number as seed keeps one thread, as in UMAP.fit.
        random = np.random.RandomState(None if seed == "none" else int(seed))
        graph = fuzzy_simplicial_set(cells, k, random, "euclidean", knn_indices=indices, knn_dists=distances)[0]
        return simplicial_set_embedding(cells, graph, 2, 1.0, a, b, 1.0, 5, 500 if len(cells) <= 10000 else 200, "spectral", random, "euclidean", {}, False, {}, False,
                                        parallel=seed == "none")[0]

    def whole(cells):
        return umap.UMAP(n_neighbors=k, min_dist=0.5, random_state=None if seed == "none" else int(seed), n_jobs=threads).fit_transform(cells)

    few = np.random.RandomState(0).normal(size=(4200, 8)).astype(np.float32)
    whole(few)
    given(x[:1000], data["indices"][:1000] % 1000, data["distances"][:1000])
    start = time.perf_counter()
    layout = given(x, data["indices"], data["distances"])
    middle = time.perf_counter()
    whole(x)
    end = time.perf_counter()
    np.savez(sys.argv[2], layout=layout.astype(np.float32))
    print(json.dumps(dict(versions=f"umap-learn {umap.__version__}, numba {numba.__version__}, {threads} threads", given=middle - start, whole=end - middle)))


if __name__ == "__main__":
    main()
