using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>One matrix made ready for the tiles: unit rows where the metric asks for them, squared norms, and packed panels for the y side.</summary>
internal sealed unsafe class PairOperand<T> : IDisposable where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly AlignedBuffer<T>? _rows;
    private readonly AlignedBuffer<T>? _norms;
    private readonly AlignedBuffer<T>? _panels;

    /// <param name="device">Whose threads do the work.</param>
    /// <param name="source">[n, d].</param>
    /// <param name="metric">Cosine and correlation rows are scaled to unit length, correlation rows centred before.</param>
    /// <param name="expanded">Whether squared norms are needed.</param>
    /// <param name="panelWidth">Rows in a panel; 0 when the matrix is only the x side.</param>
    public PairOperand(CpuDevice device, MatrixView<T> source, DistanceMetric metric, bool expanded, int panelWidth)
    {
        Rows = source.Pointer;
        Stride = source.Stride;
        bool unit = metric is DistanceMetric.Cosine or DistanceMetric.Correlation;
        // Loads of whole vectors may run past the last row's norm; a norm of one never looks like cancellation.
        long padded = ((long)source.Rows + PairBlocks.Size - 1) / PairBlocks.Size * PairBlocks.Size;
        if (unit)
        {
            _rows = new AlignedBuffer<T>(device, (long)source.Rows * source.Columns);
            Rows = _rows.Pointer;
            Stride = source.Columns;
        }
        if (expanded)
        {
            _norms = new AlignedBuffer<T>(device, padded);
            new Span<T>(_norms.Pointer, checked((int)padded)).Fill(T.One);
            Norms = _norms.Pointer;
        }
        if (unit || expanded)
        {
            PrepareJob prepare = new()
            {
                Source = source.Pointer, SourceStride = source.Stride, Count = source.Rows, Depth = source.Columns,
                Unit = unit ? Rows : null, Norms = Norms, Centred = metric == DistanceMetric.Correlation,
            };
            device.Pool.Run((source.Rows + PrepareJob.BlockRows - 1) / PrepareJob.BlockRows, ref prepare);
        }
        if (panelWidth > 0)
        {
            long panels = ((long)source.Rows + panelWidth - 1) / panelWidth;
            _panels = new AlignedBuffer<T>(device, panels * panelWidth * source.Columns);
            PackJob pack = new() { Rows = Rows, Stride = Stride, Count = source.Rows, Depth = source.Columns, Panels = _panels.Pointer, Width = panelWidth };
            device.Pool.Run(panels, ref pack);
        }
    }

    /// <summary>Row-major rows: the source itself, or the unit rows made from it.</summary>
    public T* Rows { get; }
    public long Stride { get; }

    /// <summary>Squared norms, padded with ones to whole blocks; null when not asked for.</summary>
    public T* Norms { get; }
    public T* Panels => _panels is null ? null : _panels.Pointer;

    public void Dispose()
    {
        _rows?.Dispose();
        _norms?.Dispose();
        _panels?.Dispose();
    }

    /// <summary>Norms and unit rows, summed in double precision.</summary>
    private struct PrepareJob : IBlockJob
    {
        public const int BlockRows = 64;
        public T* Source;
        public long SourceStride;
        public int Count;
        public int Depth;
        public T* Unit;
        public T* Norms;
        public bool Centred;

        public readonly void Execute(long block, int worker)
        {
            int end = (int)Math.Min(Count, (block + 1) * BlockRows);
            for (int i = (int)(block * BlockRows); i < end; i++)
            {
                T* row = Source + i * SourceStride;
                double mean = Centred ? Mean(row) : 0, norm = SquaredNorm(row, mean);
                if (Unit == null)
                {
                    Norms[i] = T.CreateTruncating(norm);
                    continue;
                }
                // A zero row stays zero with norm one: at distance 1 from everything. The norms of unit rows are left at exactly one.
                double scale = norm > 0 ? 1 / Math.Sqrt(norm) : 0;
                for (int k = 0; k < Depth; k++) Unit[(long)i * Depth + k] = T.CreateTruncating((double.CreateTruncating(row[k]) - mean) * scale);
            }
        }

        /// <summary>From the first element on, so that a constant row has exactly its constant as mean.</summary>
        private readonly double Mean(T* row)
        {
            if (Depth == 0) return 0;
            double first = double.CreateTruncating(row[0]), sum = 0;
            for (int k = 0; k < Depth; k++) sum += double.CreateTruncating(row[k]) - first;
            return first + sum / Depth;
        }

        private readonly double SquaredNorm(T* row, double mean)
        {
            double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
            int k = 0;
            for (; k + 4 <= Depth; k += 4)
            {
                double v0 = double.CreateTruncating(row[k]) - mean, v1 = double.CreateTruncating(row[k + 1]) - mean;
                double v2 = double.CreateTruncating(row[k + 2]) - mean, v3 = double.CreateTruncating(row[k + 3]) - mean;
                s0 += v0 * v0;
                s1 += v1 * v1;
                s2 += v2 * v2;
                s3 += v3 * v3;
            }
            for (; k < Depth; k++)
            {
                double v = double.CreateTruncating(row[k]) - mean;
                s0 += v * v;
            }
            return s0 + s1 + (s2 + s3);
        }
    }

    /// <summary>One panel: a transposed copy of its rows. Missing rows stay zero.</summary>
    private struct PackJob : IBlockJob
    {
        public T* Rows;
        public long Stride;
        public int Count;
        public int Depth;
        public T* Panels;
        public int Width;

        public readonly void Execute(long block, int worker)
        {
            T* panel = Panels + block * Width * Depth;
            long first = block * Width;
            int rows = (int)Math.Min(Width, Count - first);
            BlockTranspose.Run(Rows + first * Stride, Stride, rows, Depth, panel, Width);
        }
    }
}
