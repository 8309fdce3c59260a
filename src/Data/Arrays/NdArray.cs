using System.Globalization;
using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// A dense array in managed memory, in C order (the last index runs fastest): the plain form in which small arrays of any type leave and
/// enter files. Large numeric matrices go through <see cref="MatrixReader"/> instead, without this detour.
/// </summary>
public sealed class NdArray : IAnnElement
{
    private readonly long[] _shape;

    /// <param name="values">A one-dimensional array of a type of <see cref="ElementType"/>; held, not copied.</param>
    /// <param name="shape">Extents; none for a scalar, in which case <paramref name="values"/> has one element.</param>
    public NdArray(Array values, params long[] shape)
    {
        if (values.Rank != 1) throw new ArgumentException("The values must be a one-dimensional array in C order.", nameof(values));
        long length = 1;
        foreach (long extent in shape)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(extent, nameof(shape));
            length = checked(length * extent);
        }
        if (length != values.LongLength)
            throw new ArgumentException($"A {Describe(shape)} array has {length} elements, got {values.LongLength}.", nameof(values));
        Type = ElementTypes.Of(values.GetType().GetElementType()!);
        Values = values;
        _shape = shape;
    }

    /// <summary>A one-dimensional array.</summary>
    public static NdArray Vector<T>(T[] values) => new(values, values.Length);

    /// <summary>A zero-dimensional array.</summary>
    public static NdArray Scalar<T>(T value) => new(new[] { value });

    /// <summary>The rows of a host matrix, copied.</summary>
    public static NdArray FromMatrix<T>(MatrixView<T> matrix) where T : unmanaged
    {
        T[] values = new T[checked((int)((long)matrix.Rows * matrix.Columns))];
        for (int i = 0; i < matrix.Rows; i++) matrix.Row(i).CopyTo(values.AsSpan(i * matrix.Columns, matrix.Columns));
        return new NdArray(values, matrix.Rows, matrix.Columns);
    }

    public ElementType Type { get; }
    public IReadOnlyList<long> Shape => _shape;
    public int Rank => _shape.Length;
    public int Length => Values.Length;

    /// <summary>The elements: <c>float[]</c> for Float32, <c>string[]</c> for Text, and so on.</summary>
    public Array Values { get; }

    /// <summary>"2 x 3", or "scalar".</summary>
    public string ShapeText => Describe(_shape);

    /// <summary>The elements, which must be of type <typeparamref name="T"/>.</summary>
    public T[] As<T>() => Values as T[] ?? throw new InvalidOperationException($"The array holds {Type.Name()}, not {typeof(T).Name}.");

    /// <summary>Numbers converted to double (bool: 0 or 1).</summary>
    public double[] ToDoubles()
    {
        if (Values is double[] doubles) return doubles;
        double[] result = new double[Length];
        ElementDecoder.Convert(this, result);
        return result;
    }

    /// <summary>Integers (or bool) converted to long.</summary>
    public long[] ToInt64()
    {
        if (Type == ElementType.Int64) return As<long>();
        if (!Type.IsInteger() && Type != ElementType.Boolean) throw new InvalidOperationException($"The array holds {Type.Name()}, not integers.");
        // By the element type: to the runtime an array of int is one of uint as well.
        return Type switch
        {
            ElementType.Boolean => Array.ConvertAll(As<bool>(), flag => flag ? 1L : 0L),
            ElementType.Int8 => Widened<sbyte>(As<sbyte>()),
            ElementType.UInt8 => Widened<byte>(As<byte>()),
            ElementType.Int16 => Widened<short>(As<short>()),
            ElementType.UInt16 => Widened<ushort>(As<ushort>()),
            ElementType.Int32 => Widened<int>(As<int>()),
            ElementType.UInt32 => Widened<uint>(As<uint>()),
            _ => Widened<ulong>(As<ulong>()),
        };

        static long[] Widened<T>(ReadOnlySpan<T> values) where T : unmanaged, IBinaryInteger<T>
        {
            long[] result = new long[values.Length];
            for (int i = 0; i < result.Length; i++) result[i] = long.CreateChecked(values[i]);
            return result;
        }
    }

    /// <summary>Elements as text: numbers in the shortest form that reads back to the same value, bool as True and False.</summary>
    public string[] ToText()
    {
        if (Values is string[] text) return text;
        string[] result = new string[Length];
        for (int i = 0; i < result.Length; i++)
        {
            object value = Values.GetValue(i)!;
            result[i] = value is BFloat16 b ? ((float)b).ToString(CultureInfo.InvariantCulture) : Convert.ToString(value, CultureInfo.InvariantCulture)!;
        }
        return result;
    }

    /// <summary>The elements of a vector at the given places.</summary>
    public NdArray Take(int[] places) => new(ArrayGather.Columns(this, 1, Length, places), places.Length);

    /// <summary>The given rows (places along the first axis) in the order given.</summary>
    public NdArray TakeRows(int[] rows)
    {
        long width = _shape[0] == 0 ? 0 : Length / _shape[0];
        Array taken = Type.NewArray(checked((int)(rows.Length * width)));
        for (int i = 0; i < rows.Length; i++) Array.Copy(Values, rows[i] * width, taken, i * width, width);
        return new NdArray(taken, [rows.Length, .. _shape[1..]]);
    }

    /// <summary>The given columns of a matrix in the order given.</summary>
    public NdArray TakeColumns(int[] columns) => new(ArrayGather.Columns(this, _shape[0], _shape[1], columns), _shape[0], columns.Length);

    internal static string Describe(IReadOnlyList<long> shape) =>
        shape.Count == 0 ? "scalar" : string.Join(" x ", shape.Select(extent => extent.ToString(CultureInfo.InvariantCulture)));
}
