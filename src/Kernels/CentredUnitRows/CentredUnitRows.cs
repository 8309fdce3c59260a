using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Rows minus a mean, scaled to unit length: y = (x − mean) / max(‖x − mean‖, 1e-12), the paper's preparation of tokens. The mean is given, or that of
/// the rows at hand, or comes from sums over many blocks of rows. Sums are in double precision and of fixed order; a warm call allocates nothing.
/// </summary>
public sealed partial class CentredUnitRows : IDisposable
{
    private readonly DeviceBuffer<float> _mean;
    private readonly DeviceBuffer<double> _sums;
    private readonly DeviceBuffer<double>? _partials;
    private readonly int _capacity;

    /// <param name="device">Where the rows lie.</param>
    /// <param name="rows">Most rows of one call.</param>
    /// <param name="width">Elements of a row.</param>
    public CentredUnitRows(ComputeDevice device, int rows, int width)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        Device = device;
        Width = width;
        _capacity = rows;
        _mean = device.Allocate<float>(width);
        _sums = device.Allocate<double>(width);
        if (device is CudaDevice) _partials = device.Allocate<double>((long)Chunks(rows) * width);
    }

    public ComputeDevice Device { get; }
    public int Width { get; }

    /// <summary>Sets the mean.</summary>
    public void SetMean(ReadOnlySpan<float> mean)
    {
        if (mean.Length != Width) throw new ArgumentException($"The mean has {mean.Length} elements, rows have {Width}.", nameof(mean));
        _mean.CopyFrom(mean);
    }

    /// <summary>Takes the mean of these rows, of which there is at least one.</summary>
    public void UseMeanOf(MatrixView<float> rows)
    {
        Validate(rows);
        if (Device is CudaDevice gpu)
        {
            CudaSum(gpu, rows, false, _mean.View);
            return;
        }
        _sums.Clear();
        AddOnHost(rows);
        Span<float> mean = _mean.View.Host;
        ReadOnlySpan<double> sums = _sums.View.Host;
        for (int i = 0; i < mean.Length; i++) mean[i] = (float)(sums[i] / rows.Rows);
    }

    /// <summary>Adds these rows to the sums, which start at 0.</summary>
    public void Add(MatrixView<float> rows)
    {
        Validate(rows);
        if (rows.Rows == 0) return;
        if (Device is CudaDevice gpu) CudaSum(gpu, rows, true, default);
        else AddOnHost(rows);
    }

    /// <summary>The sums of what was added [width].</summary>
    public void CopySumsTo(Span<double> sums) => _sums.CopyTo(sums);

    /// <summary>Centres and scales; both views may be one.</summary>
    public void Apply(MatrixView<float> source, MatrixView<float> destination)
    {
        Validate(source);
        Validate(destination);
        if (source.Rows != destination.Rows) throw new ArgumentException($"There are {source.Rows} rows and places for {destination.Rows}.", nameof(destination));
        if (source.Rows == 0) return;
        if (Device is CudaDevice gpu)
        {
            CudaApply(gpu, source, destination);
            return;
        }
        ReadOnlySpan<float> mean = _mean.View.Host;
        for (int t = 0; t < source.Rows; t++)
        {
            ReadOnlySpan<float> from = source.Row(t);
            Span<float> to = destination.Row(t);
            double squares = 0;
            for (int i = 0; i < to.Length; i++)
            {
                to[i] = from[i] - mean[i];
                squares += (double)to[i] * to[i];
            }
            float scale = (float)(1 / Math.Max(Math.Sqrt(squares), 1e-12));
            for (int i = 0; i < to.Length; i++) to[i] *= scale;
        }
    }

    public void Dispose()
    {
        _mean.Dispose();
        _sums.Dispose();
        _partials?.Dispose();
    }

    private void AddOnHost(MatrixView<float> rows)
    {
        Span<double> sums = _sums.View.Host;
        for (int t = 0; t < rows.Rows; t++)
        {
            ReadOnlySpan<float> row = rows.Row(t);
            for (int i = 0; i < row.Length; i++) sums[i] += row[i];
        }
    }

    private void Validate(MatrixView<float> rows)
    {
        if (rows.Columns != Width) throw new ArgumentException($"The rows have {rows.Columns} elements, expected {Width}.", nameof(rows));
        if (rows.Rows > _capacity) throw new ArgumentException($"There are {rows.Rows} rows, at most {_capacity} were announced.", nameof(rows));
        if (!ReferenceEquals(rows.Device, Device)) throw new ArgumentException("The rows lie on another device.", nameof(rows));
    }
}
