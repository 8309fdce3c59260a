using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Encodings.Web;
using System.Text.Json;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// Collects tensors for a safetensors file. They are written largest element type first, then by name (the order of the format's own
/// library), so every tensor is aligned. What is added is held by reference and read when the file is written.
/// </summary>
public sealed class SafetensorsWriter
{
    private readonly List<Tensor> _tensors = [];
    private readonly SortedDictionary<string, string> _metadata = new(StringComparer.Ordinal);

    private sealed record Tensor(string Name, ElementType Type, long[] Shape, long Bytes, Action<Stream> Write);

    /// <summary>Adds free text.</summary>
    public void AddMetadata(string key, string value) => _metadata[key] = value;

    /// <summary>Adds an array.</summary>
    public void Add(string name, NdArray array) =>
        Add(name, array.Type, [.. array.Shape], stream => stream.Write(ElementDecoder.Bytes(array.Values)));

    /// <summary>Adds values in C order; without a shape, a vector.</summary>
    public void Add<T>(string name, T[] values, params long[] shape) where T : unmanaged =>
        Add(name, new NdArray(values, shape.Length == 0 ? [values.Length] : shape));

    /// <summary>Adds a host matrix.</summary>
    public void Add<T>(string name, Matrix<T> matrix) where T : unmanaged =>
        Add(name, ElementTypes.Of<T>(), [matrix.Rows, matrix.Columns], stream =>
        {
            for (int i = 0; i < matrix.Rows; i++) stream.Write(MemoryMarshal.AsBytes(matrix.Row(i)));
        });

    /// <summary>Adds a host view, whose owner must live until the file is written.</summary>
    public void Add<T>(string name, MatrixView<T> matrix) where T : unmanaged
    {
        MatrixParts<T> parts = new(matrix);
        Add(name, ElementTypes.Of<T>(), [matrix.Rows, matrix.Columns], stream =>
        {
            MatrixView<T> view = parts.View;
            for (int i = 0; i < view.Rows; i++) stream.Write(MemoryMarshal.AsBytes(view.Row(i)));
        });
    }

    /// <summary>Adds the elements of a buffer on any device as a tensor of the given shape; without a shape, a vector.</summary>
    public void Add<T>(string name, DeviceBuffer<T> buffer, params long[] shape) where T : unmanaged
    {
        long[] extents = shape.Length == 0 ? [buffer.Length] : shape;
        Add(name, ElementTypes.Of<T>(), extents, stream =>
        {
            long count = extents.Aggregate(1L, (a, b) => a * b), block = buffer.Device.IsHost ? 1 << 26 : 1 << 22;
            T[] copy = buffer.Device.IsHost ? [] : new T[Math.Min(block, count)];
            for (long at = 0; at < count; at += block)
            {
                DeviceSpan<T> part = buffer.View.Slice(at, Math.Min(block, count - at));
                if (!buffer.Device.IsHost) buffer.Device.Download(part, copy.AsSpan(0, (int)part.Length));
                stream.Write(MemoryMarshal.AsBytes(buffer.Device.IsHost ? part.Host : copy.AsSpan(0, (int)part.Length)));
            }
        });
    }

    internal void WriteTo(Stream stream)
    {
        Tensor[] ordered = [.. _tensors.OrderByDescending(t => t.Type.Size()).ThenBy(t => t.Name, StringComparer.Ordinal)];
        byte[] header = ComposeHeader(ordered);
        Span<byte> size = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(size, header.Length);
        stream.Write(size);
        stream.Write(header);
        foreach (Tensor tensor in ordered) tensor.Write(stream);
    }

    private void Add(string name, ElementType type, long[] shape, Action<Stream> write)
    {
        if (name.Length == 0 || name == SafetensorsFile.MetadataKey || _tensors.Exists(t => t.Name == name))
            throw new UsageException($"The tensor name '{name}' is empty, reserved or given twice.");
        // Asked for early: text has no name in this format.
        _ = SafetensorsHeader.ToName(type);
        long bytes = shape.Aggregate((long)type.Size(), (a, b) => checked(a * b));
        _tensors.Add(new Tensor(name, type, shape, bytes, write));
    }

    private byte[] ComposeHeader(Tensor[] ordered)
    {
        using MemoryStream header = new();
        using (Utf8JsonWriter json = new(header, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            if (_metadata.Count > 0)
            {
                json.WriteStartObject(SafetensorsFile.MetadataKey);
                foreach ((string key, string value) in _metadata) json.WriteString(key, value);
                json.WriteEndObject();
            }
            long at = 0;
            foreach (Tensor tensor in ordered)
            {
                json.WriteStartObject(tensor.Name);
                json.WriteString("dtype", SafetensorsHeader.ToName(tensor.Type));
                json.WriteStartArray("shape");
                foreach (long extent in tensor.Shape) json.WriteNumberValue(extent);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(at);
                json.WriteNumberValue(at += tensor.Bytes);
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        // Spaces after the header bring the data to a multiple of 8 bytes.
        while (header.Length % 8 != 0) header.WriteByte((byte)' ');
        return header.ToArray();
    }
}
