using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace BioSup.Cli;

/// <summary>How this program writes JSON: indented for people, non-finite numbers as null so that every parser accepts it.</summary>
internal static class JsonText
{
    public static JsonSerializerOptions Readable { get; } = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    public static JsonSerializerOptions OneLine { get; } = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>A number, or null where JSON has no number for it.</summary>
    public static JsonNode? Number(double value) => double.IsFinite(value) ? JsonValue.Create(value) : null;

    public static JsonArray Numbers(IEnumerable<double> values) => new([.. values.Select(Number)]);

    public static JsonArray Strings(IEnumerable<string> values) => new([.. values.Select(v => (JsonNode?)JsonValue.Create(v))]);

    /// <summary>Rows of a table of counts or figures.</summary>
    public static JsonArray Table(double[,] values)
    {
        JsonArray rows = [];
        for (int i = 0; i < values.GetLength(0); i++)
        {
            int row = i;
            rows.Add(Numbers(Enumerable.Range(0, values.GetLength(1)).Select(j => values[row, j])));
        }
        return rows;
    }
}
