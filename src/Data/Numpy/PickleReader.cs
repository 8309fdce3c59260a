using System.Globalization;
using System.Numerics;
using System.Text;

namespace BioSup.Data;

/// <summary>
/// Reads the one kind of pickle that NumPy writes for an array of strings (dtype object), and nothing else. Elements may be text, numbers, bool or
/// None (read as empty text).
/// </summary>
internal sealed class PickleReader(byte[] bytes, string source, string? where) : PickleMachine(bytes, source, where)
{
    private sealed record DType(string Code);
    private sealed class ArrayValue
    {
        public List<object?>? Items { get; set; }
    }

    protected override string Content => "an array of strings";

    /// <summary>The elements in C order, which is how NumPy lists them.</summary>
    public string[] ReadStrings(long expected)
    {
        object? top = Run();
        if (top is not ArrayValue { Items: { } items }) throw Error("the pickle does not hold a NumPy array of objects");
        if (items.Count != expected) throw Error($"the pickled array has {items.Count} elements, its header promises {expected}");
        string[] text = new string[items.Count];
        for (int i = 0; i < text.Length; i++) text[i] = Text(items[i], i);
        return text;
    }

    /// <summary>The five callables that NumPy's object arrays use, under the module names of NumPy 1 and 2.</summary>
    protected override object Call(ClassName called, object?[] arguments)
    {
        bool multiarray = called.Module is "numpy.core.multiarray" or "numpy._core.multiarray";
        return called.Name switch
        {
            "_reconstruct" when multiarray && arguments is [ClassName { Module: "numpy", Name: "ndarray" }, ..] => new ArrayValue(),
            "dtype" when called.Module == "numpy" && arguments is [string code, ..] => new DType(code),
            "scalar" when multiarray && arguments is [DType type, byte[] raw] => Scalar(type, raw),
            "encode" when called.Module == "_codecs" && arguments is [string text, ..] => Encoding.Latin1.GetBytes(text),
            _ => throw Error($"the pickle uses {NpyHeader.Printable(called.Module)}.{NpyHeader.Printable(called.Name)}, which an array of strings does not need; it was not run"),
        };
    }

    protected override void SetState(object? target, object? state)
    {
        switch (target)
        {
            // (3, byte order, ...): nothing in it changes how text is read.
            case DType when state is object[]:
                break;
            // (version, shape, dtype, Fortran order, items)
            case ArrayValue array when state is object[] and [_, object[], DType type, bool, List<object?> items]:
                if (type.Code is not ("O" or "O8")) throw Error($"the pickled array has elements of type '{NpyHeader.Printable(type.Code)}'; objects were expected");
                array.Items = items;
                break;
            default:
                throw Error("the pickle sets the state of an object that an array of strings does not need");
        }
    }

    private string Text(object? item, int index) => item switch
    {
        string s => s,
        null => "",
        bool b => b ? "True" : "False",
        byte[] raw => Encoding.UTF8.GetString(raw),
        double d => d.ToString(CultureInfo.InvariantCulture),
        long n => n.ToString(CultureInfo.InvariantCulture),
        BigInteger big => big.ToString(CultureInfo.InvariantCulture),
        _ => throw Error($"element {index} of the pickled array is not text or a number"),
    };

    /// <summary>A NumPy scalar inside an object array: its bytes, little-endian, in the layout its type string names.</summary>
    private object Scalar(DType type, byte[] raw) => (type.Code.TrimStart('<', '|', '='), raw.Length) switch
    {
        (['U', ..], _) when raw.Length % 4 == 0 => Encoding.UTF32.GetString(raw).TrimEnd('\0'),
        (['S', ..], _) => Encoding.UTF8.GetString(raw).TrimEnd('\0'),
        ("b1", 1) => raw[0] != 0,
        ("i4", 4) => (long)BitConverter.ToInt32(raw),
        ("i8", 8) => BitConverter.ToInt64(raw),
        ("f4", 4) => (double)BitConverter.ToSingle(raw),
        ("f8", 8) => BitConverter.ToDouble(raw),
        _ => throw Error($"the pickled array holds a NumPy scalar of type '{NpyHeader.Printable(type.Code)}', which is not text or a plain number"),
    };
}
