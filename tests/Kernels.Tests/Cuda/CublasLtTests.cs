using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests.Cuda;

/// <summary>The way to cuBLASLt, with a stand-in that checks the descriptors and forms products by plain loops.</summary>
[Collection(CudaDeviceCollection.Name)]
public sealed class CublasLtTests(CudaDeviceFixture fixture)
{
    public static TheoryData<Transpose, Transpose> Cases => new(from a in Enum.GetValues<Transpose>() from b in Enum.GetValues<Transpose>() select (a, b));

    private CublasLt Library(CudaDevice gpu)
    {
        Assert.SkipWhen(CudaEmulator.IsHardware, "the stand-in works on the emulated device");
        // Asked before the stand-in is there, and remembered: the device's own products stay with the engine in every other test.
        Assert.SkipUnless(gpu.CublasLt is null, "cuBLASLt is on this machine, which the stand-in would have to replace");
        return CublasLt.Load(gpu, Path.Combine(CudaEmulator.Folder, "libcublasLt.so.12"));
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Row_major_products_are_described_as_the_library_takes_them(Transpose ta, Transpose tb)
    {
        CudaDevice gpu = fixture.Require();
        using CublasLt library = Library(gpu);
        Assert.Equal("12.4.2", library.Version);
        using CpuDevice cpu = new(1);
        const int m = 117, n = 139, k = 131;
        using CudaOperand<double> a = ta == Transpose.No ? new(cpu, gpu, m, k, 1) : new(cpu, gpu, k, m, 1), b = tb == Transpose.No ? new(cpu, gpu, k, n, 2) : new(cpu, gpu, n, k, 2), c = new(cpu, gpu, m, n, 3);
        using Matrix<double> exact = cpu.AllocateMatrix<double>(m, n);
        for (int i = 0; i < m; i++) c.Host.Row(i).CopyTo(exact.Row(i));
        using (KernelDispatch.Force(KernelVariant.Reference)) Gemm.Multiply(ta, tb, -0.75, a.Host, b.Host, 0.5, exact.View);
        Assert.True(Gemm.TryCublasLt(gpu, library, Problem(ta, tb, -0.75, a.Device, b.Device, 0.5, c.Device), ta, tb, GemmForm.Ordinary));
        double[][] read = c.Read();
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n; j++) Assert.Equal(exact.Row(i)[j], read[i][j], 1e-12);
        // A second time, from the plan that was kept.
        Assert.True(Gemm.TryCublasLt(gpu, library, Problem(ta, tb, 1, a.Device, b.Device, 0, c.Device), ta, tb, GemmForm.Ordinary));
    }

    [Fact]
    public void Single_precision_and_bf16_have_their_own_formats()
    {
        CudaDevice gpu = fixture.Require();
        using CublasLt library = Library(gpu);
        using CpuDevice cpu = new(1);
        const int m = 130, n = 129, k = 128;
        using CudaOperand<float> a = new(cpu, gpu, m, k, 1), b = new(cpu, gpu, k, n, 2), c = new(cpu, gpu, m, n, 3), own = new(cpu, gpu, m, n, 3);
        double[] errors = new double[2];
        Gemm.Multiply(Transpose.No, Transpose.No, 1, a.Device, b.Device, 0, own.Device);
        float[][] expected = own.Read();
        foreach (GemmForm form in new[] { GemmForm.Ordinary, GemmForm.BFloat16 })
        {
            Assert.True(Gemm.TryCublasLt(gpu, library, Problem(Transpose.No, Transpose.No, 1f, a.Device, b.Device, 0, c.Device), Transpose.No, Transpose.No, form));
            float[][] read = c.Read();
            errors[form == GemmForm.BFloat16 ? 1 : 0] = Enumerable.Range(0, m).Max(i => Enumerable.Range(0, n).Max(j => Math.Abs((double)read[i][j] - expected[i][j])));
        }
        Assert.InRange(errors[0], 0, 1e-4);
        Assert.InRange(errors[1], 1e-3, 0.5);
    }

    [Fact]
    public void What_the_library_does_not_do_better_stays_with_the_engine()
    {
        CudaDevice gpu = fixture.Require();
        using CublasLt library = Library(gpu);
        using Matrix<float> small = gpu.AllocateMatrix<float>(20, 20), large = gpu.AllocateMatrix<float>(160, 160), result = gpu.AllocateMatrix<float>(160, 160), smallResult = gpu.AllocateMatrix<float>(20, 20);
        GemmProblem<float> tiny = Problem(Transpose.No, Transpose.No, 1f, small.View, small.View, 0, smallResult.View), big = Problem(Transpose.No, Transpose.No, 1f, large.View, large.View, 0, result.View);
        Assert.False(Gemm.TryCublasLt(gpu, library, tiny, Transpose.No, Transpose.No, GemmForm.Ordinary));
        Assert.False(Gemm.TryCublasLt(gpu, library, big, Transpose.No, Transpose.No, GemmForm.TensorFloat3));
        Assert.True(Gemm.TryCublasLt(gpu, library, big, Transpose.No, Transpose.No, GemmForm.Ordinary));
        Assert.False(Gemm.TryCublasLt(gpu, null, big, Transpose.No, Transpose.No, GemmForm.Ordinary));
    }

    [Fact]
    public void Column_major_a_product_changes_its_operands_and_keeps_their_alignment()
    {
        CublasLtProduct product = CublasLtProduct.OfRowMajor(CublasLtKind.Single, 3, 5, 7, (new DevicePointer(4096), false, 8), (new DevicePointer(4100), true, 9), (new DevicePointer(4112), 6));
        Assert.Equal(new CublasLtProduct(CublasLtKind.Single, 5, 3, 7, true, false, 9, 8, 6, 4, 256, 16), product);
    }

    private static unsafe GemmProblem<T> Problem<T>(Transpose ta, Transpose tb, T alpha, MatrixView<T> a, MatrixView<T> b, T beta, MatrixView<T> c) where T : unmanaged => new()
    {
        Rows = c.Rows, Columns = c.Columns, Depth = ta == Transpose.No ? a.Columns : a.Rows, Alpha = alpha, Beta = beta,
        A = a.Pointer, RowStrideA = ta == Transpose.No ? a.Stride : 1, DepthStrideA = ta == Transpose.No ? 1 : a.Stride,
        B = b.Pointer, DepthStrideB = tb == Transpose.No ? b.Stride : 1, ColumnStrideB = tb == Transpose.No ? 1 : b.Stride, C = c.Pointer, StrideC = c.Stride, ColumnStrideC = 1,
    };
}
