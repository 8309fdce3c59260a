using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Data;
using BioSup.Report;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary>Scanpy's <c>highly_variable_genes</c> with flavours seurat and seurat_v3.</summary>
internal sealed class HighlyVariableGenesStep : ICellStep
{
    private const int PublishedTop = 2000;

    public string Name => "highly_variable_genes";

    public string Summary => "genes that vary more than others of their level; seurat takes logarithms, seurat_v3 counts";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("flavor", "seurat", "seurat or seurat_v3"),
        new("n_top_genes", StepMatrix.None, "number of genes; none for the bounds below (seurat) or 2000 (seurat_v3)"),
        new("min_mean", "0.0125", "bound of ln(1 + mean), excluded"), new("max_mean", "3", "bound of ln(1 + mean), excluded"),
        new("min_disp", "0.5", "bound of the normalised dispersion, excluded"), new("max_disp", StepMatrix.None, "bound of the normalised dispersion, excluded"),
        new("n_bins", "20", "bins of the mean"), new("span", "0.3", "share of the genes in a neighbourhood of seurat_v3's regression, above 0 to 1"),
        new("subset", "false", "whether the other genes are dropped"), StepMatrix.Layer,
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        Choice choice = Read(settings);
        using CellMatrix x = StepMatrix.Read(context, choice.Layer);
        List<string> warnings = [];
        bool[] selected = choice.Flavour == "seurat" ? ByDispersion(choice, x, context) : ByVariance(choice, x, context, warnings);
        context.Cells.Var.Set(FrameColumn.Of("highly_variable", selected));
        context.Cells.Uns["hvg"] = new AnnDictionary { ["flavor"] = NdArray.Scalar(choice.Flavour) };
        int count = selected.Count(s => s);
        StepOutcome outcome = new($"{Numbers.Integer(count)} of {Numbers.Integer(selected.Length)} genes are highly variable ({choice.Flavour})") { Warnings = warnings, Report = QualityReport.VariableGenes(context, choice.Flavour) };
        if (count == 0) warnings.Add("no gene is highly variable; pca would have none to work on");
        else if (choice.Subset) context.Cells = context.Cells.SelectVariables([.. Enumerable.Range(0, selected.Length).Where(j => selected[j])]);
        return outcome;
    }

    private static bool[] ByDispersion(Choice choice, CellMatrix x, CellsContext context)
    {
        double? logBase = context.Cells.Uns.GetValueOrDefault("log1p") is AnnDictionary log && log.GetValueOrDefault("base") is NdArray { Length: 1 } stored ? stored.ToDoubles()[0] : null;
        DispersionSelection found = VariableGenes.ByDispersion(x, logBase, choice.Top, choice.Bounds, choice.Bins, context.Cancellation);
        DataFrame var = context.Cells.Var;
        var.Set(FrameColumn.Of("means", found.Means)).Set(FrameColumn.Of("dispersions", found.Dispersions));
        var.Set(FrameColumn.Of("dispersions_norm", Array.ConvertAll(found.Normalised, z => (float)z)));
        return found.Selected;
    }

    private static bool[] ByVariance(Choice choice, CellMatrix x, CellsContext context, List<string> warnings)
    {
        bool counts = true;
        for (int i = 0; i < x.Cells && counts; i++)
            foreach (float value in x.Values(i)) counts &= value >= 0 && value == MathF.Truncate(value);
        if (!counts) warnings.Add("seurat_v3 expects counts, and there are values that are no whole numbers");
        VarianceSelection found = VariableGenes.ByVariance(x, choice.Top ?? PublishedTop, choice.Span, context.Cancellation);
        DataFrame var = context.Cells.Var;
        var.Set(FrameColumn.Of("highly_variable_rank", found.Ranks)).Set(FrameColumn.Of("means", found.Means));
        var.Set(FrameColumn.Of("variances", found.Variances)).Set(FrameColumn.Of("variances_norm", found.Normalised));
        return found.Selected;
    }

    private static Choice Read(StepSettings settings)
    {
        DispersionBounds bounds = new()
        {
            MinMean = settings.Number("min_mean"), MaxMean = settings.Number("max_mean"), MinDispersion = settings.Number("min_disp"), MaxDispersion = settings.NumberOrNone("max_disp") ?? double.PositiveInfinity,
        };
        return new Choice(settings.Choice("flavor", "seurat", "seurat_v3"), settings.IntegerOrNone("n_top_genes", 1), bounds, settings.Integer("n_bins", 1), settings.Number("span", 0.001, 1), settings.Flag("subset"), settings.Text("layer"));
    }

    private sealed record Choice(string Flavour, int? Top, DispersionBounds Bounds, int Bins, double Span, bool Subset, string Layer);
}
