using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Outer iterations of many small Gromov-Wasserstein problems at once on a GPU, where one alone leaves most multiprocessors idle: the problem is the third dimension of every
/// launch. Problems may differ in shape, and share operands. Each decides on the device when its transport problem is solved and what its acceleration does, so the host looks at all of
/// them once in several inner iterations, and those that are done cost nothing. A problem's bytes do not depend on which others it is solved with.
/// </summary>
/// <remarks>The acceleration is that of <see cref="SinkhornScaling"/>; products are computed in full on the ordinary units, in the type of the costs.</remarks>
public sealed unsafe class GromovBatch<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
{
    private const string Source = "cuda/kernels/gromov_batch/gromov_batch_any.cu";
    private const int Tile = 64, RowThreads = 32, ProblemThreads = 128, ColumnThreads = 256, StripColumns = 32, ChunkRows = 256, Slots = AndersonMixing.Depth + 1;

    /// <summary>Turns of the inner solve between two looks of the host; a turn is an iteration or what follows a mixing.</summary>
    private const int TurnsPerLook = 8;
    private static readonly JitRequest s_single = new(Source), s_double = new(Source, "BS_ELEMENT=double");
    private readonly CudaDevice _device;
    private readonly GromovBatchSettings _settings;
    private readonly DeviceBuffer<CudaBatchProblem> _table;
    private readonly DeviceBuffer<CudaBatchState> _states;
    private readonly DeviceBuffer<T> _matrices;
    private readonly DeviceBuffer<double> _vectors;
    private readonly CudaBatchState[] _host;
    private readonly LaunchShape _products, _rows, _partials, _columns, _each;
    private readonly CudaKernel _product, _linearise, _begin, _rowsKernel, _partialsKernel, _columnsKernel, _advance, _coupling, _change, _finish;
    private CudaGraph? _turns;

    /// <param name="device">The GPU that holds everything the items name.</param>
    /// <param name="items">The problems; what they name stays theirs.</param>
    /// <param name="settings">What they have in common.</param>
    /// <exception cref="ArgumentException">There is no problem, a cost is not symmetric or not a matrix, or shapes do not fit.</exception>
    public GromovBatch(CudaDevice device, IReadOnlyList<GromovBatchItem<T>> items, in GromovBatchSettings settings)
    {
        if (items.Count == 0) throw new ArgumentException("A batch has at least one problem.", nameof(items));
        if (!(settings.Epsilon > 0) || !double.IsFinite(settings.Epsilon) || settings.MaxIterations < 1) throw new ArgumentOutOfRangeException(nameof(settings), "Epsilon must be positive and finite, and there is at least one iteration.");
        foreach (GromovBatchItem<T> item in items) Validate(item);
        (_device, _settings) = (device, settings);
        int rows = items.Max(item => item.Operands.Rows), columns = items.Max(item => item.Operands.Columns), count = items.Count;
        _products = new LaunchShape(new Extent(Ceiling(rows, Tile), Ceiling(columns, Tile), count), new Extent(16, 16));
        _rows = new LaunchShape(new Extent(rows, 1, count), RowThreads);
        _partials = new LaunchShape(new Extent(Ceiling(columns, StripColumns), Ceiling(rows, ChunkRows), count), ColumnThreads);
        _columns = new LaunchShape(new Extent(Ceiling(columns, ColumnThreads), 1, count), ColumnThreads);
        _each = new LaunchShape(new Extent(1, 1, count), ProblemThreads);
        _table = device.Allocate<CudaBatchProblem>(count);
        _states = device.Allocate<CudaBatchState>(count);
        _matrices = device.Allocate<T>(items.Sum(item => 3L * item.Operands.Rows * item.Operands.Columns));
        _vectors = device.Allocate<double>(items.Sum(VectorLength));
        _host = new CudaBatchState[count];
        _table.CopyFrom(Table(items));
        (_product, _linearise, _begin, _rowsKernel, _partialsKernel) = (Kernel("product"), Kernel("linearise"), Kernel("begin"), Kernel("rows"), Kernel("partials"));
        (_columnsKernel, _advance, _coupling, _change, _finish) = (Kernel("columns"), Kernel("advance"), Kernel("coupling"), Kernel("change"), Kernel("finish"));
        DeviceKernels.Report(device, "GromovBatch", $"{count} problems of at most {rows} x {columns}, {_rows.Grid} blocks x {RowThreads} threads for rows, products {_products.Grid} blocks");
    }

    /// <summary>One outer iteration of every problem that has not been finished.</summary>
    /// <param name="steps">Receives how it went, one for each problem; those of finished ones are not looked at.</param>
    /// <param name="cancellation">Stops between two looks.</param>
    public void Step(Span<GromovBatchStep> steps, CancellationToken cancellation)
    {
        CudaStream stream = _device.Stream;
        DevicePointer table = _table.View.Address;
        _product.Launch(stream, _products, table, 0);
        _product.Launch(stream, _products, table, 1);
        _linearise.Launch(stream, _rows, table, _settings.Structure, _settings.Between, _settings.Proximal ? 1 : 0, _settings.Epsilon);
        _begin.Launch(stream, _each with { Block = 32 }, table, _settings.Epsilon);
        _turns ??= CudaGraph.Capture(stream, Turns);
        do
        {
            cancellation.ThrowIfCancellationRequested();
            _turns.Launch(stream);
            _device.Download(_states.View, _host);
        }
        while (!AllSolved());
        _coupling.Launch(stream, _rows, table, 1 / _settings.Epsilon);
        _change.Launch(stream, _each, table);
        _device.Download(_states.View, _host);
        for (int i = 0; i < _host.Length; i++)
        {
            ref readonly CudaBatchState s = ref _host[i];
            steps[i] = new GromovBatchStep(Math.Sqrt(s.Change), new SinkhornResult(s.Iterations, s.Error, s.Converged != 0, 0), s.Merit);
        }
    }

    /// <summary>Ends a problem: its coupling stays as it is.</summary>
    public void Finish(int problem) => _finish.Launch(_device.Stream, new LaunchShape(1, 32), _table.View.Address, problem);

    public void Dispose()
    {
        _turns?.Dispose();
        _table.Dispose();
        _states.Dispose();
        _matrices.Dispose();
        _vectors.Dispose();
    }

    private void Turns(CudaStream stream)
    {
        DevicePointer table = _table.View.Address;
        double epsilon = _settings.Epsilon, inverse = 1 / epsilon;
        for (int turn = 0; turn < TurnsPerLook; turn++)
        {
            _rowsKernel.Launch(stream, _rows, table, epsilon, inverse);
            _partialsKernel.Launch(stream, _partials, table, inverse);
            _columnsKernel.Launch(stream, _columns, table, epsilon, inverse);
            _advance.Launch(stream, _each, table, epsilon, _settings.MaxIterations);
        }
    }

    private bool AllSolved()
    {
        foreach (CudaBatchState state in _host)
            if (state.Phase < CudaBatchState.Solved) return false;
        return true;
    }

    private CudaBatchProblem[] Table(IReadOnlyList<GromovBatchItem<T>> items)
    {
        CudaBatchProblem[] table = new CudaBatchProblem[items.Count];
        long matrix = 0, vector = 0;
        for (int i = 0; i < table.Length; i++)
        {
            GromovBatchItem<T> item = items[i];
            GromovOperands<T> operands = item.Operands;
            (int n, int m) = (operands.Rows, operands.Columns);
            long chunks = Ceiling(n, ChunkRows);
            table[i] = new CudaBatchProblem
            {
                Rows = n, Columns = m, Left = operands.Left.View.Address, Right = operands.Right.View.Address, RowTerm = operands.RowTerm.View.Address, ColumnTerm = operands.ColumnTerm.View.Address,
                P = item.P.View.Address, Q = item.Q.View.Address, Between = item.Between is null ? DevicePointer.Null : item.Between.View.Address, Coupling = item.Coupling.View.Address,
                Product = Matrix((long)n * m), Cost = Matrix((long)n * m), Scratch = Matrix((long)n * m),
                F = Vector(n), Start = Vector(n), G = Vector(2L * m), Largest = Vector(chunks * m), Sums = Vector(chunks * m), Violations = Vector(Ceiling(m, ColumnThreads)), RowChange = Vector(n),
                Images = Vector((long)Slots * n), Residuals = Vector((long)Slots * n), Directions = Vector((long)AndersonMixing.Depth * n),
                Tolerance = Math.Max(_settings.Tolerance, SinkhornScaling.ReachableError(sizeof(T), SquaredNorm(item.Q))), State = _states.View.Slice(i, 1).Address,
            };
        }
        return table;

        DevicePointer Matrix(long length) => _matrices.View.Slice((matrix += length) - length, length).Address;
        DevicePointer Vector(long length) => _vectors.View.Slice((vector += length) - length, length).Address;
    }

    private static long VectorLength(GromovBatchItem<T> item)
    {
        long n = item.Operands.Rows, m = item.Operands.Columns;
        return n * (3 + 2 * Slots + AndersonMixing.Depth) + m * (2 + 2 * Ceiling((int)n, ChunkRows)) + Ceiling((int)m, ColumnThreads);
    }

    private static double SquaredNorm(DeviceBuffer<double> masses)
    {
        double[] values = new double[masses.Length];
        masses.CopyTo(values);
        return values.Sum(value => value * value);
    }

    private static void Validate(GromovBatchItem<T> item)
    {
        GromovOperands<T> operands = item.Operands;
        if (!operands.Symmetric || operands.Points is not null) throw new ArgumentException("Problems are solved together where their costs are symmetric matrices.", nameof(item));
        if (item.P.Length != operands.Rows || item.Q.Length != operands.Columns) throw new ArgumentException("The masses do not fit the costs.", nameof(item));
        foreach (Matrix<T>? matrix in (ReadOnlySpan<Matrix<T>?>)[item.Coupling, item.Between])
            if (matrix is not null && (matrix.Rows != operands.Rows || matrix.Columns != operands.Columns))
                throw new ArgumentException($"A matrix is {matrix.Rows} x {matrix.Columns}; expected {operands.Rows} x {operands.Columns}.", nameof(item));
    }

    private CudaKernel Kernel(string what) => DeviceKernels.Get(_device, typeof(T) == typeof(double) ? s_double : s_single, $"bs_batch_{what}");

    private static int Ceiling(int value, int divisor) => (value + divisor - 1) / divisor;
}
