using System.Globalization;
using BioSup.Analysis.Geometry;
using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary><c>ridge</c>: how well a linear map of the representation predicts a value, out of fold.</summary>
internal sealed class RidgeStep : ICellStep
{
    public string Name => "ridge";

    public string Summary => "out-of-fold R2 of a ridge regression of a value on a representation, by groups, with permutations";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        .. ValueCells.Parameters,
        new("n_splits", "5", "folds of the cross-validation, 2 or more"),
        new("fold_seed", "42", "seed of the shuffled folds (NumPy's RandomState)"),
        new("n_components", "250", "largest number of principal components in each fold"),
        new("permutations", "0", "permutations of the value behind the p-value; 0 for none"),
        new("config", "biosup", "text of the column Config"),
        new("which_layer", "X", "text of the column Layer"),
        new("key_added", "ridge", "key of uns, and beginning of the file names"),
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        (RidgeProbeOptions options, string config, string layer, string key) = Read(settings);
        options = options with { Seed = context.Seed };
        List<(string Group, int Cells, RidgeProbeResult Result)> all = [];
        foreach ((string group, Matrix<double> x, double[] values) in ValueCells.Groups(context, settings, context.Device))
            using (x)
            {
                if (x.Rows < 2 * options.Folds) throw new UsageException($"n_splits={options.Folds}; the group '{group}' has {x.Rows} cells with a value, and {2 * options.Folds} are needed: take fewer folds, or name the groups to measure with groups=.");
                all.Add((group, x.Rows, RidgeProbe.Measure(x, values, options, context.Progress, context.Cancellation)));
            }
        AnnDictionary kept = new() { ["params"] = settings.Used };
        foreach ((string group, int cells, RidgeProbeResult result) in all) kept[group.Replace('/', '_')] = Kept(cells, result);
        context.Cells.Uns[key] = kept;
        return new StepOutcome(string.Join(", ", all.Select(a => string.Create(CultureInfo.InvariantCulture, $"{a.Group} R² {a.Result.FoldR2.Average():0.000}"))))
        {
            Tables = [($"{GeneTests.FileName(key)}_folds.csv", Folds(all, config, layer, options.FoldSeed)), ($"{GeneTests.FileName(key)}_summary.csv", Overview(all))],
            Report = MeasureReport.Ridge(settings.Text("value"), ValueCells.Representation(settings), all, options, key),
        };
    }

    private static AnnDictionary Kept(int cells, RidgeProbeResult result)
    {
        AnnDictionary kept = new()
        {
            ["n"] = NdArray.Scalar((long)cells),
            ["r2_mean"] = NdArray.Scalar(result.FoldR2.Average()),
            ["r2_folds"] = NdArray.Vector(result.FoldR2),
            ["r2_pooled"] = NdArray.Scalar(result.R2),
            ["alphas"] = NdArray.Vector(result.Alphas),
        };
        if (result.PermutationP is { } p) kept["permutation_p"] = NdArray.Scalar(p);
        return kept;
    }

    /// <summary>The published table: a row for each fold of each group.</summary>
    private static string Folds(List<(string Group, int Cells, RidgeProbeResult Result)> all, string config, string layer, uint seed)
    {
        (string Group, int Fold, double R2)[] rows = [.. all.SelectMany(a => a.Result.FoldR2.Select((r2, fold) => (a.Group, fold, r2)))];
        return CsvFile.ToText(new Table([
            new Column("Config", [.. rows.Select(_ => config)]),
            new Column("Seed", [.. rows.Select(_ => (double)seed)]),
            new Column("Model", [.. rows.Select(_ => "ridge")]),
            new Column("Layer", [.. rows.Select(_ => layer)]),
            new Column("Group", [.. rows.Select(r => $"{r.Group} only")]),
            new Column("Fold_idx", [.. rows.Select(r => r.Fold)]),
            new Column("R2", [.. rows.Select(r => r.R2)]),
        ]));
    }

    private static string Overview(List<(string Group, int Cells, RidgeProbeResult Result)> all) => CsvFile.ToText(new Table([
        new Column("Group", [.. all.Select(a => a.Group)]),
        new Column("n", [.. all.Select(a => a.Cells)]),
        new Column("r2_mean", [.. all.Select(a => a.Result.FoldR2.Average())]),
        new Column("r2_pooled", [.. all.Select(a => a.Result.R2)]),
        new Column("permutation_p", [.. all.Select(a => a.Result.PermutationP ?? double.NaN)]),
    ]));

    private static (RidgeProbeOptions Options, string Config, string Layer, string Key) Read(StepSettings settings) => (
        new RidgeProbeOptions { Folds = settings.Integer("n_splits", 2), FoldSeed = (uint)settings.Integer("fold_seed", 0), Components = settings.Integer("n_components", 1), Permutations = settings.Integer("permutations", 0, 100_000) },
        settings.Text("config"), settings.Text("which_layer"), settings.Text("key_added"));
}
