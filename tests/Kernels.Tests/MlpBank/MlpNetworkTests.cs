using System.Numerics;
using System.Text.Json.Nodes;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests;

/// <summary>The network's arithmetic: PyTorch in double precision (tests/golden/prediction/make_mlp.py), finite differences, and single beside double precision.</summary>
public sealed class MlpNetworkTests : IDisposable
{
    private readonly CpuDevice _cpu = new(1);

    public void Dispose() => _cpu.Dispose();

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void StepsAreThoseOfPyTorch(int number)
    {
        JsonNode golden = JsonNode.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests", "golden", "prediction", "mlp.json")))!, data = golden["cases"]![number]!;
        int rows = (int)golden["rows"]!, inputs = (int)golden["inputs"]!, hidden = (int)golden["hidden"]!, outputs = (int)golden["outputs"]!;
        using Matrix<double> x = Matrix<double>.From(_cpu, rows, inputs, Doubles(data["x"]!)), y = Matrix<double>.From(_cpu, rows, outputs, Doubles(data["y"]!));
        using MlpNetwork<double> network = new(_cpu, inputs, hidden, outputs, rows);
        using MlpOptimiser<double> optimiser = new(_cpu, network.Parameters.Length);
        Load(network, data["initial"]!);
        MlpTargetScale<double> scale = Unscaled<double>(outputs);
        bool clipped = false, unclipped = false;
        foreach (JsonNode? expected in data["steps"]!.AsArray())
        {
            int[] order = [.. expected!["rows"]!.AsArray().Select(v => (int)v!)];
            for (int l = 0; l < 2; l++) Doubles(expected["masks"]![l]!).CopyTo(network.Keep[l].Buffer.View.Host);
            network.Backpropagate(x, y, order, order, scale);
            double norm = Math.Sqrt(EitherPrecision.SumOfSquares(network.Gradients));
            Near((double)expected["loss"]!, network.MeanSquaredError(order.Length), "loss");
            Near((double)expected["norm"]!, norm, "gradient norm");
            clipped |= norm > 1;
            unclipped |= norm < 1;
            optimiser.Step(network, (double)expected["rate"]!, 1.2e-3, 1);
        }
        Assert.True(clipped && unclipped, "the golden has steps that are clipped and steps that are not");
        RequireState(network, data["final"]!);
        int[] all = [.. Enumerable.Range(0, rows)];
        MatrixView<double> output = network.Predict(x, all);
        double[] expectedOutput = Doubles(data["output"]!);
        for (int i = 0; i < expectedOutput.Length; i++) Near(expectedOutput[i], output.Row(i / outputs)[i % outputs], "output");
        Near((double)data["error"]!, network.EvaluateError(x, y, all, all, scale) / (rows * outputs), "error");
    }

    [Fact]
    public void GradientsAreFiniteDifferences()
    {
        const int rows = 9, inputs = 3, hidden = 5, outputs = 2;
        using Matrix<double> x = Matrix<double>.From(_cpu, rows, inputs, Array.ConvertAll(MlpCases.Normal(rows * inputs, 1), v => (double)v));
        using Matrix<double> y = Matrix<double>.From(_cpu, rows, outputs, Array.ConvertAll(MlpCases.Normal(rows * outputs, 2), v => (double)v));
        using MlpNetwork<double> network = Random<double>(inputs, hidden, outputs, rows);
        int[] order = [4, 1, 8, 0, 6, 2, 7], targets = [2, 3, 1, 0, 5, 8, 4];
        MlpTargetScale<double> scale = Unscaled<double>(outputs);
        (scale.NegativeInverse[1], scale.Offset[1]) = (-0.5, 0.7);
        network.Backpropagate(x, y, order, targets, scale);
        double[] gradients = network.Gradients.View.Host.ToArray(), parameters = network.Parameters.View.Host.ToArray();
        int nonZero = 0;
        for (int i = 0; i < parameters.Length; i++)
        {
            double above = Loss(parameters[i] + 1e-6), below = Loss(parameters[i] - 1e-6), expected = (above - below) / 2e-6;
            network.Parameters.View.Host[i] = parameters[i];
            // Rounding of a loss of about 1 leaves 1e-10 in the difference quotient, the third derivative less.
            Assert.Equal(expected, gradients[i], 2e-8);
            if (Math.Abs(gradients[i]) > 1e-6) nonZero++;

            double Loss(double value)
            {
                network.Parameters.View.Host[i] = value;
                network.Backpropagate(x, y, order, targets, scale);
                return network.MeanSquaredError(order.Length);
            }
        }
        Assert.True(nonZero > 50, $"{nonZero} gradients are not zero");
    }

    [Fact]
    public void SinglePrecisionFollowsDouble()
    {
        const int rows = 64, inputs = 20, hidden = 32, outputs = 50;
        float[] x = MlpCases.Normal(rows * inputs, 3), y = MlpCases.Normal(rows * outputs, 4);
        double[] expected = Gradients(Array.ConvertAll(x, v => (double)v), Array.ConvertAll(y, v => (double)v)), actual = Array.ConvertAll(Gradients(x, y), v => (double)v);
        // Sums of up to 64 terms in three layers there and three back leave a few dozen roundings of 6e-8.
        double largest = expected.Max(Math.Abs);
        for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], actual[i], 1e-5 * largest);

        T[] Gradients<T>(T[] features, T[] targets) where T : unmanaged, IFloatingPointIeee754<T>
        {
            using Matrix<T> xs = Matrix<T>.From(_cpu, rows, inputs, features), ys = Matrix<T>.From(_cpu, rows, outputs, targets);
            using MlpNetwork<T> network = Random<T>(inputs, hidden, outputs, rows);
            // The same initial values in both precisions, those of single.
            foreach (ref T value in network.Parameters.View.Host) value = T.CreateChecked((float)double.CreateChecked(value));
            int[] order = [.. Enumerable.Range(0, rows)];
            network.Backpropagate(xs, ys, order, order, Unscaled<T>(outputs));
            return network.Gradients.View.Host.ToArray();
        }
    }

    private MlpNetwork<T> Random<T>(int inputs, int hidden, int outputs, int batch) where T : unmanaged, IFloatingPointIeee754<T>
    {
        MlpNetwork<T> network = new(_cpu, inputs, hidden, outputs, batch);
        CounterRandom random = new(7);
        network.Initialise(ref random);
        for (int l = 0; l < 3; l++)
        {
            foreach (ref T gamma in network.Gamma(l)) gamma = T.CreateChecked(0.5 + random.NextDouble());
            foreach (ref T beta in network.Beta(l)) beta = T.CreateChecked(random.NextDouble() - 0.5);
        }
        foreach (Matrix<T> keep in network.Keep)
            foreach (ref T value in keep.Buffer.View.Host) value = random.NextDouble() < 0.3 ? T.Zero : T.CreateChecked(1.25);
        return network;
    }

    private static MlpTargetScale<T> Unscaled<T>(int outputs) where T : unmanaged, IFloatingPointIeee754<T>
    {
        MlpTargetScale<T> scale = new(outputs);
        scale.NegativeInverse.AsSpan().Fill(-T.One);
        return scale;
    }

    private static void Load(MlpNetwork<double> network, JsonNode layers)
    {
        for (int l = 0; l < 3; l++)
        {
            JsonNode layer = layers[l]!;
            Doubles(layer["gamma"]!).CopyTo(network.Gamma(l));
            Doubles(layer["beta"]!).CopyTo(network.Beta(l));
            Doubles(layer["bias"]!).CopyTo(network.Bias(l));
            network.Weight(l).CopyFrom(Doubles(layer["weight"]!));
            Doubles(layer["mean"]!).CopyTo(network.Norms[l].RunningMean, 0);
            Doubles(layer["variance"]!).CopyTo(network.Norms[l].RunningVariance, 0);
        }
    }

    private static void RequireState(MlpNetwork<double> network, JsonNode layers)
    {
        for (int l = 0; l < 3; l++)
        {
            JsonNode layer = layers[l]!;
            double[] weight = new double[Doubles(layer["weight"]!).Length];
            network.Weight(l).CopyTo(weight);
            RequireAll(layer["gamma"]!, network.Gamma(l), $"gamma of layer {l}");
            RequireAll(layer["beta"]!, network.Beta(l), $"beta of layer {l}");
            RequireAll(layer["weight"]!, weight, $"weight of layer {l}");
            RequireAll(layer["bias"]!, network.Bias(l), $"bias of layer {l}");
            RequireAll(layer["mean"]!, network.Norms[l].RunningMean, $"running mean of layer {l}");
            RequireAll(layer["variance"]!, network.Norms[l].RunningVariance, $"running variance of layer {l}");
        }
    }

    private static void RequireAll(JsonNode expected, ReadOnlySpan<double> actual, string what)
    {
        double[] values = Doubles(expected);
        for (int i = 0; i < values.Length; i++) Near(values[i], actual[i], what);
    }

    /// <summary>Adam divides a gradient by its own size, so that rounding of a gradient near zero is multiplied; nine steps leave far less than 1e-9.</summary>
    private static void Near(double expected, double actual, string what) =>
        Assert.True(Math.Abs(expected - actual) <= 1e-9 * Math.Max(1, Math.Abs(expected)), $"{what}: expected {expected:R}, got {actual:R}");

    private static double[] Doubles(JsonNode node) => [.. node.AsArray().Select(v => (double)v!)];
}
