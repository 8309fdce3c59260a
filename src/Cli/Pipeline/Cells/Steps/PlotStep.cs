using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary><c>plot</c>: maps of the cells, coloured by columns of obs or by variables. It changes nothing in the matrix.</summary>
internal sealed class PlotStep : ICellStep
{
    public string Name => "plot";

    public string Summary => "maps of the cells in two coordinates, coloured by columns of obs, genes or latents";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("basis", "umap", "embedding in obsm, with or without X_: umap, phate, pca, diffmap, spatial"),
        new("color", "", "columns of obs or names of variables, separated by semicolons; empty for one colour"),
        new("components", "1;2", "the two coordinates, counted from 1; of a diffusion map without the trivial one"),
        new("clip", "10;90", "percentiles at which the colours of numbers end; 0;100 for none"),
        new("sort_order", "true", "draw high values last"),
        new("gamma", "1", "bend of the colour scale, above 0; 1 is linear"),
        new("groupby", "", "column of obs with classes, of which the control cells are drawn grey where numbers are shown"),
        new("control", "Control", "the class of groupby that is drawn grey"),
        new("layer", "X", "matrix from which variables are taken"),
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        (string basis, string[] colors, EmbeddingOptions options) = Read(settings);
        FigureRowBlock figures = EmbeddingFigure.Of(context, basis, colors, options);
        return new StepOutcome($"{figures.Figures.Count} map{(figures.Figures.Count == 1 ? "" : "s")} of {Captions.Cells(context.Cells.ObservationCount)} in {basis}{(colors.Length == 0 ? "" : $", coloured by {string.Join(", ", colors)}")}") { Report = [figures] };
    }

    private static (string Basis, string[] Colors, EmbeddingOptions Options) Read(StepSettings settings)
    {
        (double first, double second) = Pair(settings, "components", 1, 100_000);
        (double low, double high) = Pair(settings, "clip", 0, 100);
        if (low >= high) throw new UsageException($"--steps plot: clip={Numbers.Short(low)};{Numbers.Short(high)}; the lower percentile has to be below the upper one.");
        if (first != Math.Floor(first) || second != Math.Floor(second)) throw new UsageException("--steps plot: components are whole numbers, such as 1;2.");
        return (settings.Text("basis"), settings.List("color"), new EmbeddingOptions
        {
            Components = ((int)first, (int)second),
            Clip = low == 0 && high == 100 ? null : (low, high),
            SortOrder = settings.Flag("sort_order"),
            Gamma = settings.Number("gamma", 0.01, 100),
            GroupBy = settings.Text("groupby"),
            Control = settings.Text("control"),
            Layer = settings.Text("layer"),
        });
    }

    private static (double First, double Second) Pair(StepSettings settings, string name, double least, double most)
    {
        double[] numbers = [.. settings.List(name).Select(text => double.TryParse(text, System.Globalization.NumberStyles.Float, System.Globalization.CultureInfo.InvariantCulture, out double number) && number >= least && number <= most ? number : double.NaN)];
        return numbers.Length == 2 && numbers.All(double.IsFinite) ? (numbers[0], numbers[1]) : throw new UsageException($"--steps plot: {name} takes two numbers from {Numbers.Short(least)} to {Numbers.Short(most)}, such as {name}={(name == "clip" ? "10;90" : "1;2")}.");
    }
}
