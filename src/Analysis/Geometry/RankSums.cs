namespace BioSup.Analysis.Geometry;

/// <summary>
/// Mann–Whitney counts of every group from one sorted column, in whole numbers: against all other cells together, or against one group. Cells that are 0 are one tie of known
/// size between the negative and the positive values and are never touched.
/// </summary>
internal sealed class RankSums
{
    private readonly int _reference;
    private readonly long[] _size, _twice, _inTie;
    private readonly Int128[] _pairTies;
    private readonly int[] _touched;
    private long _below, _referenceBelow;
    private Int128 _ties;

    /// <param name="size">Cells of each label.</param>
    /// <param name="reference">Label that the others are compared with; −1 for all other cells.</param>
    public RankSums(long[] size, int reference)
    {
        (_size, _reference) = (size, reference);
        _twice = new long[size.Length];
        _inTie = new long[size.Length];
        _pairTies = new Int128[size.Length];
        _touched = new int[size.Length];
    }

    /// <summary>U of a group: pairs with a cell that it is compared with in which its value is the larger, ties counting half.</summary>
    public double U(int group) => 0.5 * (_reference < 0 ? _twice[group] - _size[group] * (_size[group] + 1) : _twice[group]);

    /// <summary>Σ (t³ − t) over the ties of t values in both sides of the group's comparison.</summary>
    public double Ties(int group) => (double)(_reference < 0 ? _ties : _ties + _pairTies[group]);

    /// <summary>Counts a column.</summary>
    /// <param name="sorted">Values other than 0 as <see cref="ColumnOrder"/> gives them.</param>
    /// <param name="negative">How many of them are below 0.</param>
    /// <param name="zeros">Cells of each label that are 0.</param>
    public void Count(ReadOnlySpan<ulong> sorted, int negative, ReadOnlySpan<long> zeros)
    {
        Array.Clear(_twice);
        Array.Clear(_pairTies);
        (_below, _referenceBelow, _ties) = (0, 0, 0);
        Runs(sorted[..negative]);
        Zeros(zeros);
        Runs(sorted[negative..]);
    }

    private void Runs(ReadOnlySpan<ulong> sorted)
    {
        for (int start = 0; start < sorted.Length;)
        {
            ulong value = sorted[start] >> 32;
            int end = start + 1;
            while (end < sorted.Length && sorted[end] >> 32 == value) end++;
            if (_reference >= 0) ReferenceRun(sorted[start..end]);
            else
            {
                long twiceRank = 2 * _below + (end - start) + 1;
                foreach (ulong pair in sorted[start..end]) _twice[(int)(uint)pair] += twiceRank;
                Tied(end - start);
            }
            start = end;
        }
    }

    private void ReferenceRun(ReadOnlySpan<ulong> run)
    {
        if (run.Length == 1)
        {
            int label = (int)(uint)run[0];
            if (label == _reference) _referenceBelow++;
            else _twice[label] += 2 * _referenceBelow;
            return;
        }
        int touched = 0;
        foreach (ulong pair in run)
        {
            int label = (int)(uint)pair;
            if (_inTie[label]++ == 0) _touched[touched++] = label;
        }
        long reference = _inTie[_reference];
        foreach (int label in _touched.AsSpan(0, touched))
        {
            if (label != _reference) AgainstReference(label, _inTie[label], reference);
            _inTie[label] = 0;
        }
        _ties += Cube(reference);
        _referenceBelow += reference;
    }

    private void Zeros(ReadOnlySpan<long> zeros)
    {
        if (_reference >= 0)
        {
            long reference = zeros[_reference];
            for (int label = 0; label < zeros.Length; label++)
                if (label != _reference) AgainstReference(label, zeros[label], reference);
            _ties += Cube(reference);
            _referenceBelow += reference;
            return;
        }
        long all = 0;
        foreach (long count in zeros) all += count;
        for (int label = 0; label < zeros.Length; label++) _twice[label] += zeros[label] * (2 * _below + all + 1);
        Tied(all);
    }

    private void Tied(long count)
    {
        _below += count;
        if (count > 1) _ties += Cube(count);
    }

    private void AgainstReference(int label, long count, long reference)
    {
        _twice[label] += count * (2 * _referenceBelow + reference);
        _pairTies[label] += Cube(count + reference) - Cube(reference);
    }

    private static Int128 Cube(long count) => count < 2 ? 0 : (Int128)count * count * count - count;
}
