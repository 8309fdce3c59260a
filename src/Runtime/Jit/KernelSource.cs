using System.Reflection;
using System.Security.Cryptography;
using System.Text;

namespace BioSup.Runtime;

/// <summary>One kernel file with every header that it includes, directly or through another, and a hash of them all.</summary>
public sealed class KernelSource
{
    internal KernelSource(string path, string text, IReadOnlyList<KernelHeader> headers)
    {
        Path = path;
        Text = text;
        Headers = headers;
        Hash = Digest(text, headers);
    }

    /// <summary>Path in the repository: cuda/kernels/&lt;op&gt;/&lt;file&gt;.cu.</summary>
    public string Path { get; }

    public string Text { get; }

    /// <summary>Headers in the order in which they are first met, whether or not a condition leaves them out.</summary>
    public IReadOnlyList<KernelHeader> Headers { get; }

    /// <summary>SHA-256 of the source and of every header with its name, in hexadecimal.</summary>
    public string Hash { get; }

    /// <summary>Lengths go in before contents, so that no two different sets of files give the same bytes.</summary>
    private static string Digest(string text, IReadOnlyList<KernelHeader> headers)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Append(hash, text);
        foreach (KernelHeader header in headers)
        {
            Append(hash, header.IncludeName);
            Append(hash, header.Text);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static void Append(IncrementalHash hash, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        hash.AppendData(BitConverter.GetBytes(bytes.LongLength));
        hash.AppendData(bytes);
    }
}

/// <summary>A header as the compiler is given it: "bs/reduce.cuh" and its text.</summary>
public readonly record struct KernelHeader(string IncludeName, string Text);

/// <summary>Where kernel sources come from: the resources of an assembly, or a dictionary. Paths are those of the repository.</summary>
public sealed class KernelSourceSet
{
    private const string IncludeFolder = "cuda/include/", ConstantsMark = "// ptx-gate:";
    private readonly Func<string, string?> _read;
    private readonly Dictionary<string, KernelSource> _known = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();

    /// <summary>Sources embedded in an assembly under their paths in the repository.</summary>
    public KernelSourceSet(Assembly assembly)
    {
        _read = path => ReadResource(assembly, path);
        Paths = [.. assembly.GetManifestResourceNames().Where(IsKernel).Order(StringComparer.Ordinal)];
    }

    /// <summary>Sources held in memory.</summary>
    public KernelSourceSet(IReadOnlyDictionary<string, string> files)
    {
        _read = path => files.GetValueOrDefault(path);
        Paths = [.. files.Keys.Where(IsKernel).Order(StringComparer.Ordinal)];
    }

    /// <summary>Every kernel file, in order.</summary>
    public IReadOnlyList<string> Paths { get; }

    /// <summary>A kernel file with its headers.</summary>
    /// <exception cref="DeviceException">There is no such file, it includes one that does not exist, or it spells an include in another way than #include &lt;bs/name.cuh&gt;.</exception>
    public KernelSource Get(string path)
    {
        lock (_gate)
        {
            if (_known.TryGetValue(path, out KernelSource? known)) return known;
            string text = _read(path) ?? throw new DeviceException($"There is no kernel source '{path}'.");
            List<KernelHeader> headers = [];
            Collect(path, text, headers);
            KernelSource source = new(path, text, headers);
            _known.Add(path, source);
            return source;
        }
    }

    /// <summary>
    /// Every module that is worth compiling ahead of time for an architecture: each file as it is, and with each set of constants that a line
    /// "// ptx-gate: NAME=VALUE ..." of it names. Files whose names end in _sm90a hold instructions of that architecture alone.
    /// </summary>
    public IReadOnlyList<JitRequest> Requests(JitTarget target)
    {
        List<JitRequest> requests = [];
        foreach (string path in Paths)
        {
            string name = Path.GetFileNameWithoutExtension(path);
            if (name.EndsWith("_sm90a", StringComparison.Ordinal) && target.Name != "sm_90a") continue;
            requests.Add(new JitRequest(path));
            foreach (string line in Get(path).Text.Split('\n'))
                if (line.StartsWith(ConstantsMark, StringComparison.Ordinal)) requests.Add(JitRequest.Parse($"{path} {line[ConstantsMark.Length..]}"));
        }
        return requests;
    }

    private void Collect(string file, string text, List<KernelHeader> headers)
    {
        foreach (string name in IncludeScanner.Scan(file, text))
        {
            if (headers.Any(h => h.IncludeName == name)) continue;
            string header = _read(IncludeFolder + name) ?? throw new DeviceException($"{file} includes <{name}>, and there is no {IncludeFolder}{name}.");
            headers.Add(new KernelHeader(name, header));
            Collect(IncludeFolder + name, header, headers);
        }
    }

    private static bool IsKernel(string path) => path.StartsWith("cuda/kernels/", StringComparison.Ordinal) && path.EndsWith(".cu", StringComparison.Ordinal);

    private static string? ReadResource(Assembly assembly, string path)
    {
        using Stream? stream = assembly.GetManifestResourceStream(path);
        if (stream is null) return null;
        using StreamReader reader = new(stream, Encoding.UTF8);
        return reader.ReadToEnd();
    }
}
