using System.Runtime.Intrinsics;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>Means and deviations by which the columns of sparse samples are standardised: x → (x − mean) / scale.</summary>
internal sealed record SparseScaler(double[] Means, double[] Scales);

/// <summary>
/// Sparse samples, standardised without becoming dense: (x − μ)/s · w = x · (w/s) − μ · (w/s), so that products visit entries that are not zero alone. Rows give scores, columns
/// gradients; each has one owner and a fixed order of sums, whatever the threads.
/// </summary>
internal sealed unsafe class SparseDesign : ProbeDesign
{
    private const int BlockRows = 256, BlockColumns = 64;
    private readonly CpuDevice _device;
    private readonly SparseRows _x;
    private readonly int[] _rows;
    private readonly SparseScaler _scaler;

    // The same entries by column: place among the rows, and value. Pointers are as long as all of them may be.
    private readonly long[] _starts = [];
    private readonly DeviceBuffer<int>? _places;
    private readonly DeviceBuffer<float>? _values;

    /// <param name="device">Whose threads compute.</param>
    /// <param name="x">All samples.</param>
    /// <param name="rows">Those that take part.</param>
    /// <param name="scaler">From the training rows; null takes it from these.</param>
    /// <param name="commonScale">With no scaler: one deviation for all columns.</param>
    /// <param name="byColumn">Whether gradients and scalers are wanted, or only scores.</param>
    public SparseDesign(CpuDevice device, SparseRows x, int[] rows, SparseScaler? scaler, bool commonScale, bool byColumn)
    {
        (_device, _x, _rows) = (device, x, rows);
        if (byColumn)
        {
            _starts = new long[x.Columns + 1];
            foreach (int row in rows)
            {
                x.Row(row, out ReadOnlySpan<int> columns, out _);
                foreach (int j in columns) _starts[j + 1]++;
            }
            for (int j = 0; j < x.Columns; j++) _starts[j + 1] += _starts[j];
            (_places, _values) = (device.Allocate<int>(_starts[^1]), device.Allocate<float>(_starts[^1]));
            Transpose();
        }
        _scaler = scaler ?? Measure(commonScale);
    }

    public override ComputeDevice Device => _device;
    public override int Rows => _rows.Length;
    public override int Columns => _x.Columns;
    public SparseScaler Scaler => _scaler;

    public override void Scores(Matrix<double> weights, Matrix<double> scores)
    {
        int classes = weights.Rows, width = Padded(classes);
        // Weights as the entries meet them: all classes of a column side by side.
        double[] folded = new double[(long)Columns * width], offsets = new double[width];
        for (int c = 0; c < classes; c++)
        {
            ReadOnlySpan<double> w = weights.Row(c);
            double offset = w[Columns];
            for (int j = 0; j < Columns; j++)
            {
                double scaled = w[j] / _scaler.Scales[j];
                folded[(long)j * width + c] = scaled;
                offset -= _scaler.Means[j] * scaled;
            }
            offsets[c] = offset;
        }
        fixed (double* f = folded, o = offsets)
        {
            ScoreJob job = new(this, f, o, width, scores);
            _device.Pool.Run((Rows + BlockRows - 1) / BlockRows, ref job);
        }
    }

    public override void Gradient(double scale, Matrix<double> residual, Matrix<double> gradient)
    {
        int classes = residual.Columns, width = Padded(classes);
        double[] padded = new double[(long)Rows * width], sums = new double[width];
        for (int t = 0; t < Rows; t++)
        {
            ReadOnlySpan<double> row = residual.Row(t);
            row.CopyTo(padded.AsSpan(t * width));
            for (int c = 0; c < classes; c++) sums[c] += row[c];
        }
        for (int c = 0; c < classes; c++) gradient.Row(c)[Columns] = scale * sums[c];
        fixed (double* r = padded, s = sums)
        {
            GradientJob job = new(this, r, s, width, scale, gradient);
            _device.Pool.Run((Columns + BlockColumns - 1) / BlockColumns, ref job);
        }
    }

    public override void Dispose()
    {
        _places?.Dispose();
        _values?.Dispose();
    }

    /// <summary>Classes rounded up to whole vectors.</summary>
    private static int Padded(int classes) => (classes + Vector256<double>.Count - 1) / Vector256<double>.Count * Vector256<double>.Count;

    private void Transpose()
    {
        long[] next = _starts[..^1];
        int* places = _places!.View.Pointer;
        float* entries = _values!.View.Pointer;
        for (int place = 0; place < _rows.Length; place++)
        {
            _x.Row(_rows[place], out ReadOnlySpan<int> columns, out ReadOnlySpan<float> values);
            for (int k = 0; k < columns.Length; k++)
            {
                long at = next[columns[k]]++;
                (places[at], entries[at]) = (place, values[k]);
            }
        }
    }

    /// <summary>Mean and deviation of every column, the zeros counted, as <see cref="ColumnStatistics"/> has them.</summary>
    private SparseScaler Measure(bool commonScale)
    {
        double[] means = new double[Columns], variances = new double[Columns];
        float* entries = _values!.View.Pointer;
        for (int j = 0; j < Columns; j++)
        {
            double sum = 0, squares = 0;
            for (long k = _starts[j]; k < _starts[j + 1]; k++) sum += entries[k];
            double mean = sum / Rows;
            for (long k = _starts[j]; k < _starts[j + 1]; k++) squares += (entries[k] - mean) * (entries[k] - mean);
            means[j] = mean;
            variances[j] = (squares + (Rows - (_starts[j + 1] - _starts[j])) * mean * mean) / Rows;
        }
        if (!commonScale) return new SparseScaler(means, [.. variances.Select((v, j) => ColumnStatistics.Scale(v, means[j], Rows))]);
        double average = Columns > 0 ? variances.Average() : 0, common = average > 0 ? Math.Sqrt(average) : 1;
        Array.Fill(variances, common);
        return new SparseScaler(means, variances);
    }

    private readonly struct ScoreJob(SparseDesign design, double* weights, double* offsets, int width, Matrix<double> scores) : IBlockJob
    {
        public void Execute(long block, int worker)
        {
            double* sums = stackalloc double[width <= 64 ? width : 0];
            double[]? large = width > 64 ? new double[width] : null;
            fixed (double* more = large)
                for (int t = (int)block * BlockRows, end = Math.Min(t + BlockRows, design.Rows); t < end; t++) Row(t, large is null ? sums : more);
        }

        private void Row(int t, double* sums)
        {
            new ReadOnlySpan<double>(offsets, width).CopyTo(new Span<double>(sums, width));
            design._x.Row(design._rows[t], out ReadOnlySpan<int> columns, out ReadOnlySpan<float> values);
            for (int k = 0; k < columns.Length; k++) AddScaled(sums, weights + (long)columns[k] * width, values[k], width);
            new ReadOnlySpan<double>(sums, scores.Columns).CopyTo(scores.Row(t));
        }
    }

    private readonly struct GradientJob(SparseDesign design, double* residual, double* sums, int width, double scale, Matrix<double> gradient) : IBlockJob
    {
        public void Execute(long block, int worker)
        {
            double[] column = new double[width];
            int* places = design._places!.View.Pointer;
            float* values = design._values!.View.Pointer;
            fixed (double* total = column)
                for (int j = (int)block * BlockColumns, end = Math.Min(j + BlockColumns, design.Columns); j < end; j++)
                {
                    Array.Clear(column);
                    for (long k = design._starts[j]; k < design._starts[j + 1]; k++) AddScaled(total, residual + (long)places[k] * width, values[k], width);
                    double factor = scale / design._scaler.Scales[j], mean = design._scaler.Means[j];
                    for (int c = 0; c < gradient.Rows; c++) gradient.Row(c)[j] = factor * (total[c] - mean * sums[c]);
                }
        }
    }

    /// <summary>target += factor · source; the width is a whole number of vectors.</summary>
    private static void AddScaled(double* target, double* source, double factor, int width)
    {
        Vector256<double> f = Vector256.Create(factor);
        for (int c = 0; c < width; c += Vector256<double>.Count)
            Vector256.Store(Vector256.FusedMultiplyAdd(f, Vector256.Load(source + c), Vector256.Load(target + c)), target + c);
    }
}
