using System.Text;

namespace BioSup.Data;

internal sealed partial class PickleReader
{
    /// <summary>The five callables that NumPy's object arrays use, under the module names of NumPy 1 and 2.</summary>
    private void Reduce()
    {
        object?[] arguments = Pop() as object?[] ?? throw Error("the pickle is damaged: a tuple of arguments was expected");
        ClassName called = Pop() as ClassName ?? throw Error("the pickle is damaged: a class was expected");
        bool multiarray = called.Module is "numpy.core.multiarray" or "numpy._core.multiarray";
        _stack.Add(called.Name switch
        {
            "_reconstruct" when multiarray && arguments is [ClassName { Module: "numpy", Name: "ndarray" }, ..] => new ArrayValue(),
            "dtype" when called.Module == "numpy" && arguments is [string code, ..] => new DType(code),
            "scalar" when multiarray && arguments is [DType type, byte[] raw] => Scalar(type, raw),
            "encode" when called.Module == "_codecs" && arguments is [string text, ..] => Encoding.Latin1.GetBytes(text),
            _ => throw Error($"the pickle uses {NpyHeader.Printable(called.Module)}.{NpyHeader.Printable(called.Name)}, which an array of strings does not need; it was not run"),
        });
    }

    private void BuildState()
    {
        object? state = Pop();
        switch (Top())
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
