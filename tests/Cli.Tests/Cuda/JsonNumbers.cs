using System.Text.Json;
using System.Text.Json.Nodes;

namespace BioSup.Cli.Tests.Cuda;

/// <summary>Two JSON results with the same keys, whose numbers agree within a tolerance and whose text agrees exactly.</summary>
internal static class JsonNumbers
{
    /// <param name="tolerance">Relative to the larger of one and the expected number.</param>
    /// <param name="leaveOut">Keys that are not compared.</param>
    public static void AssertNear(JsonNode? expected, JsonNode? actual, double tolerance, string[] leaveOut, string path = "$")
    {
        switch (expected)
        {
            case JsonObject pairs:
                JsonObject others = Assert.IsType<JsonObject>(actual);
                Assert.Equal(pairs.Select(p => p.Key), others.Select(p => p.Key));
                foreach ((string key, JsonNode? value) in pairs)
                    if (!leaveOut.Contains(key)) AssertNear(value, others[key], tolerance, leaveOut, $"{path}.{key}");
                break;
            case JsonArray items:
                JsonArray own = Assert.IsType<JsonArray>(actual);
                Assert.True(items.Count == own.Count, $"{path} has {own.Count} elements, expected {items.Count}");
                for (int i = 0; i < items.Count; i++) AssertNear(items[i], own[i], tolerance, leaveOut, $"{path}[{i}]");
                break;
            case JsonValue value when value.GetValueKind() == JsonValueKind.Number:
                double number = (double)value, other = (double)actual!;
                Assert.True(Math.Abs(number - other) <= tolerance * Math.Max(1, Math.Abs(number)), $"{path} is {other:R}, expected {number:R}");
                break;
            default:
                Assert.True(JsonNode.DeepEquals(expected, actual), $"{path} is {actual?.ToJsonString() ?? "null"}, expected {expected?.ToJsonString() ?? "null"}");
                break;
        }
    }
}
