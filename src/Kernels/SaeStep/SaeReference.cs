using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Losses and gradients of every architecture by their definitions (docs/sae.md), one pair of token and latent at a time: in double precision the oracle of
/// every variant, in single precision the plain implementation whose rounding theirs is held against.
/// </summary>
internal static partial class SaeReference<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>A model, or its gradients: W_enc and W_gate [d, D], W_dec [D, d], row-major; vectors an architecture lacks have no elements.</summary>
    internal sealed record Parameters(SaeShape Shape, T[] Encoder, T[]? Gate, T[] EncoderBias, T[] GateBias, T[] MagnitudeScale, T[] Threshold, T[] Decoder, T[] DecoderBias)
    {
        public int Width => Shape.InputWidth;
        public int Latents => Shape.Latents;

        public static Parameters Zero(in SaeShape shape)
        {
            int d = shape.InputWidth, latents = shape.Latents;
            return new(shape, new T[d * latents], shape.Tied ? null : new T[d * latents], new T[latents], new T[shape.HasGateBias ? latents : 0],
                new T[shape.HasMagnitudeScale ? latents : 0], new T[shape.HasThreshold ? latents : 0], new T[d * latents], new T[d]);
        }

        public static Parameters From(SaeParameters p, in SaeShape shape) => new(shape, Values(p.Encoder), shape.Tied ? null : Values(p.Gate), Values(p.EncoderBias),
            shape.HasGateBias ? Values(p.GateBias) : [], shape.HasMagnitudeScale ? Values(p.MagnitudeScale) : [], shape.HasThreshold ? Values(p.Threshold) : [],
            Values(p.Decoder), Values(p.DecoderBias));

        public Parameters Copy() => this with
        {
            Encoder = [.. Encoder],
            Gate = Gate is null ? null : [.. Gate],
            EncoderBias = [.. EncoderBias],
            GateBias = [.. GateBias],
            MagnitudeScale = [.. MagnitudeScale],
            Threshold = [.. Threshold],
            Decoder = [.. Decoder],
            DecoderBias = [.. DecoderBias],
        };

        /// <summary>Every array the shape has, with the name of its tensor.</summary>
        public IEnumerable<(string Name, T[] Values)> Arrays()
        {
            yield return ("W_enc", Encoder);
            if (Gate is not null) yield return ("W_gate", Gate);
            yield return ("W_dec", Decoder);
            yield return ("b_enc", EncoderBias);
            if (GateBias.Length > 0) yield return ("b_gate", GateBias);
            if (MagnitudeScale.Length > 0) yield return ("r_mag", MagnitudeScale);
            if (Threshold.Length > 0) yield return ("threshold", Threshold);
            yield return ("b_dec", DecoderBias);
        }

        public void CopyTo(SaeParameters p)
        {
            Write(Encoder, p.Encoder);
            if (Gate is not null) Write(Gate, p.Gate);
            Write(Decoder, p.Decoder);
            Write(EncoderBias, p.EncoderBias);
            Write(GateBias, p.GateBias);
            Write(MagnitudeScale, p.MagnitudeScale);
            Write(Threshold, p.Threshold);
            Write(DecoderBias, p.DecoderBias);
        }

        private static void Write(T[] values, MatrixView<float> matrix)
        {
            for (int i = 0; i < matrix.Rows; i++)
                for (int j = 0; j < matrix.Columns; j++) matrix.Row(i)[j] = float.CreateTruncating(values[i * matrix.Columns + j]);
        }

        private static void Write(T[] values, DeviceSpan<float> vector)
        {
            for (int i = 0; i < values.Length; i++) vector.Host[i] = float.CreateTruncating(values[i]);
        }
    }

    /// <summary>What a pass yields besides gradients.</summary>
    internal sealed record Result(T Loss, T Reconstruction, T Sparsity, T Auxiliary, T PreActivation, T SquaredError, T Squares, T[] TokenSums,
        long Active, long MagnitudePositive, long GatePositive, int TokensWithActive, int[] Usage, T SmallestActive);

    /// <summary>Pre-activations and activations of a batch, [token, latent].</summary>
    internal sealed record Batch(int Tokens, T[] Input, T[] Projection, T[] GatePre, T[] Magnitude, bool[] Active)
    {
        public T Activation(int pair) => Active[pair] ? Magnitude[pair] : T.Zero;
    }

    public static T[] Values(MatrixView<float> matrix)
    {
        T[] values = new T[(long)matrix.Rows * matrix.Columns];
        for (int i = 0; i < matrix.Rows; i++)
            for (int j = 0; j < matrix.Columns; j++) values[i * matrix.Columns + j] = T.CreateTruncating(matrix.Row(i)[j]);
        return values;
    }

    private static T[] Values(DeviceSpan<float> vector)
    {
        T[] values = new T[vector.Length];
        for (int i = 0; i < values.Length; i++) values[i] = T.CreateTruncating(vector.Host[i]);
        return values;
    }

    /// <summary>Which latents are active; outside training the BatchTopK family uses its threshold.</summary>
    internal static Batch Forward(T[] tokens, int n, Parameters p, bool training)
    {
        int d = p.Width, latents = p.Latents;
        SaeShape shape = p.Shape;
        T[] input = [.. tokens];
        if (shape.SubtractDecoderBias) for (int i = 0; i < input.Length; i++) input[i] -= p.DecoderBias[i % d];
        T[] projection = Product(input, n, p.Encoder, latents), magnitude = new T[n * latents], gate = magnitude;
        for (int i = 0; i < magnitude.Length; i++)
        {
            T scale = shape.HasMagnitudeScale ? T.Exp(p.MagnitudeScale[i % latents]) : T.One;
            magnitude[i] = projection[i] * scale + p.EncoderBias[i % latents];
        }
        if (shape.HasGateBias)
        {
            gate = p.Gate is null ? [.. projection] : Product(input, n, p.Gate, latents);
            for (int i = 0; i < gate.Length; i++) gate[i] += p.GateBias[i % latents];
        }
        bool[] active = new bool[n * latents];
        switch (shape.Architecture)
        {
            case SaeArchitecture.TopK:
                for (int t = 0; t < n; t++) foreach (int pair in Largest(Enumerable.Range(t * latents, latents), magnitude, shape.ActiveLatents)) active[pair] = true;
                break;
            case SaeArchitecture.BatchTopK or SaeArchitecture.Matryoshka when training:
                foreach (int pair in Largest(Enumerable.Range(0, active.Length), magnitude, (long)n * shape.ActiveLatents)) active[pair] = true;
                break;
            case SaeArchitecture.JumpRelu or SaeArchitecture.BatchTopK or SaeArchitecture.Matryoshka:
                for (int i = 0; i < active.Length; i++) active[i] = magnitude[i] > T.Max(T.Zero, p.Threshold[i % latents]);
                break;
            default:
                for (int i = 0; i < active.Length; i++) active[i] = gate[i] > T.Zero && magnitude[i] > T.Zero;
                break;
        }
        return new Batch(n, input, projection, gate, magnitude, active);
    }

    /// <summary>The largest positive pre-activations among the candidates, ties by lower pair.</summary>
    internal static IEnumerable<int> Largest(IEnumerable<int> candidates, T[] pre, long count) =>
        candidates.Where(i => pre[i] > T.Zero).OrderByDescending(i => pre[i]).ThenBy(i => i).Take((int)long.Min(count, int.MaxValue));

    private static T[] Product(T[] rows, int n, T[] weights, int columns)
    {
        int d = weights.Length / columns;
        T[] result = new T[n * columns];
        for (int t = 0; t < n; t++)
            for (int i = 0; i < d; i++)
                for (int j = 0; j < columns; j++) result[t * columns + j] += rows[t * d + i] * weights[i * columns + j];
        return result;
    }

    internal static T[] RowNorms(Parameters p)
    {
        T[] norms = new T[p.Latents];
        for (int j = 0; j < norms.Length; j++)
        {
            for (int i = 0; i < p.Width; i++) norms[j] += p.Decoder[j * p.Width + i] * p.Decoder[j * p.Width + i];
            norms[j] = T.Sqrt(norms[j]);
        }
        return norms;
    }

    private static T Of(double value) => T.CreateTruncating(value);
}
