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

    /// <summary>Distinct values, values that are repeated exactly, more vectors than the rank, all values equal, and eight copies of one block.</summary>
    [Fact]
    public void Leading_vectors_are_orthonormal_and_belong_to_their_values()
    {
        using CpuDevice one = new(1), three = new(3);
        double[,] repeated = new double[80, 80], copies = new double[80, 80], block = RandomSymmetric(10, rank: 10);
        for (int i = 0; i < 80; i++)
        {
            repeated[i, i] = i < 6 ? 5 : 1;
            for (int j = 0; j < 80; j++) copies[i, j] = i / 10 == j / 10 ? block[i % 10, j % 10] : 0;
        }
        foreach (double[,] a in (double[][,])[RandomSymmetric(131, rank: 131), RandomSymmetric(90, rank: 4), Identity(40), new double[40, 40], repeated, Turned(repeated), copies, Turned(copies)])
        {
            int n = a.GetLength(0), count = n / 5;
            using Runtime.Matrix<double> work = Load(one, a), whole = Load(one, a), shared = Load(three, a);
            using SymmetricEigen eigen = SymmetricEigen.DecomposeLeading(work, count), expected = SymmetricEigen.Decompose(whole, vectors: true), threads = SymmetricEigen.DecomposeLeading(shared, count);
            Assert.Equal(expected.Values, eigen.Values);
            Assert.True(eigen.Vectors.Buffer.View.Host.SequenceEqual(threads.Vectors.Buffer.View.Host));
            double scale = Math.Max(Math.Abs(eigen.Values[0]), Math.Abs(eigen.Values[^1]));
            for (int v = 0; v < count; v++)
            {
                double[] x = eigen.Vectors.Row(v).ToArray();
                for (int i = 0; i < n; i++) Assert.InRange(Enumerable.Range(0, n).Sum(j => a[i, j] * x[j]) - eigen.Values[v] * x[i], -1e-12 * scale, 1e-12 * scale);
                for (int other = 0; other <= v; other++) Assert.Equal(other == v ? 1 : 0, HostVectors.Dot(x, eigen.Vectors.Row(other)), 1e-12);
            }
        }
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

    /// <summary>The matrix in other coordinates: H a H with a reflector H.</summary>
    private static double[,] Turned(double[,] a)
    {
        int n = a.GetLength(0);
        CounterRandom random = new(78, (ulong)n);
        double[] v = [.. Enumerable.Range(0, n).Select(_ => random.NextNormal())];
        double norm = v.Sum(x => x * x);
        MathNet.Numerics.LinearAlgebra.Matrix<double> h = MathNet.Numerics.LinearAlgebra.Matrix<double>.Build.Dense(n, n, (i, j) => (i == j ? 1 : 0) - 2 * v[i] * v[j] / norm);
        double[,] turned = (h * Dense(a) * h).ToArray();
        for (int i = 0; i < n; i++) for (int j = 0; j < i; j++) turned[i, j] = turned[j, i];
        return turned;
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
