using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Where the parameters of a network lie in one array, on every device: γ, β, weights [in, out] and bias of each layer, one after the other, each from a multiple of
/// <see cref="Padding"/> on with zeros between them.
/// </summary>
internal sealed class MlpLayout
{
    public const int Layers = 3, Padding = 16;

    public MlpLayout(int inputs, int hidden, int outputs)
    {
        Widths = [inputs, hidden, hidden, outputs];
        int length = 0;
        for (int l = 0; l < Layers; l++)
        {
            Gamma[l] = Take(Widths[l], ref length);
            Beta[l] = Take(Widths[l], ref length);
            Weight[l] = Take(checked(Widths[l] * Widths[l + 1]), ref length);
            Bias[l] = Take(Widths[l + 1], ref length);
        }
        Length = length;
    }

    /// <summary>Inputs of the first layer, and outputs of each.</summary>
    public int[] Widths { get; }

    public int[] Gamma { get; } = new int[Layers];
    public int[] Beta { get; } = new int[Layers];
    public int[] Weight { get; } = new int[Layers];
    public int[] Bias { get; } = new int[Layers];

    /// <summary>Elements of the array.</summary>
    public int Length { get; }

    /// <summary>A count brought up to the padding.</summary>
    public static int Padded(int count) => checked((count + Padding - 1) / Padding * Padding);

    /// <summary>PyTorch's initial values: weights and biases uniform within ±1 / √in, γ 1, β 0.</summary>
    public void Initialise<T>(Span<T> parameters, ref CounterRandom random) where T : unmanaged, IFloatingPointIeee754<T>
    {
        parameters.Clear();
        for (int l = 0; l < Layers; l++)
        {
            double bound = 1 / Math.Sqrt(Widths[l]);
            parameters.Slice(Gamma[l], Widths[l]).Fill(T.One);
            Draw(parameters.Slice(Weight[l], Widths[l] * Widths[l + 1]), bound, ref random);
            Draw(parameters.Slice(Bias[l], Widths[l + 1]), bound, ref random);
        }
    }

    private static void Draw<T>(Span<T> values, double bound, ref CounterRandom random) where T : unmanaged, IFloatingPointIeee754<T>
    {
        foreach (ref T value in values) value = T.CreateChecked(bound * (2 * random.NextDouble() - 1));
    }

    private static int Take(int count, ref int length)
    {
        int start = length;
        length = checked(length + Padded(count));
        return start;
    }
}
