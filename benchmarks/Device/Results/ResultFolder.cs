using System.Globalization;
using System.Text;

namespace BioSup.Benchmarks.Device.Results;

/// <summary>One check of a run that is no timing: tests, sanitizer, repeatability, demo.</summary>
internal sealed record Check(string Name, string Outcome, string Detail);

/// <summary>
/// What a run left behind (figures.jsonl, environment.txt, checks.txt, ncu-*.csv), and the tables made of it: one file per suite with the conditions under
/// which it was measured, one for the checks, one for the gates. Figures of the emulated device and of tiny sizes are never written.
/// </summary>
internal sealed class ResultFolder
{
    private readonly List<KeyValuePair<string, string>> _facts;
    private readonly List<Figure> _figures;
    private readonly List<Check> _checks;
    private readonly IReadOnlyList<Gate> _gates;
    private readonly IReadOnlyList<string> _profiles;
    private readonly int _leftOut;

    private ResultFolder(List<KeyValuePair<string, string>> facts, List<Figure> figures, List<Check> checks, IReadOnlyList<Gate> gates, IReadOnlyList<string> profiles)
    {
        (_facts, _checks, _gates, _profiles) = (facts, checks, gates, profiles);
        _figures = [.. figures.Where(f => !f.Emulated && !f.Tiny)];
        _leftOut = figures.Count - _figures.Count;
    }

    public static ResultFolder Read(string input, string gates) => new(EnvironmentFacts.Read(Path.Combine(input, "environment.txt")), Figure.ReadAll(Path.Combine(input, "figures.jsonl")),
        ReadChecks(Path.Combine(input, "checks.txt")), Gates.Read(gates), Directory.Exists(input) ? [.. Directory.EnumerateFiles(input, "ncu-*.csv").Order(StringComparer.Ordinal)] : []);

    private string? Device => Fact(EnvironmentFacts.Device);

    /// <summary>Writes the tables to a folder named after the device.</summary>
    /// <returns>A sentence for the person: what was written, or why nothing was.</returns>
    public string Write(string output)
    {
        if (Device is not { } device) return "No results were written: the run saw no device.";
        if (DeviceBench.IsEmulatedName(device)) return $"No results were written: {device} is emulated, and {_leftOut} figures are no timings.";
        string folder = Path.Combine(output, Slug(device));
        Directory.CreateDirectory(folder);
        int files = 0;
        foreach (IGrouping<string, Figure> suite in _figures.GroupBy(f => f.Suite))
        {
            WriteText(Path.Combine(folder, $"{suite.Key}.md"), Page(suite.Key, [.. suite]));
            files++;
        }
        if (_checks.Count > 0)
        {
            WriteText(Path.Combine(folder, "checks.md"), ChecksPage());
            files++;
        }
        if (_profiles.Count > 0)
        {
            WriteText(Path.Combine(folder, "profiles.md"), Header("Profiles of single kernels") + string.Concat(_profiles.Select(NcuTable.FromFile)));
            files++;
        }
        WriteText(Path.Combine(folder, "gates.md"), GatesPage());
        return $"{files + 1} tables were written to {folder}{(_leftOut > 0 ? $"; {_leftOut} figures of tiny sizes or of an emulated device were left out" : "")}.";
    }

    /// <summary>"NVIDIA H100 80GB HBM3" becomes nvidia-h100-80gb-hbm3.</summary>
    internal static string Slug(string device)
    {
        StringBuilder slug = new();
        foreach (char c in device.ToLowerInvariant())
        {
            if (char.IsAsciiLetterOrDigit(c)) slug.Append(c);
            else if (slug.Length > 0 && slug[^1] != '-') slug.Append('-');
        }
        string text = slug.ToString().Trim('-');
        return text.Length > 0 ? text : "unnamed-device";
    }

    private static List<Check> ReadChecks(string path)
    {
        List<Check> checks = [];
        if (!File.Exists(path)) return checks;
        foreach (string line in File.ReadLines(path))
        {
            string[] parts = line.Split('\t');
            // A check that was repeated counts once, as it came out last.
            if (parts.Length < 2) continue;
            checks.RemoveAll(c => c.Name == parts[0]);
            checks.Add(new Check(parts[0], parts[1], parts.Length > 2 ? parts[2] : ""));
        }
        return checks;
    }

    private string Page(string suite, IReadOnlyList<Figure> figures)
    {
        string title = DeviceProgram.Suites.FirstOrDefault(s => s.Name == suite)?.Title ?? suite;
        // A figure that was measured again replaces the earlier one.
        Figure[] last = [.. figures.Select((f, i) => (f, i)).GroupBy(x => (x.f.Name, x.f.Contender)).Select(g => g.Last()).OrderBy(x => x.i).Select(x => x.f)];
        StringBuilder page = new(Header(title));
        page.Append("Medians of the repetitions on the device's clock, the second-level cache emptied before each; in brackets the 10th and 90th percentile. The roofline is the least time at the ceilings ")
            .Append("measured in the same run, named with the one that limits.\n\n");
        Figure[] measured = [.. last.Where(f => f.Status == FigureStatus.Measured)], missing = [.. last.Where(f => f.Status != FigureStatus.Measured)];
        if (measured.Length > 0)
        {
            Row(page, "case", "contender", "ms", "repetitions", "TFLOP/s", "GB/s", "% of roofline", "× cuBLASLt", "value", "note");
            Row(page, "---", "---", "---:", "---:", "---:", "---:", "---:", "---:", "---:", "---");
            foreach (Figure f in measured)
            {
                string ms = f.Ms is { } m ? $"{Number(m)} ({Number(f.MsLow ?? m)}–{Number(f.MsHigh ?? m)})" : "–";
                Row(page, f.Name, f.Contender, ms, f.Repetitions?.ToString(CultureInfo.InvariantCulture) ?? "–", Number(f.Tflops), Number(f.GbPerS),
                    f.PercentOfRoofline is { } p ? $"{p.ToString("F0", CultureInfo.InvariantCulture)} of {f.Roofline}" : "–", Number(f.TimesCublaslt), f.Value is { } v ? $"{Number(v)} {f.Unit}" : "–", f.Note ?? "");
            }
        }
        if (missing.Length > 0)
        {
            page.Append("\nNot available:\n\n");
            foreach (Figure f in missing) page.Append(CultureInfo.InvariantCulture, $"* {f.Name} ({f.Contender}){(f.Status == FigureStatus.Failed ? ", failed" : "")}: {f.Reason}\n");
        }
        return page.ToString();
    }

    private string ChecksPage()
    {
        StringBuilder page = new(Header("Checks"));
        Row(page, "check", "outcome", "detail");
        Row(page, "---", "---", "---");
        foreach (Check check in _checks) Row(page, check.Name, check.Outcome, check.Detail);
        page.Append("\n## Environment\n\n");
        foreach ((string key, string value) in _facts) page.Append(CultureInfo.InvariantCulture, $"* {key}: {value}\n");
        return page.ToString();
    }

    private string GatesPage()
    {
        StringBuilder page = new(Header("Gates"));
        Row(page, "gate", "limit", "measured", "outcome");
        Row(page, "---", "---:", "---:", "---");
        foreach (GateResult result in Gates.Judge(_gates, _figures))
            Row(page, result.Gate.Title, result.Limit, result.Measured, result.Outcome + (result.Reason is { } reason ? $": {reason}" : ""));
        return page.ToString();
    }

    /// <summary>Title and conditions, which no table may be without.</summary>
    private string Header(string title)
    {
        string Or(string key) => Fact(key) ?? "unknown";
        return $"# {title}\n\n{Device}; driver {Or(EnvironmentFacts.Driver)}; {Or(EnvironmentFacts.Nvrtc)}; cuBLASLt {Or(EnvironmentFacts.CublasLt)}; BioSup.Native {Or(EnvironmentFacts.Version)}, commit {Or(EnvironmentFacts.Commit)}; {Or(EnvironmentFacts.Date)}.\n"
            + string.Concat(_facts.Where(f => f.Key is "clocks" or "ECC" or "PyTorch").Select(f => $"{f.Key}: {f.Value}. ")).TrimEnd() + "\n\n";
    }

    private string? Fact(string key) => _facts.LastOrDefault(f => f.Key == key).Value;

    private static void Row(StringBuilder page, params string[] cells) => page.Append("| ").AppendJoin(" | ", cells.Select(c => c.Replace("|", "\\|", StringComparison.Ordinal))).Append(" |\n");

    internal static string Number(double? value) => value is { } v ? v.ToString(Math.Abs(v) is >= 10_000 and < 1e7 ? "F0" : "G4", CultureInfo.InvariantCulture) : "–";

    private static void WriteText(string path, string text)
    {
        // A run may be cut off at any time: the file is whole or the old one.
        File.WriteAllText(path + ".new", text);
        File.Move(path + ".new", path, overwrite: true);
    }
}
