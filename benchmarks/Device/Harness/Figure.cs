using System.Text.Json;
using System.Text.Json.Serialization;

namespace BioSup.Benchmarks.Device;

/// <summary>What became of a figure that was asked for.</summary>
internal enum FigureStatus
{
    Measured,

    /// <summary>The device, a library or the operation says no; the reason is a sentence.</summary>
    NotAvailable,

    /// <summary>An error that nobody expected.</summary>
    Failed,
}

/// <summary>
/// One line of figures.jsonl, written by the suites here and by the scripts in benchmarks/peers. Times are milliseconds on the device; those that do
/// not apply are left out.
/// </summary>
internal sealed record Figure
{
    /// <summary>The contender that is this engine.</summary>
    public const string Own = "BioSup.Native";

    public required string Suite { get; init; }

    /// <summary>Unique within its suite: operation and sizes.</summary>
    public required string Name { get; init; }

    /// <summary>Who was measured.</summary>
    public string Contender { get; init; } = Own;
    public FigureStatus Status { get; init; } = FigureStatus.Measured;

    /// <summary>Why there is no figure.</summary>
    public string? Reason { get; init; }

    /// <summary>Median of the repetitions.</summary>
    public double? Ms { get; init; }

    /// <summary>10th percentile.</summary>
    public double? MsLow { get; init; }

    /// <summary>90th percentile.</summary>
    public double? MsHigh { get; init; }
    public int? Repetitions { get; init; }
    public double? Tflops { get; init; }
    public double? GbPerS { get; init; }

    /// <summary>The measured ceiling that the figure is a share of.</summary>
    public string? Roofline { get; init; }
    public double? PercentOfRoofline { get; init; }

    /// <summary>Time of cuBLASLt for the same product over ours: more than 1 is faster than cuBLASLt.</summary>
    public double? TimesCublaslt { get; init; }

    /// <summary>A quantity that is no time, with <see cref="Unit"/>.</summary>
    public double? Value { get; init; }
    public string? Unit { get; init; }

    /// <summary>The ceiling that <see cref="Value"/> is, per second: memory, read, single, double, tf32, bf16, exponential, gather.</summary>
    public string? Ceiling { get; init; }
    public string? Note { get; init; }

    /// <summary>Measured on the emulated device: shows that the program works and says nothing about time.</summary>
    public bool Emulated { get; init; }

    /// <summary>Sizes that only show that the program works.</summary>
    public bool Tiny { get; init; }

    public string ToJson() => JsonSerializer.Serialize(this, FigureJson.Default.Figure);

    public static Figure FromJson(string line) => JsonSerializer.Deserialize(line, FigureJson.Default.Figure) ?? throw new JsonException("A figure is null.");

    /// <summary>Every figure of a file, in order; a line that was cut off by the end of a run is left out.</summary>
    public static List<Figure> ReadAll(string path)
    {
        List<Figure> figures = [];
        if (!File.Exists(path)) return figures;
        foreach (string line in File.ReadLines(path))
        {
            if (string.IsNullOrWhiteSpace(line)) continue;
            try
            {
                figures.Add(FromJson(line));
            }
            catch (JsonException)
            {
                Console.Error.WriteLine($"{path}: a line is no figure and is left out: {line[..Math.Min(80, line.Length)]}");
            }
        }
        return figures;
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault, UseStringEnumConverter = true)]
[JsonSerializable(typeof(Figure))]
internal sealed partial class FigureJson : JsonSerializerContext;
