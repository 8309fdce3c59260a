namespace BioSup.Runtime;

/// <summary>A kernel module as an operation asks for it: a source file and the constants with which it is compiled.</summary>
/// <param name="Source">Path of the source: cuda/kernels/&lt;op&gt;/&lt;file&gt;.cu.</param>
/// <param name="Defines">Compile-time constants, "BS_TILE=64 BS_STAGES=3", or nothing.</param>
public readonly record struct JitRequest(string Source, string Defines = "")
{
    /// <summary>The file's name without folder and ending: what the cache calls the module.</summary>
    public string Name => Path.GetFileNameWithoutExtension(Source);

    /// <summary>As options of the compiler.</summary>
    /// <exception cref="DeviceException">A constant is not NAME or NAME=VALUE.</exception>
    internal IEnumerable<string> Options()
    {
        foreach (string define in Defines.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            string name = define.Split('=')[0];
            if (name.Length == 0 || !(char.IsAsciiLetter(name[0]) || name[0] == '_') || !name.All(c => char.IsAsciiLetterOrDigit(c) || c == '_'))
                throw new DeviceException($"{Source}: the constant '{define}' is not NAME or NAME=VALUE.");
            yield return $"-D{define}";
        }
    }

    /// <summary>One line that <see cref="Parse"/> reads back.</summary>
    public override string ToString() => Defines.Length > 0 ? $"{Source} {Defines}" : Source;

    /// <summary>From a line "cuda/kernels/op/file.cu NAME=VALUE …".</summary>
    public static JitRequest Parse(string line)
    {
        string[] words = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        return new JitRequest(words[0], string.Join(' ', words[1..]));
    }
}
