using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class SinkhornScaling
{
    private const string CudaSource = "cuda/kernels/sinkhorn_scaling/sinkhorn_any.cu";

    /// <summary>
    /// The log-domain iteration in three launches. Both forms of <see cref="SinkhornOptions"/> run it: without an absorbed kernel to read there is
    /// one pass over the cost per half iteration either way, and acceleration and compaction, which serve the scaling form, are not applied.
    /// </summary>
    private static SinkhornResult SolveCuda(SinkhornCudaState state, MatrixView<float> cost, DeviceSpan<double> a, DeviceSpan<double> b, double epsilon,
        DeviceSpan<double> f, DeviceSpan<double> g, in SinkhornOptions options)
    {
        DeviceKernels.Report(state.Device, nameof(SinkhornScaling), state);
        state.RequirePositive(a, b);
        double error = double.PositiveInfinity, inverse = 1 / epsilon;
        CudaStream stream = state.Device.Stream;
        // Of the two column potentials one belongs to the present f, the other is being made.
        DeviceSpan<double> current = state.Potentials(0), next = state.Potentials(1);
        Columns(state, cost, b, epsilon, inverse, f, current, next);
        int iteration = 0;
        bool converged = false;
        while (iteration < options.MaxIterations && !converged)
        {
            DeviceSpan<double> made = next;
            next = current;
            current = made;
            state.Kernels.Rows.Launch(stream, state.RowShape, cost.Address, cost.Stride, cost.Columns, a.Address, current.Address, epsilon, inverse, f.Address);
            Columns(state, cost, b, epsilon, inverse, f, current, next);
            if (iteration++ % options.CheckEvery != 0) continue;
            error = state.Violation();
            converged = error < options.Tolerance;
        }
        stream.Copy(current, g);
        return new SinkhornResult(iteration, error, converged, 0);
    }

    /// <summary>The column sums for f: the next g, and how far the present one misses the column masses.</summary>
    private static void Columns(SinkhornCudaState state, MatrixView<float> cost, DeviceSpan<double> b, double epsilon, double inverse, DeviceSpan<double> f,
        DeviceSpan<double> current, DeviceSpan<double> next)
    {
        CudaStream stream = state.Device.Stream;
        state.Kernels.Partials.Launch(stream, state.PartialShape, cost.Address, cost.Stride, cost.Rows, cost.Columns, f.Address, inverse, state.Largest, state.Sums);
        state.Kernels.Columns.Launch(stream, state.ColumnShape, state.Largest, state.Sums, state.Chunks, cost.Columns, b.Address, current.Address, epsilon, inverse,
            next.Address, state.Violations);
    }

    private static double UpdateCouplingCuda(CudaDevice device, MatrixView<float> cost, DeviceSpan<double> f, DeviceSpan<double> g, double epsilon, MatrixView<float> coupling,
        DeviceSpan<double> rowChange, MatrixView<float> change)
    {
        if (cost.Rows == 0) return 0;
        DeviceKernels.Get(device, new JitRequest(CudaSource), "bs_sinkhorn_f32_coupling").Launch(device.Stream, SinkhornCudaState.ShapeOfRows(cost.Rows, cost.Columns), cost.Address, cost.Stride, cost.Columns,
            f.Address, g.Address, 1 / epsilon, coupling.Address, coupling.Stride, change.Address, change.Stride, rowChange.Address);
        using PinnedBuffer<double> squares = new(device, cost.Rows);
        device.Stream.Download(rowChange, squares.Span);
        device.Stream.Synchronize();
        double sum = 0;
        foreach (double square in squares.Span) sum += square;
        return Math.Sqrt(sum);
    }

    /// <summary>The kernels of an iteration on one device.</summary>
    internal sealed class CudaKernels(CudaDevice device)
    {
        public CudaKernel Rows { get; } = DeviceKernels.Get(device, new JitRequest(CudaSource), "bs_sinkhorn_f32_rows");
        public CudaKernel Partials { get; } = DeviceKernels.Get(device, new JitRequest(CudaSource), "bs_sinkhorn_f32_column_partials");
        public CudaKernel Columns { get; } = DeviceKernels.Get(device, new JitRequest(CudaSource), "bs_sinkhorn_f32_columns");
    }
}

/// <summary>Device memory of a solver for one shape, and how its launches are cut. The cut follows from the shape alone.</summary>
internal sealed class SinkhornCudaState : IDisposable
{
    private const int Threads = 256, ChunkRows = 256, StripColumns = 32;
    private readonly int _columns;
    private readonly DeviceBuffer<double> _potentials, _partials, _violations;
    private readonly PinnedBuffer<double> _host;

    public SinkhornCudaState(CudaDevice device, int rows, int columns)
    {
        Device = device;
        _columns = columns;
        Chunks = (rows + ChunkRows - 1) / ChunkRows;
        RowShape = ShapeOfRows(rows, columns);
        PartialShape = new LaunchShape(new Extent((columns + StripColumns - 1) / StripColumns, Chunks), Threads);
        ColumnShape = LaunchShape.For(columns, Threads);
        _potentials = device.Allocate<double>(2L * columns);
        _partials = device.Allocate<double>(2L * Chunks * columns);
        _violations = device.Allocate<double>(ColumnShape.Grid.X);
        _host = new PinnedBuffer<double>(device, Math.Max(rows, columns));
        Kernels = new SinkhornScaling.CudaKernels(device);
    }

    public CudaDevice Device { get; }
    public SinkhornScaling.CudaKernels Kernels { get; }
    public int Chunks { get; }
    public LaunchShape RowShape { get; }
    public LaunchShape PartialShape { get; }
    public LaunchShape ColumnShape { get; }
    public DevicePointer Largest => _partials.View.Address;
    public DevicePointer Sums => _partials.View.Slice((long)Chunks * _columns, (long)Chunks * _columns).Address;
    public DevicePointer Violations => _violations.View.Address;

    public DeviceSpan<double> Potentials(int which) => _potentials.View.Slice((long)which * _columns, _columns);

    /// <summary>One block per row, with threads for eight elements each.</summary>
    public static LaunchShape ShapeOfRows(int rows, int columns)
    {
        int threads = 32;
        while (threads < Threads && threads * 8 < columns) threads *= 2;
        return new LaunchShape(rows, threads);
    }

    /// <summary>Norm of the violation of the column marginal; waits for the work before it.</summary>
    public double Violation()
    {
        Span<double> squares = _host.Span[..ColumnShape.Grid.X];
        Device.Stream.Download(_violations.View, squares);
        Device.Stream.Synchronize();
        double sum = 0;
        foreach (double square in squares) sum += square;
        return Math.Sqrt(sum);
    }

    /// <exception cref="ArgumentException">A mass is zero, negative or not finite.</exception>
    public void RequirePositive(DeviceSpan<double> a, DeviceSpan<double> b)
    {
        RequirePositive(a, nameof(a));
        RequirePositive(b, nameof(b));
    }

    public void Dispose()
    {
        _potentials.Dispose();
        _partials.Dispose();
        _violations.Dispose();
        _host.Dispose();
    }

    public override string ToString() => $"rows {RowShape.Grid} x {RowShape.Block} threads, column partials {PartialShape.Grid} x {PartialShape.Block} threads, {Chunks} chunks";

    private void RequirePositive(DeviceSpan<double> mass, string name)
    {
        Span<double> values = _host.Span[..(int)mass.Length];
        Device.Stream.Download(mass, values);
        Device.Stream.Synchronize();
        for (int i = 0; i < values.Length; i++)
            if (!(values[i] > 0) || !double.IsFinite(values[i])) throw new ArgumentException($"Mass {i} is {values[i]}; masses must be positive.", name);
    }
}
