using System.Text;
using BioSup.Cli.Pipeline.Cells;
using BioSup.Shapes;

namespace BioSup.Cli.Tests.Docs;

public sealed class CellStepsTableTests
{
    private const string Begin = "<!-- steps -->\n", End = "<!-- /steps -->";

    [Fact]
    public void The_table_of_steps_in_docs_is_the_program_s_own()
    {
        string path = Path.Combine(RepositoryRoot.Path, "docs", "cells.md"), text = File.ReadAllText(path);
        int begin = text.IndexOf(Begin, StringComparison.Ordinal) + Begin.Length, end = text.IndexOf(End, StringComparison.Ordinal);
        string expected = text[..begin] + Write() + text[end..];
        if (Environment.GetEnvironmentVariable("BIOSUP_UPDATE_DOCS") == "1") File.WriteAllText(path, expected);
        Assert.Equal(expected, File.ReadAllText(path));
    }

    [Fact]
    public void Every_step_and_setting_has_a_name_of_its_own_and_says_what_it_means()
    {
        Assert.Equal(CellSteps.All.Count, CellSteps.All.Select(s => s.Name).Distinct().Count());
        foreach (ICellStep step in CellSteps.All)
        {
            Assert.Matches("^[a-z][a-z0-9_]*$", step.Name);
            Assert.False(string.IsNullOrWhiteSpace(step.Summary));
            Assert.Equal(step.Parameters.Count, step.Parameters.Select(p => p.Name).Distinct().Count());
            Assert.All(step.Parameters, p => Assert.False(string.IsNullOrWhiteSpace(p.Meaning), $"{step.Name}:{p.Name}"));
        }
    }

    private static string Write()
    {
        StringBuilder text = new();
        foreach (ICellStep step in CellSteps.All)
        {
            text.Append($"**`{step.Name}`** {step.Summary}\n\n");
            if (step.Parameters.Count == 0) continue;
            text.Append("| setting | default | meaning |\n|---|---|---|\n");
            foreach (StepParameter p in step.Parameters) text.Append($"| `{p.Name}` | {(p.Default.Length == 0 ? "" : $"`{p.Default.Replace("|", "\\|", StringComparison.Ordinal)}`")} | {p.Meaning.Replace("|", "\\|", StringComparison.Ordinal)} |\n");
            text.Append('\n');
        }
        return text.ToString();
    }
}
