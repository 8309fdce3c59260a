using BioSup.Analysis.Geometry;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Geometry;

public sealed class GeometryPropertyTests : IDisposable
{
    private readonly CpuDevice _device = new(2);

    [Fact]
    public void Permutations_that_tie_with_the_observed_value_count_as_extreme()
    {
        // Where every row is a neighbour of every other, no permutation changes anything.
        using Matrix<double> x = Normal(7, 3, 1);
        using NeighbourTable neighbours = NeighbourTable.Build(x, 6);
        LocalLinearityResult local = LocalLinearity.Measure(neighbours, Column(7, 3), 6, permutations: 50);
        Assert.Equal((1.0, 1.0), (local.PermutationP!.Value, local.Moran.PermutationP!.Value));
    }

    [Fact]
    public void The_spectrum_leaves_rounding_out_and_its_variance_is_that_of_squares()
    {
        using Matrix<double> diagonal = _device.AllocateMatrix<double>(2, 2);
        (diagonal.Row(0)[0], diagonal.Row(1)[1]) = (3, 1);
        EffectiveRankResult two = EffectiveRank.Measure(diagonal, centre: false);
        Assert.Equal([0.9, 1], two.CumulativeVariance.Select(v => Math.Round(v, 12)));
        Assert.Equal(Math.Exp(-(0.75 * Math.Log(0.75) + 0.25 * Math.Log(0.25))), two.Value, 1e-12);
        // Every column a multiple of the first: what the Gram matrix has beside one value is rounding.
        using Matrix<double> line = Normal(50, 6, 4);
        for (int i = 0; i < 50; i++)
            for (int j = 1; j < 6; j++) line.Row(i)[j] = line.Row(i)[0] * Math.Sqrt(j + 1);
        EffectiveRankResult one = EffectiveRank.Measure(line, centre: true);
        Assert.Single(one.SingularValues);
        Assert.Equal(1, one.Value, 1e-12);
    }

    [Fact]
    public void Permutation_p_values_are_uniform_under_the_null()
    {
        const int Trials = 60, Permutations = 39;
        double[] moran = new double[Trials], ratio = new double[Trials], ridge = new double[Trials];
        for (int t = 0; t < Trials; t++)
        {
            using Matrix<double> x = Normal(50, 4, (ulong)t);
            double[] y = Column(50, 1000 + (ulong)t);
            using NeighbourTable neighbours = NeighbourTable.Build(x, 5);
            LocalLinearityResult local = LocalLinearity.Measure(neighbours, y, 5, Permutations, seed: (ulong)t);
            (moran[t], ratio[t]) = (local.Moran.PermutationP!.Value, local.PermutationP!.Value);
            ridge[t] = RidgeProbe.Measure(x, y, new RidgeProbeOptions { Permutations = Permutations, Seed = (ulong)t, Alphas = [1, 10, 100] }).PermutationP!.Value;
        }
        // Kolmogorov distance to the uniform distribution: 1.63 / √60 is the 1 % point.
        foreach (double[] p in (double[][])[moran, ratio, ridge]) Assert.InRange(KolmogorovDistance(p), 0, 1.63 / Math.Sqrt(Trials) + 1.0 / (Permutations + 1));
    }

    [Fact]
    public void Normality_z_of_Moran_is_standard_under_the_null_and_the_papers_is_not()
    {
        using Matrix<double> x = Normal(300, 3, 5);
        using NeighbourTable neighbours = NeighbourTable.Build(x, 15);
        double[] correct = new double[400], paper = new double[400];
        for (int t = 0; t < correct.Length; t++)
        {
            MoranResult moran = MoransI.Measure(neighbours, Column(300, 7000 + (ulong)t), 15);
            (correct[t], paper[t]) = (moran.Z, moran.PaperZ);
        }
        Assert.InRange(RankStatistics.PopulationDeviation(correct), 0.88, 1.12);
        Assert.True(RankStatistics.PopulationDeviation(paper) < 0.5);
    }

    [Fact]
    public void A_smooth_value_is_found_and_the_p_values_say_so()
    {
        using Matrix<double> x = Normal(200, 3, 8);
        double[] y = [.. Enumerable.Range(0, 200).Select(i => x.Row(i)[0] + 0.5 * x.Row(i)[1])];
        using NeighbourTable neighbours = NeighbourTable.Build(x, 10);
        LocalLinearityResult local = LocalLinearity.Measure(neighbours, y, 10, permutations: 99);
        Assert.True(local.Moran.I > 0.6 && local.MeanRatio < 0.6);
        Assert.Equal(0.01, local.PermutationP);
        Assert.Equal(0.01, local.Moran.PermutationP);
        RidgeProbeResult ridge = RidgeProbe.Measure(x, y, new RidgeProbeOptions { Permutations = 99 });
        Assert.True(ridge.R2 > 0.9999);
        Assert.Equal(0.01, ridge.PermutationP);
        Assert.All(ridge.NullR2, r => Assert.True(r < 0.3));
    }

    [Fact]
    public void Metrics_keep_their_invariances()
    {
        using Matrix<double> x = Normal(90, 6, 1), y = Normal(90, 110, 2);
        using Matrix<double> turned = Rotated(x, scale: 3.5), shifted = Rotated(x, scale: 1, shift: 40);
        Assert.Equal(1, LinearCka.Measure(x, turned), 10);
        Assert.Equal(LinearCka.Measure(x, y), LinearCka.Measure(y, x), 12);
        Assert.Equal(LinearCka.Measure(x, y), LinearCka.Measure(shifted, y), 9);
        Assert.Equal(EffectiveRank.Measure(x, centre: true).Value, EffectiveRank.Measure(turned, centre: true).Value, 9);
        Assert.Equal(EffectiveRank.Measure(x, centre: true).Value, EffectiveRank.Measure(shifted, centre: true).Value, 6);
        double[] value = Column(90, 3);
        using NeighbourTable a = NeighbourTable.Build(x, 7), b = NeighbourTable.Build(turned, 7);
        Assert.Equal(LocalLinearity.Measure(a, value, 7).MeanRatio, LocalLinearity.Measure(b, Array.ConvertAll(value, v => 2 * v - 5), 7).MeanRatio, 10);
        Assert.Equal(MoransI.Measure(a, value, 7).I, MoransI.Measure(b, Array.ConvertAll(value, v => -3 * v + 1), 7).I, 10);
    }

    [Fact]
    public void CKA_is_one_number_in_both_forms()
    {
        using Matrix<double> x = Normal(40, 30, 11), y = Normal(40, 25, 12);
        using DeviceBuffer<double> meansX = ColumnStatistics.Means(x), meansY = ColumnStatistics.Means(y);
        using Matrix<double> a = ColumnStatistics.Centred(x, meansX), b = ColumnStatistics.Centred(y, meansY);
        Assert.Equal(LinearCka.ByFeatures(a, b), LinearCka.ByRows(a, b), 12);
    }

    [Fact]
    public void Effective_rank_of_known_spectra()
    {
        Assert.Equal(4, EffectiveRank.OfSpectrum([2, 2, 2, 2]), 12);
        Assert.Equal(1, EffectiveRank.OfSpectrum([5]), 12);
        using Matrix<double> line = Matrix<double>.From(_device, 3, 2, [1, 2, 2, 4, 3, 6]);
        Assert.Equal(1, EffectiveRank.Measure(line, centre: true).Value, 6);
    }

    [Fact]
    public void Coherence_over_tiles_masks_and_zero_rows()
    {
        using Matrix<double> rows = Normal(1100, 5, 21);
        rows.Row(3).Clear();
        CoherenceResult all = DecoderCoherence.Measure(rows);
        double sum = 0;
        for (int i = 0; i < 1100; i++)
            for (int j = i + 1; j < 1100; j++)
                if (i != 3 && j != 3) sum += Math.Abs(Cosine(rows.Row(i), rows.Row(j)));
        Assert.Equal(1099, all.Rows);
        Assert.Equal(sum / all.Pairs, all.MeanAbsoluteCosine, 10);
        bool[] keep = new bool[1100];
        keep[1] = keep[7] = true;
        Assert.Equal(Math.Abs(Cosine(rows.Row(1), rows.Row(7))), DecoderCoherence.Measure(rows, keep).MeanAbsoluteCosine, 12);
    }

    [Fact]
    public void Results_are_the_same_bytes_on_one_and_two_threads()
    {
        using CpuDevice one = new(1);
        double[] y = Column(150, 4);
        RidgeProbeOptions options = new() { Permutations = 40 };
        using Matrix<double> a = Normal(150, 60, 9, one), b = Normal(150, 60, 9);
        RidgeProbeResult x1 = RidgeProbe.Measure(a, y, options), x2 = RidgeProbe.Measure(b, y, options);
        Assert.Equal(x1.Predictions, x2.Predictions);
        Assert.Equal(x1.NullR2, x2.NullR2);
        using NeighbourTable n1 = NeighbourTable.Build(a, 9), n2 = NeighbourTable.Build(b, 9);
        LocalLinearityResult l1 = LocalLinearity.Measure(n1, y, 9, 50), l2 = LocalLinearity.Measure(n2, y, 9, 50);
        Assert.Equal(l1.Ratios, l2.Ratios);
        Assert.Equal((l1.PermutationP, l1.Moran), (l2.PermutationP, l2.Moran));
    }

    [Fact]
    public void Bad_input_is_named()
    {
        using Matrix<double> x = Normal(20, 3, 1);
        using NeighbourTable neighbours = NeighbourTable.Build(x, 5);
        Assert.Contains("19 values for 20 rows", Assert.Throws<DataException>(() => LocalLinearity.Measure(neighbours, new double[19], 5)).Message);
        Assert.Contains("equal", Assert.Throws<DataException>(() => LocalLinearity.Measure(neighbours, new double[20], 5)).Message);
        Assert.Contains("needs at least 21 rows", Assert.Throws<UsageException>(() => NeighbourTable.Build(x, 20)).Message);
        Assert.Throws<DataException>(() => RidgeProbe.Measure(x, new double[20]));
        Assert.Throws<DataException>(() => LinearProbe.CrossValidate(x, new int[20]));
        Assert.Throws<UsageException>(() => Pca.Fit(x, 4));
    }

    public void Dispose() => _device.Dispose();

    private Matrix<double> Normal(int rows, int columns, ulong seed, ComputeDevice? device = null)
    {
        Matrix<double> x = (device ?? _device).AllocateMatrix<double>(rows, columns);
        CounterRandom random = new(seed, 99);
        foreach (ref double value in x.Buffer.View.Host) value = random.NextNormal();
        return x;
    }

    private static double[] Column(int rows, ulong seed)
    {
        CounterRandom random = new(seed, 55);
        double[] y = new double[rows];
        for (int i = 0; i < rows; i++) y[i] = random.NextNormal();
        return y;
    }

    /// <summary>Rotates columns pairwise, scales and shifts.</summary>
    private Matrix<double> Rotated(Matrix<double> x, double scale, double shift = 0)
    {
        Matrix<double> y = _device.AllocateMatrix<double>(x.Rows, x.Columns);
        for (int i = 0; i < x.Rows; i++)
        {
            for (int j = 0; j < x.Columns; j += 2)
            {
                double a = x.Row(i)[j], b = x.Row(i)[j + 1];
                y.Row(i)[j] = scale * (0.6 * a - 0.8 * b) + shift;
                y.Row(i)[j + 1] = scale * (0.8 * a + 0.6 * b) - shift;
            }
        }
        return y;
    }

    private static double Cosine(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        double ab = 0, aa = 0, bb = 0;
        for (int i = 0; i < a.Length; i++)
        {
            ab += a[i] * b[i];
            aa += a[i] * a[i];
            bb += b[i] * b[i];
        }
        return ab / Math.Sqrt(aa * bb);
    }

    private static double KolmogorovDistance(double[] p)
    {
        double[] sorted = [.. p.Order()];
        double distance = 0;
        for (int i = 0; i < sorted.Length; i++) distance = Math.Max(distance, Math.Max(Math.Abs(sorted[i] - (double)i / p.Length), Math.Abs(sorted[i] - (i + 1.0) / p.Length)));
        return distance;
    }
}
