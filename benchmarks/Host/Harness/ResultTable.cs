using System.Runtime.InteropServices;
using System.Text;
using BioSup.Runtime;

namespace BioSup.Benchmarks;

/// <summary>A Markdown table with the machine it was measured on, printed row by row and written at the end.</summary>
public sealed class ResultTable
{
    private readonly StringBuilder _text = new();

    public ResultTable(string title, params string[] notes)
    {
        Line($"# {title}");
        Line("");
        Line($"{CpuFeatures.ModelName}, {ProcessorAllowance.Current.Usable} processors, instruction set {CpuFeatures.BestInstructionSet} ({string.Join(' ', CpuFeatures.Extensions)}), {RuntimeInformation.FrameworkDescription}.");
        foreach (string note in notes) Line(note);
        Line("");
    }

    public void Header(params string[] columns)
    {
        Row(columns);
        Row([.. columns.Select((_, i) => i == 0 ? "---" : "---:")]);
    }

    public void Row(params string[] cells) => Line("| " + string.Join(" | ", cells) + " |");

    public void Line(string line)
    {
        Console.WriteLine(line);
        _text.Append(line).Append('\n');
    }

    public void Write(string? path)
    {
        if (path is null) return;
        if (Path.GetDirectoryName(path) is { Length: > 0 } folder) Directory.CreateDirectory(folder);
        File.WriteAllText(path, _text.ToString());
    }
}
