using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using BioSup.Runtime;
using static System.Runtime.Intrinsics.Vector256;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// Vectors in blocks of eight: a block holds its eight vectors entry by entry, one cache line for each entry, so that an entry of a sparse matrix is multiplied with
/// eight numbers for one random access, and products between blocks read every vector once for eight results. Sums are made over fixed ranges of entries and
/// joined in order: the same bytes on any number of threads.
/// </summary>
internal sealed unsafe class VectorBlocks : IDisposable
{
    /// <summary>Vectors of a block, and the elements of a product of two blocks.</summary>
    public const int Width = 8, Square = Width * Width;

    /// <summary>Ranges whose sums are joined, and entries that stay in the second-level cache while every block is multiplied with them.</summary>
    private const int MostChunks = 128, FewestChunkRows = 256, StripRows = 128;

    private readonly CpuDevice _device;
    private readonly AlignedBuffer<double> _values, _partial, _scratch;
    private readonly int _length, _blocks, _chunkRows, _chunks;

    /// <param name="device">Whose threads do the work.</param>
    /// <param name="length">Entries of a vector.</param>
    /// <param name="blocks">How many blocks; all vectors begin as zeros.</param>
    public VectorBlocks(CpuDevice device, int length, int blocks)
    {
        (_device, _length, _blocks) = (device, length, blocks);
        _chunkRows = Math.Max(FewestChunkRows, (length + MostChunks - 1) / MostChunks);
        _chunks = (length + _chunkRows - 1) / _chunkRows;
        _values = new AlignedBuffer<double>(device, (long)blocks * length * Width);
        _partial = new AlignedBuffer<double>(device, (long)_chunks * (blocks + 1) * Square);
        _scratch = new AlignedBuffer<double>(device, (long)device.Pool.Threads * blocks * StripRows * Width);
    }

    /// <summary>[length × 8] the entries of a block.</summary>
    public double* Block(int block) => _values.Pointer + (long)block * _length * Width;

    public double this[int vector, int entry]
    {
        get => Block(vector / Width)[(long)entry * Width + vector % Width];
        set => Block(vector / Width)[(long)entry * Width + vector % Width] = value;
    }

    /// <summary>Products of every vector of some blocks with every vector of another.</summary>
    /// <param name="first">The first of the blocks.</param>
    /// <param name="count">How many.</param>
    /// <param name="target">The block they are multiplied with.</param>
    /// <param name="products">[count × 8 × 8] vector of the blocks, vector of the target.</param>
    public void Project(int first, int count, int target, Span<double> products) => Run(new ProductJob(this, first, count, target, null, ofTarget: false), products[..(count * Square)]);

    /// <summary>W ← W − V C for some blocks V and another block W, and Wᵀ W of what is left.</summary>
    /// <param name="first">The first of the blocks.</param>
    /// <param name="count">How many.</param>
    /// <param name="target">The block W.</param>
    /// <param name="products">[count × 8 × 8] C, as <see cref="Project"/> gives it.</param>
    /// <param name="gram">[8 × 8] receives Wᵀ W.</param>
    public void Subtract(int first, int count, int target, ReadOnlySpan<double> products, Span<double> gram)
    {
        double[] minus = new double[count * Square];
        for (int i = 0; i < minus.Length; i++) minus[i] = -products[i];
        fixed (double* c = minus) Run(new ProductJob(this, first, count, target, c, ofTarget: true), gram);
    }

    /// <summary>W ← W M for a block W and an [8 × 8] matrix M.</summary>
    public void Transform(int target, ReadOnlySpan<double> matrix)
    {
        fixed (double* m = matrix)
        {
            CombineJob job = new(this, target, 1, 1, m);
            _device.Pool.Run(_chunks, ref job);
        }
    }

    /// <summary>Replaces vectors by combinations of them: (block <paramref name="first"/> + o) ← Σᵢ (block first + i) S(i, o).</summary>
    /// <param name="first">The first block that is read, and the first written.</param>
    /// <param name="inputs">Blocks read.</param>
    /// <param name="outputs">Blocks written, at most as many.</param>
    /// <param name="weights">[inputs × outputs × 8 × 8] S.</param>
    public void Combine(int first, int inputs, int outputs, ReadOnlySpan<double> weights)
    {
        fixed (double* s = weights)
        {
            CombineJob job = new(this, first, inputs, outputs, s);
            _device.Pool.Run(_chunks, ref job);
        }
    }

    /// <summary>Copies a block.</summary>
    public void Copy(int from, int to) => Buffer.MemoryCopy(Block(from), Block(to), (long)_length * Width * sizeof(double), (long)_length * Width * sizeof(double));

    public void Dispose()
    {
        _values.Dispose();
        _partial.Dispose();
        _scratch.Dispose();
    }

    private void Run(ProductJob job, Span<double> sums)
    {
        _device.Pool.Run(_chunks, ref job);
        sums.Clear();
        for (int chunk = 0; chunk < _chunks; chunk++)
        {
            double* part = Partial(chunk);
            for (int i = 0; i < sums.Length; i++) sums[i] += part[i];
        }
    }

    private double* Partial(long chunk) => _partial.Pointer + chunk * (_blocks + 1) * Square;

    /// <summary>Products of blocks with the target, or, where something is subtracted from the target first, of the target with itself.</summary>
    private readonly struct ProductJob(VectorBlocks owner, int first, int count, int target, double* subtract, bool ofTarget) : IBlockJob
    {
        public void Execute(long block, int worker)
        {
            double* partial = owner.Partial(block);
            new Span<double>(partial, Math.Max(1, count) * Square).Clear();
            long end = Math.Min(owner._length, (block + 1) * owner._chunkRows);
            for (long row = block * owner._chunkRows; row < end; row += StripRows)
            {
                int rows = (int)Math.Min(StripRows, end - row);
                double* w = owner.Block(target) + row * Width;
                if (!ofTarget)
                {
                    for (int q = 0; q < count; q++) AddOuter(owner.Block(first + q) + row * Width, w, rows, partial + q * Square);
                    continue;
                }
                for (int q = 0; q < count; q++) AddProduct(owner.Block(first + q) + row * Width, subtract + q * Square, w, rows);
                AddOuter(w, w, rows, partial);
            }
        }
    }

    private readonly struct CombineJob(VectorBlocks owner, int first, int inputs, int outputs, double* weights) : IBlockJob
    {
        public void Execute(long block, int worker)
        {
            double* scratch = owner._scratch.Pointer + (long)worker * owner._blocks * StripRows * Width;
            long end = Math.Min(owner._length, (block + 1) * owner._chunkRows);
            for (long row = block * owner._chunkRows; row < end; row += StripRows)
            {
                int rows = (int)Math.Min(StripRows, end - row), bytes = rows * Width * sizeof(double);
                new Span<double>(scratch, outputs * StripRows * Width).Clear();
                for (int o = 0; o < outputs; o++)
                    for (int i = 0; i < inputs; i++) AddProduct(owner.Block(first + i) + row * Width, weights + ((long)i * outputs + o) * Square, scratch + o * StripRows * Width, rows);
                for (int o = 0; o < outputs; o++) Buffer.MemoryCopy(scratch + o * StripRows * Width, owner.Block(first + o) + row * Width, bytes, bytes);
            }
        }
    }

    /// <summary>Stores line i of Y = P + shift X − Z, the last step of <see cref="ISymmetricMap.Multiply"/>.</summary>
    /// <param name="i">Which line.</param>
    /// <param name="left">First four entries of P.</param>
    /// <param name="right">The others.</param>
    /// <param name="x">X.</param>
    /// <param name="shift">Factor of X.</param>
    /// <param name="minus">Z, null for zero.</param>
    /// <param name="y">Y, which may be Z.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Finish(long i, Vector256<double> left, Vector256<double> right, double* x, double shift, double* minus, double* y)
    {
        long at = i * Width;
        if (shift != 0)
        {
            Vector256<double> share = Create(shift);
            left = FusedMultiplyAdd(share, Load(x + at), left);
            right = FusedMultiplyAdd(share, Load(x + at + 4), right);
        }
        if (minus != null)
        {
            left -= Load(minus + at);
            right -= Load(minus + at + 4);
        }
        left.Store(y + at);
        right.Store(y + at + 4);
    }

    /// <summary>Stores eight registers, each so many elements after the one before.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(double* to, int apart, Vector256<double> v0, Vector256<double> v1, Vector256<double> v2, Vector256<double> v3, Vector256<double> v4, Vector256<double> v5, Vector256<double> v6,
        Vector256<double> v7)
    {
        v0.Store(to);
        v1.Store(to + apart);
        v2.Store(to + 2 * apart);
        v3.Store(to + 3 * apart);
        v4.Store(to + 4 * apart);
        v5.Store(to + 5 * apart);
        v6.Store(to + 6 * apart);
        v7.Store(to + 7 * apart);
    }

    /// <summary>c += vᵀ w.</summary>
    private static void AddOuter(double* v, double* w, int rows, double* c)
    {
        for (int half = 0; half < Width; half += 4, c += 4, w += 4)
        {
            Vector256<double> c0 = Load(c), c1 = Load(c + 8), c2 = Load(c + 16), c3 = Load(c + 24), c4 = Load(c + 32), c5 = Load(c + 40), c6 = Load(c + 48), c7 = Load(c + 56);
            for (int i = 0; i < rows; i++)
            {
                double* a = v + i * Width;
                Vector256<double> b = Load(w + i * Width);
                c0 = FusedMultiplyAdd(Create(a[0]), b, c0);
                c1 = FusedMultiplyAdd(Create(a[1]), b, c1);
                c2 = FusedMultiplyAdd(Create(a[2]), b, c2);
                c3 = FusedMultiplyAdd(Create(a[3]), b, c3);
                c4 = FusedMultiplyAdd(Create(a[4]), b, c4);
                c5 = FusedMultiplyAdd(Create(a[5]), b, c5);
                c6 = FusedMultiplyAdd(Create(a[6]), b, c6);
                c7 = FusedMultiplyAdd(Create(a[7]), b, c7);
            }
            Store(c, Width, c0, c1, c2, c3, c4, c5, c6, c7);
        }
    }

    /// <summary>w += v m for an [8 × 8] matrix; four entries at a time, as one alone would wait for its own sums.</summary>
    private static void AddProduct(double* v, double* m, double* w, int rows)
    {
        int i = 0;
        for (; i + 4 <= rows; i += 4, v += 4 * Width, w += 4 * Width)
        {
            Vector256<double> w0 = Load(w), w1 = Load(w + 4), w2 = Load(w + 8), w3 = Load(w + 12), w4 = Load(w + 16), w5 = Load(w + 20), w6 = Load(w + 24), w7 = Load(w + 28);
            for (int a = 0; a < Width; a++)
            {
                Vector256<double> left = Load(m + a * Width), right = Load(m + a * Width + 4);
                Vector256<double> x0 = Create(v[a]), x1 = Create(v[8 + a]), x2 = Create(v[16 + a]), x3 = Create(v[24 + a]);
                w0 = FusedMultiplyAdd(x0, left, w0);
                w1 = FusedMultiplyAdd(x0, right, w1);
                w2 = FusedMultiplyAdd(x1, left, w2);
                w3 = FusedMultiplyAdd(x1, right, w3);
                w4 = FusedMultiplyAdd(x2, left, w4);
                w5 = FusedMultiplyAdd(x2, right, w5);
                w6 = FusedMultiplyAdd(x3, left, w6);
                w7 = FusedMultiplyAdd(x3, right, w7);
            }
            Store(w, 4, w0, w1, w2, w3, w4, w5, w6, w7);
        }
        for (; i < rows; i++, v += Width, w += Width)
        {
            Vector256<double> left = Load(w), right = Load(w + 4);
            for (int a = 0; a < Width; a++)
            {
                left = FusedMultiplyAdd(Create(v[a]), Load(m + a * Width), left);
                right = FusedMultiplyAdd(Create(v[a]), Load(m + a * Width + 4), right);
            }
            left.Store(w);
            right.Store(w + 4);
        }
    }
}
