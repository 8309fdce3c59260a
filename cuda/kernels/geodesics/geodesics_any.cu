// All-pairs shortest paths on an undirected graph in compressed rows (entries start[v] ... start[v + 1] - 1 of
// `neighbour` and `length` belong to v), and its components. Hops: breadth-first search from 64 sources in the bits of
// a word, all words of a vertex side by side. Lengths: Floyd and Warshall's recursion on tiles of 64 x 64
// (Venkataraman, Sahni and Mukhopadhyaya 2003), whose inner step is a product of tiles with minimum and sum in place of
// sum and product.
#include <bs/device.cuh>

namespace bs {

using Bits = unsigned long long;

constexpr int path_tile = 64, path_slab = 16, path_threads = 16; // tiles by 16 x 16 threads with 4 x 4 elements each

// Slabs of two tiles.
struct PathShared {
    double left[path_slab][path_tile + 1]; // transposed: left[k][i]
    double right[path_slab][path_tile];
};

__device__ __forceinline__ double path_at(const double* d, long long stride, int n, int i, int j) {
    return i < n && j < n ? d[i * stride + j] : infinity_double();
}

// best = min(best, left tile times right tile); a thread has rows y + 16 a and columns x + 16 b.
__device__ __forceinline__ void min_plus(const double* d, long long stride, int n, int left_row, int left_column,
                                         int right_row, int right_column, PathShared& shared, double (&best)[4][4]) {
    const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y), thread = y * path_threads + x;
    for (int k0 = 0; k0 < path_tile; k0 += path_slab) {
        __syncthreads();
        for (int e = thread; e < path_slab * path_tile; e += path_threads * path_threads) {
            shared.left[e % path_slab][e / path_slab] =
                path_at(d, stride, n, left_row + e / path_slab, left_column + k0 + e % path_slab);
            shared.right[e / path_tile][e % path_tile] =
                path_at(d, stride, n, right_row + k0 + e / path_tile, right_column + e % path_tile);
        }
        __syncthreads();
#pragma unroll 4
        for (int k = 0; k < path_slab; k++) {
            double left[4], right[4];
#pragma unroll
            for (int e = 0; e < 4; e++) {
                left[e] = shared.left[k][y + path_threads * e];
                right[e] = shared.right[k][x + path_threads * e];
            }
#pragma unroll
            for (int a = 0; a < 4; a++)
#pragma unroll
                for (int b = 0; b < 4; b++)
                    best[a][b] = fmin(best[a][b], left[a] + right[b]);
        }
    }
}

// Lowers the tile at (row, column) to the paths through the 64 vertices from `through` on.
__device__ __forceinline__ void lower_tile(double* d, long long stride, int n, int row, int column, int through,
                                           PathShared& shared) {
    const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
    double best[4][4];
#pragma unroll
    for (int a = 0; a < 4; a++)
#pragma unroll
        for (int b = 0; b < 4; b++)
            best[a][b] = path_at(d, stride, n, row + y + path_threads * a, column + x + path_threads * b);
    min_plus(d, stride, n, row, through, through, column, shared, best);
#pragma unroll
    for (int a = 0; a < 4; a++)
#pragma unroll
        for (int b = 0; b < 4; b++) {
            const int i = row + y + path_threads * a, j = column + x + path_threads * b;
            if (i < n && j < n)
                d[i * stride + j] = best[a][b];
        }
}

} // namespace bs

// Distances infinite but zero to oneself; with lengths (not null) also the edges. One block per vertex.
extern "C" __global__ void __launch_bounds__(256)
    bs_geodesics_start(const int* start, const int* neighbour, const double* length, int n, double* distances,
                       long long stride) {
    const int v = static_cast<int>(blockIdx.x);
    double* row = distances + v * stride;
    for (int j = static_cast<int>(threadIdx.x); j < n; j += static_cast<int>(blockDim.x))
        row[j] = j == v ? 0.0 : bs::infinity_double();
    if (length == nullptr)
        return;
    __syncthreads();
    for (int e = start[v] + static_cast<int>(threadIdx.x); e < start[v + 1]; e += static_cast<int>(blockDim.x))
        row[neighbour[e]] = fmin(row[neighbour[e]], length[e]);
}

// Words of 64 sources from `first` on: each source has reached itself.
extern "C" __global__ void __launch_bounds__(128)
    bs_geodesics_sources(int first, int words, bs::Bits* visited, bs::Bits* frontier) {
    const int v = static_cast<int>(blockIdx.x), source = v - first;
    for (int w = static_cast<int>(threadIdx.x); w < words; w += static_cast<int>(blockDim.x)) {
        const bs::Bits bits = source >= 0 && source / 64 == w ? 1ull << (source % 64) : 0ull;
        visited[static_cast<long long>(v) * words + w] = bits;
        frontier[static_cast<long long>(v) * words + w] = bits;
    }
}

// One level: what the neighbours reached at the level before and v has not seen. The graph is undirected, so the
// distance is written in the row of v. Sets *grown where anything was reached. One block per vertex.
extern "C" __global__ void __launch_bounds__(128)
    bs_geodesics_level(const int* start, const int* neighbour, int first, int words, int level,
                       const bs::Bits* frontier, bs::Bits* next, bs::Bits* visited, double* distances, long long stride,
                       int* grown) {
    const int v = static_cast<int>(blockIdx.x);
    bool any = false;
    for (int w = static_cast<int>(threadIdx.x); w < words; w += static_cast<int>(blockDim.x)) {
        const long long at = static_cast<long long>(v) * words + w;
        bs::Bits reached = 0;
        for (int e = start[v]; e < start[v + 1]; e++)
            reached |= frontier[static_cast<long long>(neighbour[e]) * words + w];
        reached &= ~visited[at];
        next[at] = reached;
        visited[at] |= reached;
        any = any || reached != 0;
        double* row = distances + v * stride + first + 64ll * w;
        for (; reached != 0; reached &= reached - 1)
            row[__popcll((reached & (~reached + 1)) - 1)] = level;
    }
    if (__syncthreads_or(any) && threadIdx.x == 0)
        atomicOr(grown, 1);
}

// The tile on the diagonal by itself: paths through its own vertices, one after another.
extern "C" __global__ void __launch_bounds__(256)
    bs_geodesics_diagonal(double* distances, long long stride, int n, int first) {
    __shared__ double tile[bs::path_tile][bs::path_tile + 1];
    const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
    for (int i = y; i < bs::path_tile; i += bs::path_threads)
        for (int j = x; j < bs::path_tile; j += bs::path_threads)
            tile[i][j] = bs::path_at(distances, stride, n, first + i, first + j);
    // Row and column k do not change in step k, since the way from k to k has length zero.
    for (int k = 0; k < bs::path_tile && first + k < n; k++) {
        __syncthreads();
        for (int i = y; i < bs::path_tile; i += bs::path_threads)
            for (int j = x; j < bs::path_tile; j += bs::path_threads) {
                const double through = tile[i][k] + tile[k][j];
                if (through < tile[i][j])
                    tile[i][j] = through;
            }
    }
    __syncthreads();
    for (int i = y; i < bs::path_tile; i += bs::path_threads)
        for (int j = x; j < bs::path_tile; j += bs::path_threads)
            if (first + i < n && first + j < n)
                distances[(first + i) * stride + first + j] = tile[i][j];
}

// The other tiles of its row (blockIdx.y 0) and column (1). The diagonal tile is closed, so one product suffices.
extern "C" __global__ void __launch_bounds__(256)
    bs_geodesics_cross(double* distances, long long stride, int n, int first) {
    __shared__ bs::PathShared shared;
    const int other = static_cast<int>(blockIdx.x) * bs::path_tile;
    if (other == first)
        return;
    const bool in_row = blockIdx.y == 0;
    bs::lower_tile(distances, stride, n, in_row ? first : other, in_row ? other : first, first, shared);
}

// All tiles outside that row and column: paths through the vertices of the diagonal tile.
extern "C" __global__ void __launch_bounds__(256)
    bs_geodesics_rest(double* distances, long long stride, int n, int first) {
    __shared__ bs::PathShared shared;
    const int row = static_cast<int>(blockIdx.y) * bs::path_tile, column = static_cast<int>(blockIdx.x) * bs::path_tile;
    if (row == first || column == first)
        return;
    bs::lower_tile(distances, stride, n, row, column, first, shared);
}

extern "C" __global__ void __launch_bounds__(256) bs_geodesics_own_labels(int n, int* labels) {
    const int v = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (v < n)
        labels[v] = v;
}

// Lowers the label of every vertex to the least among its neighbours', and further to that vertex's own label. Repeated
// until nothing changes, every label is the least vertex of its component.
extern "C" __global__ void __launch_bounds__(256)
    bs_geodesics_labels(const int* start, const int* neighbour, int n, int* labels, int* changed) {
    const int v = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    bool lower = false;
    if (v < n) {
        int least = labels[v];
        for (int e = start[v]; e < start[v + 1]; e++)
            least = min(least, labels[neighbour[e]]);
        least = labels[least];
        lower = atomicMin(labels + v, least) > least;
    }
    if (__syncthreads_or(lower) && threadIdx.x == 0)
        atomicOr(changed, 1);
}
