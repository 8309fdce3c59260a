using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using BioSup.Runtime.Interop;

namespace BioSup.Runtime;

/// <summary>How rows of a tile are spread over the banks of shared memory.</summary>
public enum TensorSwizzle
{
    None = 0,
    Bytes32 = 1,
    Bytes64 = 2,
    Bytes128 = 3,
}

/// <summary>What the elements of a tensor map are.</summary>
public enum TensorElement
{
    Float32 = CUtensorMapDataType.CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
    TensorFloat32 = CUtensorMapDataType.CU_TENSOR_MAP_DATA_TYPE_TFLOAT32,
    BFloat16 = CUtensorMapDataType.CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
    Float64 = CUtensorMapDataType.CU_TENSOR_MAP_DATA_TYPE_FLOAT64,
    Int32 = CUtensorMapDataType.CU_TENSOR_MAP_DATA_TYPE_INT32,
}

/// <summary>
/// Describes a matrix in device memory to the bulk copy engine (compute capability 9.0 and later): a kernel takes it by value as
/// <c>const __grid_constant__</c> parameter and fetches boxes of it. Elements beyond the matrix are read as zero.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct TensorMap
{
    internal const int Bytes = 128;
    private const int PromotionTo256Bytes = 3;

    private fixed ulong _words[Bytes / 8];

    /// <param name="view">The matrix; its address and its rows must begin at multiples of 16 bytes.</param>
    /// <param name="element">What the elements are; their size is that of <typeparamref name="T"/>.</param>
    /// <param name="boxRows">Rows of one box, at most 256.</param>
    /// <param name="boxColumns">Columns of one box, at most 256; with a swizzle, a box's row is at most that many bytes.</param>
    /// <param name="swizzle">Arrangement of the box in shared memory.</param>
    /// <exception cref="ArgumentException">The matrix or the box does not meet these limits.</exception>
    public static TensorMap Create<T>(MatrixView<T> view, TensorElement element, int boxRows, int boxColumns, TensorSwizzle swizzle = TensorSwizzle.None) where T : unmanaged
    {
        if (view.Device is not CudaDevice device) throw new ArgumentException("Only a matrix in a GPU's memory has a tensor map.", nameof(view));
        if (SizeOf(element) != sizeof(T)) throw new ArgumentException($"{element} does not have the size of {typeof(T).Name}.", nameof(element));
        long stride = view.Stride * sizeof(T);
        if ((ulong)view.Pointer % 16 != 0 || stride % 16 != 0)
            throw new ArgumentException($"A matrix for bulk copies begins, and has rows that begin, at multiples of 16 bytes: rows here are {stride} bytes apart.", nameof(view));
        if (boxRows is < 1 or > 256 || boxColumns is < 1 or > 256) throw new ArgumentException($"A box has 1 to 256 rows and columns, not {boxRows} x {boxColumns}.", nameof(boxRows));
        if (boxColumns * sizeof(T) % 16 != 0) throw new ArgumentException($"A row of a box is a multiple of 16 bytes, not {boxColumns * sizeof(T)}.", nameof(boxColumns));
        device.Bind();
        ulong* sizes = stackalloc ulong[] { (ulong)view.Columns, (ulong)view.Rows };
        ulong* strides = stackalloc ulong[] { (ulong)stride };
        uint* box = stackalloc uint[] { (uint)boxColumns, (uint)boxRows };
        uint* steps = stackalloc uint[] { 1, 1 };
        // The driver writes to multiples of 64 bytes only; where the struct lies later does not matter, since launches copy it.
        byte* room = stackalloc byte[Bytes + 63];
        void* aligned = (void*)(((nuint)room + 63) & ~(nuint)63);
        nvcuda.cuTensorMapEncodeTiled(aligned, (CUtensorMapDataType)element, 2, view.Pointer, sizes, strides, box, steps, 0, (int)swizzle, PromotionTo256Bytes, 0).Ok();
        return Unsafe.ReadUnaligned<TensorMap>(aligned);
    }

    private static int SizeOf(TensorElement element) => element switch
    {
        TensorElement.BFloat16 => 2,
        TensorElement.Float64 => 8,
        _ => 4,
    };
}
