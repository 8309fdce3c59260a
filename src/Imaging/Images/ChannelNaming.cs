using System.Text;
using System.Text.RegularExpressions;
using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>
/// Which channel a file holds and which field it belongs to, where every channel is a file of its own.
/// <para>By name: the file name is cut at <c>_ - . </c> and spaces; the token that equals a channel name (case ignored) says the channel,
/// the other tokens name the field. A position whose token is the same for all files of a channel but differs between channels is that channel's
/// number and not part of the field (<c>B7_01_1_3_DAPI_001</c> and <c>B7_01_2_3_GFP_001</c> are one field).</para>
/// <para>By pattern: <c>{well}_01_{*}_{site}_{channel}_001</c>; a placeholder stands for one token, <c>{*}</c> is ignored, all others but
/// <c>{channel}</c> name the field.</para>
/// </summary>
public sealed class ChannelNaming
{
    private static readonly char[] s_separators = ['_', '-', '.', ' '];
    private readonly Regex? _pattern;

    /// <param name="channels">Channel names in the order the channels shall have.</param>
    /// <param name="pattern">Null to find the channel by name alone.</param>
    /// <exception cref="UsageException">No channel, a channel named twice, or a pattern without {channel}.</exception>
    public ChannelNaming(IReadOnlyList<string> channels, string? pattern = null)
    {
        if (channels.Count == 0 || channels.Any(string.IsNullOrWhiteSpace)) throw new UsageException("--channels: expected names separated by commas, for example DAPI,GFP,RFP.");
        if (channels.GroupBy(name => name, StringComparer.OrdinalIgnoreCase).FirstOrDefault(group => group.Count() > 1) is { } twice)
            throw new UsageException($"--channels: '{twice.Key}' is named twice.");
        if (pattern is null && channels.FirstOrDefault(name => name.IndexOfAny(s_separators) >= 0) is { } cut)
            throw new UsageException($"--channels: '{cut}' contains a separator (_ - . or a space), so it can never be a whole token of a file name.");
        Channels = channels;
        if (pattern is not null) _pattern = Compile(pattern);
    }

    /// <summary>Channel names in channel order.</summary>
    public IReadOnlyList<string> Channels { get; }

    /// <summary>Puts the files into fields, each with one file per channel, sorted by field name.</summary>
    /// <param name="ignored">Files that belong to none of the channels.</param>
    /// <exception cref="DataException">A field lacks a channel or has it twice, or no file matches.</exception>
    public IReadOnlyList<ImageField> Group(IReadOnlyList<string> files, out IReadOnlyList<string> ignored)
    {
        List<NamedFile> named = [];
        List<string> others = [];
        foreach (string file in files)
            if (Parse(file) is { } parsed) named.Add(parsed);
            else others.Add(file);
        ignored = others;
        if (named.Count == 0)
            throw new DataException(files.Count > 0 ? files[0] : "images", null,
                $"none of {files.Count} file names {(_pattern is null ? "has a token" : "matches the pattern with a channel")} of {string.Join(", ", Channels)}");
        bool[] isNumber = _pattern is null ? ChannelNumberPositions(named) : [];
        return [.. named.GroupBy(file => FieldName(file, isNumber), StringComparer.Ordinal).OrderBy(group => group.Key, StringComparer.Ordinal).Select(ToField)];
    }

    private NamedFile? Parse(string file)
    {
        string stem = Path.GetFileNameWithoutExtension(file);
        if (_pattern is not null)
        {
            Match match = _pattern.Match(stem);
            if (!match.Success || ChannelIndex(match.Groups["channel"].Value) is not (>= 0 and int index)) return null;
            string[] parts = [.. match.Groups.Keys.Where(key => key != "channel" && !char.IsDigit(key[0])).Select(key => match.Groups[key].Value)];
            return new NamedFile(file, index, parts, -1);
        }
        string[] tokens = stem.Split(s_separators);
        for (int position = 0; position < tokens.Length; position++)
            if (ChannelIndex(tokens[position]) is >= 0 and int channel)
                return new NamedFile(file, channel, tokens, position);
        return null;
    }

    private int ChannelIndex(string token)
    {
        for (int i = 0; i < Channels.Count; i++) if (string.Equals(Channels[i], token, StringComparison.OrdinalIgnoreCase)) return i;
        return -1;
    }

    private bool[] ChannelNumberPositions(List<NamedFile> files)
    {
        int length = files[0].Tokens.Length;
        bool[] numbers = new bool[length];
        if (Channels.Count < 2 || files.Any(file => file.Tokens.Length != length)) return numbers;
        for (int position = 0; position < length; position++)
        {
            string?[] ofChannel = new string?[Channels.Count];
            bool constant = true;
            foreach (NamedFile file in files)
                constant &= (ofChannel[file.Channel] ??= file.Tokens[position]) == file.Tokens[position];
            string[] present = [.. ofChannel.OfType<string>()];
            numbers[position] = constant && present.Length > 1 && present.Distinct(StringComparer.Ordinal).Count() == present.Length;
        }
        return numbers;
    }

    private static string FieldName(NamedFile file, bool[] isNumber)
    {
        string name = string.Join('_', file.Tokens.Where((_, position) => position != file.ChannelPosition && (position >= isNumber.Length || !isNumber[position])));
        return name.Length > 0 ? name : "field";
    }

    private ImageField ToField(IGrouping<string, NamedFile> group)
    {
        string?[] files = new string?[Channels.Count];
        foreach (NamedFile file in group)
        {
            if (files[file.Channel] is { } other)
                throw new DataException(file.Path, null, $"field '{group.Key}' has channel {Channels[file.Channel]} twice, also in {other}; give --name-pattern to tell the fields apart");
            files[file.Channel] = file.Path;
        }
        string[] missing = [.. Channels.Where((_, i) => files[i] is null)];
        if (missing.Length > 0)
            throw new DataException(group.First().Path, null, $"field '{group.Key}' has no file for channel {string.Join(", ", missing)}; expected {string.Join(", ", Channels)}");
        return new ImageField(group.Key, files!, null);
    }

    private static Regex Compile(string pattern)
    {
        StringBuilder regex = new("^");
        bool hasChannel = false;
        for (int at = 0; at < pattern.Length; at++)
        {
            if (pattern[at] != '{')
            {
                regex.Append(Regex.Escape(pattern[at].ToString()));
                continue;
            }
            int end = pattern.IndexOf('}', at);
            string name = end < 0 ? "" : pattern[(at + 1)..end];
            if (name != "*" && (name.Length == 0 || !char.IsAsciiLetter(name[0]) || !name.All(char.IsAsciiLetterOrDigit)))
                throw new UsageException($"--name-pattern: '{pattern}' has a placeholder that is neither {{*}} nor a name in braces.");
            hasChannel |= name == "channel";
            regex.Append(name == "*" ? @"[^_\-. ]+" : $@"(?<{name}>[^_\-. ]+)");
            at = end;
        }
        if (!hasChannel) throw new UsageException($"--name-pattern: '{pattern}' has no {{channel}}.");
        return new Regex(regex.Append('$').ToString(), RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture | RegexOptions.CultureInvariant);
    }

    private sealed record NamedFile(string Path, int Channel, string[] Tokens, int ChannelPosition);
}
