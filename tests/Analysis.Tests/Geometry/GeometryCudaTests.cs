using BioSup.Analysis.Geometry;
using BioSup.Analysis.Recovery;
using BioSup.Analysis.SingleCell;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Geometry;

/// <summary>
/// Every metric on the GPU, or the emulated one, against the processor. Both add in double precision, in different orders: results agree to 1e-9 of their size, far
/// above the rounding of a few hundred terms and far below anything that is reported.
/// </summary>
public sealed class GeometryCudaTests : IDisposable
{
    private const double Tolerance = 1e-9;
    private const int Cells = 60;
    private readonly CpuDevice _cpu = new(2);
    private CudaDevice? _gpu;

    public void Dispose()
    {
        _gpu?.Dispose();
        _cpu.Dispose();
    }

    private CudaDevice Gpu()
    {
        _gpu = CudaEmulator.Open(out string reason);
        Assert.SkipWhen(_gpu is null, reason);
        return _gpu!;
    }

    private static double[] Normal(int count, ulong seed)
    {
        CounterRandom random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.NextNormal())];
    }

    private static Matrix<double> Numbers(ComputeDevice device, int rows, int columns, ulong seed) => Matrix<double>.From(device, rows, columns, Normal(rows * columns, seed));

    private static void Near(double expected, double actual, string what) =>
        Assert.True(Math.Abs(expected - actual) <= Tolerance * Math.Max(1, Math.Abs(expected)), $"{what}: {actual:R} on the GPU, {expected:R} on the processor");

    private static void Near(IReadOnlyList<double> expected, IReadOnlyList<double> actual, string what)
    {
        Assert.Equal(expected.Count, actual.Count);
        for (int i = 0; i < expected.Count; i++) Near(expected[i], actual[i], $"{what}[{i}]");
    }

    [Fact]
    public void A_study_equals_the_processors_and_leaves_no_buffer_behind()
    {
        CudaDevice gpu = Gpu();
        double[] value = [.. Normal(Cells, 1).Zip(Normal(Cells * 8, 2).Chunk(8), (noise, row) => row[0] + 0.3 * noise)];
        GeometryOptions options = new() { K = [3, 7], Permutations = 2 };
        GeometryStudy Study(ComputeDevice device)
        {
            using Matrix<double> first = Numbers(device, Cells, 8, 2), second = Numbers(device, Cells, 5, 3);
            return GeometryStudy.Run([new GeometrySource("first", first), new GeometrySource("second", second)], value, null, options);
        }

        long before = gpu.Pool.BytesInUse;
        GeometryStudy expected = Study(_cpu), actual = Study(gpu);
        Assert.Equal(before, gpu.Pool.BytesInUse);
        foreach ((GeometryMeasurement e, GeometryMeasurement a) in expected.Measurements.Zip(actual.Measurements))
        {
            foreach ((LocalLinearityResult le, LocalLinearityResult la) in e.Local.Zip(a.Local))
            {
                Near(le.Ratios, la.Ratios, "ratio");
                Near(le.Moran.I, la.Moran.I, "Moran's I");
                Assert.Equal(le.PermutationP, la.PermutationP);
            }
            Near(e.RankCentred.Value, a.RankCentred.Value, "effective rank");
            Near(e.RankRaw.SingularValues, a.RankRaw.SingularValues, "singular value");
            Near(e.Ridge!.R2, a.Ridge!.R2, "ridge R²");
            Near(e.Ridge.Predictions, a.Ridge.Predictions, "prediction");
            Near(e.Ridge.NullR2, a.Ridge.NullR2, "permuted R²");
            Assert.Equal(e.Ridge.Alphas, a.Ridge.Alphas);
        }
        Near(expected.Cka[0].Cka, actual.Cka[0].Cka, "CKA");
    }

    [Fact]
    public void Groups_are_gathered_and_measured_on_the_device()
    {
        CudaDevice gpu = Gpu();
        string[] groups = [.. Enumerable.Range(0, Cells).Select(i => i % 3 == 0 ? "SNCA" : "GBA")];
        GeometryOptions options = new() { K = [4], Ridge = false };
        GeometryStudy Study(ComputeDevice device)
        {
            // Fewer cells than columns in one of the groups: products of rows instead of columns.
            using Matrix<double> wide = Numbers(device, Cells, 25, 4), narrow = Numbers(device, Cells, 3, 5);
            return GeometryStudy.Run([new GeometrySource("wide", wide), new GeometrySource("narrow", narrow)], Normal(Cells, 6), groups, options);
        }

        GeometryStudy expected = Study(_cpu), actual = Study(gpu);
        for (int i = 0; i < 4; i++)
        {
            Near(expected.Measurements[i].Local[0].Ratios, actual.Measurements[i].Local[0].Ratios, "ratio");
            Near(expected.Measurements[i].RankCentred.SingularValues, actual.Measurements[i].RankCentred.SingularValues, "singular value");
        }
        for (int i = 0; i < 2; i++) Near(expected.Cka[i].Cka, actual.Cka[i].Cka, "CKA");
        Assert.Equal(0, gpu.Pool.BytesInUse);
    }

    [Fact]
    public void A_linear_probe_and_the_coherence_of_a_dictionary_equal_the_processors()
    {
        CudaDevice gpu = Gpu();
        int[] labels = [.. Enumerable.Range(0, Cells).Select(i => i % 3)];
        double[] points = Normal(Cells * 4, 7), atoms = Normal(70 * 6, 8);
        for (int i = 0; i < Cells; i++) points[4 * i + labels[i]] += 1.5;
        atoms.AsSpan(6, 6).Clear();
        LinearProbeOptions options = new() { Folds = 2, MaxIterations = 15 };
        LinearProbeResult Probe(ComputeDevice device)
        {
            using Matrix<double> x = Matrix<double>.From(device, Cells, 4, points);
            return LinearProbe.CrossValidate(x, labels, options);
        }

        CoherenceResult Coherence(ComputeDevice device)
        {
            using Matrix<double> dictionary = Matrix<double>.From(device, 70, 6, atoms);
            return DecoderCoherence.Measure(dictionary);
        }

        Assert.Equal(Probe(_cpu).Predictions, Probe(gpu).Predictions);
        CoherenceResult expected = Coherence(_cpu), actual = Coherence(gpu);
        Assert.Equal((69, 69 * 34), (actual.Rows, actual.Pairs));
        Near([expected.MeanAbsoluteCosine, expected.Std, expected.Largest], [actual.MeanAbsoluteCosine, actual.Std, actual.Largest], "coherence");
        Assert.Equal(0, gpu.Pool.BytesInUse);
    }

    /// <summary>Four components of six are taken from all eigenvectors, four of 40 or more from inverse iteration.</summary>
    [Theory]
    [InlineData(40, 6)]
    [InlineData(6, 40)]
    [InlineData(60, 41)]
    [InlineData(40, 70)]
    public void Principal_components_equal_the_processors(int rows, int columns)
    {
        CudaDevice gpu = Gpu();
        (double[] Components, double[] Variances, double[] Scores) Fit(ComputeDevice device)
        {
            using Matrix<double> x = Numbers(device, rows, columns, 9);
            using Pca pca = Pca.Fit(x, 4);
            using Matrix<double> scores = pca.Transform(x);
            return (pca.Components.ToArray(), pca.ExplainedVariance, scores.ToArray());
        }

        (double[] components, double[] variances, double[] scores) = Fit(_cpu);
        (double[] Components, double[] Variances, double[] Scores) actual = Fit(gpu);
        Near(components, actual.Components, "component");
        Near(variances, actual.Variances, "variance");
        Near(scores, actual.Scores, "score");
        Assert.Equal(0, gpu.Pool.BytesInUse);
    }

    /// <summary>Single precision, but every step in double and rounded once: a unit in the last place between the devices, where the logarithm or a sum falls on a boundary.</summary>
    [Fact]
    public void Counts_are_prepared_and_concepts_matched_as_on_the_processor()
    {
        CudaDevice gpu = Gpu();
        float[] counts = [.. Normal(Cells * 7, 10).Select(v => MathF.Floor(MathF.Exp((float)v)))];
        double[] truth = [.. Enumerable.Range(0, Cells * 2).Select(i => counts[i / 2 * 7 + i % 2 * 3])];
        (float[] Prepared, RecoveredConcept[] Matches) Prepare(ComputeDevice device)
        {
            using Matrix<float> x = Matrix<float>.From(device, Cells, 7, counts);
            using Matrix<double> concepts = Matrix<double>.From(device, Cells, 2, truth);
            CellPreprocessing.NormaliseTotal(x);
            CellPreprocessing.Log1p(x);
            CellPreprocessing.Standardise(x);
            CellPreprocessing.NormaliseRows(x);
            return (x.ToArray(), ConceptRecovery.Match(x, concepts, 3));
        }

        (float[] prepared, RecoveredConcept[] matches) = Prepare(_cpu);
        (float[] Prepared, RecoveredConcept[] Matches) actual = Prepare(gpu);
        for (int i = 0; i < prepared.Length; i++) Assert.Equal(prepared[i], actual.Prepared[i], 4e-7f);
        foreach ((RecoveredConcept e, RecoveredConcept a) in matches.Zip(actual.Matches))
        {
            Assert.Equal(e.Feature, a.Feature);
            Near(e.Correlation, a.Correlation, "Spearman's ρ");
        }
        Assert.Equal(0, gpu.Pool.BytesInUse);
    }
}
