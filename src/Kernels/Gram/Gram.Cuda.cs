using BioSup.Runtime;

namespace BioSup.Kernels;

public static partial class Gram
{
    private static readonly JitRequest s_module = new("cuda/kernels/gram/gram_any.cu");

    private static void CudaMirror(CudaDevice gpu, MatrixView<double> gram)
    {
        int tiles = (gram.Rows + 31) / 32;
        DeviceKernels.Get(gpu, s_module, "bs_gram_mirror_f64").Launch(gpu.Stream, new LaunchShape(new Extent(tiles, tiles), new Extent(32, 8)), gram.Address, gram.Stride, gram.Rows);
    }
}
