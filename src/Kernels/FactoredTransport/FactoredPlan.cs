using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Which units of a GPU form the scores in a Sinkhorn iteration over a plan known by factors. The iterates are the same up to rounding.</summary>
public enum FactoredScores
{
    /// <summary>Chosen by the type and the number of factors.</summary>
    Automatic,

    /// <summary>Multiply-adds on the ordinary units.</summary>
    Ordinary,

    /// <summary>Three products of tf32 numbers on the tensor cores: single precision, at most 64 factors.</summary>
    TensorFloat3,
}

/// <summary>
/// A transport plan known by factors: T_ij = exp(u_i + v_j + a_i · b_j), with row factors a [n, r], column factors b [m, r] and potentials u, v in units of epsilon.
/// Holds the factors and the scratch memory of the passes over it, O((n + m) r); the plan itself is never stored. Factors, potentials, masses and results are in host
/// memory on every device; a GPU gets them once per call and keeps what an iteration needs.
/// </summary>
/// <typeparam name="T">float or double: the type in which scores and exponentials are computed. Potentials and sums are double in both.</typeparam>
public sealed unsafe class FactoredPlan<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>Columns that lie together in memory: three registers of 512 bits.</summary>
    internal static int PanelWidth => 192 / sizeof(T);

    /// <summary>Rows whose scores are held at once.</summary>
    internal const int RowsAtOnce = 16;

    /// <summary>Panels of a block of columns: the column factors of a block stay in the second-level cache while the rows pass.</summary>
    internal const int PanelsAtOnce = 16;
    private const int MostBlocks = 64;

    /// <summary>What kept entries may take: beyond it, forming entries anew is what keeps memory linear in rows and columns.</summary>
    private const long MostKeptBytes = 256L << 20;

    /// <summary>Columns that a panel may be padded with, at most.</summary>
    public const int MostPadding = 48;
    private readonly List<IDisposable> _owned = [];
    private readonly DeviceBuffer<T> _panels, _base, _factor;
    private DeviceBuffer<T>? _scores;
    private DeviceBuffer<double>? _partials, _next, _work;
    private FactoredPlan<T>? _exchanged;
    private AndersonMixing? _mixing;
    private KeptEntries? _kept;

    /// <param name="device">The device that runs the passes.</param>
    /// <param name="rows">n.</param>
    /// <param name="columns">m.</param>
    /// <param name="rank">r.</param>
    public FactoredPlan(ComputeDevice device, int rows, int columns, int rank) : this(device, rows, columns, rank, null)
    {
    }

    /// <summary>A plan with row factors and potentials of its own and the column factors of another one, which must outlive it.</summary>
    public FactoredPlan(FactoredPlan<T> sameColumns) : this(sameColumns.Device, sameColumns.Rows, sameColumns.Columns, sameColumns.Rank, sameColumns)
    {
    }

    private FactoredPlan(ComputeDevice device, int rows, int columns, int rank, FactoredPlan<T>? sameColumns)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(rows, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(rank, 1);
        (Device, Host) = (device, device.Host);
        (Rows, Columns, Rank) = (rows, columns, rank);
        Left = Own(Host.AllocateMatrix<T>(rows, rank));
        // A GPU has its own factors; the host's are empty then.
        if (device is CudaDevice gpu) Cuda = Own(new FactoredCudaState<T>(gpu, rows, columns, rank, sameColumns?.Cuda));
        Padded = Cuda is null ? (columns + PanelWidth - 1) / PanelWidth * PanelWidth : 0;
        _panels = sameColumns?._panels ?? Own(Host.Allocate<T>((long)Padded * rank));
        _base = Own(Host.Allocate<T>(Padded));
        _factor = Own(Host.Allocate<T>(Padded));
    }

    /// <summary>On a GPU only: how the next passes form their scores.</summary>
    public FactoredScores Scores { get; set; }

    /// <summary>
    /// On the host: <see cref="FactoredTransport.Solve"/> keeps the entries of the plan in single precision from one pass to the next, where <see cref="KeptBytesFor"/> allows it. Each solve
    /// starts and ends with a pass that forms the entries anew.
    /// </summary>
    public bool KeepsEntries { get; init; }

    /// <summary>What runs the passes.</summary>
    public ComputeDevice Device { get; }

    public int Rows { get; }
    public int Columns { get; }
    public int Rank { get; }

    /// <summary>Row factors [n, r], divided by epsilon; written by the caller. A pass sees what was written last.</summary>
    public Matrix<T> Left { get; }

    internal CpuDevice Host { get; }

    /// <summary>The plan on a GPU, or null.</summary>
    internal FactoredCudaState<T>? Cuda { get; }
    internal int Padded { get; }
    internal int Blocks => Math.Min(MostBlocks, (Rows + RowsAtOnce - 1) / RowsAtOnce);
    internal bool HasBase { get; set; }

    /// <summary>Native bytes of a plan of this shape: factors, scores of 16 rows for every thread, partial column sums and the history of the acceleration.</summary>
    public static long BytesFor(int rows, int columns, int rank, int threads)
    {
        long padded = (columns + PanelWidth - 1L) / PanelWidth * PanelWidth, blocks = Math.Min(MostBlocks, (rows + RowsAtOnce - 1) / RowsAtOnce);
        return sizeof(T) * ((long)rows * rank + padded * (rank + 2L) + threads * RowsAtOnce * padded) + 8 * (blocks + 2 + 3 * AndersonMixing.Depth + 2) * padded;
    }

    /// <summary>Native bytes that kept entries of this shape take; 0 where they would be more than 256 MiB, and are not kept.</summary>
    public static long KeptBytesFor(int rows, int columns)
    {
        long bytes = KeptEntries.BytesFor(rows, (columns + PanelWidth - 1L) / PanelWidth * PanelWidth);
        return bytes <= MostKeptBytes ? bytes : 0;
    }

    /// <summary>Bytes that a plan of this shape takes in a GPU's memory, with the history of the acceleration.</summary>
    public static long DeviceBytesFor(int rows, int columns, int rank) => FactoredCudaState<T>.BytesFor(rows, columns, rank);

    /// <summary>Sets the column factors [m, r].</summary>
    public void SetRight(MatrixView<double> right)
    {
        if (right.Rows != Columns || right.Columns != Rank) throw new ArgumentException($"The column factors are {right.Rows} x {right.Columns}; expected {Columns} x {Rank}.", nameof(right));
        if (Cuda is { } gpu) gpu.SetRight(right);
        else Pack(right.Pointer, right.Stride, Columns, Rank, _panels.Pointer);
        HasBase = false;
    }

    public void Dispose()
    {
        _exchanged?.Dispose();
        foreach (IDisposable owned in _owned) owned.Dispose();
        _owned.Clear();
    }

    internal FactoredPointers<T> Pointers => new()
    {
        Left = Left.Buffer.Pointer, Panels = _panels.Pointer, Base = _base.Pointer, Factor = _factor.Pointer, Rows = Rows, Columns = Columns, Padded = Padded, Rank = Rank,
    };

    /// <summary>Room for kept entries, or null where none are kept.</summary>
    internal KeptEntries? Kept => KeepsEntries && Cuda is null && KeptBytesFor(Rows, Columns) > 0 ? _kept ??= Own(new KeptEntries(Host, Rows, Columns, Padded)) : null;
    internal AndersonMixing Mixing => _mixing ??= Own(new AndersonMixing(Host, Columns));
    internal DeviceSpan<double> Next => (_next ??= Own(Host.Allocate<double>(Columns))).View;
    internal DeviceSpan<double> Work => (_work ??= Own(Host.Allocate<double>(Columns))).View;
    internal T* ScoreRows => (_scores ??= Own(Host.Allocate<T>((long)Host.Pool.Threads * RowsAtOnce * Padded))).Pointer;
    internal double* Partials => (_partials ??= Own(Host.Allocate<double>((long)Blocks * Padded))).Pointer;

    /// <summary>The same plan with rows and columns exchanged, with the factors of this moment.</summary>
    internal FactoredPlan<T> Exchanged()
    {
        _exchanged ??= new FactoredPlan<T>(Host, Columns, Rows, Rank);
        T* left = Left.Buffer.Pointer;
        Pack(left, Rank, Rows, Rank, _exchanged._panels.Pointer);
        for (int j = 0; j < Columns; j++)
            for (int k = 0; k < Rank; k++) _exchanged.Left.Buffer.Pointer[(long)j * Rank + k] = _panels.Pointer[PanelOffset(j, k, Rank)];
        _exchanged.HasBase = false;
        return _exchanged;
    }

    /// <summary>
    /// Column potentials as a base, rounded, and factors e^(v - base). Rounding of the base and of the scores relative to it is the same in every pass, so that it
    /// shifts the problem a little and does not disturb an iteration; hence the base stays while it can.
    /// </summary>
    internal void SetColumnPotentials(double* v)
    {
        const double Drift = 20;
        bool keep = HasBase && sizeof(T) == 4;
        for (int j = 0; j < Columns && keep; j++) keep = Math.Abs(v[j] - double.CreateTruncating(_base.Pointer[j])) <= Drift;
        if (!keep)
        {
            for (int j = 0; j < Columns; j++) _base.Pointer[j] = T.CreateTruncating(v[j]);
            // Far below any score, yet finite: differences of it are numbers.
            for (int j = Columns; j < Padded; j++) _base.Pointer[j] = T.CreateTruncating(-1e30);
        }
        HasBase = true;
        for (int j = 0; j < Columns; j++) _factor.Pointer[j] = T.CreateTruncating(Math.Exp(v[j] - double.CreateTruncating(_base.Pointer[j])));
        for (int j = Columns; j < Padded; j++) _factor.Pointer[j] = T.Zero;
    }

    /// <summary>Offset of element (j, k) of [m, r] in panels of neighbouring columns.</summary>
    internal static long PanelOffset(int j, int k, int rank) => (long)(j / PanelWidth) * PanelWidth * rank + (long)k * PanelWidth + j % PanelWidth;

    /// <summary>Writes [m, r] into panels, zeros behind the last column.</summary>
    internal static void Pack<TSource>(TSource* source, long stride, int columns, int rank, T* panels) where TSource : unmanaged, IFloatingPointIeee754<TSource>
    {
        int padded = (columns + PanelWidth - 1) / PanelWidth * PanelWidth;
        for (int j = 0; j < padded; j++)
            for (int k = 0; k < rank; k++) panels[PanelOffset(j, k, rank)] = j < columns ? T.CreateTruncating(source[j * stride + k]) : T.Zero;
    }

    private TOwned Own<TOwned>(TOwned item) where TOwned : IDisposable
    {
        _owned.Add(item);
        return item;
    }
}

/// <summary>The addresses that passes over a plan read.</summary>
internal unsafe struct FactoredPointers<T> where T : unmanaged
{
    public T* Left, Panels, Base, Factor;
    public int Rows, Columns, Padded, Rank;
}
