namespace BioSup.Report.Figures;

/// <summary>One trained dictionary among others.</summary>
/// <param name="Series">Dictionaries that differ in sparsity alone share a name ("d_sae 4096") and are joined by a line.</param>
/// <param name="L0">Active latents per token.</param>
/// <param name="Fvu">Fraction of variance unexplained.</param>
public sealed record ParetoPoint(string Series, double L0, double Fvu)
{
    /// <summary>Share of latents that are dead; NaN when not measured, as below.</summary>
    public double DeadShare { get; init; } = double.NaN;

    /// <summary>Held-out accuracy of a linear probe on latents.</summary>
    public double ProbeAccuracy { get; init; } = double.NaN;

    /// <summary>Mean |cos| of decoder rows.</summary>
    public double MeanAbsoluteCosine { get; init; } = double.NaN;

    /// <summary>Effective rank of the decoder.</summary>
    public double EffectiveRank { get; init; } = double.NaN;

    /// <summary>Mean matched cosine with the same configuration under another seed.</summary>
    public double Stability { get; init; } = double.NaN;
}

/// <summary>What dictionaries of different width and sparsity trade against each other: FVU and further measures over L0, one small panel each.</summary>
public static class ParetoFigure
{
    /// <summary>Panels for every measure that any point has; colours follow the order in which series first occur.</summary>
    /// <param name="points">In any order; a line runs through its points by ascending L0.</param>
    /// <param name="columns">Panels in a row.</param>
    public static PanelGrid Of(IReadOnlyList<ParetoPoint> points, int columns = 3)
    {
        string[] series = [.. points.Select(p => p.Series).Distinct()];
        (string Label, Func<ParetoPoint, double> Value)[] measures =
        [
            ("FVU", p => p.Fvu),
            ("dead share", p => p.DeadShare),
            ("probe accuracy", p => p.ProbeAccuracy),
            ("mean |cos| of decoder rows", p => p.MeanAbsoluteCosine),
            ("effective rank of the decoder", p => p.EffectiveRank),
            ("matched cosine between seeds", p => p.Stability),
        ];
        return new PanelGrid
        {
            Columns = columns,
            Entries = [.. series.Select((name, i) => new LegendEntry(name, i))],
            Panels = [.. measures.Where((m, i) => i == 0 || points.Any(p => double.IsFinite(m.Value(p)))).Select(m => Panel(points, series, m.Label, m.Value))],
            Description = $"{string.Join(", ", measures.Where(m => points.Any(p => double.IsFinite(m.Value(p)))).Select(m => m.Label))} against L0 for {points.Count} dictionaries",
        };
    }

    private static LineChart Panel(IReadOnlyList<ParetoPoint> points, string[] series, string label, Func<ParetoPoint, double> value) => new()
    {
        Width = 320,
        Height = 260,
        XLabel = "L0, active latents per token",
        YLabel = label,
        LogX = true,
        Legend = false,
        Series = [.. series.Select((name, i) =>
        {
            ParetoPoint[] own = [.. points.Where(p => p.Series == name && double.IsFinite(value(p))).OrderBy(p => p.L0)];
            return new LineSeries(name, [.. own.Select(p => p.L0)], [.. own.Select(value)]) { Markers = true, ColorIndex = i };
        })],
    };
}
