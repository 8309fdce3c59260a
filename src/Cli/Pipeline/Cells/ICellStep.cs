using BioSup.Data;
using BioSup.Report;

namespace BioSup.Cli.Pipeline.Cells;

/// <summary>
/// One step of <c>biosup cells</c>. It reads what it needs from the annotated matrix, computes with the Analysis room, and writes its result under the keys
/// that scanpy uses, so that either tool can go on where the other stopped. A step holds no state: everything it leaves behind is in the matrix or in its outcome.
/// </summary>
internal interface ICellStep
{
    /// <summary>Name on the command line, in lower case.</summary>
    string Name { get; }

    /// <summary>What it does, in one line for the list of steps.</summary>
    string Summary { get; }

    /// <summary>Its settings with their defaults.</summary>
    IReadOnlyList<StepParameter> Parameters { get; }

    /// <summary>
    /// Reads the settings whose ranges do not depend on the data, so that a wrong one is found before any step has begun; steps that have settings override it,
    /// best by reading them into a record in one method that <see cref="Run"/> calls too.
    /// </summary>
    /// <exception cref="BioSup.Runtime.UsageException">A setting is out of range.</exception>
    void Check(StepSettings settings)
    {
    }

    /// <summary>Runs the step on <see cref="CellsContext.Cells"/>.</summary>
    /// <exception cref="BioSup.Runtime.UsageException">A setting is out of range, or a step that has to come first is missing; the sentence names it.</exception>
    /// <exception cref="BioSup.Runtime.DataException">The data do not fit the step.</exception>
    StepOutcome Run(StepSettings settings, CellsContext context);
}

/// <summary>A setting of a step.</summary>
/// <param name="Name">Name on the command line; scanpy's where it has the same meaning.</param>
/// <param name="Default">Used when it is not given, as it would be typed.</param>
/// <param name="Meaning">One line with unit and range.</param>
internal sealed record StepParameter(string Name, string Default, string Meaning);

/// <summary>What a step leaves besides its keys in the matrix.</summary>
/// <param name="Said">One line for the person: what was done, with the numbers that matter.</param>
internal sealed record StepOutcome(string Said)
{
    /// <summary>Tables as CSV, by file name.</summary>
    public IReadOnlyList<(string FileName, string Csv)> Tables { get; init; } = [];

    /// <summary>Blocks of the report, with figures; captions state n, the parameters and the test.</summary>
    public IReadOnlyList<ReportBlock> Report { get; init; } = [];

    /// <summary>What the person should know although the step went through, one sentence each.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];
}
