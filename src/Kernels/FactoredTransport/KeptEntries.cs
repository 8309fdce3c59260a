using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// The entries of a plan at one set of column potentials (the base), each row divided by its mass, in single precision. While the potentials stay near the base, the sums of the plan are
/// sums over these entries times e^(v - base), in double precision: a pass reads four bytes an entry in place of forming a score and an exponential.
/// </summary>
/// <remarks>
/// Rounding to single precision is made good where it can be: rows and columns carry the share that it left of their sums, so that sums at the base are exact and near it are off by the
/// product of the rounding and of the distance.
/// </remarks>
internal sealed unsafe class KeptEntries : IDisposable
{
    /// <summary>Largest distance of a potential from the base: an entry too small for single precision (1e-37 of its row) then stays below 1e-19 of it.</summary>
    private const double Drift = 40;
    private readonly DeviceBuffer<float> _entries;
    private readonly DeviceBuffer<double> _vectors;
    private readonly int _rows, _columns, _padded;
    private bool _isValid;

    public KeptEntries(CpuDevice device, int rows, int columns, int padded)
    {
        (_rows, _columns, _padded) = (rows, columns, padded);
        _entries = device.Allocate<float>((long)rows * padded);
        _vectors = device.Allocate<double>(2L * rows + 3L * padded);
    }

    public static long BytesFor(int rows, long padded) => 4 * rows * padded + 8 * (2L * rows + 3 * padded);

    /// <summary>[n, padded]: share of a column in its row's sum; zeros behind the last column.</summary>
    public float* Entries => _entries.Pointer;

    /// <summary>Row potentials at the base, and sums of the rounded rows, which would be one.</summary>
    public double* BaseU => _vectors.Pointer;
    public double* RowShare => BaseU + _rows;

    /// <summary>Potentials of the base, the column sums of the plan over those of the rounded entries, and e^(v - base).</summary>
    public double* BaseV => RowShare + _rows;
    public double* ColumnShare => BaseV + _padded;
    public double* Scale => ColumnShare + _padded;

    /// <summary>The entries are no longer those of the plan.</summary>
    public void Forget() => _isValid = false;

    /// <summary>True when the entries can stand in for the plan at these column potentials.</summary>
    public bool Covers(double* v)
    {
        for (int j = 0; j < _columns; j++)
            if (!_isValid || !(Math.Abs(v[j] - BaseV[j]) <= Drift)) return false;
        return true;
    }

    /// <summary>The entries were written at these potentials.</summary>
    public void SetBase(double* u, double* v)
    {
        new ReadOnlySpan<double>(u, _rows).CopyTo(new Span<double>(BaseU, _rows));
        new ReadOnlySpan<double>(v, _columns).CopyTo(new Span<double>(BaseV, _columns));
        SetScale(v);
        _isValid = true;
    }

    public void SetScale(double* v)
    {
        for (int j = 0; j < _columns; j++) Scale[j] = Math.Exp(v[j] - BaseV[j]);
        new Span<double>(Scale + _columns, _padded - _columns).Clear();
    }

    public void Dispose()
    {
        _entries.Dispose();
        _vectors.Dispose();
    }
}

/// <summary>One reading of kept entries: row sums, row potentials, and the column sums of the plan they make, four rows at a time.</summary>
internal unsafe struct KeptJob<TLanes, TVector> : IBlockJob where TLanes : struct, ISimd<TVector, double> where TVector : unmanaged
{
    public float* Entries;
    public double* Scale, RowShare, Mass, BaseU, U, Partials;
    public int Rows, Padded, Blocks, RowsAtOnce;

    /// <summary>The reading at the base that finds what rounding left of the rows, which keep their masses.</summary>
    public bool Calibrates;

    public readonly void Execute(long block, int worker)
    {
        int groups = (Rows + RowsAtOnce - 1) / RowsAtOnce, w = TLanes.Count;
        int start = (int)(groups * block / Blocks) * RowsAtOnce, end = Math.Min(Rows, (int)(groups * (block + 1) / Blocks) * RowsAtOnce);
        double* columns = Partials + block * Padded;
        new Span<double>(columns, Padded).Clear();
        for (int row = start; row < end; row += 4)
        {
            // The last row again, without weight, where there are fewer.
            float* e0 = Entries + (long)row * Padded, e1 = Entries + (long)Math.Min(row + 1, end - 1) * Padded;
            float* e2 = Entries + (long)Math.Min(row + 2, end - 1) * Padded, e3 = Entries + (long)Math.Min(row + 3, end - 1) * Padded;
            TVector s0 = TLanes.Zero, s1 = s0, s2 = s0, s3 = s0;
            for (int j = 0; j < Padded; j += w)
            {
                TVector scale = TLanes.Load(Scale + j);
                s0 = TLanes.MultiplyAdd(scale, TLanes.LoadWidened(e0 + j), s0);
                s1 = TLanes.MultiplyAdd(scale, TLanes.LoadWidened(e1 + j), s1);
                s2 = TLanes.MultiplyAdd(scale, TLanes.LoadWidened(e2 + j), s2);
                s3 = TLanes.MultiplyAdd(scale, TLanes.LoadWidened(e3 + j), s3);
            }
            TVector w0 = TLanes.Broadcast(Weight(row, end, TLanes.Sum(s0))), w1 = TLanes.Broadcast(Weight(row + 1, end, TLanes.Sum(s1)));
            TVector w2 = TLanes.Broadcast(Weight(row + 2, end, TLanes.Sum(s2))), w3 = TLanes.Broadcast(Weight(row + 3, end, TLanes.Sum(s3)));
            for (int j = 0; j < Padded; j += w)
            {
                TVector x = TLanes.MultiplyAdd(w0, TLanes.LoadWidened(e0 + j), TLanes.Load(columns + j)), y = TLanes.Multiply(w1, TLanes.LoadWidened(e1 + j));
                x = TLanes.MultiplyAdd(w2, TLanes.LoadWidened(e2 + j), x);
                y = TLanes.MultiplyAdd(w3, TLanes.LoadWidened(e3 + j), y);
                TLanes.Store(columns + j, TLanes.Add(x, y));
            }
        }
    }

    private readonly double Weight(int row, int end, double sum)
    {
        if (row >= end) return 0;
        if (Calibrates)
        {
            RowShare[row] = sum;
            return Mass[row];
        }
        double ratio = sum / RowShare[row];
        U[row] = BaseU[row] - Math.Log(ratio);
        return Mass[row] / ratio;
    }
}
