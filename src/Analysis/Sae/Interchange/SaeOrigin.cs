using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>What an autoencoder was trained as, where a format holds it as something else; it travels as metadata that other programs ignore.</summary>
/// <param name="Architecture">Before the rewriting.</param>
/// <param name="ActiveLatents">k of the TopK family; null otherwise.</param>
/// <param name="Prefixes">Widths of nested dictionaries; null where there are none or they are not known.</param>
public sealed record SaeOrigin(SaeArchitecture Architecture, int? ActiveLatents, IReadOnlyList<int>? Prefixes)
{
    /// <summary>Metadata of a safetensors file that hold all of it as text.</summary>
    public const string MetadataKey = "origin";
    private const string Key = "trained_as", ActiveKey = "k", PrefixesKey = "prefixes";

    internal static SaeOrigin Of(in SaeShape shape, IReadOnlyList<int>? prefixes) =>
        new(shape.Architecture, shape.HasActiveLatents ? shape.ActiveLatents : null, shape.Architecture == SaeArchitecture.Matryoshka ? prefixes : null);

    /// <summary>For people: "batchtopk, k 32".</summary>
    public override string ToString() => SaeConfigFile.Name(Architecture)
        + (ActiveLatents is { } k ? string.Create(CultureInfo.InvariantCulture, $", k {k}") : "") + (Prefixes is { } p ? $", nested widths {string.Join(" ", p)}" : "");

    public JsonObject ToJson()
    {
        JsonObject json = new() { [Key] = SaeConfigFile.Name(Architecture) };
        if (ActiveLatents is { } k) json[ActiveKey] = k;
        if (Prefixes is { } prefixes) json[PrefixesKey] = new JsonArray([.. prefixes.Select(p => (JsonNode)p)]);
        return json;
    }

    /// <summary>The origin that metadata state; null where they state none, or one that this version does not know: the weights are complete without it.</summary>
    /// <exception cref="DataException">k or the nested widths cannot be those of this many latents.</exception>
    internal static SaeOrigin? Read(JsonObject? metadata, string path, int latents)
    {
        if (metadata?[Key] is not JsonValue value || !value.TryGetValue(out string? name) || SaeConfigFile.ArchitectureOf(name) is not { } architecture) return null;
        int? k = metadata[ActiveKey] is { } active ? Number(active, ActiveKey, latents, path) : null;
        int[]? prefixes = metadata[PrefixesKey] is JsonArray widths ? [.. widths.Select(w => Number(w, PrefixesKey, latents, path))] : null;
        if (prefixes is not null && (prefixes.Length == 0 || prefixes[^1] != latents || prefixes.Zip(prefixes.Skip(1)).Any(p => p.First >= p.Second)))
            throw new DataException(path, PrefixesKey, $"is {metadata[PrefixesKey]!.ToJsonString()}; ascending widths up to {latents} were expected");
        return new SaeOrigin(architecture, k, prefixes);
    }

    /// <summary>
    /// The shape as it was trained, where a threshold per latent says the same outside training: BatchTopK and Matryoshka encode by a threshold, ReLU by the threshold 0.
    /// Gates stay JumpReLU, because their two biases cannot be told apart any more.
    /// </summary>
    internal SaeWeights Restore(SaeWeights weights)
    {
        if (weights.Shape.Architecture != SaeArchitecture.JumpRelu) return weights;
        return Architecture switch
        {
            SaeArchitecture.BatchTopK or SaeArchitecture.Matryoshka when ActiveLatents is { } k => weights with { Shape = weights.Shape with { Architecture = Architecture, ActiveLatents = k } },
            SaeArchitecture.Relu when Array.TrueForAll(weights.Threshold!, t => t == 0) => weights with { Shape = weights.Shape with { Architecture = SaeArchitecture.Relu }, Threshold = null },
            _ => weights,
        };
    }

    private static int Number(JsonNode? node, string key, int most, string path)
    {
        int number = node is JsonValue value && value.TryGetValue(out int n) ? n : 0;
        return number >= 1 && number <= most ? number : throw new DataException(path, key, $"is {node?.ToJsonString() ?? "null"}; a whole number from 1 to {most} was expected");
    }
}
