using System.Globalization;
using System.Text;

namespace BioSup.Benchmarks.Device.Results;

/// <summary>The table of a profile that ncu wrote with --csv: one row per launch, one column per metric.</summary>
internal static class NcuTable
{
    public static string FromFile(string path) => FromLines(Path.GetFileNameWithoutExtension(path), File.ReadLines(path));

    internal static string FromLines(string title, IEnumerable<string> lines)
    {
        List<string[]> rows = [.. lines.Where(l => l.StartsWith('"')).Select(Split)];
        StringBuilder text = new($"## {title}\n\n");
        if (rows.Count == 0) return text.Append("ncu wrote no rows.\n\n").ToString();
        int id = Array.IndexOf(rows[0], "ID"), kernel = Array.IndexOf(rows[0], "Kernel Name"), metric = Array.IndexOf(rows[0], "Metric Name"), unit = Array.IndexOf(rows[0], "Metric Unit"), value = Array.IndexOf(rows[0], "Metric Value");
        if (id < 0 || kernel < 0 || metric < 0 || value < 0) return text.Append("The columns of ncu's table are not known.\n\n").ToString();
        string[][] launches = [.. rows.Skip(1).Where(r => r.Length == rows[0].Length)];
        string[] metrics = [.. launches.Select(r => Title(r)).Distinct()];
        text.Append("| kernel | ").AppendJoin(" | ", metrics).Append(" |\n| --- |").Append(string.Concat(Enumerable.Repeat(" ---: |", metrics.Length))).Append('\n');
        foreach (IGrouping<string, string[]> launch in launches.GroupBy(r => r[id]))
        {
            text.Append(CultureInfo.InvariantCulture, $"| {launch.First()[kernel].Split('(')[0]} |");
            foreach (string name in metrics) text.Append(CultureInfo.InvariantCulture, $" {launch.FirstOrDefault(r => Title(r) == name)?[value] ?? "–"} |");
            text.Append('\n');
        }
        return text.Append('\n').ToString();

        string Title(string[] row) => unit >= 0 && row[unit].Length > 0 ? $"{row[metric]} [{row[unit]}]" : row[metric];
    }

    /// <summary>Fields in quotes, separated by commas; a quote inside is doubled.</summary>
    private static string[] Split(string line)
    {
        List<string> fields = [];
        StringBuilder field = new();
        bool quoted = false;
        for (int i = 0; i < line.Length; i++)
        {
            if (line[i] == '"' && quoted && i + 1 < line.Length && line[i + 1] == '"') field.Append(line[i++]);
            else if (line[i] == '"') quoted = !quoted;
            else if (line[i] == ',' && !quoted)
            {
                fields.Add(field.ToString());
                field.Clear();
            }
            else field.Append(line[i]);
        }
        fields.Add(field.ToString());
        return [.. fields];
    }
}
