using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>
/// Gives dead latents a new direction (Bricken et al. 2023, "Neuron resampling"): each becomes a token of the current batch, drawn with probability in
/// proportion to its squared loss; its decoder row is the token minus b_dec at unit length, its encoder column the same direction at a fifth of the mean
/// length of the alive ones, its biases and threshold are those of the start, and the optimiser forgets it.
/// </summary>
internal static class DeadLatents
{
    private const int MostTokens = 8192, BlockTokens = 256;
    private const double EncoderShare = 0.2;
    private const ulong Stream = 0x5AE7_0000_0000;

    /// <summary>Host and device bytes that a resampling needs for a while.</summary>
    public static long Bytes(int inputWidth, int latents, int batch) =>
        sizeof(float) * ((long)Math.Min(batch, BlockTokens) * (latents + inputWidth) + (long)Math.Min(batch, MostTokens) * inputWidth);

    /// <param name="model">The model; dead latents are changed.</param>
    /// <param name="first">First moments, or momentum.</param>
    /// <param name="second">Second moments.</param>
    /// <param name="dead">The latents.</param>
    /// <param name="tokens">The batch, prepared.</param>
    /// <param name="workspace">Of the model.</param>
    /// <param name="config">Of the run: what the start looks like.</param>
    /// <param name="seed">Of the run.</param>
    /// <param name="step">The step: another draw each time.</param>
    public static void Resample(SaeModel model, SaeArrays first, SaeArrays second, IReadOnlyList<int> dead, MatrixView<float> tokens, SaeWorkspace workspace, SaeConfig config, ulong seed, long step)
    {
        int d = model.InputWidth, latents = model.Latents, count = Math.Min(tokens.Rows, MostTokens);
        float[] inputs = new float[(long)count * d], bias = Host(model.Arrays.DecoderBias);
        double[] cumulative = Losses(model, tokens.RowBlock(0, count), workspace, bias, inputs);
        float[] encoder = Host(model.Arrays.Encoder.Buffer), decoder = Host(model.Arrays.Decoder.Buffer);
        float[]? gate = model.Arrays.Gate is null ? null : Host(model.Arrays.Gate.Buffer);
        double length = EncoderShare * MeanColumnLength(encoder, d, latents, [.. dead]);
        CounterRandom random = new(seed, Stream + (ulong)step);
        foreach (int j in dead)
        {
            int token = Draw(cumulative, random.NextDouble());
            Span<float> direction = inputs.AsSpan(token * d, d);
            double norm = 0;
            for (int i = 0; i < d; i++) norm += ((double)direction[i] - bias[i]) * (direction[i] - bias[i]);
            norm = Math.Max(Math.Sqrt(norm), 1e-12);
            for (int i = 0; i < d; i++)
            {
                double unit = (direction[i] - bias[i]) / norm;
                decoder[j * d + i] = (float)unit;
                encoder[i * latents + j] = (float)(length * unit);
                if (gate is not null) gate[i * latents + j] = (float)(length * unit);
            }
        }
        model.Arrays.Encoder.Buffer.CopyFrom(encoder);
        model.Arrays.Decoder.Buffer.CopyFrom(decoder);
        if (gate is not null) model.Arrays.Gate!.Buffer.CopyFrom(gate);
        Set(model.Arrays.EncoderBias, dead, 0);
        Set(model.Arrays.GateBias, dead, model.Shape.Architecture == SaeArchitecture.Gated ? SaeModel.InitialGateBias : 0);
        Set(model.Arrays.MagnitudeScale, dead, 0);
        if (model.Shape.Architecture == SaeArchitecture.JumpRelu) Set(model.Arrays.Threshold, dead, (float)config.InitialThreshold!.Value);
        Forget(first, dead);
        Forget(second, dead);
    }

    /// <summary>Squared losses ‖t − r̂‖⁴ of tokens, added up; tokens also come to the host.</summary>
    private static double[] Losses(SaeModel model, MatrixView<float> tokens, SaeWorkspace workspace, float[] bias, float[] inputs)
    {
        ComputeDevice device = model.Device;
        int d = model.InputWidth, block = Math.Min(tokens.Rows, BlockTokens);
        using Matrix<float> activations = device.AllocateMatrix<float>(block, model.Latents), rebuilt = device.AllocateMatrix<float>(block, d);
        float[] reconstruction = new float[block * d];
        double[] cumulative = new double[tokens.Rows];
        double sum = 0;
        for (int start = 0; start < tokens.Rows; start += block)
        {
            int rows = Math.Min(block, tokens.Rows - start);
            MatrixView<float> part = tokens.RowBlock(start, rows), active = activations.View.RowBlock(0, rows), decoded = rebuilt.View.RowBlock(0, rows);
            SaeStep.Encode(part, model.Parameters, workspace, active);
            Gemm.Multiply(Transpose.No, Transpose.No, 1, active, model.Decoder.View, 0, decoded);
            decoded.CopyTo(reconstruction.AsSpan(0, rows * d));
            part.CopyTo(inputs.AsSpan(start * d, rows * d));
            for (int t = 0; t < rows; t++)
            {
                double error = 0;
                for (int i = 0; i < d; i++)
                {
                    double e = (double)reconstruction[t * d + i] + bias[i] - inputs[(start + t) * d + i];
                    error += e * e;
                }
                cumulative[start + t] = sum += error * error;
            }
        }
        return cumulative;
    }

    private static int Draw(double[] cumulative, double u)
    {
        int at = Array.BinarySearch(cumulative, u * cumulative[^1]);
        return Math.Min(at < 0 ? ~at : at + 1, cumulative.Length - 1);
    }

    private static double MeanColumnLength(float[] encoder, int d, int latents, HashSet<int> without)
    {
        double[] squares = new double[latents];
        for (int i = 0; i < d; i++)
            for (int j = 0; j < latents; j++) squares[j] += (double)encoder[i * latents + j] * encoder[i * latents + j];
        double[] lengths = [.. Enumerable.Range(0, latents).Where(j => !without.Contains(j)).Select(j => Math.Sqrt(squares[j]))];
        return lengths.Length > 0 ? lengths.Average() : 1;
    }

    private static void Forget(SaeArrays moments, IReadOnlyList<int> dead)
    {
        int latents = moments.Latents;
        foreach ((_, DeviceBuffer<float> buffer, long[] shape) in moments.Tensors())
        {
            if (ReferenceEquals(buffer, moments.DecoderBias)) continue;
            float[] values = Host(buffer);
            bool rows = ReferenceEquals(buffer, moments.Decoder.Buffer);
            int width = shape.Length == 2 ? moments.InputWidth : 1;
            foreach (int j in dead)
                for (int i = 0; i < width; i++) values[rows ? j * width + i : i * latents + j] = 0;
            buffer.CopyFrom(values);
        }
    }

    private static void Set(DeviceBuffer<float>? buffer, IReadOnlyList<int> dead, float value)
    {
        if (buffer is null) return;
        float[] values = Host(buffer);
        foreach (int j in dead) values[j] = value;
        buffer.CopyFrom(values);
    }

    private static float[] Host(DeviceBuffer<float> buffer)
    {
        float[] values = new float[buffer.Length];
        buffer.CopyTo(values);
        return values;
    }
}
