using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace BioSup.Runtime;

/// <summary>What an entry of the cache says about itself: the ingredients of its key, and the size and hash of what was compiled.</summary>
public sealed record CubinManifest(
    IReadOnlyList<(string Name, string Value)> Ingredients, string Defines, string Target, long Bytes, string Sha256, DateTime Made, double CompileSeconds)
{
    internal static CubinManifest Describe(JitKey key, JitTarget target, byte[] image, TimeSpan compiled) =>
        new(key.Ingredients, key.Request.Defines, target.Name, image.Length, Digest(image), DateTime.UtcNow, compiled.TotalSeconds);

    /// <summary>The request that made the entry, for making it again.</summary>
    public JitRequest Request => new(Ingredient("source"), Defines);

    /// <summary>The value of one ingredient, or nothing.</summary>
    public string Ingredient(string name) => Ingredients.FirstOrDefault(i => i.Name == name).Value ?? "";

    /// <summary>True when <paramref name="image"/> is what was compiled.</summary>
    public bool Matches(byte[] image) => image.Length == Bytes && Digest(image) == Sha256;

    public byte[] ToJson()
    {
        JsonObject key = [];
        foreach ((string name, string value) in Ingredients) key[name] = value;
        JsonObject json = new()
        {
            ["key"] = key,
            ["defines"] = Defines,
            ["target"] = Target,
            ["bytes"] = Bytes,
            ["sha256"] = Sha256,
            ["made"] = Made.ToString("O", CultureInfo.InvariantCulture),
            ["compile_seconds"] = CompileSeconds,
        };
        using MemoryStream stream = new();
        using (Utf8JsonWriter writer = new(stream, new JsonWriterOptions { Indented = true })) json.WriteTo(writer);
        return stream.ToArray();
    }

    /// <summary>Null where the bytes are not a manifest.</summary>
    public static CubinManifest? TryParse(byte[] json)
    {
        try
        {
            JsonNode root = JsonNode.Parse(json)!;
            return new CubinManifest(
                [.. root["key"]!.AsObject().Select(p => (p.Key, p.Value!.GetValue<string>()))], root["defines"]!.GetValue<string>(), root["target"]!.GetValue<string>(),
                root["bytes"]!.GetValue<long>(), root["sha256"]!.GetValue<string>(),
                DateTime.Parse(root["made"]!.GetValue<string>(), CultureInfo.InvariantCulture, DateTimeStyles.RoundtripKind), root["compile_seconds"]!.GetValue<double>());
        }
        catch (Exception e) when (e is JsonException or NullReferenceException or InvalidOperationException or FormatException or ArgumentException)
        {
            return null;
        }
    }

    private static string Digest(byte[] image) => Convert.ToHexStringLower(SHA256.HashData(image));
}
