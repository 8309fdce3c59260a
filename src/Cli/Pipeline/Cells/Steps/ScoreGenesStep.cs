using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary>Scanpy's <c>score_genes</c>, for a list of genes or for sets of a GMT file.</summary>
internal sealed class ScoreGenesStep : ICellStep
{
    public string Name => "score_genes";

    public string Summary => "mean expression of a set of genes above control genes of like expression";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("gene_list", StepMatrix.None, "genes, separated by semicolons"),
        new("gmt", StepMatrix.None, "a GMT file; every score is named after its set"),
        new("sets", StepMatrix.None, "sets of the GMT file, separated by semicolons; none for all"),
        new("score_name", "score", "column of obs for the score of gene_list"),
        new("ctrl_size", "50", "control genes per bin of expression"), new("n_bins", "25", "bins of expression, from 2"),
        new("ctrl_as_ref", "true", "whether genes of the set take part in drawing controls, as in scanpy 1.x"),
        new("random_state", "0", "seed of NumPy's generator"),
        new("use_raw", "auto", "true, false, or auto: raw where there is one"),
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        (Source sets, GeneScoreOptions options, string useRaw) = Read(settings);
        AnnRaw? raw = context.Cells.Raw;
        if (useRaw == "true" && raw is null) throw new UsageException("use_raw=true, and the file has no raw; the step 'keep' with raw=true makes it.");
        bool takeRaw = raw is not null && useRaw != "false";
        using CellMatrix x = takeRaw ? CellMatrix.From(raw!.X, context.Host, context.Source, "raw/X") : StepMatrix.Read(context, "X");
        Dictionary<string, int> places = new(StringComparer.Ordinal);
        string[] names = takeRaw ? raw!.Var.Index : context.Cells.Var.Index;
        for (int j = 0; j < names.Length; j++) places.TryAdd(names[j], j);
        List<string> warnings = [];
        int scored = 0;
        foreach ((string name, IReadOnlyList<string> genes) in SetsOf(sets))
        {
            context.Cancellation.ThrowIfCancellationRequested();
            int[] present = [.. genes.Where(places.ContainsKey).Select(g => places[g]).Distinct()];
            if (present.Length == 0 && sets.Gmt is not null)
            {
                warnings.Add($"none of the {genes.Count} genes of '{name}' is there, so that it has no score");
                continue;
            }
            if (present.Length < genes.Count) warnings.Add($"'{name}': {genes.Count - present.Length} of {genes.Count} genes are not there");
            context.Cells.Obs.Set(FrameColumn.Of(name, GeneScores.Score(x, present, options, context.Cancellation).Scores));
            scored++;
        }
        if (scored == 0) throw new DataException(context.Source, "var", "no gene of any set is there");
        return new StepOutcome($"{scored} {(scored == 1 ? "score" : "scores")} over {Numbers.Integer(x.Variables)} genes{(takeRaw ? " of raw" : "")}") { Warnings = warnings };
    }

    private static IEnumerable<(string Name, IReadOnlyList<string> Genes)> SetsOf(Source source)
    {
        if (source.Gmt is null) return [(source.ScoreName, source.Genes)];
        IReadOnlyList<GeneSet> all = GmtFile.Read(source.Gmt);
        foreach (string wanted in source.Sets)
            if (all.All(s => s.Name != wanted)) throw new UsageException($"sets={wanted}: {source.Gmt} has no such set.");
        return all.Where(s => source.Sets.Length == 0 || source.Sets.Contains(s.Name)).Select(s => (s.Name, s.Genes));
    }

    private static (Source, GeneScoreOptions, string) Read(StepSettings settings)
    {
        string[] genes = settings.List("gene_list"), sets = settings.List("sets");
        if (genes is [StepMatrix.None]) genes = [];
        if (sets is [StepMatrix.None]) sets = [];
        Source source = new([.. genes.Distinct(StringComparer.Ordinal)], settings.TextOrNone("gmt"), sets, settings.Text("score_name"));
        if (source.Genes.Length == 0 == source.Gmt is null) throw new UsageException("give either gene_list or gmt.");
        GeneScoreOptions options = new() { ControlSize = settings.Integer("ctrl_size", 1), Bins = settings.Integer("n_bins", 2), DrawFromSet = settings.Flag("ctrl_as_ref"), Seed = settings.NumpySeed() };
        return (source, options, settings.Choice("use_raw", "auto", "true", "false"));
    }

    private sealed record Source(string[] Genes, string? Gmt, string[] Sets, string ScoreName);
}
