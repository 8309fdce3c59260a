using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Cli;

/// <summary>
/// The folder a command writes into. It is created and tried before any work is done, so that a read-only disk is found out in the first second,
/// and it ends with manifest.json: everything needed to know how the results came about and to make them again.
/// </summary>
internal sealed class ResultFolder
{
    private readonly CommandContext _context;
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly DateTimeOffset _started = DateTimeOffset.UtcNow;
    private readonly JsonObject _inputs = [];

    private ResultFolder(CommandContext context, string path)
    {
        _context = context;
        Path = path;
    }

    /// <summary>The folder, as the user named it.</summary>
    public string Path { get; }

    /// <summary>Creates the folder if need be and makes sure that it can be written.</summary>
    /// <param name="context">The command.</param>
    /// <param name="path">The folder.</param>
    /// <param name="option">The option that named it, for the error.</param>
    public static ResultFolder Create(CommandContext context, string path, string option = "--out")
    {
        try
        {
            if (File.Exists(path)) throw new IOException("it is a file");
            context.Created.Create(path);
            string probe = System.IO.Path.Combine(path, $".biosup-{Guid.NewGuid():N}");
            File.WriteAllBytes(probe, []);
            File.Delete(probe);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new UsageException($"{option} {path}: the output folder cannot be written ({e.Message.TrimEnd('.')}).", e);
        }
        return new ResultFolder(context, path);
    }

    /// <summary>SHA-256 of every input that was added, in that order.</summary>
    public IEnumerable<string> InputHashes => _inputs.Select(input => (string)input.Value!.AsObject().First().Value!);

    public string Locate(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>Records the hash of an input: a file, a locator FILE:member, or a folder (its files by name and size).</summary>
    public void AddInput(string locator)
    {
        string file = StripMember(locator);
        if (_inputs.ContainsKey(file)) return;
        if (File.Exists(file)) _inputs[file] = new JsonObject { ["sha256"] = HashFile(file), ["bytes"] = new FileInfo(file).Length };
        else if (Directory.Exists(file)) _inputs[file] = new JsonObject { ["sha256_of_listing"] = HashListing(file) };
    }

    /// <summary>Writes manifest.json beside the results. Call it last: its presence says that the command finished.</summary>
    public void WriteManifest(JsonNode configuration) =>
        AtomicFile.WriteAllText(Locate("manifest.json"), CreateManifest(configuration).ToJsonString(JsonText.Readable) + "\n");

    public JsonObject CreateManifest(JsonNode configuration)
    {
        using Process process = Process.GetCurrentProcess();
        return new JsonObject
        {
            ["version"] = ProductVersion.Text,
            ["command"] = _context.Command,
            ["command_line"] = _context.CommandLine,
            ["configuration"] = configuration.DeepClone(),
            ["inputs"] = _inputs.DeepClone(),
            ["device"] = _context.DeviceInUse.Name,
            ["processor"] = CpuFeatures.ModelName,
            ["instruction_set"] = CpuFeatures.BestInstructionSet,
            ["kernel_variant"] = KernelDispatch.Select("").ToString().ToLowerInvariant(),
            ["threads"] = _context.Host.Pool.Threads,
            ["seed"] = _context.Seed,
            ["started"] = _started.ToString("O"),
            ["wall_seconds"] = Math.Round(_clock.Elapsed.TotalSeconds, 3),
            ["peak_memory_bytes"] = process.PeakWorkingSet64,
            ["peak_native_buffer_bytes"] = MemoryAccounting.PeakBytes,
        };
    }

    /// <summary>The file part of FILE or FILE:member (a drive letter is no member).</summary>
    internal static string StripMember(string locator)
    {
        if (File.Exists(locator) || Directory.Exists(locator)) return locator;
        int colon = locator.LastIndexOf(':');
        return colon > 1 ? locator[..colon] : locator;
    }

    private static string HashFile(string file)
    {
        using FileStream stream = File.OpenRead(file);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }

    private static string HashListing(string folder)
    {
        IEnumerable<string> lines = Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
            .Order(StringComparer.Ordinal)
            .Select(f => $"{System.IO.Path.GetRelativePath(folder, f)}\t{new FileInfo(f).Length}");
        return Convert.ToHexStringLower(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(string.Join('\n', lines))));
    }
}
