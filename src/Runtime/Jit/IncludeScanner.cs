using System.Text.RegularExpressions;

namespace BioSup.Runtime;

/// <summary>
/// Finds the headers of a kernel source without a preprocessor. It can be trusted because only one spelling is allowed: whatever else could
/// bring in text (quotes, macros, #include_next, #import, #embed, digraphs, split lines) is refused, so no change escapes the hash.
/// </summary>
internal static partial class IncludeScanner
{
    public static List<string> Scan(string file, string text)
    {
        List<string> names = [];
        int number = 0;
        foreach (string line in text.Split('\n'))
        {
            number++;
            if (!Suspicious().IsMatch(line)) continue;
            Match allowed = Allowed().Match(line);
            if (!allowed.Success) throw new DeviceException($"{file}, line {number}: '{line.Trim()}' is refused: headers are included as #include <bs/name.cuh> and in no other way.");
            names.Add(allowed.Groups[1].Value);
        }
        return names;
    }

    // A directive that brings in a file, and a '#' whose directive would stand on the next line. "%:" and "??=" are other spellings of '#'.
    [GeneratedRegex(@"^\s*(?:#|%:|\?\?=)\s*(?:/\*.*\*/\s*)?(?:include|import|embed|\\\s*$|[a-z]*\\\s*$)|__has_include|__has_embed")]
    private static partial Regex Suspicious();

    [GeneratedRegex(@"^#include <(bs/[a-z0-9_]+(?:/[a-z0-9_]+)*\.cuh)>\s*(?://.*)?$")]
    private static partial Regex Allowed();
}
