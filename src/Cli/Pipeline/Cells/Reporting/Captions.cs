using BioSup.Data;
using BioSup.Report;

namespace BioSup.Cli.Pipeline.Cells.Reporting;

/// <summary>Phrases that captions share, so that every figure says on how many cells and with what settings it was made.</summary>
internal static class Captions
{
    /// <summary>Settings that shape what a figure shows; the table of steps has all.</summary>
    private static readonly HashSet<string> s_shaping = ["n_neighbors", "metric", "n_pcs", "use_rep", "min_dist", "spread", "mask_var", "knn", "decay", "t", "flavor", "n_top_genes"];

    public static string Cells(long count) => $"{Numbers.Integer(count)} cell{(count == 1 ? "" : "s")}";

    /// <summary>The settings that shape a result, as a step stored them under <c>uns/KEY/params</c>, as "n_neighbors 15, metric euclidean"; empty where there are none.</summary>
    public static string Settings(AnnData cells, params string[] keys)
    {
        List<string> said = [];
        foreach (string key in keys)
            if (cells.Uns.GetValueOrDefault(key) is AnnDictionary kept && kept.GetValueOrDefault("params") is AnnDictionary settings)
                foreach ((string name, IAnnElement? value) in settings)
                    if (s_shaping.Contains(name) && value is NdArray { Length: > 0 and <= 8 } array && string.Join(';', array.ToText().Select(Short)) is { Length: > 0 and < 40 } text && !said.Contains($"{name} {text}")) said.Add($"{name} {text}");
        return string.Join(", ", said);
    }

    /// <summary>The same in brackets with a space before, or nothing.</summary>
    public static string InBrackets(string settings) => settings.Length == 0 ? "" : $" ({settings})";

    /// <summary>A p-value from its decimal logarithm, however small.</summary>
    public static string P(double log10P) => double.IsNaN(log10P) ? "p = –" : log10P < -300 ? $"p = {Numbers.PowerOfTen(log10P)}" : $"p = {Numbers.Significant(Math.Pow(10, log10P), 2)}";

    private static string Short(string text) => double.TryParse(text, System.Globalization.NumberStyles.Float, System.Globalization.CultureInfo.InvariantCulture, out double number) ? Numbers.Short(number) : text;
}
