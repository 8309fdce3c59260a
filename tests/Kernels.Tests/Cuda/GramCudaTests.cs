using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class GramCudaTests(CudaDeviceFixture fixture)
{
    [Fact]
    public void Both_products_match_the_compensated_reference()
    {
        CudaDevice gpu = fixture.Require();
        using CpuDevice cpu = new(1);
        foreach (MatrixShape shape in ProblemShapes.Matrices.Where(s => s.Rows < 70 && s.Columns < 70).Append(new MatrixShape(5, 260)))
        {
            using CudaOperand<float> single = new(cpu, gpu, shape.Rows, shape.Columns, 8);
            using CudaOperand<double> wide = new(cpu, gpu, shape.Rows, shape.Columns, 9);
            foreach (bool centred in (bool[])[false, true])
            {
                GramTests.Check(single.Host, single.Device, centred, shape);
                GramTests.Check(wide.Host, wide.Device, centred, shape);
            }
        }
    }

    [Fact]
    public void Eigenvectors_of_a_matrix_on_the_device_are_the_hosts_and_lie_on_the_device()
    {
        CudaDevice gpu = fixture.Require();
        using CpuDevice cpu = new(1);
        using Matrix<double> x = TestMatrices.Normal<double>(cpu, 20, 7, 3), there = x.To(gpu);
        using Matrix<double> onHost = cpu.AllocateMatrix<double>(7, 7), onDevice = gpu.AllocateMatrix<double>(7, 7);
        Gram.Columns(x.View, default, onHost.View);
        Gram.Columns(there.View, default, onDevice.View);
        using SymmetricEigen expected = SymmetricEigen.Decompose(onHost, vectors: true), actual = SymmetricEigen.Decompose(onDevice, vectors: true);
        Assert.Same(gpu, actual.Vectors.Device);
        double[] first = expected.Vectors.ToArray(), second = actual.Vectors.ToArray();
        for (int i = 0; i < 7; i++) Assert.Equal(expected.Values[i], actual.Values[i], 1e-12 * expected.Values[0]);
        // Vectors are fixed up to their sign.
        for (int i = 0; i < 7; i++) Assert.Equal(1, Math.Abs(Enumerable.Range(0, 7).Sum(j => first[7 * i + j] * second[7 * i + j])), 1e-10);
    }
}
