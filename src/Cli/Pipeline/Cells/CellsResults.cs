using System.Text.Json.Nodes;
using BioSup.Cli.Pipeline.Reporting;
using BioSup.Data;
using BioSup.Report;

namespace BioSup.Cli.Pipeline.Cells;

/// <summary>What a run leaves beside the .h5ad file: tables/*.csv, figures/*.png and *.svg, report.html and, last, manifest.json.</summary>
internal static class CellsResults
{
    /// <summary>Resolution of the PNG files: what journals ask for.</summary>
    public const int DotsPerInch = 300;

    /// <summary>The folder beside OUT.h5ad that has its name.</summary>
    public static string FolderOf(string output) => Path.Combine(Path.GetDirectoryName(output) ?? "", Path.GetFileNameWithoutExtension(output));

    /// <returns>Names of the tables and of the figures.</returns>
    public static (IReadOnlyList<string> Tables, IReadOnlyList<string> Figures) Write(ResultFolder folder, string source, CellsContext context, IReadOnlyList<FinishedStep> done, JsonObject configuration)
    {
        IReadOnlyList<string> tables = WriteTables(folder.Locate("tables"), done);
        ReportDocument report = Compose(source, context, done, folder.CreateManifest(configuration));
        IReadOnlyList<string> figures = HtmlWriter.SaveFigures(report, folder.Locate("figures"), DotsPerInch);
        AtomicFile.Write(folder.Locate("report.html"), stream => HtmlWriter.Write(report, stream));
        configuration["tables"] = JsonText.Strings(tables);
        configuration["figures"] = JsonText.Strings(figures);
        folder.WriteManifest(configuration);
        return (tables, figures);
    }

    // A step that runs twice names its tables alike; the later one gets its place in the list of steps.
    private static List<string> WriteTables(string folder, IReadOnlyList<FinishedStep> done)
    {
        List<string> names = [];
        for (int i = 0; i < done.Count; i++)
            foreach ((string file, string csv) in done[i].Outcome.Tables)
            {
                string name = names.Contains(file, StringComparer.Ordinal) ? $"{Path.GetFileNameWithoutExtension(file)}-{i + 1}{Path.GetExtension(file)}" : file;
                AtomicFile.WriteAllText(Path.Combine(folder, name), csv);
                names.Add(name);
            }
        return names;
    }

    private static ReportDocument Compose(string source, CellsContext context, IReadOnlyList<FinishedStep> done, JsonObject manifest)
    {
        AnnData cells = context.Cells;
        ReportDocument report = new($"Single-cell analysis of {Path.GetFileName(source)}")
        {
            Summary = $"**{Numbers.Integer(cells.ObservationCount)}** cells and **{Numbers.Integer(cells.VariableCount)}** variables after {Numbers.Integer(done.Count)} step{(done.Count == 1 ? "" : "s")}.",
            Footer = $"BioSup.Native {ProductVersion.Text}",
        };
        report.Facts.Add(new("date", ((string)manifest["started"]!)[..10]));
        report.Facts.Add(new("version", ProductVersion.Text.Split('+')[0]));
        AddSteps(report, cells, done);
        foreach (FinishedStep step in done.Where(s => s.Outcome.Report.Count > 0))
        {
            ReportSection section = report.AddSection(step.Name, step.Outcome.Said);
            foreach (ReportBlock block in step.Outcome.Report) section.Add(block);
        }
        ProvenanceReport.Add(report, manifest, done.Select(s => new KeyValuePair<string, double>(s.Name, s.Seconds)));
        return report;
    }

    private static void AddSteps(ReportDocument report, AnnData cells, IReadOnlyList<FinishedStep> done)
    {
        ReportSection section = report.AddSection("Steps", "What was done to the cells, in order, with every setting.");
        string[] all = [.. CellsRunner.Noted(cells)];
        if (all.Length > done.Count) section.Details($"{all.Length - done.Count} earlier steps, as the input file notes them", string.Join('\n', all[..^done.Count]));
        TableBlock table = new("Steps of this run", "step", "settings", "result");
        foreach (FinishedStep step in done) table.Row(step.Name, string.Join(", ", step.Text.Split(':').Skip(1).Where(s => !s.EndsWith('='))), step.Outcome.Said);
        section.Table(table);
        foreach (FinishedStep step in done)
            foreach (string warning in step.Outcome.Warnings) section.Callout(Tone.Warning, step.Name, warning);
    }
}
