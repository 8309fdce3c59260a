using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class NeighbourMoments
{
    private const int CudaThreads = 256;
    private static readonly JitRequest s_module = new("cuda/kernels/neighbour_moments/neighbour_moments_any.cu");

    private static void Cuda(CudaDevice gpu, MatrixView<int> neighbours, MatrixView<double> values, MatrixView<double> deviations, MatrixView<double> products)
    {
        // Neighbouring threads read neighbouring columns; where there are few columns, rows fill the block.
        int width = 1;
        while (width < 32 && width < values.Columns) width *= 2;
        int height = CudaThreads / width;
        LaunchShape shape = new(new Extent((values.Rows + height - 1) / height, (values.Columns + width - 1) / width), new Extent(width, height));
        DeviceKernels.Report(gpu, nameof(NeighbourMoments), shape);
        DeviceKernels.Get(gpu, s_module, "bs_neighbour_moments_f64").Launch(
            gpu.Stream, shape, neighbours.Address, neighbours.Stride, neighbours.Columns, values.Address, values.Stride, values.Rows, values.Columns,
            deviations.Address, deviations.Stride, products.Address, products.Stride);
    }
}
