using System.CommandLine;
using BioSup.Runtime;

namespace BioSup.Cli;

/// <summary>What a running command is given: its device, seed, progress, cancellation and the place to speak to the person.</summary>
internal sealed class CommandContext : IDisposable
{
    private readonly TextWriter _output;
    private readonly TextWriter _error;
    private readonly ConsoleProgress? _console;
    private readonly DeviceChoice _choice;
    private ComputeDevice? _device;

    /// <param name="progress">Receives the progress instead of the terminal; null for the terminal, or nobody with --quiet.</param>
    public CommandContext(string command, ParseResult parsed, CancellationToken cancellation, EventLog? log, CreatedFolders created, IProgressReporter? progress = null)
    {
        Command = command;
        CommandLine = string.Join(' ', parsed.Tokens.Select(t => t.Value.Length > 0 && t.Value.All(c => char.IsLetterOrDigit(c) || "-_./:=,+@%".Contains(c)) ? t.Value : $"'{t.Value.Replace("'", "'\\''")}'"));
        Cancellation = cancellation;
        Log = log;
        Created = created;
        Json = parsed.GetValue(GlobalOptions.Json);
        Quiet = parsed.GetValue(GlobalOptions.Quiet);
        _output = parsed.InvocationConfiguration.Output;
        _error = parsed.InvocationConfiguration.Error;
        long seed = parsed.GetValue(GlobalOptions.Seed);
        if (seed < 0) throw new UsageException($"--seed {seed}: a seed is 0 or larger.");
        Seed = (ulong)seed;
        int threads = parsed.GetValue(GlobalOptions.Threads);
        if (threads is < 0 or > 4096) throw new UsageException($"--threads {threads}: expected 1 to 4096, or 0 for all processors this process may use.");
        _choice = DeviceChoice.Parse(parsed.GetValue(GlobalOptions.Device)!);
        Host = new CpuDevice(threads);
        try
        {
            // A GPU that was asked for by name and is not there is an error at once; whether there is one at all is asked by who needs it.
            if (_choice.Kind == DeviceKind.Cuda) _device = _choice.Open(Host, Note);
        }
        catch
        {
            Host.Dispose();
            throw;
        }
        _console = Quiet ? null : new ConsoleProgress(_error, log);
        Progress = progress ?? (_console is null ? SilentProgress.Instance : _console);
    }

    /// <summary>Name of the running command.</summary>
    public string Command { get; }

    /// <summary>The arguments as a shell takes them, for the manifest.</summary>
    public string CommandLine { get; }

    /// <summary>The device that --device names, opened when it is first asked for.</summary>
    public ComputeDevice Device => _device ??= _choice.Open(Host, Note);

    /// <summary>The device as far as it has been asked for: the processor for a command that needs nothing else.</summary>
    public ComputeDevice DeviceInUse => _device ?? Host;

    /// <summary>True where a GPU was asked for by name.</summary>
    public bool AsksForGpu => _choice.Kind == DeviceKind.Cuda;

    /// <summary>The host processor, for the stages that run nowhere else (reading and encoding images).</summary>
    public CpuDevice Host { get; }

    public ulong Seed { get; }
    public bool Json { get; }
    public bool Quiet { get; }
    public IProgressReporter Progress { get; }

    /// <summary>Cancelled by Ctrl-C and SIGTERM.</summary>
    public CancellationToken Cancellation { get; }

    public EventLog? Log { get; }

    /// <summary>Makes the folders of results; a command that fails leaves no empty ones.</summary>
    public CreatedFolders Created { get; }

    /// <summary>A line of the command's result for a person: stdout, unless --json or --quiet.</summary>
    public void Say(string line)
    {
        _console?.Finish();
        if (!Json && !Quiet) _output.WriteLine(line);
    }

    /// <summary>Something the person should know although the command goes on: stderr, also with --json.</summary>
    public void Warn(string line)
    {
        _console?.Finish();
        Log?.Write("warning", new() { ["message"] = line });
        _error.WriteLine($"biosup: warning: {line}");
    }

    /// <summary>A line that a person may want to know and a program need not: stderr, unless --quiet.</summary>
    public void Note(string line)
    {
        _console?.Finish();
        Log?.Write("note", new() { ["message"] = line });
        if (!Quiet) _error.WriteLine($"biosup: {line}");
    }

    public void Dispose()
    {
        _console?.Finish();
        // What is not zero here was allocated and never given back.
        if (_device is CudaDevice gpu) Log?.Write("device", new() { ["name"] = gpu.Name, ["gpu"] = gpu.Info.Name, ["bytes_left"] = gpu.Pool.BytesInUse });
        _device?.Dispose();
        Host.Dispose();
    }
}
