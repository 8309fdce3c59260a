using BioSup.Analysis.Geometry;
using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Data;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary>Scanpy's <c>pca</c>, exact.</summary>
internal sealed class PcaStep : ICellStep
{
    private const string Auto = "auto", HighlyVariable = "highly_variable";
    private const int UsualComponents = 50;

    public string Name => "pca";

    public string Summary => "exact principal components, of sparse matrices too";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("n_comps", Auto, "number of components; auto for 50, or one less than there are cells or variables"),
        new("mask_var", Auto, "bool column of var that says which variables take part, or none; auto for highly_variable where it is there"),
        new("key_added", StepMatrix.None, "key of obsm, varm and uns instead of X_pca, PCs and pca"),
        StepMatrix.Layer,
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        (int? wanted, string mask, string? key, string layer) = Read(settings);
        AnnData cells = context.Cells;
        string? column = mask == Auto ? (cells.Var.Contains(HighlyVariable) ? HighlyVariable : null) : mask == StepMatrix.None ? null : mask;
        int[] variables = Variables(cells.Var, column);
        using CellMatrix all = StepMatrix.Read(context, layer);
        using CellMatrix? some = variables.Length == all.Variables ? null : all.SelectVariables(variables);
        CellMatrix x = some ?? all;
        int smaller = Math.Min(x.Cells, x.Variables), count = wanted ?? (smaller <= UsualComponents ? smaller - 1 : UsualComponents);
        if (count < 1) throw new UsageException($"{Numbers.Integer(x.Cells)} x {Numbers.Integer(x.Variables)} values have no components to choose; at least 2 cells of 2 variables were expected.");
        CellMemory.Require(context, $"the product of {x.Cells} x {x.Variables} with itself and its eigenvectors", 2L * smaller * smaller * sizeof(double));
        (Pca pca, Matrix<double> scores) = Fit(x, count, context.Device);
        using (pca)
        using (scores)
        {
            Write(cells, key, column, layer, variables, pca, scores);
            double share = pca.ExplainedVarianceRatio.Sum();
            return new StepOutcome($"{count} components of {Numbers.Integer(x.Variables)} variables hold {Numbers.Percent(share)} of the variance{(x.IsSparse ? "; the matrix stayed sparse" : "")}") { Report = key is null ? QualityReport.Variance(context) : [] };
        }
    }

    private static (Pca, Matrix<double>) Fit(CellMatrix x, int count, ComputeDevice device)
    {
        if (x.IsSparse)
        {
            Pca sparse = Pca.Fit(x, count);
            return (sparse, sparse.Transform(x));
        }
        using PlacedMatrix<float> dense = x.Dense.At(device);
        Pca pca = Pca.Fit(dense.Matrix, count);
        return (pca, pca.Transform(dense.Matrix).MoveToHost());
    }

    private static void Write(AnnData cells, string? key, string? column, string layer, int[] variables, Pca pca, Matrix<double> scores)
    {
        using PlacedMatrix<double> components = pca.Components.OnHost();
        int count = scores.Columns;
        double[] loadings = new double[(long)cells.VariableCount * count];
        for (int c = 0; c < count; c++)
            for (int j = 0; j < variables.Length; j++) loadings[(long)variables[j] * count + c] = components.Matrix.Row(c)[j];
        float[] coordinates = new float[(long)scores.Rows * count];
        for (int i = 0; i < scores.Rows; i++)
            for (int c = 0; c < count; c++) coordinates[(long)i * count + c] = (float)scores.Row(i)[c];
        AnnDictionary parameters = new()
        {
            ["zero_center"] = NdArray.Scalar(true),
            ["use_highly_variable"] = NdArray.Scalar(column == HighlyVariable),
            ["mask_var"] = column is null ? null : NdArray.Scalar(column),
        };
        if (layer is not ("" or "X")) parameters["layer"] = NdArray.Scalar(layer);
        cells.Obsm[key ?? "X_pca"] = new NdArray(coordinates, scores.Rows, count);
        cells.Varm[key ?? "PCs"] = new NdArray(loadings, cells.VariableCount, count);
        cells.Uns[key ?? "pca"] = new AnnDictionary
        {
            ["params"] = parameters,
            ["variance"] = NdArray.Vector(pca.ExplainedVariance),
            ["variance_ratio"] = NdArray.Vector(pca.ExplainedVarianceRatio),
        };
    }

    private static int[] Variables(DataFrame var, string? column)
    {
        if (column is null) return [.. Enumerable.Range(0, var.Rows)];
        if (!var.Contains(column)) throw new UsageException($"mask_var={column}: var has no such column.");
        if (var[column].Values.Values is not bool[] flags || var[column].IsCategorical) throw new UsageException($"mask_var={column}: the column of var must hold true and false.");
        int[] taken = [.. Enumerable.Range(0, flags.Length).Where(j => flags[j])];
        return taken.Length > 0 ? taken : throw new UsageException($"mask_var={column}: it takes no variable.");
    }

    private static (int? Count, string Mask, string? Key, string Layer) Read(StepSettings settings) =>
        (settings.Text("n_comps") == Auto ? null : settings.Integer("n_comps", 1), settings.Text("mask_var"), settings.TextOrNone("key_added"), settings.Text("layer"));
}
