using System.Globalization;

namespace BioSup.Runtime.Loading;

/// <summary>Which file of this process an address belongs to.</summary>
internal static class LoadedFile
{
    /// <summary>The mapped file that holds <paramref name="address"/>, or null where the system does not tell.</summary>
    public static string? Containing(nint address)
    {
        try
        {
            // "7f12…000-7f12…000 r-xp 00000000 08:01 123456    /path/libnvrtc.so.12"
            foreach (string line in File.ReadLines("/proc/self/maps"))
            {
                int dash = line.IndexOf('-'), space = line.IndexOf(' '), path = line.IndexOf('/');
                if (dash < 0 || space < dash || path < 0) continue;
                if (!nuint.TryParse(line.AsSpan(0, dash), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out nuint start)) continue;
                if (!nuint.TryParse(line.AsSpan(dash + 1, space - dash - 1), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out nuint end)) continue;
                if ((nuint)address >= start && (nuint)address < end) return line[path..];
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Not Linux.
        }
        return null;
    }
}
