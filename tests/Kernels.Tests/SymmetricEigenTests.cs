using BioSup.Runtime;
using MathNet.Numerics.LinearAlgebra;

namespace BioSup.Kernels.Tests;

public sealed class SymmetricEigenTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(17)]
    [InlineData(64)]
    [InlineData(131)]
    public void Values_and_vectors_match_MathNet_and_rebuild_the_matrix(int n)
    {
        using CpuDevice device = new(2);
        double[,] a = RandomSymmetric(n, rank: n);
        double[] expected = [.. Dense(a).Evd(Symmetricity.Symmetric).EigenValues.Select(v => v.Real).OrderDescending()];
        using Runtime.Matrix<double> work = Load(device, a);
        using SymmetricEigen eigen = SymmetricEigen.Decompose(work, vectors: true);
        double scale = expected.Max(Math.Abs);
        for (int i = 0; i < n; i++) Assert.True(Math.Abs(expected[i] - eigen.Values[i]) <= 1e-12 * n * scale);
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++)
            {
                double rebuilt = 0, overlap = 0;
                for (int k = 0; k < n; k++)
                {
                    rebuilt += eigen.Values[k] * eigen.Vectors.Row(k)[i] * eigen.Vectors.Row(k)[j];
                    overlap += eigen.Vectors.Row(i)[k] * eigen.Vectors.Row(j)[k];
                }
                Assert.True(Math.Abs(rebuilt - a[i, j]) <= 1e-12 * n * scale);
                Assert.True(Math.Abs(overlap - (i == j ? 1 : 0)) <= 1e-12 * n);
            }
        }
    }

    [Fact]
    public void Degenerate_matrices_are_decomposed()
    {
        using CpuDevice device = new(1);
        foreach (double[,] a in (double[][,])[new double[5, 5], Identity(6), RandomSymmetric(40, rank: 3), Blocks()])
        {
            using Runtime.Matrix<double> work = Load(device, a), valuesOnly = Load(device, a);
            using SymmetricEigen eigen = SymmetricEigen.Decompose(work, vectors: true), values = SymmetricEigen.Decompose(valuesOnly, vectors: false);
            double trace = Enumerable.Range(0, a.GetLength(0)).Sum(i => a[i, i]);
            Assert.Equal(trace, eigen.Values.Sum(), 10);
            for (int i = 0; i < eigen.Values.Length; i++) Assert.Equal(eigen.Values[i], values.Values[i], 12);
        }
    }

    [Fact]
    public void Bytes_do_not_depend_on_threads()
    {
        double[,] a = RandomSymmetric(300, rank: 300);
        using CpuDevice one = new(1), two = new(2);
        using Runtime.Matrix<double> first = Load(one, a), second = Load(two, a);
        using SymmetricEigen x = SymmetricEigen.Decompose(first, vectors: true), y = SymmetricEigen.Decompose(second, vectors: true);
        Assert.Equal(x.Values, y.Values);
        Assert.True(x.Vectors.Buffer.View.Host.SequenceEqual(y.Vectors.Buffer.View.Host));
    }

    [Fact]
    public void Nan_is_an_error_not_an_endless_loop()
    {
        using CpuDevice device = new(1);
        double[,] a = RandomSymmetric(10, rank: 10);
        a[2, 2] = double.NaN;
        using Runtime.Matrix<double> work = Load(device, a);
        Assert.Throws<ConvergenceException>(() => SymmetricEigen.Decompose(work, vectors: false));
    }

    private static MathNet.Numerics.LinearAlgebra.Matrix<double> Dense(double[,] a) => MathNet.Numerics.LinearAlgebra.Matrix<double>.Build.DenseOfArray(a);

    private static Runtime.Matrix<double> Load(ComputeDevice device, double[,] a)
    {
        int n = a.GetLength(0);
        return Runtime.Matrix<double>.From(device, n, n, a.Cast<double>().ToArray());
    }

    private static double[,] RandomSymmetric(int n, int rank)
    {
        CounterRandom random = new(77, (ulong)n);
        double[,] a = new double[n, n];
        for (int r = 0; r < rank; r++)
        {
            double[] v = new double[n];
            for (int i = 0; i < n; i++) v[i] = random.NextNormal();
            double weight = (r % 3 == 0 ? -1 : 1) * (1 + r);
            for (int i = 0; i < n; i++) for (int j = 0; j < n; j++) a[i, j] += weight * v[i] * v[j];
        }
        return a;
    }

    private static double[,] Identity(int n)
    {
        double[,] a = new double[n, n];
        for (int i = 0; i < n; i++) a[i, i] = 1;
        return a;
    }

    private static double[,] Blocks()
    {
        double[,] a = new double[8, 8];
        for (int i = 0; i < 8; i++) for (int j = 0; j < 8; j++) a[i, j] = i / 4 == j / 4 ? 2 : 0;
        return a;
    }
}
