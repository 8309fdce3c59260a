using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary>A pseudotime that an earlier step left in obs, and the part of it that is looked at.</summary>
internal static class TrajectoryTime
{
    private const string Usual = "dpt_pseudotime";

    public static StepParameter Column { get; } = new("time", Usual, "column of obs with the pseudotime");

    /// <summary>Settings of the part between two percentiles of the times.</summary>
    public static IReadOnlyList<StepParameter> Percentiles { get; } =
    [
        new("lower", "5", "percentile of the times from which on cells count"),
        new("upper", "95", "percentile up to which they do"),
    ];

    /// <summary>[cells] the column's numbers.</summary>
    /// <exception cref="UsageException">It is not there; of the usual one the sentence names the step that makes it.</exception>
    public static double[] Of(CellsContext context, string column) => CellMatrices.Numbers(context, column, column == Usual ? "dpt" : null);

    /// <summary>Key of uns of the neighbour graph that the step 'dpt' went along, as far as the file says; the usual one where it does not.</summary>
    public static string GraphKey(CellsContext context) =>
        ((context.Cells.Uns.GetValueOrDefault("dpt") as AnnDictionary)?.GetValueOrDefault("params") as AnnDictionary)?.GetValueOrDefault("neighbors_key") is NdArray { Length: 1, Type: ElementType.Text } key
            ? key.As<string>()[0] : TrajectoryCells.NeighborsKey.Default;

    /// <summary>What stands on an axis.</summary>
    public static string Title(string column) => column == Usual ? "diffusion pseudotime" : column;

    /// <exception cref="UsageException">The lower percentile is not below the upper one.</exception>
    public static (double Lower, double Upper) ReadPercentiles(StepSettings settings, string step)
    {
        double lower = settings.Number("lower", 0, 100), upper = settings.Number("upper", 0, 100);
        return lower < upper ? (lower, upper) : throw new UsageException($"--steps {step}: lower={lower}:upper={upper}; lower below upper was expected.");
    }
}
