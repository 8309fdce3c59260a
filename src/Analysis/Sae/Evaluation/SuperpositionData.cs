using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>Features that are more than there are dimensions, as toy models of superposition have them (Elhage et al. 2022).</summary>
public sealed record SuperpositionOptions
{
    /// <summary>n true features.</summary>
    public int Features { get; init; } = 256;

    /// <summary>d dimensions they share.</summary>
    public int Dimensions { get; init; } = 64;

    /// <summary>Mean number of active features of a token.</summary>
    public double ActivePerToken { get; init; } = 6;

    /// <summary>α of the firing probabilities p_i ∝ (i + 1)^−α; 0 makes all features equally frequent. Probabilities are capped at 1/2.</summary>
    public double PowerLaw { get; init; } = 0.7;

    /// <summary>ρ in [0, 1): features of one group of eight fire together, through a Gaussian copula with one factor per group.</summary>
    public double Correlation { get; init; }

    /// <summary>Standard deviation of the noise added to every dimension.</summary>
    public double Noise { get; init; } = 0.02;

    public ulong Seed { get; init; }

    /// <exception cref="UsageException">A value is out of range.</exception>
    public void Validate()
    {
        if (Features < 2 || Dimensions < 2) throw new UsageException($"{Features} features in {Dimensions} dimensions: expected at least 2 of each.");
        if (!(ActivePerToken > 0 && ActivePerToken <= Features / 4.0)) throw new UsageException($"{ActivePerToken} active features per token: expected more than 0 and at most a quarter of the {Features} features.");
        if (!(PowerLaw >= 0 && Correlation >= 0 && Correlation < 1 && Noise >= 0)) throw new UsageException("The exponent and the noise must not be negative, the correlation lies in [0, 1).");
    }
}

/// <summary>A known dictionary and tokens made of it: x = f D + noise, f sparse and not negative. A pure function of options and row number.</summary>
public sealed class SuperpositionData : IDisposable
{
    private const int Group = 8;
    private readonly SuperpositionOptions _options;
    private readonly double[] _thresholds;

    public SuperpositionData(CpuDevice device, SuperpositionOptions options)
    {
        options.Validate();
        _options = options;
        Dictionary = device.AllocateMatrix<float>(options.Features, options.Dimensions);
        CounterRandom random = new(options.Seed, stream: 0x50FE);
        for (int i = 0; i < options.Features; i++)
        {
            double[] row = new double[options.Dimensions];
            for (int k = 0; k < row.Length; k++) row[k] = random.NextNormal();
            double norm = Math.Sqrt(row.Sum(v => v * v));
            for (int k = 0; k < row.Length; k++) Dictionary.Row(i)[k] = (float)(row[k] / norm);
        }
        Probabilities = Frequencies(options);
        _thresholds = Array.ConvertAll(Probabilities, p => MathNet.Numerics.Distributions.Normal.InvCDF(0, 1, 1 - p));
    }

    /// <summary>D [n, d]: unit rows in random directions.</summary>
    public Matrix<float> Dictionary { get; }

    /// <summary>Probability that each feature is active.</summary>
    public double[] Probabilities { get; }

    /// <summary>Feature activations [rows, n] of tokens from <paramref name="start"/> on: sizes uniform in [0.5, 1.5] where active.</summary>
    public Matrix<float> Features(long start, int rows)
    {
        Matrix<float> features = Dictionary.Device.AllocateMatrix<float>(rows, _options.Features);
        double shared = Math.Sqrt(_options.Correlation), own = Math.Sqrt(1 - _options.Correlation);
        BlockLoop.Run(Dictionary.Device, rows, t =>
        {
            CounterRandom random = new(_options.Seed, 0x50FF_0000_0000UL + (ulong)(start + t));
            Span<float> row = features.Row(t);
            double factor = 0;
            for (int i = 0; i < row.Length; i++)
            {
                if (i % Group == 0) factor = random.NextNormal();
                double level = shared * factor + own * random.NextNormal(), size = 0.5 + random.NextDouble();
                row[i] = level > _thresholds[i] ? (float)size : 0;
            }
        });
        return features;
    }

    /// <summary>Tokens [rows, d] of feature activations that belong to rows from <paramref name="start"/> on.</summary>
    public Matrix<float> Tokens(Matrix<float> features, long start)
    {
        Matrix<float> tokens = Dictionary.Device.AllocateMatrix<float>(features.Rows, _options.Dimensions);
        Gemm.Multiply(Transpose.No, Transpose.No, 1f, features.View, Dictionary.View, 0f, tokens.View);
        BlockLoop.Run(Dictionary.Device, tokens.Rows, t =>
        {
            CounterRandom random = new(_options.Seed, 0x5100_0000_0000UL + (ulong)(start + t));
            foreach (ref float v in tokens.Row(t)) v += (float)(_options.Noise * random.NextNormal());
        });
        return tokens;
    }

    public void Dispose() => Dictionary.Dispose();

    private static double[] Frequencies(SuperpositionOptions options)
    {
        const double Largest = 0.5;
        double[] weights = [.. Enumerable.Range(0, options.Features).Select(i => Math.Pow(i + 1, -options.PowerLaw))];
        // The scale that gives the wanted sum once large ones are capped.
        double low = 0, high = options.ActivePerToken / weights[^1];
        for (int i = 0; i < 200; i++)
        {
            double middle = 0.5 * (low + high);
            if (weights.Sum(w => Math.Min(Largest, middle * w)) < options.ActivePerToken) low = middle;
            else high = middle;
        }
        return Array.ConvertAll(weights, w => Math.Min(Largest, high * w));
    }
}
