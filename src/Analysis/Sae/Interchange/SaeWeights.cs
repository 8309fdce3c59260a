using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>
/// A model's parameters in host memory, row-major, as they pass between formats: with the rewritings that leave every latent what it is. Each of them
/// returns a copy and shares the arrays that it does not change.
/// </summary>
internal sealed record SaeWeights
{
    public required SaeShape Shape { get; init; }

    /// <summary>W_enc [d_in, d_sae]; W_mag of the paper's autoencoder.</summary>
    public required float[] Encoder { get; init; }

    /// <summary>W_gate [d_in, d_sae] of an untied model.</summary>
    public float[]? Gate { get; init; }

    /// <summary>b_enc [d_sae], b_mag of gated models.</summary>
    public required float[] EncoderBias { get; init; }

    public float[]? GateBias { get; init; }
    public float[]? MagnitudeScale { get; init; }
    public float[]? Threshold { get; init; }

    /// <summary>W_dec [d_sae, d_in].</summary>
    public required float[] Decoder { get; init; }

    public required float[] DecoderBias { get; init; }
    public float[]? Usage { get; init; }
    public TokenNormaliser Normaliser { get; init; } = TokenNormaliser.None;

    /// <summary>What a file says that it was trained as.</summary>
    public SaeOrigin? Origin { get; init; }

    public static SaeWeights From(SaeModel model)
    {
        SaeArrays arrays = model.Arrays;
        return new SaeWeights
        {
            Shape = model.Shape,
            Encoder = Copy(arrays.Encoder.Buffer)!,
            Gate = Copy(arrays.Gate?.Buffer),
            EncoderBias = Copy(arrays.EncoderBias)!,
            GateBias = Copy(arrays.GateBias),
            MagnitudeScale = Copy(arrays.MagnitudeScale),
            Threshold = Copy(arrays.Threshold),
            Decoder = Copy(arrays.Decoder.Buffer)!,
            DecoderBias = Copy(arrays.DecoderBias)!,
            Usage = Copy(model.Usage),
            Normaliser = model.Normaliser,
        };

        static float[]? Copy(DeviceBuffer<float>? buffer)
        {
            if (buffer is null) return null;
            float[] values = new float[buffer.Length];
            buffer.CopyTo(values);
            return values;
        }
    }

    public SaeModel ToModel(ComputeDevice device)
    {
        SaeModel model = SaeModel.Allocate(device, Shape, Normaliser);
        SaeArrays arrays = model.Arrays;
        arrays.Encoder.Buffer.CopyFrom(Encoder);
        arrays.Gate?.Buffer.CopyFrom(Gate);
        arrays.EncoderBias.CopyFrom(EncoderBias);
        arrays.GateBias?.CopyFrom(GateBias);
        arrays.MagnitudeScale?.CopyFrom(MagnitudeScale);
        arrays.Threshold?.CopyFrom(Threshold);
        arrays.Decoder.Buffer.CopyFrom(Decoder);
        arrays.DecoderBias.CopyFrom(DecoderBias);
        if (Usage is not null) model.Usage.CopyFrom(Usage);
        return model;
    }

    /// <summary>
    /// The same autoencoder with or without the decoder bias taken from its input: (x − b_dec) W + b = x W + (b − b_dec W). Exact but for the rounding of the new biases.
    /// </summary>
    public SaeWeights WithInputBias(bool subtracted)
    {
        if (Shape.SubtractDecoderBias == subtracted) return this;
        double sign = subtracted ? 1 : -1;
        double[] shift = Shift(Encoder);
        double[] gate = Gate is null ? shift : Shift(Gate);
        return this with
        {
            Shape = Shape with { SubtractDecoderBias = subtracted },
            EncoderBias = Each(EncoderBias, (b, j) => b + sign * shift[j] * (MagnitudeScale is null ? 1 : Math.Exp(MagnitudeScale[j]))),
            GateBias = GateBias is null ? null : Each(GateBias, (b, j) => b + sign * gate[j]),
        };
    }

    /// <summary>
    /// The same latents from one product and a threshold. Tied gates: both conditions say m &gt; max(b_mag − e^r b_gate, 0), with r = 0 where the gate reads W_mag itself.
    /// ReLU has the threshold 0.
    /// </summary>
    /// <exception cref="UsageException">The choice is not one of a threshold per latent.</exception>
    public SaeWeights ToJumpRelu()
    {
        if (Shape.Architecture == SaeArchitecture.TopK)
            throw new UsageException("A TopK autoencoder chooses among the latents of each token, which no threshold can; export it with --format sae-lens, dictionary-learning or sparsify.");
        if (!Shape.Tied) throw new UsageException("An untied model has a gate of its own, which JumpReLU cannot hold; export it with --format reference.");
        SaeWeights result = this with
        {
            Shape = new SaeShape { Architecture = SaeArchitecture.JumpRelu, InputWidth = Shape.InputWidth, Latents = Shape.Latents, SubtractDecoderBias = Shape.SubtractDecoderBias },
            GateBias = null,
            MagnitudeScale = null,
        };
        return Shape.Architecture switch
        {
            SaeArchitecture.Gated => result with { Threshold = Each(EncoderBias, (b, j) => Math.Max(b - GateBias![j], 0)) },
            SaeArchitecture.GatedOriginal => result with
            {
                Encoder = ScaleColumns(Encoder, j => Math.Exp(MagnitudeScale![j])),
                Threshold = Each(EncoderBias, (b, j) => Math.Max(b - Math.Exp(MagnitudeScale![j]) * GateBias![j], 0)),
            },
            SaeArchitecture.Relu => result with { Threshold = new float[Shape.Latents] },
            _ => result with { Threshold = Each(Threshold!, (t, _) => Math.Max(t, 0)) },
        };
    }

    /// <summary>
    /// The autoencoder whose latents are these times the length of their decoder row: some formats report those. Rows get unit length, so the reconstruction stays.
    /// Where every length is 1 to 1e-6, nothing changes.
    /// </summary>
    public SaeWeights WithLengthsInLatents()
    {
        double[] length = DecoderLengths();
        if (Array.TrueForAll(length, l => Math.Abs(l - 1) <= 1e-6)) return this;
        SaeWeights result = this with { Decoder = ScaleRows(Decoder, j => length[j] > 0 ? 1 / length[j] : 1) };
        if (MagnitudeScale is null)
        {
            return result with
            {
                Encoder = ScaleColumns(Encoder, j => length[j]),
                EncoderBias = Each(EncoderBias, (b, j) => b * length[j]),
                Threshold = Threshold is null ? null : Each(Threshold, (t, j) => t * length[j]),
            };
        }
        // exp(r) carries the length; a row of zeros closes its gate for good.
        return result with
        {
            EncoderBias = Each(EncoderBias, (b, j) => b * length[j]),
            MagnitudeScale = Each(MagnitudeScale, (r, j) => length[j] > 0 ? r + Math.Log(length[j]) : r),
            GateBias = Each(GateBias!, (b, j) => length[j] > 0 ? b : float.MinValue),
        };
    }

    /// <summary>The transpose of a row-major matrix.</summary>
    public static float[] Transpose(float[] matrix, int rows, int columns)
    {
        const int Tile = 32;
        float[] result = new float[matrix.Length];
        for (int top = 0; top < rows; top += Tile)
            for (int left = 0; left < columns; left += Tile)
                for (int i = top; i < Math.Min(top + Tile, rows); i++)
                    for (int j = left; j < Math.Min(left + Tile, columns); j++) result[(long)j * rows + i] = matrix[(long)i * columns + j];
        return result;
    }

    public double[] DecoderLengths()
    {
        int d = Shape.InputWidth;
        double[] lengths = new double[Shape.Latents];
        for (int j = 0; j < lengths.Length; j++)
        {
            double squares = 0;
            foreach (float v in Decoder.AsSpan(j * d, d)) squares += (double)v * v;
            lengths[j] = Math.Sqrt(squares);
        }
        return lengths;
    }

    /// <summary>b_dec W.</summary>
    private double[] Shift(float[] weights)
    {
        int latents = Shape.Latents;
        double[] shift = new double[latents];
        for (int i = 0; i < DecoderBias.Length; i++)
        {
            double b = DecoderBias[i];
            ReadOnlySpan<float> row = weights.AsSpan(i * latents, latents);
            for (int j = 0; j < latents; j++) shift[j] += b * row[j];
        }
        return shift;
    }

    private static float[] Each(float[] values, Func<float, int, double> map)
    {
        float[] result = new float[values.Length];
        for (int j = 0; j < result.Length; j++) result[j] = (float)map(values[j], j);
        return result;
    }

    private float[] ScaleColumns(float[] matrix, Func<int, double> factor)
    {
        double[] factors = [.. Enumerable.Range(0, Shape.Latents).Select(factor)];
        return Each(matrix, (v, at) => v * factors[at % factors.Length]);
    }

    private float[] ScaleRows(float[] matrix, Func<int, double> factor)
    {
        double[] factors = [.. Enumerable.Range(0, Shape.Latents).Select(factor)];
        return Each(matrix, (v, at) => v * factors[at / Shape.InputWidth]);
    }
}
