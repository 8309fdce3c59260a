using BioSup.Analysis.Geometry;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>How well pairwise distances in one space follow the distances of true features.</summary>
/// <param name="Spearman">Rank correlation with the true distances.</param>
/// <param name="Stress">Kruskal's stress-1 after the best scaling: √(Σ(δ − b r)² / Σδ²).</param>
/// <param name="RmsDistortion">Root mean square of r²/δ² about its mean, over that mean.</param>
public sealed record DistanceFidelity(double Spearman, double Stress, double RmsDistortion);

/// <summary>What an autoencoder recovered of a known dictionary.</summary>
public sealed record SuperpositionResult
{
    public required SuperpositionOptions Options { get; init; }

    /// <summary>Largest |cos| of two true directions.</summary>
    public required double Coherence { get; init; }

    /// <summary>Root mean square cosine of two true directions.</summary>
    public required double RmsCosine { get; init; }

    /// <summary>√((n − d) / (d (n − 1))), 0 for n ≤ d: no n unit vectors have a smaller coherence, nor a smaller root mean square cosine (Welch 1974).</summary>
    public required double WelchBound { get; init; }

    /// <summary>Least root mean square distortion of squared distances that this bound leaves to features whose support knows nothing of the dictionary.</summary>
    public required double WelchDistortion { get; init; }

    /// <summary>Latents matched one to one with true features.</summary>
    public required SaeStability Match { get; init; }

    /// <summary>Share of all features with a matched cosine above 0.9.</summary>
    public required double Recovered { get; init; }

    /// <summary>Of the tokens on which matched latents are active, the share on which their features are; over all pairs together.</summary>
    public required double Precision { get; init; }

    /// <summary>Of the tokens on which features are active, the share on which their matched latents are; features without a latent count as missed.</summary>
    public required double Recall { get; init; }

    /// <summary>Distances of raw tokens.</summary>
    public required DistanceFidelity Raw { get; init; }

    /// <summary>Distances of latents.</summary>
    public required DistanceFidelity Latents { get; init; }

    public required double Fvu { get; init; }
    public required double L0 { get; init; }

    /// <summary>A sample of pairs: true, raw and latent distance.</summary>
    public required IReadOnlyList<(double True, double Raw, double Latent)> Pairs { get; init; }
}

/// <summary>
/// Trains on tokens of a known dictionary and asks what came back. The theory it is held against: for a difference Δ of feature vectors ‖Δ D‖² = ‖Δ‖² + Σ_{i≠j} Δ_i Δ_j cos_ij, so where
/// the support of Δ is independent of the directions E(‖ΔD‖²/‖Δ‖² − 1)² = 2 E[cos²] (1 − ΣΔ⁴/‖Δ‖⁴), and E[cos²] ≥ (n − d)/(d (n − 1)) for every dictionary (Welch 1974).
/// </summary>
public static class SuperpositionBenchmark
{
    private const int TestTokens = 2000, DistanceTokens = 400, KeptPairs = 1500;

    /// <param name="device">Where training runs.</param>
    /// <param name="options">The data.</param>
    /// <param name="config">The autoencoder; 0 latents takes as many as there are features.</param>
    /// <param name="tokens">Tokens to train on.</param>
    /// <param name="steps">Training steps.</param>
    public static SuperpositionResult Run(ComputeDevice device, SuperpositionOptions options, SaeConfig config, int tokens, long steps, IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        using SuperpositionData data = new(device.Host, options);
        using SaeTrainingResult trained = Train(device, data, config with { Latents = config.Latents == 0 ? options.Features : config.Latents }, options.Seed, tokens, steps, progress, cancellation);
        using Matrix<float> features = data.Features(tokens, TestTokens), test = data.Tokens(features, tokens);
        using Matrix<float> testCopy = test.CopyOnHost();
        using ITokenSource source = TokenSource.From(testCopy);
        using Matrix<float> encoded = SaeEncoder.EncodeAll(trained.Model, source, cancellation: cancellation);
        using PlacedMatrix<float> latents = encoded.OnHost();
        SaeEvaluation evaluation = SaeEvaluation.Run(trained.Model, source, cancellation: cancellation);
        int[] alive = [.. Enumerable.Range(0, trained.Model.Latents).Where(j => evaluation.Latents.Active[j] > 0).Intersect(LatentRows.Alive(trained.Model, 0))];
        if (alive.Length == 0) throw new DataException("latents", null, "none is active on the test tokens: the sparsity penalty is too strong");
        using Matrix<float> rows = LatentRows.Take(trained.Model, alive), truth = data.Dictionary.CopyAt(device);
        SaeStability match = SaeStability.Match(rows, truth, cancellation);
        LatentPair[] pairs = [.. match.Pairs.Select(p => p with { First = alive[p.First] })];
        (double precision, double recall) = Activity(features, latents.Matrix, pairs);
        (double coherence, double rms) = Coherence(data.Dictionary);
        (DistanceFidelity raw, DistanceFidelity latent, double concentration, List<(double, double, double)> kept) = Distances(features, test, latents.Matrix, options.Seed);
        int n = options.Features, d = options.Dimensions;
        double welch = n > d ? Math.Sqrt((double)(n - d) / (d * (n - 1.0))) : 0;
        return new SuperpositionResult
        {
            Options = options,
            Coherence = coherence,
            RmsCosine = rms,
            WelchBound = welch,
            WelchDistortion = welch * Math.Sqrt(2 * (1 - concentration)),
            Match = match with { Pairs = pairs },
            Recovered = (double)match.Pairs.Count(p => p.Cosine > 0.9) / n,
            Precision = precision,
            Recall = recall,
            Raw = raw,
            Latents = latent,
            Fvu = evaluation.Fvu,
            L0 = evaluation.L0,
            Pairs = kept,
        };
    }

    private static SaeTrainingResult Train(ComputeDevice device, SuperpositionData data, SaeConfig config, ulong seed, int tokens, long steps, IProgressReporter? progress, CancellationToken cancellation)
    {
        using Matrix<float> features = data.Features(0, tokens);
        ITokenSource source = TokenSource.From(data.Tokens(features, 0));
        using (source)
            return SaeTrainer.Train(device, source, new SaeTrainingOptions { Config = config, Seed = seed, Steps = steps, Progress = progress ?? SilentProgress.Instance, Cancellation = cancellation });
    }

    private static (double Precision, double Recall) Activity(Matrix<float> features, Matrix<float> latents, LatentPair[] pairs)
    {
        long both = 0, fired = 0, wanted = 0;
        for (int t = 0; t < features.Rows; t++)
        {
            ReadOnlySpan<float> truth = features.Row(t), found = latents.Row(t);
            foreach (LatentPair pair in pairs)
            {
                if (found[pair.First] > 0) fired++;
                if (found[pair.First] > 0 && truth[pair.Second] > 0) both++;
            }
            wanted += truth.Length - truth.Count(0f);
        }
        return (fired > 0 ? (double)both / fired : 0, wanted > 0 ? (double)both / wanted : 0);
    }

    private static (double Largest, double Rms) Coherence(Matrix<float> dictionary)
    {
        using Matrix<double> rows = Elementwise.Converted<float, double>(dictionary.View);
        CoherenceResult result = DecoderCoherence.Measure(rows);
        double square = result.Std * result.Std * (result.Pairs - 1) / result.Pairs + result.MeanAbsoluteCosine * result.MeanAbsoluteCosine;
        return (result.Largest, Math.Sqrt(square));
    }

    private static (DistanceFidelity Raw, DistanceFidelity Latents, double Concentration, List<(double, double, double)> Kept) Distances(Matrix<float> features, Matrix<float> tokens, Matrix<float> latents, ulong seed)
    {
        int n = Math.Min(DistanceTokens, features.Rows);
        double[] truth = new double[n * (n - 1) / 2], raw = new double[truth.Length], found = new double[truth.Length];
        double concentration = 0;
        int count = 0;
        for (int s = 0; s < n; s++)
        {
            for (int t = s + 1; t < n; t++)
            {
                (double square, double fourth) = Difference(features.Row(s), features.Row(t));
                // Tokens without any feature have no distance to each other.
                if (square == 0) continue;
                truth[count] = Math.Sqrt(square);
                raw[count] = Math.Sqrt(Difference(tokens.Row(s), tokens.Row(t)).Square);
                found[count++] = Math.Sqrt(Difference(latents.Row(s), latents.Row(t)).Square);
                concentration += fourth / (square * square);
            }
        }
        Array.Resize(ref truth, count);
        Array.Resize(ref raw, count);
        Array.Resize(ref found, count);
        int[] order = [.. Enumerable.Range(0, count)];
        new CounterRandom(seed, stream: 0x5101).Shuffle<int>(order);
        return (Fidelity(truth, raw), Fidelity(truth, found), concentration / count, [.. order.Take(KeptPairs).Select(i => (truth[i], raw[i], found[i]))]);
    }

    private static (double Square, double Fourth) Difference(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        double square = 0, fourth = 0;
        for (int i = 0; i < a.Length; i++)
        {
            double v = (double)a[i] - b[i];
            v *= v;
            square += v;
            fourth += v * v;
        }
        return (square, fourth);
    }

    internal static DistanceFidelity Fidelity(double[] truth, double[] found)
    {
        double cross = 0, own = 0, all = 0, mean = 0;
        for (int i = 0; i < truth.Length; i++)
        {
            cross += truth[i] * found[i];
            own += found[i] * found[i];
            all += truth[i] * truth[i];
            mean += found[i] * found[i] / (truth[i] * truth[i]) / truth.Length;
        }
        double stress = own > 0 ? Math.Sqrt(Math.Max(0, all - cross * cross / own) / all) : 1, distortion = 0;
        for (int i = 0; i < truth.Length; i++) distortion += Math.Pow(found[i] * found[i] / (truth[i] * truth[i]) / mean - 1, 2) / truth.Length;
        return new DistanceFidelity(RankStatistics.Spearman(truth, found), stress, mean > 0 ? Math.Sqrt(distortion) : double.NaN);
    }
}
