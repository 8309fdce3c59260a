using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>How well a dictionary describes tokens, and what it looks like; formulas in docs/sae.md.</summary>
public sealed record SaeEvaluation
{
    /// <summary>Usage average below which the paper's filters drop a latent.</summary>
    public const double AliveThreshold = 1e-5;

    public required long Tokens { get; init; }

    /// <summary>Σ squared error / Σ squared distance to the mean of all tokens, both in double precision over the whole set.</summary>
    public required double Fvu { get; init; }

    /// <summary>The same with the variance about the mean of each block of 4,096 tokens, as the reference reports it per chunk.</summary>
    public required double ChunkedFvu { get; init; }

    public required double Reconstruction { get; init; }

    /// <summary>Active latents per token.</summary>
    public required double L0 { get; init; }

    /// <summary>Active latents per token that has any.</summary>
    public required double ConditionalL0 { get; init; }

    /// <summary>Share of tokens with any active latent.</summary>
    public required double ActiveTokenRatio { get; init; }

    /// <summary>Share of those with exactly one.</summary>
    public required double SingleConceptShare { get; init; }

    public required int MaxConcepts { get; init; }

    /// <summary>Standard deviation (n − 1) of the count over tokens with any active latent.</summary>
    public required double ConceptDeviation { get; init; }

    /// <summary>Gini coefficient of that count.</summary>
    public required double Gini { get; init; }

    /// <summary>P(mag_pre &gt; 0).</summary>
    public required double MagnitudePositive { get; init; }

    /// <summary>Latents with a usage average of at least <see cref="AliveThreshold"/>.</summary>
    public required int Alive { get; init; }

    /// <summary>Latents below each of <see cref="Thresholds"/>, by usage average.</summary>
    public required IReadOnlyList<int> Dead { get; init; }

    /// <summary>Latents that no token of this set activates.</summary>
    public required int NeverActive { get; init; }

    /// <summary>Mean |cos| over pairs of alive decoder rows.</summary>
    public required double MeanAbsoluteCosine { get; init; }

    /// <summary>exp of the entropy of the decoder's normalised singular values, alive rows, not centred.</summary>
    public required double DecoderEffectiveRank { get; init; }

    /// <summary>The dictionary: coherence of every alive latent, rank.</summary>
    public required DecoderGeometry Decoder { get; init; }

    /// <summary>What each latent does on these tokens.</summary>
    public required LatentTable Latents { get; init; }

    /// <summary>Class purity of latents; null without labels.</summary>
    public SaePurity? Purity { get; init; }

    public static IReadOnlyList<double> Thresholds => SaeTrainingLog.DeadThresholds;

    /// <summary>Evaluates a model on tokens.</summary>
    /// <param name="model">The model.</param>
    /// <param name="tokens">Any source of its width.</param>
    /// <param name="rowsPerImage">Tokens of each image; null when unknown.</param>
    /// <param name="labels">A class per token or, with images, per image; null for none.</param>
    public static SaeEvaluation Run(SaeModel model, ITokenSource tokens, IReadOnlyList<int>? rowsPerImage = null, IReadOnlyList<string>? labels = null,
        IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        if (tokens.Rows < 1) throw new DataException("tokens", null, "there are none to evaluate on");
        LatentAccumulator latents = new(model.Latents, labels is null ? null : LabelPlan.Create(labels, tokens.Rows, rowsPerImage));
        using SaeWorkspace workspace = new(model.Device, model.Shape, 0);
        SaeStatistics statistics = new();
        SaeObjective objective = new() { AuxCoefficient = 0 };
        long[] histogram = new long[model.Latents + 1];
        double[] sums = new double[model.InputWidth], chunk = new double[model.InputWidth];
        double error = 0, squares = 0, chunkTotal = 0, chunkSquares = 0;
        long positive = 0, active = 0, chunkRows = 0;
        SaeEncoder.Encode(model, tokens, rowsPerImage, (start, block, activations) =>
        {
            SaeStep.Evaluate(block, model.Parameters, objective, workspace, statistics);
            error += statistics.SumSquaredError;
            squares += statistics.SumSquares;
            active += statistics.Active;
            workspace.ChooseDecoding(statistics.Active, block.Rows);
            positive += statistics.Active + statistics.ClosedGate;
            for (int i = 0; i < sums.Length; i++) (sums[i], chunk[i]) = (sums[i] + workspace.TokenSums[i], chunk[i] + workspace.TokenSums[i]);
            chunkSquares += statistics.SumSquares;
            chunkRows += block.Rows;
            if (chunkRows >= 4096) CloseChunk();
            for (int t = 0; t < activations.Rows; t++) histogram[latents.Add(start + t, activations.Row(t))]++;
        }, progress, cancellation);
        CloseChunk();
        double total = squares - sums.Sum(s => s * s) / tokens.Rows;
        float[] average = new float[model.Latents];
        model.Usage.CopyTo(average);
        int[] alive = [.. Enumerable.Range(0, model.Latents).Where(j => average[j] >= AliveThreshold)];
        CountSummary counts = CountSummary.Of(histogram);
        DecoderGeometry decoder = DecoderGeometry.Measure(model, alive, cancellation);
        LatentTable table = latents.Finish(tokens.Rows);
        return new SaeEvaluation
        {
            Tokens = tokens.Rows,
            Fvu = total > 0 ? error / total : double.NaN,
            ChunkedFvu = chunkTotal > 0 ? error / chunkTotal : double.NaN,
            Reconstruction = error / tokens.Rows,
            L0 = (double)active / tokens.Rows,
            ConditionalL0 = counts.Mean,
            ActiveTokenRatio = (double)counts.Tokens / tokens.Rows,
            SingleConceptShare = counts.Single,
            MaxConcepts = counts.Max,
            ConceptDeviation = counts.Deviation,
            Gini = counts.Gini,
            MagnitudePositive = (double)positive / ((double)tokens.Rows * model.Latents),
            Alive = alive.Length,
            Dead = [.. Thresholds.Select(threshold => average.Count(u => u < threshold))],
            NeverActive = table.Active.Count(a => a == 0),
            MeanAbsoluteCosine = decoder.MeanAbsoluteCosine,
            DecoderEffectiveRank = decoder.EffectiveRank,
            Decoder = decoder,
            Latents = table,
            Purity = labels is null ? null : SaePurity.Of(table),
        };

        void CloseChunk()
        {
            if (chunkRows > 0) chunkTotal += chunkSquares - chunk.Sum(s => s * s) / chunkRows;
            Array.Clear(chunk);
            (chunkSquares, chunkRows) = (0, 0);
        }
    }

    /// <summary>Figures of the number of active latents over the tokens that have any.</summary>
    private sealed record CountSummary(long Tokens, double Mean, double Single, int Max, double Deviation, double Gini)
    {
        public static CountSummary Of(long[] histogram)
        {
            long n = histogram.Skip(1).Sum();
            if (n == 0) return new CountSummary(0, 0, 0, 0, 0, 0);
            double sum = 0, squares = 0, ranked = 0;
            long rank = 0;
            int max = 0;
            for (int count = 1; count < histogram.Length; count++)
            {
                long tokens = histogram[count];
                if (tokens == 0) continue;
                max = count;
                sum += (double)count * tokens;
                squares += (double)count * count * tokens;
                // Σ i x_(i) over equal values: their ranks are consecutive.
                ranked += count * ((double)tokens * rank + 0.5 * tokens * (tokens + 1.0));
                rank += tokens;
            }
            double mean = sum / n;
            return new CountSummary(n, mean, (double)histogram[1] / n, max, n > 1 ? Math.Sqrt(Math.Max(0, (squares - n * mean * mean) / (n - 1))) : 0, (2 * ranked - (n + 1.0) * sum) / (n * sum));
        }
    }
}

/// <summary>How strongly latents belong to one class: purity max_c S_jc / Σ_c S_jc and entropy in bits, S the summed activation by class.</summary>
/// <param name="Latents">Latents with a summed activation of at least 5.</param>
/// <param name="MeanPurity">Mean over those latents.</param>
/// <param name="MeanEntropy">Mean over those latents, bits.</param>
/// <param name="PurityAbove09">Latents with a purity above 0.9.</param>
/// <param name="EntropyBelow1">Latents with an entropy below 1 bit.</param>
/// <param name="EntropyBelow05">Latents with an entropy below 0.5 bit.</param>
/// <param name="Classes">Class names, sorted.</param>
public sealed record SaePurity(int Latents, double MeanPurity, double MeanEntropy, int PurityAbove09, int EntropyBelow1, int EntropyBelow05, IReadOnlyList<string> Classes)
{
    private const double MinimumTotal = 5;

    internal static SaePurity Of(LatentTable table)
    {
        int[] counted = [.. Enumerable.Range(0, table.Latents).Where(j => table.Total(j) >= MinimumTotal)];
        double[] purity = [.. counted.Select(table.Purity)], entropy = [.. counted.Select(table.Entropy)];
        return new SaePurity(counted.Length, counted.Length > 0 ? purity.Average() : double.NaN, counted.Length > 0 ? entropy.Average() : double.NaN,
            purity.Count(p => p > 0.9), entropy.Count(e => e < 1), entropy.Count(e => e < 0.5), table.Classes);
    }
}
