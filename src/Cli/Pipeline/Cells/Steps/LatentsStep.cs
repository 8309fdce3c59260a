using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary>The paper's way from mean activations to the matrix that principal components are taken of.</summary>
internal sealed class LatentsStep : ICellStep
{
    private const string All = "all";

    public string Name => "latents";

    public string Summary => "the paper's preparation of SAE latents: alive, unit rows, classes, filter, sub-sample, scaling";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("class_key", "superclass", "column of obs with the class of every cell"),
        new("classes", "Control;SNCA;GBA;LRRK2", "classes that stay, separated by semicolons, or all"),
        new("control", "Control", "class that mutations are compared with"),
        new("usage_key", "usage_ema", "column of var with the share of use of every latent; without it all count as alive"),
        new("dead_threshold", "1e-5", "smallest share of use of a latent that is alive"),
        new("l2", "true", "whether rows are brought to unit length before the filters"),
        new("filter_mode", StepMatrix.None, "none, cv (class means vary) or de (differs from the control)"),
        new("min_cv", "0.1", "cv: smallest coefficient of variation of the class means"),
        new("de_mode", "union", "de: union over mutations, or per_mut, which drops nothing and writes var/de_CLASS"),
        new("de_top_k", StepMatrix.None, "de: most latents of a mutation, by |log2 fold change|"),
        new("de_pval", "0.05", "de: adjusted p-values have to be smaller"),
        new("de_min_log2fc", "0.58", "de: smallest |log2 fold change|"),
        new("per_class", "10000", "most cells of a class, or none"),
        new("value_key", "cell_death", "column of obs by which the sub-sample prefers cells: those that have a value"),
        new("random_state", "42", "seed of NumPy's generator for the sub-sample"),
        new("norm", "log_std", "none, log, std, log_std, median or iqr, over the sub-sample"),
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        Keys keys = Read(settings);
        AnnData cells = context.Cells;
        List<string> warnings = [];
        LatentPreparationOptions options = keys.Options;
        string[] labels = new string[cells.ObservationCount];
        if (cells.Obs.Contains(keys.Class) || settings.Has("class_key"))
        {
            (int[] codes, string[] names) = CellMatrices.Groups(context, keys.Class);
            labels = Array.ConvertAll(codes, c => c < 0 ? "" : names[c]);
        }
        else
        {
            Array.Fill(labels, All);
            options = options with { Classes = null };
            warnings.Add($"obs has no column '{keys.Class}': all cells are one class");
        }
        double[]? usage = null, values = null;
        if (cells.Var.Contains(keys.Usage)) usage = cells.Var[keys.Usage].ToColumn($"{context.Source}:var/{keys.Usage}").Numbers;
        else if (settings.Has("usage_key")) throw new UsageException($"there is no column '{keys.Usage}' in var.");
        else warnings.Add($"var has no column '{keys.Usage}': all latents count as alive");
        if (cells.Obs.Contains(keys.Value) || settings.Has("value_key")) values = CellMatrices.Numbers(context, keys.Value);
        using Matrix<float> x = CellMatrices.Single(context, context.Host);
        PreparedLatents prepared = LatentPreparation.Prepare(x, usage, labels, values, options, context.Cancellation);
        using Matrix<float> made = prepared.Values, rows = Gather.Rows(x, prepared.Rows), aside = Gather.Columns(rows, prepared.Latents);
        context.Cells = cells.SelectCells(prepared.Rows).SelectVariables(prepared.Latents);
        context.Cells.X = NdArray.FromMatrix(made.View);
        CellPreprocessing.Log1p(aside);
        context.Cells.Layers["log1p"] = NdArray.FromMatrix(aside.View);
        foreach ((string mutation, LatentComparison comparison) in prepared.Mutations)
        {
            context.Cells.Var.Set(FrameColumn.Of($"de_{mutation}", comparison.Differs)).Set(FrameColumn.Of($"log2fc_{mutation}", comparison.Log2FoldChange));
            context.Cells.Var.Set(FrameColumn.Of($"log10_padj_{mutation}", comparison.Log10Q));
        }
        string differing = string.Concat(prepared.Mutations.Select(m => $", {m.Mutation} differs in {m.Comparison.Differs.Count(d => d)}"));
        return new StepOutcome($"{Numbers.Integer(prepared.Rows.Length)} of {Numbers.Integer(prepared.OfClasses)} cells of the classes, {Numbers.Integer(prepared.Latents.Length)} of {Numbers.Integer(prepared.Alive)} latents that are alive of {Numbers.Integer(x.Columns)}{differing}")
        {
            Warnings = warnings,
        };
    }

    private static Keys Read(StepSettings settings)
    {
        string[] classes = settings.List("classes");
        string filter = settings.Choice("filter_mode", StepMatrix.None, "cv", "de"), mode = settings.Choice("de_mode", "union", "per_mut");
        LatentPreparationOptions options = new()
        {
            Classes = classes is [All] ? null : classes,
            Control = settings.Text("control"),
            DeadThreshold = settings.Number("dead_threshold", 0),
            UnitRows = settings.Flag("l2"),
            Choice = filter switch { "cv" => LatentChoice.Variation, "de" => mode == "union" ? LatentChoice.Difference : LatentChoice.DifferencePerMutation, _ => LatentChoice.None },
            MinVariation = settings.Number("min_cv", 0),
            Difference = new LatentDifferenceOptions { Most = settings.IntegerOrNone("de_top_k", 1), MaxAdjustedP = settings.Number("de_pval", 0, 1), MinLog2FoldChange = settings.Number("de_min_log2fc", 0) },
            PerClass = settings.IntegerOrNone("per_class", 1),
            Seed = settings.NumpySeed(),
            Scale = settings.Choice("norm", "log_std", StepMatrix.None, "log", "std", "median", "iqr") switch
            {
                "log" => LatentScale.Log,
                "std" => LatentScale.Std,
                "log_std" => LatentScale.LogStd,
                "median" => LatentScale.Median,
                "iqr" => LatentScale.Iqr,
                _ => LatentScale.None,
            },
        };
        return new Keys(settings.Text("class_key"), settings.Text("usage_key"), settings.Text("value_key"), options);
    }

    private sealed record Keys(string Class, string Usage, string Value, LatentPreparationOptions Options);
}
