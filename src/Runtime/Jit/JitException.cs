using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace BioSup.Runtime;

/// <summary>A kernel did not compile (exit code 4). The message holds the options, the compiler's log and the numbered lines that it names.</summary>
public sealed partial class JitException : DeviceException
{
    private const int LinesAround = 3;

    internal JitException(KernelSource source, IReadOnlyList<string> options, string log, string? keptFile)
        : base(Compose(source, options, log, keptFile))
    {
        Source = source.Path;
        Options = options;
        Log = log;
        KeptFile = keptFile;
        NumberedSource = Number(source.Text, 1, int.MaxValue);
    }

    /// <summary>The source file.</summary>
    public new string Source { get; }

    public IReadOnlyList<string> Options { get; }

    /// <summary>The compiler's log, as it wrote it.</summary>
    public string Log { get; }

    /// <summary>Where the source was kept for a closer look; null where it could not be.</summary>
    public string? KeptFile { get; }

    /// <summary>The whole source with line numbers.</summary>
    public string NumberedSource { get; }

    private static string Compose(KernelSource source, IReadOnlyList<string> options, string log, string? keptFile)
    {
        StringBuilder text = new();
        text.Append($"{source.Path} does not compile.\noptions: {string.Join(' ', options)}\n{log.Trim()}\n");
        foreach ((string file, int line) in Places(log).Distinct().Take(5))
        {
            string? content = Resolve(source, file);
            if (content is not null) text.Append($"--- {file}, line {line}\n{Number(content, line - LinesAround, line + LinesAround)}");
        }
        if (keptFile is not null) text.Append($"The source was kept as {keptFile}\n");
        return text.ToString().TrimEnd();
    }

    private static string? Resolve(KernelSource source, string file)
    {
        if (file == source.Path) return source.Text;
        foreach (KernelHeader header in source.Headers)
            if (file.EndsWith(header.IncludeName, StringComparison.Ordinal)) return header.Text;
        return null;
    }

    private static IEnumerable<(string File, int Line)> Places(string log)
    {
        foreach (Match match in Place().Matches(log))
            if (int.TryParse(match.Groups[2].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out int line)) yield return (match.Groups[1].Value, line);
    }

    private static string Number(string text, int first, int last)
    {
        StringBuilder numbered = new();
        int number = 0;
        foreach (string line in text.Split('\n'))
        {
            number++;
            if (number >= first && number <= last) numbered.Append(CultureInfo.InvariantCulture, $"{number,5} | {line}\n");
        }
        return numbered.ToString();
    }

    // NVRTC writes "file(12): error: …", clang "file:12:3: error: …".
    [GeneratedRegex(@"^\s*([^\s():]+\.cuh?)(?:\(|:)(\d+)(?:\)|:\d+): *(?:catastrophic |fatal )?error", RegexOptions.Multiline)]
    private static partial Regex Place();
}
