using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>The kernels of an iteration on one device, for one type of cost.</summary>
internal sealed class SinkhornCudaKernels(CudaDevice device, int elementBytes)
{
    private const string Source = "cuda/kernels/sinkhorn_scaling/sinkhorn_any.cu", PanelSource = "cuda/kernels/sinkhorn_scaling/sinkhorn_panel_any.cu";
    private static readonly JitRequest s_single = new(Source), s_double = new(Source, "BS_ELEMENT=double"), s_marginals = new("cuda/kernels/sinkhorn_scaling/sinkhorn_marginals_any.cu"), s_mixing = new("cuda/kernels/sinkhorn_scaling/sinkhorn_mixing_any.cu");

    public CudaKernel Rows { get; } = DeviceKernels.Get(device, Module(elementBytes), "bs_sinkhorn_rows");
    public CudaKernel Partials { get; } = DeviceKernels.Get(device, Module(elementBytes), "bs_sinkhorn_column_partials");
    public CudaKernel Columns { get; } = DeviceKernels.Get(device, Module(elementBytes), "bs_sinkhorn_columns");
    public CudaKernel Sum { get; } = DeviceKernels.Get(device, Module(elementBytes), "bs_sinkhorn_sum");
    public CudaKernel Record { get; } = DeviceKernels.Get(device, s_mixing, "bs_sinkhorn_record");
    public CudaKernel Mix { get; } = DeviceKernels.Get(device, s_mixing, "bs_sinkhorn_mix");

    /// <summary>The kernels that read the cost as elements of this size.</summary>
    public static JitRequest Module(int elementBytes) => elementBytes == sizeof(double) ? s_double : s_single;

    /// <summary>A kernel on potentials alone.</summary>
    public static CudaKernel Marginals(CudaDevice device, string entry) => DeviceKernels.Get(device, s_marginals, entry);

    /// <summary>The kernels that keep this many rows of the cost.</summary>
    public static JitRequest Panel(int elementBytes, int rows) => new(PanelSource, elementBytes == sizeof(double) ? $"BS_ELEMENT=double BS_ROWS={rows}" : rows == 1 ? "" : $"BS_ROWS={rows}");
}

/// <summary>How the launches of one shape are cut. It follows from the shape, the type and the shared memory of the device alone, and with it the order of every sum.</summary>
/// <param name="PanelRows">Rows that a block of the one-pass form keeps, 0 where it is not possible.</param>
/// <param name="RowsPerBlock">Rows of a block of the one-pass form.</param>
/// <param name="Worthwhile">One pass is taken unless the other form is asked for.</param>
internal readonly record struct SinkhornCudaConfig(int PanelRows, int RowsPerBlock, LaunchShape Panel, LaunchShape PanelColumns, LaunchShape Rows, LaunchShape Partials, LaunchShape Columns, bool Worthwhile)
{
    private const int Threads = 256, ChunkRows = 256, StripColumns = 32, PanelThreads = 512, ColumnsPerThread = 32, LeastForPanels = 512;

    /// <summary>Blocks of a wave: the multiprocessors of an H100. A constant, so that the sums are the same on every device.</summary>
    private const int Processors = 132;

    /// <summary>Static shared memory of the panel kernel, and what the device keeps for itself.</summary>
    private const int Reserved = 4096;

    public int Chunks => Partials.Grid.Y;

    public static SinkhornCudaConfig For(int rows, int columns, int elementBytes, int sharedBytes)
    {
        int panelRows = 4;
        while (panelRows > 0 && 2L * panelRows * columns * elementBytes > sharedBytes - Reserved) panelRows /= 2;
        int threads = 32;
        while (threads < PanelThreads && threads * 8 < columns) threads *= 2;
        if (threads * ColumnsPerThread < columns) panelRows = 0;
        int step = Math.Max(1, panelRows);
        int rowsPerBlock = ((rows + Processors - 1) / Processors + step - 1) / step * step;
        LaunchShape panel = new((rows + rowsPerBlock - 1) / rowsPerBlock, threads, 2 * panelRows * columns * elementBytes);
        int strips = (columns + StripColumns - 1) / StripColumns;
        LaunchShape partials = new(new Extent(strips, (rows + ChunkRows - 1) / ChunkRows), Threads);
        return new SinkhornCudaConfig(panelRows, rowsPerBlock, panel, new LaunchShape(strips, Threads), SinkhornCudaState.ShapeOfRows(rows, columns), partials,
            LaunchShape.For(columns, Threads), panelRows > 0 && rows >= LeastForPanels && columns >= LeastForPanels);
    }

    /// <summary>The form that was chosen.</summary>
    public SinkhornPasses Passes { get; init; }

    public override string ToString() => Passes == SinkhornPasses.One
        ? $"one pass, {Panel.Grid} blocks x {Panel.Block} threads, {RowsPerBlock} rows a block in panels of {PanelRows} ({Panel.SharedBytes} bytes of shared memory)"
        : $"two passes, rows {Rows.Grid} x {Rows.Block} threads, column partials {Partials.Grid} x {Partials.Block} threads, {Chunks} chunks";
}

/// <summary>Device memory of a solver for one shape.</summary>
internal sealed class SinkhornCudaState : IDisposable
{
    private readonly int _rows, _columns, _elementBytes;
    private readonly SinkhornCudaKernels _kernels;
    private readonly SinkhornCudaConfig _config;
    private readonly DeviceBuffer<double> _potentials, _partials, _violations, _scalars;
    private readonly PinnedBuffer<double> _host;
    private readonly LaunchShape _oneBlock;
    private CudaKernel? _panel, _panelColumns;
    private CudaMixingMemory? _mixing;
    private CudaGraph? _graph;
    private (CudaSinkhornProblem Problem, int Iterations, int Current) _recorded;
    private int _current, _violationParts;

    public SinkhornCudaState(CudaDevice device, int rows, int columns, int elementBytes)
    {
        Device = device;
        (_rows, _columns, _elementBytes) = (rows, columns, elementBytes);
        _config = SinkhornCudaConfig.For(rows, columns, elementBytes, device.Info.SharedBytesPerBlock);
        _oneBlock = ShapeOfOneBlock(rows, columns);
        _potentials = device.Allocate<double>(2L * columns);
        _partials = device.Allocate<double>((long)columns * Math.Max(2 * _config.Chunks, _config.PanelRows > 0 ? _config.Panel.Grid.X : 0));
        _violations = device.Allocate<double>(Math.Max(_config.Columns.Grid.X, _config.PanelColumns.Grid.X));
        _scalars = device.Allocate<double>(MixingState.Count);
        _host = new PinnedBuffer<double>(device, Math.Max(MixingState.Count, Math.Max(rows, columns)));
        _kernels = new SinkhornCudaKernels(device, elementBytes);
    }

    public CudaDevice Device { get; }

    /// <summary>The column potential of the last iteration; the other place holds the next one.</summary>
    public DeviceSpan<double> ColumnPotential => Potential(_current);

    public CudaMixingMemory Mixing => _mixing ??= new CudaMixingMemory(Device, _rows, _kernels.Mix, _oneBlock);

    /// <summary>One block per row, with threads for eight elements each.</summary>
    public static LaunchShape ShapeOfRows(int rows, int columns)
    {
        int threads = 32;
        while (threads < 256 && threads * 8 < columns) threads *= 2;
        return new LaunchShape(rows, threads);
    }

    /// <summary>One block, with threads for eight elements of the longer side each.</summary>
    public static LaunchShape ShapeOfOneBlock(int rows, int columns)
    {
        int threads = 32;
        while (threads < 1024 && threads * 8 < Math.Max(rows, columns)) threads *= 2;
        return new LaunchShape(1, threads);
    }

    /// <summary>The form that the next solve runs, with its kernels at hand.</summary>
    /// <exception cref="ArgumentException">One pass was asked for, and two panels of the cost do not fit into shared memory.</exception>
    public SinkhornPasses Choose(SinkhornPasses wanted)
    {
        if (wanted == SinkhornPasses.One && _config.PanelRows == 0)
            throw new ArgumentException($"A row of {_columns} elements is too long to be kept in the shared memory of {Device.Name}; use two passes.", nameof(wanted));
        SinkhornPasses passes = wanted == SinkhornPasses.Automatic ? _config.Worthwhile ? SinkhornPasses.One : SinkhornPasses.Two : wanted;
        if (passes == SinkhornPasses.One && _panel is null)
        {
            JitRequest module = SinkhornCudaKernels.Panel(_elementBytes, _config.PanelRows);
            _panelColumns = DeviceKernels.Get(Device, module, "bs_sinkhorn_panel_columns");
            _panel = DeviceKernels.Get(Device, module, "bs_sinkhorn_panel");
        }
        _current = 0; // Always from the same place, so that a recorded graph serves the next solve too.
        _violationParts = passes == SinkhornPasses.One ? _config.PanelColumns.Grid.X : _config.Columns.Grid.X;
        DeviceKernels.Report(Device, nameof(SinkhornScaling), _config with { Passes = passes });
        return passes;
    }

    /// <summary>The column sums of f from the cost: the next column potential, and how far the present one misses the column masses.</summary>
    public void Columns(in CudaSinkhornProblem p)
    {
        CudaStream stream = Device.Stream;
        _kernels.Partials.Launch(stream, _config.Partials, p.Cost, p.Stride, _rows, _columns, p.F, p.InverseEpsilon, Largest, Sums);
        _kernels.Columns.Launch(stream, _config.Columns, Largest, Sums, _config.Chunks, _columns, p.B, Potential(_current).Address, p.Epsilon, p.InverseEpsilon,
            MarginalStep.Fixed, Potential(1 - _current).Address, _violations.View.Address, DevicePointer.Null, DevicePointer.Null);
    }

    /// <summary>Half an iteration in place, under any constraint: the potentials of one side from those of the other.</summary>
    public void Update(DevicePointer cost, long stride, bool rows, DevicePointer masses, DevicePointer other, double epsilon, in MarginalStep step, DevicePointer potentials,
        DevicePointer changes, DevicePointer exponents)
    {
        DeviceKernels.Report(Device, nameof(SinkhornScaling), _config with { Passes = SinkhornPasses.Two });
        CudaStream stream = Device.Stream;
        if (rows)
        {
            _kernels.Rows.Launch(stream, _config.Rows, cost, stride, _columns, masses, other, epsilon, 1 / epsilon, step, potentials, changes, exponents);
            return;
        }
        _kernels.Partials.Launch(stream, _config.Partials, cost, stride, _rows, _columns, other, 1 / epsilon, Largest, Sums);
        _kernels.Columns.Launch(stream, _config.Columns, Largest, Sums, _config.Chunks, _columns, masses, potentials, epsilon, 1 / epsilon, step, potentials, _violations.View.Address,
            changes, exponents);
    }

    /// <summary>One iteration: the next column potential becomes the present one, then f from it, then its successor.</summary>
    public void Iterate(in CudaSinkhornProblem p)
    {
        CudaStream stream = Device.Stream;
        _current = 1 - _current;
        DevicePointer present = Potential(_current).Address;
        if (p.Passes == SinkhornPasses.Two)
        {
            _kernels.Rows.Launch(stream, _config.Rows, p.Cost, p.Stride, _columns, p.A, present, p.Epsilon, p.InverseEpsilon, MarginalStep.Fixed, p.F, DevicePointer.Null, DevicePointer.Null);
            Columns(p);
            return;
        }
        _panel!.Launch(stream, _config.Panel, p.Cost, p.Stride, _rows, _columns, _config.RowsPerBlock, p.A, present, p.Epsilon, p.InverseEpsilon, p.F, Largest);
        _panelColumns!.Launch(stream, _config.PanelColumns, Largest, _config.Panel.Grid.X, p.Cost, p.Stride, _rows, _columns, p.B, p.F, present, p.Epsilon, p.InverseEpsilon,
            Potential(1 - _current).Address, _violations.View.Address);
    }

    /// <summary>An even number of iterations in one launch, recorded when it is first asked for.</summary>
    public void Replay(in CudaSinkhornProblem problem, int iterations)
    {
        (CudaSinkhornProblem, int, int) wanted = (problem, iterations, _current);
        if (_graph is null || _recorded != wanted)
        {
            _graph?.Dispose();
            _graph = null;
            _graph = Capture(problem, iterations);
            _recorded = wanted;
        }
        _graph.Launch(Device.Stream);
    }

    /// <summary>Norm of the violation of the column marginal; waits for the work before it.</summary>
    public double Violation()
    {
        _kernels.Sum.Launch(Device.Stream, new LaunchShape(1, 256), _violations.View.Address, (long)_violationParts, _scalars.View.Address);
        Device.Stream.Download(_scalars.View, _host.Span[..1]);
        Device.Stream.Synchronize();
        return Math.Sqrt(_host.Span[0]);
    }

    /// <summary>Remembers f before an iteration.</summary>
    public void KeepStart(in CudaSinkhornProblem p) => Mixing.KeepStart(Vector(p.F));

    /// <summary>After an iteration: keeps its pair, and says how it went. Waits for the work before it.</summary>
    public MixingState Record(in CudaSinkhornProblem p)
    {
        (DevicePointer image, DevicePointer residual) = Mixing.NextSlots();
        _kernels.Record.Launch(Device.Stream, _oneBlock, (long)_rows, (long)_columns, Mixing.Start, p.F, ColumnPotential.Address, p.A, p.B, _violations.View.Address, _violationParts,
            image, residual, _scalars.View.Address);
        Span<double> values = _host.Span[..MixingState.Count];
        Device.Stream.Download(_scalars.View, values);
        Device.Stream.Synchronize();
        return new MixingState(values[0], values[1], values[2], (int)values[3], values[4]);
    }

    /// <summary>Mixes f; false when there are too few pairs. Whether it changed anything is known with the next <see cref="Record"/>.</summary>
    public bool Mix(in CudaSinkhornProblem p, double radius) => Mixing.Mix(p.F, radius, _scalars.View.Address);

    /// <summary>Puts back the plain iterate that the last mixing replaced, and forgets all pairs.</summary>
    public void Restore(in CudaSinkhornProblem p) => Mixing.Restore(Vector(p.F));

    /// <returns>The sum of the squared column masses.</returns>
    /// <exception cref="ArgumentException">A mass is zero, negative or not finite.</exception>
    public double CheckMasses(DeviceSpan<double> a, DeviceSpan<double> b)
    {
        CheckMasses(a, nameof(a));
        return CheckMasses(b, nameof(b));
    }

    /// <summary>Apart from <see cref="Replay"/>, whose warm calls must not allocate what the closure needs.</summary>
    private CudaGraph Capture(CudaSinkhornProblem problem, int iterations) => CudaGraph.Capture(Device.Stream, _ =>
    {
        for (int i = 0; i < iterations; i++) Iterate(problem);
    });

    private DevicePointer Largest => _partials.View.Address;
    private DevicePointer Sums => _partials.View.Slice((long)_config.Chunks * _columns, (long)_config.Chunks * _columns).Address;

    public void Dispose()
    {
        _graph?.Dispose();
        _mixing?.Dispose();
        _potentials.Dispose();
        _partials.Dispose();
        _violations.Dispose();
        _scalars.Dispose();
        _host.Dispose();
    }

    private DeviceSpan<double> Potential(int which) => _potentials.View.Slice((long)which * _columns, _columns);

    private unsafe DeviceSpan<double> Vector(DevicePointer rows) => new((double*)rows.Address, _rows, Device);

    private double CheckMasses(DeviceSpan<double> mass, string name)
    {
        Span<double> values = _host.Span[..(int)mass.Length];
        Device.Stream.Download(mass, values);
        Device.Stream.Synchronize();
        double squares = 0;
        for (int i = 0; i < values.Length; i++)
        {
            if (!(values[i] > 0) || !double.IsFinite(values[i])) throw new ArgumentException($"Mass {i} is {values[i]}; masses must be positive.", name);
            squares += values[i] * values[i];
        }
        return squares;
    }
}
