using BioSup.Analysis.Prediction;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Prediction;

/// <summary>Predictability on a GPU, or the emulated one, against the same on the host.</summary>
[Collection("cuda")]
public sealed class MlpCudaTests
{
    /// <summary>
    /// The device is that of the matrices. Both devices draw the same numbers, so that what differs is rounding, and with it now and then the epoch that is kept.
    /// </summary>
    [Fact]
    public void Predictability_is_the_hosts()
    {
        CudaDevice? device = CudaEmulator.Open(out string reason);
        Assert.SkipWhen(device is null, reason);
        using CudaDevice gpu = device!;
        using CpuDevice host = new(2);
        const int Rows = 36;
        float[] x = PredictionCases.Normal(Rows * 3, 61), y = PredictionCases.Linear(x, Rows, 5, 0.5, 62);
        for (int i = 0; i < Rows; i++) y[5 * i + 4] = 2;
        using Matrix<float> features = Matrix<float>.From(host, Rows, 3, x), targets = Matrix<float>.From(host, Rows, 5, y), onDevice = features.CopyAt(gpu), targetsOnDevice = targets.CopyAt(gpu);
        MlpOptions options = new() { Hidden = 8, Batch = 16, LearningRate = 1e-2, Epochs = 4, Patience = 2, Dropout = 0.2, Runs = 1, Permutations = 2 };
        PredictionFolds folds = PredictionFolds.Shuffled(Rows, 3, 1);
        PredictabilityResult expected = MlpPredictability.Run(features.View, targets.View, folds, options, SilentProgress.Instance, default);
        PredictabilityResult actual = MlpPredictability.Run(onDevice.View, targetsOnDevice.View, folds, options, SilentProgress.Instance, default);
        Assert.Equal(1, actual.ConstantTargets);
        for (int t = 0; t < 5; t++)
        {
            Assert.Equal(expected.RSquared[t], actual.RSquared[t], 1e-3);
            Assert.Equal(expected.NullMean![t], actual.NullMean![t], 1e-3);
        }
    }
}
