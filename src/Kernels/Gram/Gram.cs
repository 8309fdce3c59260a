using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Products of a matrix with its own transpose in double precision, also of data in single precision: what principal components, effective rank and CKA stand on.
/// Columns may be centred on the way. Only the upper triangle is computed; the other one is its mirror image, bit for bit.
/// </summary>
/// <remarks>
/// Data that have to be widened or centred pass through a slab of double precision, so that there is never a second copy of the whole matrix. The slabs
/// depend on the shape alone.
/// </remarks>
public static partial class Gram
{
    private const int Panel = 256, LeastSlab = 64;
    private const long SlabElements = 1 << 22;

    /// <summary>gram = (x - 1 meansᵀ)ᵀ (x - 1 meansᵀ).</summary>
    /// <param name="x">[n, d], single or double precision</param>
    /// <param name="means">d column means, or empty for none</param>
    /// <param name="gram">[d, d]</param>
    /// <exception cref="ArgumentException">Shapes or devices differ.</exception>
    public static void Columns<T>(MatrixView<T> x, DeviceSpan<double> means, MatrixView<double> gram) where T : unmanaged, INumberBase<T> => Compute(x, means, 1, gram, byColumns: true);

    /// <summary>gram = (x - 1 meansᵀ) (x - 1 meansᵀ)ᵀ.</summary>
    /// <param name="x">[n, d], single or double precision</param>
    /// <param name="means">d column means, or empty for none</param>
    /// <param name="gram">[n, n]</param>
    /// <exception cref="ArgumentException">Shapes or devices differ.</exception>
    public static void Rows<T>(MatrixView<T> x, DeviceSpan<double> means, MatrixView<double> gram) where T : unmanaged, INumberBase<T> => Compute(x, means, 1, gram, byColumns: false);

    /// <summary>Covariance of the columns: means[j] = mean of column j, covariance = centred product / (n - ddof).</summary>
    /// <param name="x">[n, d], single or double precision, n &gt; ddof</param>
    /// <param name="means">d numbers that receive the column means</param>
    /// <param name="covariance">[d, d]</param>
    /// <param name="ddof">1 for the sample covariance, 0 for the population's.</param>
    /// <exception cref="ArgumentException">Shapes or devices differ, or there are too few rows.</exception>
    public static void Covariance<T>(MatrixView<T> x, DeviceSpan<double> means, MatrixView<double> covariance, int ddof = 1) where T : unmanaged, INumberBase<T>
    {
        if (x.Rows <= ddof) throw new ArgumentException($"{x.Rows} rows have no covariance with divisor n - {ddof}.");
        Reductions.ColumnMeans(x, means);
        Compute(x, means, 1.0 / (x.Rows - ddof), covariance, byColumns: true);
    }

    private static void Compute<T>(MatrixView<T> x, DeviceSpan<double> means, double scale, MatrixView<double> gram, bool byColumns) where T : unmanaged, INumberBase<T>
    {
        int size = byColumns ? x.Columns : x.Rows, depth = byColumns ? x.Rows : x.Columns;
        if (gram.Rows != size || gram.Columns != size) throw new ArgumentException($"The product of a {x.Rows} x {x.Columns} matrix with itself is {size} x {size}, not {gram.Rows} x {gram.Columns}.");
        if (means.Length != 0 && means.Length != x.Columns) throw new ArgumentException($"There are {means.Length} means for {x.Columns} columns.");
        if (gram.Device != x.Device || (means.Length > 0 && means.Device != x.Device)) throw new ArgumentException("The matrix, its means and the product must lie on the same device.");
        if (size == 0) return;
        if (depth == 0)
        {
            Elementwise.Fill(gram, 0);
            return;
        }
        if (x.Device is CpuDevice && KernelDispatch.Select(nameof(Gram)) == KernelVariant.Reference)
        {
            Reference(x, means, scale, gram, byColumns);
            return;
        }
        if (means.Length == 0 && typeof(T) == typeof(double)) Multiply(AsDouble(x), scale, 0, gram, byColumns);
        else BySlabs(x, means, scale, gram, byColumns);
        Mirror(gram);
    }

    private static unsafe MatrixView<double> AsDouble<T>(MatrixView<T> x) where T : unmanaged => new((double*)x.Pointer, x.Rows, x.Columns, x.Stride, x.Device);

    private static void BySlabs<T>(MatrixView<T> x, DeviceSpan<double> means, double scale, MatrixView<double> gram, bool byColumns) where T : unmanaged, INumberBase<T>
    {
        int size = gram.Rows, depth = byColumns ? x.Rows : x.Columns, length = (int)Math.Min(depth, Math.Max(LeastSlab, SlabElements / size));
        using Matrix<double> slab = byColumns ? x.Device.AllocateMatrix<double>(length, size) : x.Device.AllocateMatrix<double>(size, length);
        for (int first = 0; first < depth; first += length)
        {
            int count = Math.Min(length, depth - first);
            MatrixView<T> part = byColumns ? x.RowBlock(first, count) : x.ColumnBlock(first, count);
            MatrixView<double> wide = byColumns ? slab.View.RowBlock(0, count) : slab.View.ColumnBlock(0, count);
            Standardise.Columns(part, byColumns || means.Length == 0 ? means : means.Slice(first, count), default, wide);
            Multiply(wide, scale, first == 0 ? 0 : 1, gram, byColumns);
        }
    }

    /// <summary>The upper triangle, with whole panels on the diagonal.</summary>
    private static void Multiply(MatrixView<double> x, double scale, double beta, MatrixView<double> gram, bool byColumns)
    {
        int size = gram.Rows;
        for (int first = 0; first < size; first += Panel)
        {
            int width = Math.Min(Panel, size - first), rest = size - first;
            MatrixView<double> target = gram.RowBlock(first, width).ColumnBlock(first, rest);
            if (byColumns) Gemm.Multiply(Transpose.Yes, Transpose.No, scale, x.ColumnBlock(first, width), x.ColumnBlock(first, rest), beta, target);
            else Gemm.Multiply(Transpose.No, Transpose.Yes, scale, x.RowBlock(first, width), x.RowBlock(first, rest), beta, target);
        }
    }

    private static unsafe void Mirror(MatrixView<double> gram)
    {
        if (gram.Device is CudaDevice gpu)
        {
            CudaMirror(gpu, gram);
            return;
        }
        MirrorJob job = new() { Gram = gram.Pointer, Stride = gram.Stride, Size = gram.Rows };
        gram.Device.Host.Pool.Run((gram.Rows + MirrorJob.Tile - 1) / MirrorJob.Tile, ref job);
    }

    private unsafe struct MirrorJob : IBlockJob
    {
        public const int Tile = 32;
        public double* Gram;
        public long Stride;
        public int Size;

        /// <summary>One band of rows, tile by tile, so that the columns that are read stay in the first-level cache.</summary>
        public readonly void Execute(long block, int worker)
        {
            int top = (int)block * Tile, bottom = Math.Min(Size, top + Tile);
            for (int left = 0; left < bottom; left += Tile)
                for (int i = top; i < bottom; i++)
                    for (int j = left; j < Math.Min(i, left + Tile); j++) Gram[i * Stride + j] = Gram[j * Stride + i];
        }
    }
}
