using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using BioSup.Analysis.Geometry;
using BioSup.Analysis.Sae;
using BioSup.Cli.Commands;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Report.Figures;
using BioSup.Runtime;

namespace BioSup.Cli;

/// <summary>One line of pareto.csv.</summary>
internal sealed record SweepRow(SaeSweepOutcome Outcome, SaeEvaluation? Evaluation)
{
    public double ProbeAccuracy { get; init; } = double.NaN;
    public double ProbeBalancedAccuracy { get; init; } = double.NaN;

    /// <summary>Mean matched cosine with the same configuration under other seeds.</summary>
    public double Stability { get; init; } = double.NaN;

    public SaeConfig Config => Outcome.Member.Config;
    public int Latents => Outcome.Model?.Latents ?? Config.Latents;
    public double DeadShare => Evaluation is null ? double.NaN : 1 - (double)Evaluation.Alive / Latents;

    /// <summary>λ of the last logged step.</summary>
    public double Sparsity => Outcome.Curves.Count > 0 ? Outcome.Curves[^1].SparsityCoefficient : double.NaN;

    public const string Header = "model,state,architecture,d_sae,sparsity_coeff,k,target_l0,seed,fvu,l0,l0_conditional,alive,dead_share,never_active,mean_abs_cosine,decoder_effective_rank,probe_accuracy,probe_balanced_accuracy,matched_cosine";

    public string ToCsv() => string.Join(',', Outcome.Member.Name, Outcome.Problem is null ? "trained" : "failed", SaeConfigFile.Name(Config.Architecture), $"{Latents}", N(Sparsity),
        Config.HasActiveLatents ? $"{Config.ActiveLatents}" : "", Config.TargetL0 > 0 ? N(Config.TargetL0) : "", $"{Outcome.Member.Seed}", N(Evaluation?.Fvu), N(Evaluation?.L0),
        N(Evaluation?.ConditionalL0), N(Evaluation?.Alive), N(DeadShare), N(Evaluation?.NeverActive), N(Evaluation?.MeanAbsoluteCosine), N(Evaluation?.DecoderEffectiveRank),
        N(ProbeAccuracy), N(ProbeBalancedAccuracy), N(Stability));

    public JsonObject ToJson()
    {
        JsonObject json = new() { ["model"] = Outcome.Member.Name, ["state"] = Outcome.Problem is null ? "trained" : "failed", ["seed"] = Outcome.Member.Seed, ["resumed_at"] = Outcome.ResumedAt };
        if (Outcome.Problem is not null) json["problem"] = Outcome.Problem;
        if (Evaluation is not { } e) return json;
        json["d_sae"] = Latents;
        json["fvu"] = JsonText.Number(e.Fvu);
        json["l0"] = JsonText.Number(e.L0);
        json["dead_share"] = JsonText.Number(DeadShare);
        json["mean_abs_cosine"] = JsonText.Number(e.MeanAbsoluteCosine);
        json["decoder_effective_rank"] = JsonText.Number(e.DecoderEffectiveRank);
        if (double.IsFinite(ProbeAccuracy)) json["probe_accuracy"] = JsonText.Number(ProbeAccuracy);
        if (double.IsFinite(Stability)) json["matched_cosine"] = JsonText.Number(Stability);
        return json;
    }

    public string Describe() => Evaluation is not { } e ? $"{Outcome.Member.Name}: failed" : string.Create(CultureInfo.InvariantCulture,
        $"{Outcome.Member.Name}: FVU {e.Fvu:F4}, L0 {e.L0:F1}, dead {100 * DeadShare:F1} %{(double.IsFinite(ProbeAccuracy) ? $", probe {ProbeAccuracy:F3}" : "")}, mean |cos| {e.MeanAbsoluteCosine:F4}, effective rank {e.DecoderEffectiveRank:F1}{(double.IsFinite(Stability) ? $", matched cosine {Stability:F3}" : "")}");

    private static string N(double? value) => value is { } v && double.IsFinite(v) ? v.ToString("G9", CultureInfo.InvariantCulture) : "";
}

/// <summary>Measures the models of a sweep on tokens and against each other, and writes pareto.csv, stability.csv and the figure.</summary>
internal static class SweepEvaluation
{
    private const int MostProbedTokens = 20_000;

    /// <summary>Active pairs of samples and latents that a probe holds at most.</summary>
    private const long MostProbedEntries = 1L << 25;

    /// <summary>Matching takes time with the cube of the latents; pairs of larger dictionaries are left out.</summary>
    private const int MostMatchedLatents = 4096;

    /// <summary>Finds out about labels before the training, not after it.</summary>
    public static void RequireLabels(string[]? labels, ITokenSource tokens, IReadOnlyList<int>? images)
    {
        if (labels is null) return;
        if (labels.Length != tokens.Rows && labels.Length != images?.Count)
            throw new DataException("--labels", null, $"there are {labels.Length} labels for {tokens.Rows} tokens{(images is null ? "" : $" of {images.Count} images")}; expected one for each");
        if (labels.Length == tokens.Rows && tokens.Rows > MostProbedTokens)
            throw new UsageException($"--labels: a probe on {tokens.Rows} tokens would hold all their latents; expected at most {MostProbedTokens} tokens, or labels per image.");
        if (labels.Distinct().Count() < 2) throw new DataException("--labels", null, "all labels are the same; a probe needs two classes");
    }

    /// <summary>Memory of the largest probe, taken after the training has given back its own; a model of which more pairs are active gets none.</summary>
    public static long ProbeBytes(IReadOnlyList<SaeSweepMember> members, ITokenSource tokens, string[] labels)
    {
        int rows = labels.Length, classes = labels.Distinct().Count();
        return members.Max(m =>
        {
            int latents = SaeTrainer.Latents(m.Config, tokens.Columns);
            // Only TopK bounds the latents of a token; the mean over an image has those of all its tokens.
            int most = m.Config.Architecture == SaeArchitecture.TopK && rows == tokens.Rows ? m.Config.ActiveLatents : latents;
            return LinearProbe.Bytes(Math.Min((long)rows * most, MostProbedEntries), rows, latents, classes);
        });
    }

    public static IReadOnlyList<SweepRow> Run(SaeSweepResult sweep, ITokenSource tokens, IReadOnlyList<int>? images, string[]? labels, string folder, CommandContext context)
    {
        List<SweepRow> rows = [];
        foreach (SaeSweepOutcome outcome in sweep.Outcomes)
        {
            if (outcome.Model is not { } model)
            {
                rows.Add(new SweepRow(outcome, null));
                continue;
            }
            SweepRow row = new(outcome, SaeEvaluation.Run(model, tokens, images, null, context.Progress, context.Cancellation));
            if (labels is not null && Probe(outcome.Member.Name, model, tokens, images, labels, context) is { } probe) row = row with { ProbeAccuracy = probe.Accuracy, ProbeBalancedAccuracy = probe.BalancedAccuracy };
            rows.Add(row);
        }
        IReadOnlyList<SweepRow> compared = Compare(rows, folder, context);
        AtomicFile.WriteAllText(Path.Combine(folder, "pareto.csv"), string.Join('\n', [SweepRow.Header, .. compared.Select(r => r.ToCsv())]) + "\n");
        bool mixed = compared.Select(r => r.Config.Architecture).Distinct().Count() > 1;
        PanelGrid figure = ParetoFigure.Of([.. compared.Where(r => r.Evaluation is not null).Select(r => Point(r, mixed))]);
        AtomicFile.WriteAllText(Path.Combine(folder, "pareto.svg"), figure.ToSvg() + "\n");
        byte[] png = figure.ToPng();
        AtomicFile.Write(Path.Combine(folder, "pareto.png"), stream => stream.Write(png));
        return compared;
    }

    /// <summary>Logistic regression on latents that are ever active; null when there is none, or more pairs than are held.</summary>
    private static LinearProbeResult? Probe(string name, SaeModel model, ITokenSource tokens, IReadOnlyList<int>? images, string[] labels, CommandContext context)
    {
        SparseRows latents = new(model.Latents, MostProbedEntries);
        if (labels.Length == tokens.Rows)
        {
            SaeEncoder.Encode(model, tokens, null, (_, _, activations) =>
            {
                for (int t = 0; t < activations.Rows; t++) latents.Add(activations.Row(t));
            }, context.Progress, context.Cancellation);
        }
        else SaeEncoder.EncodePooled(model, tokens, images!, (_, means) => latents.Add(means), context.Progress, context.Cancellation);
        if (latents.IsFull)
        {
            context.Warn($"{name}: more than {MostProbedEntries} latents are active on the {labels.Length} labelled samples; it gets no probe.");
            return null;
        }
        latents.DropEmptyColumns();
        if (latents.Columns == 0) return null;
        string[] classes = [.. labels.Distinct().Order(StringComparer.Ordinal)];
        return LinearProbe.CrossValidate(context.Host, latents, labels.Select(l => Array.BinarySearch(classes, l, StringComparer.Ordinal)).ToArray(), cancellation: context.Cancellation);
    }

    /// <summary>Every pair of trained models, and for each model the mean over those that differ in the seed alone.</summary>
    private static List<SweepRow> Compare(List<SweepRow> rows, string folder, CommandContext context)
    {
        StringBuilder csv = new("first,second,pairs,mean_matched_cosine,share_above_0.7,first_mean_max_cosine,second_mean_max_cosine\n");
        Dictionary<int, List<double>> alike = [];
        int left = 0;
        for (int i = 0; i < rows.Count; i++)
            for (int j = i + 1; j < rows.Count; j++)
            {
                if (rows[i].Evaluation is not { Alive: > 0 } a || rows[j].Evaluation is not { Alive: > 0 } b) continue;
                if (Math.Max(a.Alive, b.Alive) > MostMatchedLatents)
                {
                    left++;
                    continue;
                }
                context.Progress.Report("matching dictionaries", i * rows.Count + j, rows.Count * rows.Count);
                SaeStability match = SaeStability.Match(rows[i].Outcome.Model!, rows[j].Outcome.Model!, cancellation: context.Cancellation);
                csv.Append(CultureInfo.InvariantCulture, $"{rows[i].Outcome.Member.Name},{rows[j].Outcome.Member.Name},{match.Pairs.Count},{match.MeanMatchedCosine:G6},{match.ShareAbove07:G6},{match.FirstMeanMaxCosine:G6},{match.SecondMeanMaxCosine:G6}\n");
                if (rows[i].Config != rows[j].Config) continue;
                foreach (int k in new[] { i, j }) (alike.TryGetValue(k, out List<double>? list) ? list : alike[k] = []).Add(match.MeanMatchedCosine);
            }
        if (left > 0) context.Note($"{left} pairs with more than {MostMatchedLatents} alive latents are not in stability.csv");
        AtomicFile.WriteAllText(Path.Combine(folder, "stability.csv"), csv.ToString());
        return [.. rows.Select((row, i) => alike.TryGetValue(i, out List<double>? cosines) ? row with { Stability = cosines.Average() } : row)];
    }

    private static ParetoPoint Point(SweepRow row, bool mixed) => new(
        !mixed ? $"d_sae {row.Latents}" : $"{SaeConfigFile.Name(row.Config.Architecture)} {row.Latents}", row.Evaluation!.L0, row.Evaluation.Fvu)
    {
        DeadShare = row.DeadShare,
        ProbeAccuracy = row.ProbeAccuracy,
        MeanAbsoluteCosine = row.Evaluation.MeanAbsoluteCosine,
        EffectiveRank = row.Evaluation.DecoderEffectiveRank,
        Stability = row.Stability,
    };
}
