using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Memory of a Sinkhorn solver for one problem shape, reused from solve to solve so that warm iterations allocate nothing.
/// It also remembers how the last plan was supported, which lets the next solve of a similar problem skip the empty parts of the kernel.
/// </summary>
/// <remarks>
/// The kernel exp((alpha + beta - C) / epsilon) is stored as strips: <see cref="PanelRows"/> rows by <see cref="StripWidth"/> columns (64 bytes a row),
/// and only those strips that can influence a sum. Rows and columns are reordered so that the support of the plan is compact.
/// </remarks>
public sealed unsafe class SinkhornWorkspace<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
{
    internal const int PanelRows = 4;
    internal const int MaxBlocks = 64;
    private readonly List<IDisposable> _owned = [];
    private readonly CpuDevice? _cpu;

    /// <param name="device">Where the solver runs; a <see cref="CpuDevice"/> or a <see cref="CudaDevice"/>.</param>
    /// <param name="rows">Rows of the cost.</param>
    /// <param name="columns">Columns of the cost.</param>
    public SinkhornWorkspace(ComputeDevice device, int rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(rows, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 1);
        Rows = rows;
        Columns = columns;
        if (device is CudaDevice cuda)
        {
            _owned.Add(Cuda = new SinkhornCudaState(cuda, rows, columns, sizeof(T)));
            return;
        }
        _cpu = device as CpuDevice ?? throw new DeviceException($"Sinkhorn scaling has no implementation for device '{device.Name}'.");
        Panels = (rows + PanelRows - 1) / PanelRows;
        Strips = (columns + StripWidth - 1) / StripWidth;
        // Blocks follow from the shape alone, so the order of every sum is the same on any number of threads.
        Blocks = (int)Math.Clamp((long)rows * columns / 131072, 1, Math.Min(MaxBlocks, Panels));
        int paddedRows = Panels * PanelRows, paddedColumns = Strips * StripWidth;
        Tiles = Allocate<T>((long)paddedRows * paddedColumns);
        StripIndex = Allocate<int>((long)Panels * Strips);
        StripLargest = Allocate<float>((long)Panels * Strips);
        StripCount = Allocate<int>(Panels);
        RowOrder = Allocate<int>(rows);
        ColumnOrder = Allocate<int>(columns);
        BaseF = Allocate<double>(rows);
        BaseG = Allocate<double>(columns);
        ColumnScore = Allocate<double>(columns);
        Alpha = Allocate<double>(paddedRows);
        Beta = Allocate<double>(paddedColumns);
        RowMass = Allocate<T>(paddedRows);
        ColumnMass = Allocate<T>(paddedColumns);
        RowLoss = Allocate<T>(paddedRows);
        U = Allocate<T>(paddedRows);
        PreviousU = Allocate<T>(paddedRows);
        V = Allocate<T>(paddedColumns);
        ColumnSums = Allocate<T>(paddedColumns);
        Partials = Allocate<T>((long)Blocks * 2 * paddedColumns);
        LogSums = Allocate<double>(columns);
        PaddedPotential = Allocate<T>(paddedColumns);
        BlockStart = Allocate<int>(Blocks + 1);
        Claims = Allocate<int>(Blocks);
        BlockFirstStrip = Allocate<int>(Blocks);
        BlockLastStrip = Allocate<int>(Blocks);
        BlockLow = Allocate<double>(Blocks);
        BlockHigh = Allocate<double>(Blocks);
        Mixing = new AndersonMixing(device, rows);
        _owned.Add(Mixing);
        LogU = Allocate<double>(2L * rows);
        LogV = Allocate<double>(columns);
        for (int i = 0; i < rows; i++) RowOrder[i] = i;
        for (int j = 0; j < columns; j++) ColumnOrder[j] = j;
    }

    public int Rows { get; }
    public int Columns { get; }

    /// <summary>Share of the kernel's strips that the last pass touched; 1 when nothing could be skipped.</summary>
    public double Fill { get; internal set; } = 1;

    internal static int StripWidth => 64 / sizeof(T);
    internal CpuDevice Device => _cpu ?? throw new InvalidOperationException("This workspace lies on a GPU.");

    /// <summary>The memory of a solver on a GPU, which has none of what follows; null on the host.</summary>
    internal SinkhornCudaState? Cuda { get; }
    internal int Panels { get; }
    internal int Strips { get; }
    internal int Blocks { get; }
    internal int Solves { get; set; }
    internal bool HasBase { get; set; }
    /// <summary>Strips in T, or in single precision when the kernel is compact.</summary>
    internal T* Tiles { get; }
    internal int* Claims { get; }
    internal int Pass { get; set; }

    /// <summary>Pass number at the start of the solve: directions alternate from there, whatever was solved before.</summary>
    internal int FirstPass { get; set; }
    internal int* StripIndex { get; }
    internal float* StripLargest { get; }
    internal int* StripCount { get; }
    internal int* RowOrder { get; }
    internal int* ColumnOrder { get; }
    internal double* BaseF { get; }
    internal double* BaseG { get; }
    internal double* ColumnScore { get; }
    internal double* Alpha { get; }
    internal double* Beta { get; }
    internal T* RowMass { get; }
    internal T* ColumnMass { get; }
    internal T* RowLoss { get; }
    internal T* U { get; set; }
    internal T* PreviousU { get; set; }
    internal T* V { get; }
    internal T* ColumnSums { get; }
    internal T* Partials { get; }
    internal double* LogSums { get; }
    internal T* PaddedPotential { get; }
    internal int* BlockStart { get; }
    internal int* BlockFirstStrip { get; }
    internal int* BlockLastStrip { get; }
    internal double* BlockLow { get; }
    internal double* BlockHigh { get; }
    internal AndersonMixing Mixing { get; } = null!;

    /// <summary>Row potentials over epsilon, after and before the last iteration.</summary>
    internal double* LogU { get; }
    internal double* LogV { get; }

    /// <summary>Forgets the support of earlier solves, so that the next one starts as on a fresh workspace.</summary>
    public void Forget()
    {
        if (Cuda is not null) return;
        HasBase = false;
        Solves = 0;
        for (int i = 0; i < Rows; i++) RowOrder[i] = i;
        for (int j = 0; j < Columns; j++) ColumnOrder[j] = j;
    }

    internal bool IsOn(ComputeDevice device) => ReferenceEquals(device, (ComputeDevice?)_cpu ?? Cuda!.Device);

    public void Dispose()
    {
        foreach (IDisposable owned in _owned) owned.Dispose();
        _owned.Clear();
    }

    private TItem* Allocate<TItem>(long length) where TItem : unmanaged
    {
        DeviceBuffer<TItem> buffer = Device.Allocate<TItem>(length);
        _owned.Add(buffer);
        return buffer.Pointer;
    }
}
