using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup cache`: list, explain, warm, clear. Compiled GPU kernels; none of these needs a GPU.</summary>
internal static class CacheCommand
{
    public static Command Create() => new("cache", "Compiled GPU kernels, kept between runs.")
    {
        new Command("list", "The compiled kernels, one a line.").Runs((_, context) => List(context)),
        CreateExplain(),
        CreateWarm(),
        new Command("clear", "Remove every compiled kernel.").Runs((_, context) => Clear(context)),
    };

    private static Command CreateExplain()
    {
        Argument<string> name = new("entry") { Description = "an entry of `biosup cache list`, or the beginning of its name" };
        return new Command("explain", "What a compiled kernel was made from: the ingredients of its key.") { name }.Runs((parsed, context) => Explain(parsed.GetValue(name)!, context));
    }

    private static Command CreateWarm()
    {
        Option<string> architecture = new("--arch") { Description = "architecture to compile for, for example sm_80 or sm_90a", Required = true };
        Option<string?> list = new("--list") { Description = "file with one kernel a line, `cuda/kernels/op/file.cu NAME=VALUE ...`, as `biosup cache list` prints them; default: every kernel, with each set of constants that its source lists" };
        return new Command("warm", "Compile kernels ahead of time, for nodes that should not or cannot. Needs NVRTC and no GPU.") { architecture, list }
            .Runs((parsed, context) => Warm(parsed.GetValue(architecture)!, parsed.GetValue(list), context));
    }

    private static CubinCache Open(CommandContext context) => new(CubinCache.DefaultFolder, context.Warn);

    private static JsonObject List(CommandContext context)
    {
        CubinCache cache = Open(context);
        JsonArray rows = [];
        context.Say($"{cache.Folder ?? "no cache folder: set BIOSUP_CACHE_DIR"}");
        foreach (CubinEntry entry in cache.List())
        {
            CubinManifest? manifest = entry.Manifest;
            context.Say(manifest is null
                ? $"  {entry.Name}  damaged"
                : string.Create(CultureInfo.InvariantCulture, $"  {entry.Name}  {manifest.Target}  {manifest.Bytes} bytes  {manifest.CompileSeconds:F1} s  {manifest.Request}"));
            rows.Add(new JsonObject
            {
                ["entry"] = entry.Name,
                ["damaged"] = manifest is null,
                ["target"] = manifest?.Target,
                ["bytes"] = manifest?.Bytes,
                ["compile_seconds"] = manifest?.CompileSeconds,
                ["kernel"] = manifest?.Request.ToString(),
            });
        }
        return new JsonObject { ["folder"] = cache.Folder, ["entries"] = rows };
    }

    private static JsonObject Explain(string name, CommandContext context)
    {
        CubinCache cache = Open(context);
        CubinEntry[] found = [.. cache.List().Where(e => e.Name.StartsWith(name, StringComparison.Ordinal) || e.Name.StartsWith("kernel." + name, StringComparison.Ordinal))];
        if (found.Length == 0) throw new UsageException($"No compiled kernel's name begins with '{name}' in {cache.Folder}: see `biosup cache list`.");
        if (found.Length > 1) throw new UsageException($"'{name}' is the beginning of {found.Length} compiled kernels ({string.Join(", ", found.Select(e => e.Name))}): give more of the name.");
        if (found[0].Manifest is not { } manifest) throw new DataException(found[0].Folder, "manifest.json", "damaged; the kernel will be compiled again when it is needed");
        JsonObject key = [];
        context.Say(found[0].Name);
        foreach ((string ingredient, string value) in manifest.Ingredients)
        {
            context.Say($"  {ingredient,-10} {value}");
            key[ingredient] = value;
        }
        context.Say(string.Create(CultureInfo.InvariantCulture, $"  {"result",-10} {manifest.Bytes} bytes for {manifest.Target}, sha256 {manifest.Sha256}, compiled {manifest.Made:u} in {manifest.CompileSeconds:F1} s"));
        return new JsonObject
        {
            ["entry"] = found[0].Name,
            ["folder"] = found[0].Folder,
            ["key"] = key,
            ["target"] = manifest.Target,
            ["bytes"] = manifest.Bytes,
            ["sha256"] = manifest.Sha256,
            ["made"] = manifest.Made.ToString("O", CultureInfo.InvariantCulture),
            ["compile_seconds"] = manifest.CompileSeconds,
        };
    }

    private static JsonObject Warm(string architecture, string? listFile, CommandContext context)
    {
        JitTarget target = JitTarget.Parse(architecture);
        JitRequest[] requests = [.. listFile is null ? DeviceKernels.Sources.Requests(target) : ReadRequests(listFile)];
        if (requests.FirstOrDefault(r => !DeviceKernels.Sources.Paths.Contains(r.Source)) is { Source: not null } unknown)
            throw new UsageException($"There is no kernel source '{unknown.Source}' in this version.");
        KernelBuilder builder = new(Open(context));
        int compiled = 0;
        Stopwatch clock = Stopwatch.StartNew();
        foreach (JitRequest request in requests)
        {
            context.Cancellation.ThrowIfCancellationRequested();
            KernelImage image = builder.Build(DeviceKernels.Sources, request, target);
            if (!image.FromCache) compiled++;
            context.Say(string.Create(CultureInfo.InvariantCulture, $"{request}  {(image.FromCache ? "already there" : $"{image.Compiled.TotalSeconds:F1} s")}  {image.Key.FolderName}"));
        }
        context.Say(string.Create(CultureInfo.InvariantCulture, $"{requests.Length} kernels for {target}: {compiled} compiled, {requests.Length - compiled} already there, {clock.Elapsed.TotalSeconds:F1} s"));
        return new JsonObject { ["target"] = target.Name, ["kernels"] = requests.Length, ["compiled"] = compiled, ["seconds"] = clock.Elapsed.TotalSeconds };
    }

    private static IEnumerable<JitRequest> ReadRequests(string file)
    {
        if (!File.Exists(file)) throw new UsageException($"--list {file}: there is no such file.");
        foreach (string line in File.ReadLines(file))
        {
            // A line of `biosup cache list` is taken as it is: the request begins at the source's path.
            int start = line.IndexOf("cuda/kernels/", StringComparison.Ordinal);
            if (start >= 0) yield return JitRequest.Parse(line[start..]);
            else if (line.Trim().Length > 0 && !line.TrimStart().StartsWith('#') && !Path.IsPathRooted(line.Trim()))
                throw new UsageException($"--list {file}: '{line.Trim()}' names no kernel: expected cuda/kernels/op/file.cu NAME=VALUE ...");
        }
    }

    private static JsonObject Clear(CommandContext context)
    {
        CubinCache cache = Open(context);
        (int entries, long bytes) = cache.Clear();
        context.Say(string.Create(CultureInfo.InvariantCulture, $"{entries} compiled kernels removed ({bytes / 1048576.0:F1} MiB) from {cache.Folder}"));
        return new JsonObject { ["folder"] = cache.Folder, ["removed"] = entries, ["bytes"] = bytes };
    }
}
