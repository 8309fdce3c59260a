using BioSup.Cli.Pipeline.Cells.Steps;
using BioSup.Data;
using BioSup.Report;
using BioSup.Report.Figures;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Reporting;

/// <summary>How a map of cells is drawn.</summary>
internal sealed record EmbeddingOptions
{
    /// <summary>The two coordinates, counted from 1.</summary>
    public (int First, int Second) Components { get; init; } = (1, 2);

    /// <summary>Percentiles at which the colours of numbers end; null for none.</summary>
    public (double Low, double High)? Clip { get; init; }

    /// <summary>High numbers above low ones, so that rare ones stay visible.</summary>
    public bool SortOrder { get; init; } = true;

    /// <summary>The published bend of the colour scale; 1 for none.</summary>
    public double Gamma { get; init; } = 1;

    /// <summary>A column of obs whose class <see cref="Control"/> is drawn grey; empty for none.</summary>
    public string GroupBy { get; init; } = "";

    public string Control { get; init; } = "Control";

    /// <summary>The matrix from which a variable is taken.</summary>
    public string Layer { get; init; } = "X";
}

/// <summary>Cells in two coordinates of an embedding, coloured by anything that is known of them.</summary>
internal static class EmbeddingFigure
{
    private const int MostWithoutNames = 8, LongName = 16;

    // Columns with more categories name cells rather than groups.
    private const int MostGroups = 60;

    /// <summary>Draws one map for each colouring.</summary>
    /// <exception cref="UsageException">There is no such embedding or colouring.</exception>
    public static FigureRowBlock Of(CellsContext context, string basis, IReadOnlyList<string> colors, EmbeddingOptions? options = null)
    {
        options ??= new EmbeddingOptions();
        Embedding map = Embedding.Read(context, basis, options.Components);
        return new FigureRowBlock([.. (colors.Count == 0 ? [""] : colors).Select(color => One(context, map, color, options))]);
    }

    /// <summary>The cells in an embedding as it has just been made, coloured by the columns that group them: at most two, the latest. Nothing where it has one coordinate.</summary>
    public static IReadOnlyList<ReportBlock> Overview(CellsContext context, string basis, EmbeddingOptions? options = null)
    {
        if (!IsPlane(context, basis)) return [];
        string[] groups = [.. context.Cells.Obs.Columns.Where(c => c.IsCategorical && c.Values.Length is > 1 and <= MostGroups).Select(c => c.Name)];
        return [Of(context, basis, [.. groups.TakeLast(2)], options)];
    }

    /// <summary>The cells coloured by one column in the first of the usual embeddings that there is; nothing where there is none.</summary>
    public static IReadOnlyList<ReportBlock> InAny(CellsContext context, params string[] colors)
    {
        string? basis = new[] { "umap", "phate", "diffmap", "pca" }.FirstOrDefault(b => IsPlane(context, b));
        return basis is null ? [] : [Of(context, basis, colors)];
    }

    private static bool IsPlane(CellsContext context, string basis) => context.Cells.Obsm.GetValueOrDefault("X_" + basis) is NdArray { Rank: 2 } map && map.Shape[1] >= (basis == "diffmap" ? 3 : 2);

    private static FigureItem One(CellsContext context, Embedding map, string color, EmbeddingOptions options)
    {
        string made = $"{map.Title} of {Captions.Cells(map.X.Length)}{Captions.InBrackets(map.Settings)}", file = GeneTests.FileName($"{map.Key}{(color.Length > 0 ? "_" : "")}{color}");
        if (color.Length == 0) return new FigureItem(new ScatterMap { X = map.X, Y = map.Y, XLabel = map.XLabel, YLabel = map.YLabel, EqualAspect = map.Equal, Height = 400 }, made + ".", file);
        CellColoring coloring = CellColoring.Of(context, color, options.Layer);
        string from = coloring.From == "obs" ? $"`{color}`" : $"`{color}` in {coloring.From}";
        if (coloring.Categories is not null)
        {
            string? control = CellColoring.ContextOf(coloring.Order);
            bool missing = coloring.Categories.Contains("");
            // Long names would cover the points that they name; the legend has them.
            bool longNames = coloring.Order.Any(c => c.Length > LongName);
            bool names = coloring.Order.All(c => int.TryParse(c, out _)) || coloring.Order.Length > (longNames ? Palette.Count : MostWithoutNames);
            ScatterMap categories = new()
            {
                // Long names would leave the map no room in half a page.
                X = map.X, Y = map.Y, XLabel = map.XLabel, YLabel = map.YLabel, EqualAspect = map.Equal, Height = 400, Width = longNames ? 660 : 472,
                Categories = missing ? [.. coloring.Categories.Select(c => c.Length == 0 ? "no value" : c)] : coloring.Categories, CategoryOrder = missing ? [.. coloring.Order, "no value"] : coloring.Order,
                ContextCategory = missing ? "no value" : control, CategoryColors = CellColoring.ColorsOf(coloring.Order), NamesOnMap = names,
            };
            return new FigureItem(categories, $"{made}, coloured by {from}: {coloring.Order.Length} categories{(names ? ", named at the median of their cells" : "")}.", file);
        }
        (double[] values, string? grey) = Values(context, coloring, options);
        bool clipped = options.Clip is not null && Spread(values, options.Clip.Value);
        ScatterMap numbers = new()
        {
            X = map.X, Y = map.Y, XLabel = map.XLabel, YLabel = map.YLabel, EqualAspect = map.Equal, Height = 400,
            Values = values, ValueLabel = color, MissingLabel = grey, Scale = grey is null ? ColorScale.Viridis : ColorScale.YellowGreenBlue,
            ClipPercentiles = clipped ? options.Clip : null, HighOnTop = options.SortOrder, Gamma = options.Gamma,
        };
        string ends = clipped ? $" Colours end at the {Numbers.Short(options.Clip!.Value.Low)}th and {Numbers.Short(options.Clip.Value.High)}th percentile." : "";
        string bent = options.Gamma == 1 ? "" : $" Colours follow the place between the ends to the power {Numbers.Short(options.Gamma)}.";
        int without = values.Count(v => !double.IsFinite(v));
        return new FigureItem(numbers, $"{made}, coloured by {from}.{ends}{bent}{(without > 0 ? $" Grey: {Numbers.Integer(without)} {grey}." : "")}{(options.SortOrder ? " High values are drawn last." : "")}", file);
    }

    /// <summary>The numbers, without those of the control cells, and what the grey cells are.</summary>
    private static (double[] Values, string? Grey) Values(CellsContext context, CellColoring coloring, EmbeddingOptions options)
    {
        double[] values = coloring.Values!;
        bool missing = values.Any(v => !double.IsFinite(v));
        if (options.GroupBy.Length == 0) return (values, missing ? "no value" : null);
        (int[] codes, string[] names) = CellMatrices.Groups(context, options.GroupBy);
        int control = Array.IndexOf(names, options.Control);
        if (control < 0) throw new UsageException($"obs/{options.GroupBy} has no class '{options.Control}'; there are {string.Join(", ", names.Take(20))}.");
        bool others = Enumerable.Range(0, values.Length).Any(i => codes[i] != control && !double.IsFinite(values[i]));
        return ([.. values.Select((v, i) => codes[i] == control ? double.NaN : v)], others ? $"{options.Control} or no value" : options.Control);
    }

    // Where most cells have the same value both percentiles may be that value: then nothing is cut.
    private static bool Spread(double[] values, (double Low, double High) clip)
    {
        double[] sorted = [.. values.Where(double.IsFinite).Order()];
        return sorted.Length > 1 && sorted[(int)(clip.High / 100 * (sorted.Length - 1))] > sorted[(int)(clip.Low / 100 * (sorted.Length - 1))];
    }

    /// <summary>Two coordinates and what they are called.</summary>
    private sealed record Embedding(string Key, string Title, double[] X, double[] Y, string XLabel, string YLabel, bool Equal, string Settings)
    {
        public static Embedding Read(CellsContext context, string basis, (int First, int Second) components)
        {
            AnnData cells = context.Cells;
            string key = cells.Obsm.ContainsKey("X_" + basis) || !cells.Obsm.ContainsKey(basis) ? "X_" + basis : basis;
            if (!cells.Obsm.TryGetValue(key, out IAnnElement? element)) throw new UsageException($"there is no obsm/{key}; there {(cells.Obsm.Count == 0 ? "are no embeddings" : "is " + string.Join(", ", cells.Obsm.Keys.Take(20)))}.");
            if (element is not NdArray { Type: not ElementType.Text, Rank: 2 } array) throw new DataException(context.Source, $"obsm/{key}", "a two-dimensional array of numbers was expected");
            string kind = key.StartsWith("X_", StringComparison.Ordinal) ? key[2..] : key;
            (string title, string axis, string[] made) = kind switch
            {
                "umap" => ("UMAP", "UMAP", (string[])["neighbors", "umap"]),
                "pca" => ("Principal components", "PC", ["pca"]),
                "diffmap" => ("Diffusion map", "DC", ["neighbors"]),
                _ when kind.StartsWith("phate", StringComparison.Ordinal) => ("PHATE", "PHATE", ["phate"]),
                _ => ($"Embedding `{key}`", kind, []),
            };
            // Column 0 of a diffusion map is the trivial vector, which scanpy passes over too.
            int skip = kind == "diffmap" ? 1 : 0;
            return new Embedding(kind, title, Column(array, components.First + skip, key), Column(array, components.Second + skip, key), Label(cells, kind, axis, components.First), Label(cells, kind, axis, components.Second),
                kind != "diffmap", Captions.Settings(cells, made));
        }

        private static double[] Column(NdArray array, int component, string key) => component >= 1 && component <= array.Shape[1]
            ? CellColoring.Variable(array, component - 1)
            : throw new UsageException($"obsm/{key} has {array.Shape[1]} columns; there is no component {component}.");

        private static string Label(AnnData cells, string kind, string axis, int component) =>
            kind == "pca" && cells.Uns.GetValueOrDefault("pca") is AnnDictionary pca && pca.GetValueOrDefault("variance_ratio") is NdArray ratio && component <= ratio.Length
                ? $"{axis} {component} ({Numbers.Percent(ratio.ToDoubles()[component - 1])} of the variance)"
                : $"{axis} {component}";
    }
}
