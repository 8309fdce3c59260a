using BioSup.Analysis.Geometry;

namespace BioSup.Analysis.SingleCell;

/// <summary>One thread's way through the genes: reads a column, sums it up by groups, ranks it once for all groups, and tests each group.</summary>
internal sealed class GeneScan
{
    private readonly GeneComparison _plan;
    private readonly GeneColumns.Reader _reader;
    private readonly ColumnOrder? _order;
    private readonly RankSums? _ranks;
    private readonly int[] _labels;
    private readonly double[] _values, _constant;
    private readonly long[] _zeros;
    private readonly bool[] _varies, _seen;
    private readonly GroupMoments[] _moments, _before, _after;
    private int _varying;

    public GeneScan(GeneComparison plan)
    {
        _plan = plan;
        _reader = plan.Columns.NewReader();
        int cells = plan.Columns.Cells, groups = plan.Size.Length;
        (_labels, _values) = (new int[cells + 1], new double[cells + 1]);
        if (plan.IsRankTest) (_order, _ranks) = (new ColumnOrder(cells), new RankSums(plan.Size, plan.Reference));
        (_zeros, _constant, _varies, _seen) = (new long[groups], new double[groups], new bool[groups], new bool[groups]);
        (_moments, _before, _after) = (new GroupMoments[groups], new GroupMoments[groups + 1], new GroupMoments[groups + 1]);
    }

    public void Run(int gene)
    {
        int count = _reader.Read(gene, _plan.LabelOfCell, _labels, _values);
        ReadOnlySpan<int> labels = _labels.AsSpan(0, count);
        ReadOnlySpan<double> values = _values.AsSpan(0, count);
        SumUp(labels, values);
        if (_plan.AsksForConstants) FindConstants(labels, values);
        if (_ranks is not null)
        {
            bool single = _plan.Columns.IsSingle || AllSingle(values);
            ReadOnlySpan<ulong> sorted = _order!.Sort(values, labels, single, out int negative);
            _ranks.Count(sorted, negative, _zeros);
        }
        foreach (RankedGroup group in _plan.Groups) Test(gene, group);
    }

    private static bool AllSingle(ReadOnlySpan<double> values)
    {
        foreach (double value in values) if ((float)value != value) return false;
        return true;
    }

    private void SumUp(ReadOnlySpan<int> labels, ReadOnlySpan<double> values)
    {
        GroupMoments[] moments = _moments;
        for (int g = 0; g < moments.Length; g++) moments[g] = new GroupMoments { Count = _plan.Size[g] };
        for (int k = 0; k < values.Length; k++)
        {
            ref GroupMoments own = ref moments[labels[k]];
            own.NonZero++;
            own.Sum += values[k];
        }
        for (int g = 0; g < moments.Length; g++) _zeros[g] = moments[g].Count - moments[g].NonZero;
        if (_plan.Options.FoldChange == FoldChangeFormula.Seurat)
            for (int k = 0; k < values.Length; k++) moments[labels[k]].ExpSum += _plan.ExpMinusOne(values[k]);
        if (!_plan.IsRankTest)
        {
            for (int g = 0; g < moments.Length; g++) moments[g].Squares = _zeros[g] * moments[g].Mean * moments[g].Mean;
            for (int k = 0; k < values.Length; k++)
            {
                ref GroupMoments own = ref moments[labels[k]];
                double off = values[k] - own.Mean;
                own.Squares += off * off;
            }
        }
        if (_plan.Reference >= 0) return;
        for (int g = 0; g < moments.Length; g++) _before[g + 1] = GroupMoments.Join(_before[g], moments[g]);
        _after[moments.Length] = default;
        for (int g = moments.Length - 1; g >= 0; g--) _after[g] = GroupMoments.Join(moments[g], _after[g + 1]);
    }

    /// <summary>Which groups hold one value alone, and which; the search ends as soon as all are seen to vary.</summary>
    private void FindConstants(ReadOnlySpan<int> labels, ReadOnlySpan<double> values)
    {
        Array.Clear(_seen);
        Array.Clear(_constant);
        _varying = 0;
        int filled = 0;
        for (int g = 0; g < _varies.Length; g++)
        {
            _varies[g] = _zeros[g] > 0 && _moments[g].NonZero > 0;
            if (_varies[g]) _varying++;
            if (_moments[g].Count > 0) filled++;
        }
        for (int k = 0; k < values.Length && _varying < filled; k++)
        {
            int g = labels[k];
            if (_varies[g]) continue;
            if (!_seen[g]) (_seen[g], _constant[g]) = (true, values[k]);
            else if (values[k] != _constant[g])
            {
                _varies[g] = true;
                _varying++;
            }
        }
    }

    /// <summary>The one value of everything that a group is compared with, or null when that varies.</summary>
    private double? ConstantOfOthers(int group)
    {
        if (_plan.Reference >= 0) return _varies[_plan.Reference] ? null : _constant[_plan.Reference];
        if (_varying > (_varies[group] ? 1 : 0)) return null;
        double? value = null;
        for (int g = 0; g < _moments.Length; g++)
        {
            if (g == group || _moments[g].Count == 0) continue;
            if (value is { } first && first != _constant[g]) return null;
            value = _constant[g];
        }
        return value;
    }

    private void Test(int gene, RankedGroup to)
    {
        int g = to.Group;
        GroupMoments own = _moments[g], other = _plan.Reference >= 0 ? _moments[_plan.Reference] : GroupMoments.Join(_before[g], _after[g + 1]);
        (double score, double logP) = _plan.Options.Test switch
        {
            GeneTest.Wilcoxon => Wilcoxon(g, own.Count, other.Count),
            GeneTest.MannWhitney => MannWhitney(to, own.Count, other.Count),
            GeneTest.MannWhitneyAsymptotic => Asymptotic(g, own.Count, other.Count),
            _ => Welch(to, own, other),
        };
        to.Scores[gene] = score;
        to.Log10P[gene] = logP / Math.Log(10);
        to.Means[gene] = own.Mean;
        to.ReferenceMeans[gene] = other.Mean;
        to.Pts[gene] = (double)own.NonZero / own.Count;
        to.ReferencePts[gene] = (double)other.NonZero / other.Count;
        to.LogFoldChanges[gene] = _plan.LogFoldChange(own, other);
    }

    private (double Score, double LogP) Wilcoxon(int g, double n, double m)
    {
        double all = n + m, share = _plan.Options.TieCorrect ? 1 - _ranks!.Ties(g) / (all * (all * all - 1)) : 1;
        double deviation = Math.Sqrt(share * n * m * (all + 1) / 12), z = deviation > 0 ? (_ranks!.U(g) - 0.5 * n * m) / deviation : 0;
        return (z, Math.Min(0, Math.Log(2) + NormalTail.LogUpper(Math.Abs(z))));
    }

    private (double Score, double LogP) MannWhitney(RankedGroup to, double n, double m)
    {
        double u = _ranks!.U(to.Group);
        if (!_varies[to.Group] && ConstantOfOthers(to.Group) is not null)
        {
            _plan.CountUntested(to.Group);
            return (u, 0);
        }
        return _ranks.Ties(to.Group) == 0 && _plan.Exact(to.Group) is { } exact ? (u, exact.LogP(u)) : Asymptotic(to.Group, n, m);
    }

    private (double Score, double LogP) Asymptotic(int g, double n, double m)
    {
        double u = _ranks!.U(g);
        return (u, RankStatistics.LogMannWhitney(u, n, m, _ranks.Ties(g)));
    }

    private (double Score, double LogP) Welch(RankedGroup to, in GroupMoments own, in GroupMoments other)
    {
        double? ownValue = _varies[to.Group] ? null : _constant[to.Group], otherValue = ConstantOfOthers(to.Group);
        double n = own.Count, m = _plan.Options.Test == GeneTest.WelchOverestimated ? n : other.Count;
        // A group of one value has exactly that mean and no variance, whatever rounding leaves of its sums.
        double gap = (ownValue ?? own.Mean) - (otherValue ?? other.Mean);
        double first = ownValue is null ? own.Squares / (own.Count - 1) / n : 0, second = otherValue is null ? other.Squares / (other.Count - 1) / m : 0;
        double variance = first + second;
        if (variance == 0)
        {
            if (gap == 0) _plan.CountUntested(to.Group);
            return gap == 0 ? (0, 0) : (gap > 0 ? double.PositiveInfinity : double.NegativeInfinity, double.NegativeInfinity);
        }
        double share = first / variance, freedom = 1 / (share * share / (n - 1) + (1 - share) * (1 - share) / (m - 1)), t = gap / Math.Sqrt(variance);
        return (t, Math.Min(0, Math.Log(2) + StudentTail.LogUpper(Math.Abs(t), freedom)));
    }
}
