using System.CommandLine;

namespace BioSup.Cli;

/// <summary>Options that every command takes.</summary>
internal static class GlobalOptions
{
    public static Option<string> Device { get; } = new("--device")
    {
        Description = "cpu, cuda[:N], or auto: the first GPU whose driver and compiler work, else the processor",
        DefaultValueFactory = _ => "auto",
        Recursive = true,
    };

    public static Option<int> Threads { get; } = new("--threads")
    {
        Description = "CPU threads; 0 takes the processors this process may use (cgroup and affinity respected)",
        DefaultValueFactory = _ => 0,
        Recursive = true,
    };

    public static Option<long> Seed { get; } = new("--seed")
    {
        Description = "seed of every random decision",
        DefaultValueFactory = _ => 0,
        Recursive = true,
    };

    public static Option<bool> Quiet { get; } = new("--quiet") { Description = "no progress, no summary", Recursive = true };

    public static Option<bool> Json { get; } = new("--json") { Description = "one JSON object on stdout and nothing else", Recursive = true };

    public static Option<string?> Log { get; } = new("--log") { Description = "append progress and the result to this file as JSON lines", Recursive = true };

    public static void AddTo(Command root)
    {
        root.Options.Add(Device);
        root.Options.Add(Threads);
        root.Options.Add(Seed);
        root.Options.Add(Quiet);
        root.Options.Add(Json);
        root.Options.Add(Log);
    }
}
