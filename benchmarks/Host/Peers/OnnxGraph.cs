using System.Runtime.InteropServices;
using System.Text;

namespace BioSup.Benchmarks;

/// <summary>ONNX models of a few nodes, written field by field (onnx.proto, IR version 8, opset 17): what a benchmark needs, without a file or another package.</summary>
internal sealed class OnnxGraph
{
    private readonly MemoryStream _graph = new();

    public OnnxGraph() => Text(_graph, 2, "encode");

    public OnnxGraph Input(string name, params ReadOnlySpan<int> shape) => Value(11, name, shape);

    public OnnxGraph Output(string name, params ReadOnlySpan<int> shape) => Value(12, name, shape);

    public OnnxGraph Node(string operation, string output, params ReadOnlySpan<string> inputs)
    {
        MemoryStream node = new();
        foreach (string input in inputs) Text(node, 1, input);
        Text(node, 2, output);
        Text(node, 4, operation);
        Message(_graph, 1, node);
        return this;
    }

    public OnnxGraph Constant(string name, ReadOnlySpan<float> values, params ReadOnlySpan<int> shape)
    {
        MemoryStream tensor = new();
        foreach (int extent in shape) Number(tensor, 1, (ulong)extent);
        Number(tensor, 2, 1);
        Text(tensor, 8, name);
        Bytes(tensor, 9, MemoryMarshal.AsBytes(values));
        Message(_graph, 5, tensor);
        return this;
    }

    /// <summary>A ModelProto.</summary>
    public byte[] ToModel()
    {
        MemoryStream model = new(), operators = new();
        Number(model, 1, 8);
        Text(operators, 1, "");
        Number(operators, 2, 17);
        Message(model, 8, operators);
        Message(model, 7, _graph);
        return model.ToArray();
    }

    private OnnxGraph Value(int field, string name, ReadOnlySpan<int> shape)
    {
        MemoryStream dimensions = new(), tensor = new(), type = new(), value = new();
        foreach (int extent in shape)
        {
            MemoryStream dimension = new();
            Number(dimension, 1, (ulong)extent);
            Message(dimensions, 1, dimension);
        }
        Number(tensor, 1, 1);
        Message(tensor, 2, dimensions);
        Message(type, 1, tensor);
        Text(value, 1, name);
        Message(value, 2, type);
        Message(_graph, field, value);
        return this;
    }

    private static void Number(MemoryStream to, int field, ulong value)
    {
        Varint(to, (ulong)field << 3);
        Varint(to, value);
    }

    private static void Text(MemoryStream to, int field, string text) => Bytes(to, field, Encoding.UTF8.GetBytes(text));

    private static void Message(MemoryStream to, int field, MemoryStream message) => Bytes(to, field, message.GetBuffer().AsSpan(0, (int)message.Length));

    private static void Bytes(MemoryStream to, int field, ReadOnlySpan<byte> bytes)
    {
        Varint(to, (ulong)field << 3 | 2);
        Varint(to, (ulong)bytes.Length);
        to.Write(bytes);
    }

    private static void Varint(MemoryStream to, ulong value)
    {
        for (; value >= 0x80; value >>= 7) to.WriteByte((byte)(value | 0x80));
        to.WriteByte((byte)value);
    }
}
