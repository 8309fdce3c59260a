using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class Gather
{
    private static readonly JitRequest s_module = new("cuda/kernels/gather/gather_any.cu");

    private static void Cuda<T>(CudaDevice gpu, MatrixView<T> x, DeviceSpan<int> indices, MatrixView<T> y, bool byRow) where T : unmanaged
    {
        LaunchShape shape = CudaShapes.Tiles(y.Rows, y.Columns);
        DeviceKernels.Report(gpu, nameof(Gather), (byRow ? "rows" : "columns", shape));
        string entry = (byRow, sizeof(T)) switch
        {
            (true, 4) => "bs_gather_rows_b32",
            (true, _) => "bs_gather_rows_b64",
            (false, 4) => "bs_gather_columns_b32",
            _ => "bs_gather_columns_b64",
        };
        DeviceKernels.Get(gpu, s_module, entry).Launch(
            gpu.Stream, shape, x.Address, x.Stride, byRow ? x.Rows : x.Columns, indices.Address, y.Address, y.Stride, y.Rows, y.Columns);
    }
}
