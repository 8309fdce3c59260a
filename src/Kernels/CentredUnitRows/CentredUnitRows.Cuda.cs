using BioSup.Runtime;

namespace BioSup.Kernels;

public sealed partial class CentredUnitRows
{
    private const int Side = 32, ChunkRows = 1024, SumThreads = 256, RowThreads = 128;
    private static readonly JitRequest s_module = new("cuda/kernels/centred_unit_rows/centred_unit_rows_any.cu");

    private static int Chunks(int rows) => (rows + ChunkRows - 1) / ChunkRows;

    private void CudaSum(CudaDevice gpu, MatrixView<float> rows, bool add, DeviceSpan<float> mean)
    {
        int chunks = Chunks(rows.Rows);
        DeviceKernels.Get(gpu, s_module, "bs_centred_unit_rows_partials_f32").Launch(gpu.Stream, new LaunchShape(new Extent((Width + Side - 1) / Side, chunks), SumThreads),
            rows.Address, rows.Stride, rows.Rows, Width, _partials!.View.Address);
        DeviceKernels.Get(gpu, s_module, "bs_centred_unit_rows_join").Launch(gpu.Stream, LaunchShape.For(Width, SumThreads),
            _partials.View.Address, chunks, Width, add ? 1 : 0, _sums.View.Address, (double)rows.Rows, mean.Address);
    }

    private void CudaApply(CudaDevice gpu, MatrixView<float> source, MatrixView<float> destination) =>
        DeviceKernels.Get(gpu, s_module, "bs_centred_unit_rows_apply_f32").Launch(gpu.Stream, new LaunchShape(source.Rows, RowThreads),
            source.Address, source.Stride, Width, _mean.View.Address, destination.Address, destination.Stride);
}
