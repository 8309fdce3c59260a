using BioSup.Analysis.Prediction;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Prediction;

/// <summary>A null that is interrupted after its first part and goes on from there is the null that nothing interrupted, to the bit.</summary>
public sealed class NullPartsTests : IDisposable
{
    private const int Rows = 40;
    private readonly CpuDevice _device = new(2);
    private readonly Matrix<float> _x;

    public NullPartsTests() => _x = Random(3, 5);

    public void Dispose()
    {
        _x.Dispose();
        _device.Dispose();
    }

    [Theory]
    // More targets than a block of 1,024, the last of them alone.
    [InlineData(4)]
    [InlineData(0)]
    public void Ridge(int permutations) => Interrupt(1025, (y, parts, cancel) =>
        RidgePredictability.Run(_x.View, y.View, Folds(), new RidgeOptions { Permutations = permutations }, SilentProgress.Instance, cancel, parts));

    [Fact]
    public void Network() => Interrupt(3, (y, parts, cancel) =>
        MlpPredictability.Run(_x.View, y.View, Folds(), new MlpOptions { Runs = 2, Epochs = 2, Patience = 2, Permutations = 40 }, SilentProgress.Instance, cancel, parts));

    [Fact]
    public void Trees() => Interrupt(70, (y, parts, cancel) =>
        TreePredictability.Run(_x.View, y.View, Folds(), new TreeOptions { Trees = 2, Depth = 2, Permutations = 4 }, SilentProgress.Instance, cancel, parts));

    [Fact]
    public void A_result_is_packed_without_loss_and_nothing_else_is_taken_for_one()
    {
        PredictabilityResult result = new([0.5, -1], 0.25, 3, [0, 0.1], [1, 2], [3, double.NegativeZero], [0.25, 1], [0.1, 0.2, 0.3]) { ConstantTargets = 1 };
        double[] packed = result.Pack();
        Require(result, PredictabilityResult.Unpack(packed, 2)!);
        Assert.Null(PredictabilityResult.Unpack(packed, 3));
        Assert.Null(PredictabilityResult.Unpack(packed[..^1], 2));
        Assert.Null(PredictabilityResult.Unpack([], 0));
        PredictabilityResult bare = new([0.5, -1], 0.25, 0, null, null, null, null, null);
        Require(bare, PredictabilityResult.Unpack(bare.Pack(), 2)!);
    }

    private void Interrupt(int targets, Func<Matrix<float>, NullParts?, CancellationToken, PredictabilityResult> run)
    {
        using Matrix<float> y = Random(targets, 7);
        PredictabilityResult whole = run(y, null, default);
        Store store = new();
        NullParts parts = new(store, "null");
        Assert.ThrowsAny<OperationCanceledException>(() => run(y, parts, store.CancelAfterFirst()));
        Assert.Equal(["null_part0"], store.Kept.Keys);
        Require(whole, run(y, parts, default));
        Assert.Equal(["null_part0", "null_part1"], store.Kept.Keys.Order());
        Assert.Equal(2, store.Writes);
        // Nothing is left to be done, and what is of another length is no part of this null.
        Require(whole, run(y, parts, default));
        Assert.Equal(2, store.Writes);
        store.Kept["null_part0"] = [1, 2];
        Require(whole, run(y, parts, default));
        parts.Drop();
        Assert.Empty(store.Kept);
    }

    private static void Require(PredictabilityResult expected, PredictabilityResult actual)
    {
        Assert.Equal(expected.RSquared, actual.RSquared);
        Assert.Equal((expected.MeanRSquared, expected.Permutations, expected.ConstantTargets), (actual.MeanRSquared, actual.Permutations, actual.ConstantTargets));
        Assert.Equal(expected.NullMean, actual.NullMean);
        Assert.Equal(expected.NullDeviation, actual.NullDeviation);
        Assert.Equal(expected.ZScore, actual.ZScore);
        Assert.Equal(expected.PValue, actual.PValue);
        Assert.Equal(expected.NullMeans, actual.NullMeans);
    }

    private static PredictionFolds Folds() => PredictionFolds.Shuffled(Rows, 4, 1);

    private Matrix<float> Random(int columns, ulong seed)
    {
        Matrix<float> matrix = _device.AllocateMatrix<float>(Rows, columns);
        CounterRandom random = new(seed);
        for (int i = 0; i < Rows; i++)
            for (int j = 0; j < columns; j++) matrix.Row(i)[j] = (float)random.NextNormal();
        return matrix;
    }

    private sealed class Store : IPartStore
    {
        private readonly CancellationTokenSource _source = new();
        private bool _armed;

        public Dictionary<string, double[]> Kept { get; } = [];

        public int Writes { get; private set; }

        public CancellationToken CancelAfterFirst()
        {
            _armed = true;
            return _source.Token;
        }

        public double[]? Find(string name) => Kept.GetValueOrDefault(name);

        public void Keep(string name, double[] values)
        {
            Kept[name] = values;
            Writes++;
            if (_armed) _source.Cancel();
        }

        public void Drop(string prefix)
        {
            foreach (string name in Kept.Keys.Where(k => k.StartsWith(prefix, StringComparison.Ordinal)).ToArray()) Kept.Remove(name);
        }
    }
}
