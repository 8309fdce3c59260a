using BioSup.Shapes;

namespace BioSup.Report.Tests;

public sealed class HtmlWriterTests
{
    [Fact]
    public void Example_report_is_written_for_looking_at()
    {
        string folder = Path.Combine(RepositoryRoot.Path, "artifacts", "report-example");
        Directory.CreateDirectory(folder);
        ReportDocument report = Samples.Report();
        using (FileStream file = File.Create(Path.Combine(folder, "report.html"))) HtmlWriter.Write(report, file);
        HtmlWriter.SaveFigures(report, Path.Combine(folder, "figures"));
        int figures = report.Sections.SelectMany(s => s.Blocks).OfType<FigureRowBlock>().Sum(b => b.Figures.Count);
        Assert.Equal(figures, Directory.GetFiles(Path.Combine(folder, "figures"), "*.svg").Length);
        Assert.Equal(figures, Directory.GetFiles(Path.Combine(folder, "figures"), "*.png").Length);
    }
}
