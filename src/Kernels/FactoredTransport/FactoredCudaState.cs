using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>What the host decides by after an iteration: the state that cuda/kernels/factored_transport/factored_vectors_any.cu and the mixing keep.</summary>
/// <param name="SquaredViolation">Of the column masses.</param>
/// <param name="Merit">The dual objective, up to a constant.</param>
/// <param name="SquaredResidual">Of the column potential: its change by the iteration.</param>
/// <param name="Directions">Directions of the last mixing, 0 where it changed nothing.</param>
/// <param name="Taken">Largest change of a potential by the last mixing.</param>
/// <param name="Magnitude">The largest column potential.</param>
internal readonly record struct FactoredState(double SquaredViolation, double Merit, double SquaredResidual, int Directions, double Taken, double Magnitude)
{
    public const int Count = 6;
}

/// <summary>Device memory of a plan known by factors, and the launches over it. Vectors come from the host and go back there once per call, not once per iteration.</summary>
internal sealed unsafe class FactoredCudaState<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int Threads = 256;
    private readonly List<IDisposable> _owned = [];
    private readonly FactoredCudaConfig _config;
    private readonly FactoredCudaKernels _kernels;
    private readonly int _rows, _columns, _rank;
    private readonly long _paddedRows, _paddedColumns;
    private readonly LaunchShape _overRows, _overColumns, _oneBlock;
    private readonly DeviceBuffer<T> _left, _right, _base, _factor, _shift, _rowFactor, _largest;
    private readonly DeviceBuffer<double> _u, _v, _a, _b, _sums, _scale, _parts, _violations, _scalars;
    private PinnedBuffer<double>? _host;
    private CudaMixingMemory? _mixing;
    private int _current;
    private bool _hasBase, _tensor;

    /// <param name="right">Column factors of a plan that shares them, or null for its own.</param>
    public FactoredCudaState(CudaDevice device, int rows, int columns, int rank, FactoredCudaState<T>? right)
    {
        Device = device;
        (_rows, _columns, _rank) = (rows, columns, rank);
        _config = FactoredCudaConfig.For(rows, columns, rank, sizeof(T));
        (_paddedRows, _paddedColumns) = (_config.PaddedRows, _config.PaddedColumns);
        (_overRows, _overColumns) = (LaunchShape.For(_paddedRows, Threads), LaunchShape.For(_paddedColumns, Threads));
        int threads = 32;
        while (threads < 1024 && threads * 8 < Math.Max(rows, columns)) threads *= 2;
        _oneBlock = new LaunchShape(1, threads);
        _kernels = new FactoredCudaKernels(device, sizeof(T));
        _left = Own(device.Allocate<T>(_paddedRows * rank));
        _right = right?._right ?? Own(device.Allocate<T>(_paddedColumns * rank));
        (_base, _factor) = (Own(device.Allocate<T>(_paddedColumns)), Own(device.Allocate<T>(_paddedColumns)));
        (_shift, _rowFactor, _scale) = (Own(device.Allocate<T>(_paddedRows)), Own(device.Allocate<T>(_paddedRows)), Own(device.Allocate<double>(_paddedRows)));
        long parts = Math.Max(_config.RowParts * _paddedRows, _config.ColumnParts * _paddedColumns);
        (_largest, _parts) = (Own(device.Allocate<T>(parts)), Own(device.Allocate<double>(parts)));
        (_u, _a) = (Own(device.Allocate<double>(rows)), Own(device.Allocate<double>(rows)));
        (_v, _b, _sums) = (Own(device.Allocate<double>(2L * columns)), Own(device.Allocate<double>(columns)), Own(device.Allocate<double>(columns)));
        _violations = Own(device.Allocate<double>(2L * _overColumns.Grid.X));
        _scalars = Own(device.Allocate<double>(FactoredState.Count));
    }

    public CudaDevice Device { get; }

    /// <summary>Device bytes of a plan of this shape, with those of the mixing.</summary>
    public static long BytesFor(int rows, int columns, int rank)
    {
        FactoredCudaConfig config = FactoredCudaConfig.For(rows, columns, rank, sizeof(T));
        (long n, long m) = (config.PaddedRows, config.PaddedColumns);
        long factors = sizeof(T) * ((n + m) * rank + Math.Max((long)rows, columns) * rank + 2 * m + 2 * n);
        return factors + (sizeof(T) + 8) * Math.Max(config.RowParts * n, config.ColumnParts * m) + 8 * (3 * n + (4 + 3L * (AndersonMixing.Depth + 1)) * m);
    }

    /// <summary>How the next passes form their scores.</summary>
    /// <exception cref="ArgumentException">The tensor cores were asked for, and the plan is in double precision or has too many factors.</exception>
    public void Choose(FactoredScores wanted)
    {
        if (wanted == FactoredScores.TensorFloat3 && _config.TensorBytes == 0)
            throw new ArgumentException($"The tensor cores form scores in single precision of at most {FactoredCudaConfig.MostTensorLevels} factors; this plan has {_rank} factors of {8 * sizeof(T)} bits.", nameof(wanted));
        _tensor = wanted == FactoredScores.Automatic ? _config.TensorBytes > 0 && _rank >= FactoredCudaConfig.LeastTensorLevels : wanted == FactoredScores.TensorFloat3;
        DeviceKernels.Report(Device, nameof(FactoredTransport), _config with { Tensor = _tensor });
    }

    /// <summary>Column factors [m, r] from host memory.</summary>
    public void SetRight(MatrixView<double> right)
    {
        using DeviceBuffer<T> values = Device.Host.Allocate<T>((long)right.Rows * right.Columns);
        Convert(right, values.View.Host);
        Pack(values.View.Host, right.Rows, right.Columns, _paddedColumns, _right.View);
        _hasBase = false;
    }

    /// <summary>Row factors [n, r] as they are now in host memory.</summary>
    public void SetLeft(Matrix<T> left) => Pack(left.Buffer.View.Host, _rows, _rank, _paddedRows, _left.View);

    /// <summary>Column potentials from the host; <paramref name="fresh"/>: scores are rounded relative to these, not to earlier ones near them.</summary>
    public void SetColumnPotentials(DeviceSpan<double> v, bool fresh = false)
    {
        _current = 0;
        Device.Upload<double>(v.Host, Potential(0));
        Rebase(fresh);
    }

    public void SetMasses(DeviceSpan<double> a, DeviceSpan<double> b)
    {
        Device.Upload<double>(a.Host, _a.View);
        if (b.Length > 0) Device.Upload<double>(b.Host, _b.View);
    }

    /// <summary>Row potentials from the host, for what multiplies entries.</summary>
    public void SetRowPotentials(DeviceSpan<double> u)
    {
        Device.Upload<double>(u.Host, _u.View);
        _kernels.RowShifts.Launch(Device.Stream, _overRows, _u.View.Address, _rows, _paddedRows, _shift.View.Address, _scale.View.Address);
    }

    /// <summary>Row potentials of the present column potentials.</summary>
    public void Rows()
    {
        CudaStream stream = Device.Stream;
        (_tensor ? _kernels.RowsTensor : _kernels.Rows).Launch(stream, _tensor ? _config.Rows with { SharedBytes = _config.TensorBytes } : _config.Rows, _left.View.Address,
            _paddedRows, _right.View.Address, _paddedColumns, _rank, _base.View.Address, _factor.View.Address, _config.RowTiles, _largest.View.Address, _parts.View.Address);
        _kernels.RowPotentials.Launch(stream, _overRows, _largest.View.Address, _parts.View.Address, _config.RowParts, _a.View.Address, _rows, _paddedRows, _u.View.Address, _shift.View.Address,
            _rowFactor.View.Address);
    }

    /// <summary>Column sums of the plan with these row potentials, and the next column potentials.</summary>
    public void Columns()
    {
        CudaStream stream = Device.Stream;
        (_tensor ? _kernels.ColumnsTensor : _kernels.Columns).Launch(stream, _tensor ? _config.Columns with { SharedBytes = _config.TensorBytes } : _config.Columns, _left.View.Address,
            _paddedRows, _right.View.Address, _paddedColumns, _rank, _base.View.Address, _shift.View.Address, _rowFactor.View.Address, _config.ColumnTiles, _largest.View.Address, _parts.View.Address);
        _kernels.ColumnPotentials.Launch(stream, _overColumns, _largest.View.Address, _parts.View.Address, _config.ColumnParts, _b.View.Address, Potential(_current).Address, _factor.View.Address, _columns,
            _paddedColumns, _sums.View.Address, Next.Address, _violations.View.Address, Magnitudes);
    }

    /// <summary>Keeps the pair of the iteration where it is accelerated, and says how it went. Waits for the work before it.</summary>
    public FactoredState Record(bool keep)
    {
        (DevicePointer image, DevicePointer residual) = keep ? Mixing.NextSlots() : default;
        _kernels.Record.Launch(Device.Stream, _oneBlock, _rows, _columns, _u.View.Address, Potential(_current).Address, Next.Address, _a.View.Address, _b.View.Address, _violations.View.Address, Magnitudes,
            _overColumns.Grid.X, image, residual, _scalars.View.Address);
        _host ??= Own(new PinnedBuffer<double>(Device, FactoredState.Count));
        Device.Stream.Download(_scalars.View, _host.Span);
        Device.Stream.Synchronize();
        Span<double> values = _host.Span;
        return new FactoredState(values[0], values[1], values[2], (int)values[3], values[4], values[5]);
    }

    /// <summary>Mixes the next column potentials; false when there are too few pairs. Whether it changed anything is known with the next <see cref="Record"/>.</summary>
    public bool Mix(double radius) => Mixing.Mix(Next.Address, radius, _scalars.View.Address);

    /// <summary>Puts the plain iterate that the last mixing replaced in the place of the next one, and forgets all pairs.</summary>
    public void Restore() => Mixing.Restore(Next);

    public void ForgetPairs() => _mixing?.Clear();

    /// <summary>The next column potentials become the present ones.</summary>
    public void Advance()
    {
        _current = 1 - _current;
        Rebase(fresh: false);
    }

    public void DownloadRows(DeviceSpan<double> u) => Device.Download(_u.View, u.Host);

    public void DownloadColumns(DeviceSpan<double> v, DeviceSpan<double> sums)
    {
        if (v.Length > 0) Device.Download(Potential(_current), v.Host);
        Device.Download(_sums.View, sums.Host);
    }

    /// <summary>T b.</summary>
    public void ApplyRight(MatrixView<double> result) => Apply(_right.View.Address, result);

    /// <summary>T V for features [m, k] in host memory.</summary>
    public void Apply(MatrixView<double> features, MatrixView<double> result)
    {
        using DeviceBuffer<T> values = Device.Host.Allocate<T>((long)features.Rows * features.Columns), packed = Device.Allocate<T>(_paddedColumns * features.Columns);
        Convert(features, values.View.Host);
        Pack(values.View.Host, features.Rows, features.Columns, _paddedColumns, packed.View);
        Apply(packed.View.Address, result);
    }

    public void Entries(int firstRow, int firstColumn, MatrixView<double> result)
    {
        // A block of entries at a time on the device: any number of rows may be asked for.
        int rows = Math.Clamp((1 << 23) / result.Columns, 1, Math.Min(result.Rows, 1 << 15));
        for (int first = 0; first < result.Rows; first += rows)
        {
            int count = Math.Min(rows, result.Rows - first);
            DeviceSpan<double> block = Device.Workspace.Take<double>((long)count * result.Columns);
            LaunchShape shape = new(new Extent((result.Columns + Threads - 1) / Threads, count), Threads);
            _kernels.Entries.Launch(Device.Stream, shape, _left.View.Address, _paddedRows, _right.View.Address, _paddedColumns, _rank, _base.View.Address, _factor.View.Address, _shift.View.Address,
                _scale.View.Address, firstRow + first, firstColumn, result.Columns, block.Address);
            Download(block, result.RowBlock(first, count));
        }
    }

    public void Best(DeviceSpan<int> best)
    {
        DeviceSpan<int> columns = Device.Workspace.Take<int>(_rows);
        _kernels.Best.Launch(Device.Stream, _config.Rows, _left.View.Address, _paddedRows, _right.View.Address, _paddedColumns, _rank, _base.View.Address, _config.RowTiles, _largest.View.Address,
            _parts.View.Address);
        _kernels.BestColumns.Launch(Device.Stream, _overRows, _largest.View.Address, _parts.View.Address, _config.RowParts, _rows, _paddedRows, columns.Address);
        Device.Download(columns, best.Host);
    }

    /// <summary>Squared differences of the entries from those of another plan of this shape, summed by row, into host memory.</summary>
    public void Change(FactoredCudaState<T> other, DeviceSpan<double> rowSums)
    {
        // The buffer of row potentials has done its part when the shifts are made.
        _kernels.Change.Launch(Device.Stream, new LaunchShape(_config.Rows.Grid.X, Threads, _config.TileBytes), new FactoredCudaSide(this), new FactoredCudaSide(other), _paddedRows, _paddedColumns, _rows,
            _u.View.Address);
        Device.Download(_u.View, rowSums.Host);
    }

    public void Dispose()
    {
        _mixing?.Dispose();
        foreach (IDisposable owned in _owned) owned.Dispose();
        _owned.Clear();
    }

    /// <summary>One of the two plans that a change is taken of, as the kernel takes it.</summary>
    private readonly struct FactoredCudaSide(FactoredCudaState<T> state)
    {
        public readonly DevicePointer Left = state._left.View.Address, Right = state._right.View.Address, Base = state._base.View.Address, Factor = state._factor.View.Address,
            Shift = state._shift.View.Address, Scale = state._scale.View.Address;
        public readonly long Rank = state._rank;
    }

    private CudaMixingMemory Mixing => _mixing ??= new CudaMixingMemory(Device, _columns, _kernels.Mix, _oneBlock);
    private DeviceSpan<double> Next => Potential(1 - _current);
    private DevicePointer Magnitudes => _violations.View.Slice(_overColumns.Grid.X, _overColumns.Grid.X).Address;

    private DeviceSpan<double> Potential(int which) => _v.View.Slice((long)which * _columns, _columns);

    private void Rebase(bool fresh)
    {
        _kernels.Base.Launch(Device.Stream, _overColumns, Potential(_current).Address, _columns, _paddedColumns, fresh || !_hasBase ? 1 : 0, _base.View.Address, _factor.View.Address);
        _hasBase = true;
    }

    private void Apply(DevicePointer features, MatrixView<double> result)
    {
        DeviceSpan<double> product = Device.Workspace.Take<double>((long)_rows * result.Columns);
        LaunchShape shape = new(new Extent(_config.Rows.Grid.X, (result.Columns + FactoredCudaConfig.FeaturesOfBlock - 1) / FactoredCudaConfig.FeaturesOfBlock), Threads, _config.ApplyBytes);
        _kernels.Apply.Launch(Device.Stream, shape, _left.View.Address, _paddedRows, _right.View.Address, _paddedColumns, _rank, _base.View.Address, _factor.View.Address, _shift.View.Address,
            _scale.View.Address, features, result.Columns, _rows, product.Address);
        Download(product, result);
    }

    private void Pack(ReadOnlySpan<T> values, int count, int width, long padded, DeviceSpan<T> packed)
    {
        DeviceSpan<T> between = Device.Workspace.Take<T>((long)count * width);
        Device.Upload(values[..(count * width)], between);
        _kernels.Pack.Launch(Device.Stream, new LaunchShape(new Extent((int)((padded + Threads - 1) / Threads), width), Threads), between.Address, count, width, padded, packed.Address);
    }

    private void Download(DeviceSpan<double> source, MatrixView<double> result)
    {
        if (result.Stride == result.Columns) Device.Download(source, new Span<double>(result.Pointer, checked(result.Rows * result.Columns)));
        else
            for (int i = 0; i < result.Rows; i++) Device.Download(source.Slice((long)i * result.Columns, result.Columns), result.Row(i));
    }

    private static void Convert(MatrixView<double> source, Span<T> values)
    {
        for (int i = 0; i < source.Rows; i++) System.Numerics.Tensors.TensorPrimitives.ConvertTruncating<double, T>(source.Row(i), values.Slice(i * source.Columns, source.Columns));
    }

    private TOwned Own<TOwned>(TOwned item) where TOwned : IDisposable
    {
        _owned.Add(item);
        return item;
    }
}
