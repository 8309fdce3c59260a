using System.Text.Json;
using System.Text.Json.Nodes;

namespace BioSup.Data;

/// <summary>
/// Nodes of a zarr store of version 2 (what anndata writes by default up to 0.12), whose descriptions in <c>.zgroup</c>, <c>.zarray</c> and <c>.zattrs</c> are put into the form of version 3: chunks
/// and their bytes are the same in both.
/// </summary>
internal static class ZarrVersion2
{
    public const string GroupKey = ".zgroup", ArrayKey = ".zarray";
    private const string AttributesKey = ".zattrs";

    /// <summary>The description of a node in the form of <c>zarr.json</c>, or null where there is none.</summary>
    /// <exception cref="InvalidDataException">It is of a kind that version 3 does not have.</exception>
    public static JsonElement? Describe(ZarrStore store, string key)
    {
        string prefix = key.Length == 0 ? "" : key + "/";
        byte[]? array = store.Read(prefix + ArrayKey), group = array is null ? store.Read(prefix + GroupKey) : null;
        if ((array ?? group) is not { } bytes) return null;
        using JsonDocument document = JsonDocument.Parse(bytes);
        JsonElement old = document.RootElement;
        if (old.ValueKind != JsonValueKind.Object || old.GetProperty("zarr_format").GetInt32() != 2) throw new InvalidDataException("a description of zarr version 2 was expected");
        JsonObject node = array is null ? new JsonObject { ["node_type"] = "group" } : Array(old);
        node["zarr_format"] = 3;
        if (store.Read(prefix + AttributesKey) is { } attributes) node["attributes"] = JsonNode.Parse(attributes);
        return JsonDocument.Parse(node.ToJsonString()).RootElement;
    }

    private static JsonObject Array(JsonElement old)
    {
        JsonElement type = old.GetProperty("dtype");
        JsonArray codecs = [];
        string[] filters = old.TryGetProperty("filters", out JsonElement listed) && listed.ValueKind == JsonValueKind.Array ? [.. listed.EnumerateArray().Select(Id)] : [];
        bool big = false;
        JsonNode data = filters is ["vlen-utf8"] && type.ValueKind == JsonValueKind.String && type.GetString() == "|O" ? "string" : Type(type, ref big);
        if (filters is ["vlen-utf8"]) codecs.Add(new JsonObject { ["name"] = "vlen-utf8" });
        else codecs.Add(new JsonObject { ["name"] = "bytes", ["configuration"] = new JsonObject { ["endian"] = big ? "big" : "little" } });
        if (filters is not ["vlen-utf8"])
            foreach (string filter in filters) codecs.Add(new JsonObject { ["name"] = filter });
        if (old.TryGetProperty("compressor", out JsonElement compressor) && compressor.ValueKind != JsonValueKind.Null) codecs.Add(new JsonObject { ["name"] = Id(compressor) });
        JsonElement shape = old.GetProperty("shape");
        if (shape.GetArrayLength() > 1 && old.TryGetProperty("order", out JsonElement order) && order.GetString() != "C") throw new InvalidDataException("its chunks are in Fortran order, which is not supported");
        string separator = old.TryGetProperty("dimension_separator", out JsonElement found) ? found.GetString() ?? "." : ".";
        return new JsonObject
        {
            ["node_type"] = "array",
            ["shape"] = JsonNode.Parse(shape.GetRawText()),
            ["data_type"] = data,
            ["chunk_grid"] = new JsonObject { ["name"] = "regular", ["configuration"] = new JsonObject { ["chunk_shape"] = JsonNode.Parse(old.GetProperty("chunks").GetRawText()) } },
            ["chunk_key_encoding"] = new JsonObject { ["name"] = "v2", ["configuration"] = new JsonObject { ["separator"] = separator } },
            ["fill_value"] = old.TryGetProperty("fill_value", out JsonElement fill) ? JsonNode.Parse(fill.GetRawText()) : null,
            ["codecs"] = codecs,
        };
    }

    private static string Id(JsonElement codec) => codec.GetProperty("id").GetString() ?? "";

    /// <summary>NumPy's short name ("&lt;f4", "|S5"), or a list of fields, as version 3 names it; one that it does not have stays as it is and is then not known.</summary>
    private static JsonNode Type(JsonElement type, ref bool big)
    {
        if (type.ValueKind == JsonValueKind.Array)
        {
            JsonArray fields = [];
            // A field is its name and type; a third entry would be the extents of an array in it.
            foreach (JsonElement field in type.EnumerateArray())
                fields.Add(field.GetArrayLength() == 2 ? new JsonArray(field[0].GetString(), Type(field[1], ref big)) : new JsonArray());
            return new JsonObject { ["name"] = "structured", ["configuration"] = new JsonObject { ["fields"] = fields } };
        }
        string name = type.GetString() ?? "";
        if (name.StartsWith('>')) big = true;
        return name.Length < 3 ? name : name[1..] switch
        {
            "b1" => "bool",
            "i1" => "int8",
            "u1" => "uint8",
            "i2" => "int16",
            "u2" => "uint16",
            "i4" => "int32",
            "u4" => "uint32",
            "i8" => "int64",
            "u8" => "uint64",
            "f2" => "float16",
            "f4" => "float32",
            "f8" => "float64",
            ['S', .. string length] when int.TryParse(length, out int bytes) => Sized("null_terminated_bytes", bytes),
            ['U', .. string length] when int.TryParse(length, out int letters) => Sized("fixed_length_utf32", 4L * letters),
            _ => name,
        };

        static JsonObject Sized(string form, long bytes) => new() { ["name"] = form, ["configuration"] = new JsonObject { ["length_bytes"] = bytes } };
    }
}
