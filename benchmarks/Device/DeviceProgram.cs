using System.Globalization;
using BioSup.Benchmarks.Device.Pack;
using BioSup.Benchmarks.Device.Results;
using BioSup.Runtime;

namespace BioSup.Benchmarks.Device;

/// <summary>A named set of figures.</summary>
internal sealed record DeviceSuite(string Name, string Title, Action<DeviceBench> Run);

/// <summary>The commands of the program.</summary>
internal static class DeviceProgram
{
    private const string Usage = """
        Timings on a GPU:  BioSup.Native.Benchmarks.Device COMMAND
          run [SUITE...] [--figures FILE] [--repetitions N] [--device N] [--tiny] [--cases N] [--no-ceilings]
                                                    measures; without suites, all of them; --cases: only the first of each
          suites                                    names them
          environment [--device N]                  what the figures depend on, "key: value"
          fingerprint [--device N] [--tiny]         hashes of results, for comparing runs
          assemble --input FOLDER --out FOLDER [--gates FILE]
                                                    tables of a run's figures.jsonl, environment.txt, checks.txt
          pack --out FOLDER [--configuration NAME]  everything for a machine with a GPU and without .NET
        """;

    public static IReadOnlyList<DeviceSuite> Suites { get; } =
    [
        new("ceilings", "Ceilings of the device", CeilingSuite.Run),
        new("gemm", "Matrix products", GemmSuite.Run),
        new("distance", "Pairwise distances", DistanceSuite.RunDistances),
        new("knn", "Nearest neighbours", DistanceSuite.RunNeighbours),
        new("sinkhorn", "Sinkhorn iterations", SinkhornSuite.Run),
        new("memory", "Passes over memory", MemorySuite.Run),
        new("sae", "Training step of the gated autoencoder", SaeSuite.Run),
        new("gw", "Entropic Gromov-Wasserstein", GwSuite.Run),
        new("online", "Gromov-Wasserstein without a stored coupling", OnlineSuite.Run),
        new("umap", "Passes of UMAP's layout", UmapSuite.Run),
        new("jit", "Run-time compilation", JitSuite.Run),
    ];

    /// <exception cref="UsageException">The arguments make no sense.</exception>
    /// <exception cref="DeviceException">There is no device.</exception>
    public static int Run(string[] args)
    {
        if (args.Length == 0)
        {
            Console.WriteLine(Usage);
            return 0;
        }
        Arguments arguments = new(args.AsSpan(1));
        switch (args[0])
        {
            case "suites":
                foreach (DeviceSuite suite in Suites) Console.WriteLine($"{suite.Name,-10} {suite.Title}");
                return 0;
            case "run": return Measure(arguments);
            case "environment": return EnvironmentFacts.Print(arguments.Number("device", 0));
            case "fingerprint": return Fingerprint(arguments);
            case "assemble": return Assembly(arguments);
            case "pack": return GpuPack.Run(arguments.Required("out"), arguments.Optional("configuration"));
            default: throw new UsageException($"There is no command '{args[0]}'.\n{Usage}");
        }
    }

    private static int Measure(Arguments arguments)
    {
        DeviceSuite[] chosen = arguments.Words.Count == 0 ? [.. Suites] : [.. arguments.Words.Select(name => Suites.FirstOrDefault(s => s.Name == name)
            ?? throw new UsageException($"There is no suite '{name}': expected {string.Join(", ", Suites.Select(s => s.Name))}."))];
        bool tiny = arguments.Has("tiny");
        using DeviceBench bench = new(new BenchOptions
        {
            Tiny = tiny, Figures = arguments.Optional("figures"), Ordinal = arguments.Number("device", 0), Repetitions = arguments.Number("repetitions", tiny ? 2 : 20),
            Cases = arguments.Number("cases", int.MaxValue),
        });
        Console.WriteLine($"{bench.Gpu.Info.Name}, compute capability {bench.Gpu.Info.Capability}{(bench.IsEmulated ? ": emulated device, no figure is a timing" : "")}");
        if (bench.Ceilings.IsEmpty && !arguments.Has("no-ceilings") && chosen.All(s => s.Name != "ceilings")) CeilingSuite.Run(bench);
        foreach (DeviceSuite suite in chosen)
        {
            Console.WriteLine(suite.Title);
            bench.BeginSuite();
            suite.Run(bench);
        }
        return bench.AnyFailed ? 1 : 0;
    }

    private static int Fingerprint(Arguments arguments)
    {
        using CudaDevice gpu = CudaDevice.Open(arguments.Number("device", 0));
        foreach (string line in Fingerprints.Take(gpu, arguments.Has("tiny"))) Console.WriteLine(line);
        return 0;
    }

    private static int Assembly(Arguments arguments)
    {
        string input = arguments.Required("input");
        ResultFolder results = ResultFolder.Read(input, arguments.Optional("gates") ?? Path.Combine(AppContext.BaseDirectory, "gates.json"));
        Console.WriteLine(results.Write(arguments.Required("out")));
        return 0;
    }
}

/// <summary>Words, options "--name value" and switches "--name".</summary>
internal sealed class Arguments
{
    private static readonly string[] s_switches = ["tiny", "no-ceilings"];
    private readonly Dictionary<string, string> _options = [];

    /// <exception cref="UsageException">An option has no value.</exception>
    public Arguments(ReadOnlySpan<string> args)
    {
        for (int i = 0; i < args.Length; i++)
        {
            if (!args[i].StartsWith("--", StringComparison.Ordinal)) Words.Add(args[i]);
            else if (s_switches.Contains(args[i][2..])) _options[args[i][2..]] = "";
            else if (i + 1 < args.Length) _options[args[i][2..]] = args[++i];
            else throw new UsageException($"{args[i]} needs a value.");
        }
    }

    public List<string> Words { get; } = [];

    public bool Has(string name) => _options.ContainsKey(name);

    public string? Optional(string name) => _options.GetValueOrDefault(name);

    public string Required(string name) => Optional(name) ?? throw new UsageException($"--{name} is missing.");

    public int Number(string name, int otherwise) => Optional(name) is not { } text ? otherwise
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : throw new UsageException($"--{name} {text}: expected a number.");
}
