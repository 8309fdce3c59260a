using System.Numerics;
using System.Runtime.CompilerServices;

namespace BioSup.Kernels;

/// <summary>How the raw value of a pair (a sum over its coordinates) becomes its distance.</summary>
internal enum PairValue
{
    Raw,
    SquareRoot,

    /// <summary>Half the squared distance of unit vectors: the cosine distance, at most 2.</summary>
    HalfOfUnit,

    /// <summary>Divided by the number of coordinates.</summary>
    Fraction,
}

/// <summary>
/// Everything a block of pairs needs to know. The raw value of a pair is fixed by its two rows alone. In the expanded form it is
/// s − 2 x·y with s = |x|² + |y|², all in the working precision; where that is not above <see cref="Cancellation"/> · s, the subtraction has
/// lost digits and the raw value is the direct sum of squared differences instead. Peers centre the columns of a batch to avoid the loss,
/// and then a pair's last digits depend on its batch; here no shift is needed, at any offset from the origin.
/// </summary>
internal unsafe struct PairProblem<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>An expanded value below this fraction of |x|² + |y|² is recomputed directly: its rounding error is amplified at most 1/Cancellation times.</summary>
    public const double Cancellation = 1.0 / 16;

    public T* X;
    public long XStride;
    public int XRows;

    /// <summary>y in panels of <see cref="PanelWidth"/> rows: coordinate k of row j at (j / width) * width * Depth + k * width + j % width; padded with zero rows.</summary>
    public T* Panels;
    public int PanelWidth;
    public int YRows;

    /// <summary>Coordinates of a row.</summary>
    public int Depth;

    /// <summary>|x|² and |y|² in the expanded form (1 for unit vectors and in the padding), else null.</summary>
    public T* XNorms;
    public T* YNorms;

    /// <summary>y are the rows of x: only pairs i &lt; j are computed.</summary>
    public bool Self;
    public PairValue Value;

    public delegate*<T**, T*, nint, T*, nint, bool, void> Tile;
    public delegate*<T**, T*, nint, T*, nint, bool, void> DirectTile;
    public delegate*<T*, T*, nint, T*, bool, void> DirectRow;

    public readonly bool Expanded => XNorms != null;

    /// <summary>Runs of <see cref="PairTile.Depth"/> coordinates.</summary>
    public readonly int Chunks => Math.Max(1, (Depth + PairTile.Depth - 1) / PairTile.Depth);

    /// <summary>
    /// δ such that a raw value r of the expanded form, before any correction, and the true value t satisfy |r − t| ≤ δ s, and a direct value
    /// is within the fraction δ of t. Twice the classical bound (Higham 2002, section 3.1): the factor covers processors without fused multiply-add.
    /// </summary>
    public readonly double ErrorBound => 2.0 * (Math.Min(Depth, PairTile.Depth) + Chunks + 4) * double.CreateChecked(T.BitIncrement(T.One) - T.One) / 2;

    /// <summary>The distance of a pair with this raw value.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly T ToDistance(T raw) => Value switch
    {
        PairValue.SquareRoot => T.Sqrt(raw),
        PairValue.HalfOfUnit => T.MinNumber(raw * T.CreateTruncating(0.5), T.CreateTruncating(2)),
        PairValue.Fraction => raw / T.CreateTruncating(Math.Max(Depth, 1)),
        _ => raw,
    };

    /// <summary>Writes the pointers to six rows at a coordinate; rows past the last one repeat it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void RowPointers(int row, int coordinate, T** pointers)
    {
        for (int r = 0; r < PairTile.Rows; r++)
            pointers[r] = X + Math.Min(row + r, XRows - 1) * XStride + coordinate;
    }

    /// <summary>The panel that holds row <paramref name="column"/> of y, at a coordinate.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly T* Panel(int column, int coordinate) =>
        Panels + (long)(column / PanelWidth) * PanelWidth * Depth + (long)coordinate * PanelWidth;
}
