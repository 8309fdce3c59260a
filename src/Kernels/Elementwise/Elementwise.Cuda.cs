using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class Elementwise
{
    private static readonly JitRequest s_module = new("cuda/kernels/elementwise/elementwise_any.cu");

    private static void Cuda<TTerm, TIn, TOut>(CudaDevice gpu, in ElementProblem<TIn, TOut> p)
        where TTerm : struct, IElementTerm where TIn : unmanaged where TOut : unmanaged
    {
        LaunchShape shape = CudaShapes.Tiles(p.Rows, p.Columns);
        DeviceKernels.Report(gpu, nameof(Elementwise), (CudaEntry<TTerm, TIn, TOut>.Name, shape));
        DeviceKernels.Get(gpu, s_module, CudaEntry<TTerm, TIn, TOut>.Name).Launch(
            gpu.Stream, shape, new DevicePointer((ulong)p.X), p.StrideX, new DevicePointer((ulong)p.Y), p.StrideY, p.Rows, p.Columns,
            new DevicePointer((ulong)p.Shifts), new DevicePointer((ulong)p.Divisors), new DevicePointer((ulong)p.RowValues), p.Value);
    }

    private static void CudaFill<T>(CudaDevice gpu, MatrixView<T> y, T value) where T : unmanaged, INumberBase<T>
    {
        if (y.Rows == 0 || y.Columns == 0) return;
        DeviceKernels.Get(gpu, s_module, typeof(T) == typeof(float) ? "bs_elementwise_fill_f32" : "bs_elementwise_fill_f64").Launch(
            gpu.Stream, CudaShapes.Tiles(y.Rows, y.Columns), y.Address, y.Stride, y.Rows, y.Columns, double.CreateTruncating(value));
    }

    /// <summary>Names of entry points, put together once.</summary>
    private static class CudaEntry<TTerm, TIn, TOut> where TTerm : struct, IElementTerm
    {
        public static readonly string Name = $"bs_elementwise_{TTerm.Name}_{(typeof(TIn) == typeof(float) ? "f32" : "f64")}_{(typeof(TOut) == typeof(float) ? "f32" : "f64")}";
    }
}
