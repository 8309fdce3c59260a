using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells;

/// <summary>What the steps of one run share: the annotated matrix as it stands, the device, the seed and the way to report.</summary>
internal sealed class CellsContext
{
    /// <summary>The matrix; a step that selects cells or variables puts a new one here.</summary>
    public required AnnData Cells { get; set; }

    /// <summary>Name of the input, for error messages.</summary>
    public required string Source { get; init; }

    public required ComputeDevice Device { get; init; }

    public required CpuDevice Host { get; init; }

    public required ulong Seed { get; init; }

    /// <summary>Says something on the way that belongs to no result: a memory plan, a choice that was made.</summary>
    public Action<string> Note { get; init; } = static _ => { };

    public IProgressReporter Progress { get; init; } = SilentProgress.Instance;

    public CancellationToken Cancellation { get; init; }
}
