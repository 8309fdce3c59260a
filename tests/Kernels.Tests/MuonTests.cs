using System.Globalization;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests;

public sealed class MuonTests : IDisposable
{
    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    /// <summary>Double-precision PyTorch (tests/golden/optimizer/muon.py): the reference to its last digits, every variant to single precision.</summary>
    [Fact]
    public void Four_updates_follow_torch()
    {
        double[][] rows = [.. File.ReadLines(Path.Combine(RepositoryRoot.Path, "tests", "golden", "optimizer", "muon.csv")).Skip(1)
            .Select(l => l.Split(',').Select(c => double.Parse(c, CultureInfo.InvariantCulture)).ToArray())];
        MuonOptions options = new() { LearningRate = 0.02, WeightDecay = 0.1 };
        foreach (IGrouping<(int, int), double[]> shape in rows.GroupBy(r => ((int)r[0], (int)r[1])))
        {
            (int height, int width) = shape.Key;
            double[,] weights = Uniform(height, width, 41), momentum = new double[height, width];
            foreach (IGrouping<double, double[]> step in shape.GroupBy(r => r[2]))
            {
                Muon.Reference(weights, Uniform(height, width, 50 + (ulong)step.Key), momentum, options, 0.5);
                foreach (double[] r in step)
                {
                    Assert.Equal(r[4], weights[(int)r[3] / width, (int)r[3] % width], 1e-12);
                    Assert.Equal(r[5], momentum[(int)r[3] / width, (int)r[3] % width], 1e-14);
                }
            }
        }
    }

    /// <summary>The iteration multiplies rounding by what its polynomial amplifies small directions with, at most 3.4445⁵: a few units in the last place become 1e-5 of an entry.</summary>
    [Fact]
    public void Every_variant_matches_the_reference()
    {
        foreach ((int rows, int columns) in new[] { (1, 1), (1, 7), (6, 1), (17, 33), (64, 24), (40, 130) })
            foreach (KernelVariant variant in new[] { KernelVariant.Avx512, KernelVariant.Avx2, KernelVariant.Portable })
            {
                using Matrix<float> w = TestMatrices.Normal<float>(_device, rows, columns, 1), m = _device.AllocateMatrix<float>(rows, columns);
                double[,] expected = Wide(w), momentum = new double[rows, columns];
                MuonOptions options = new() { LearningRate = 0.02, WeightDecay = 0.1 };
                using Muon muon = new(_device, rows, columns);
                for (ulong step = 0; step < 3; step++)
                {
                    using Matrix<float> g = TestMatrices.Normal<float>(_device, rows, columns, 2 + step);
                    using (KernelDispatch.Force(variant)) muon.Step(w.View, g.View, m.View, options, 0.25);
                    Muon.Reference(expected, Wide(g), momentum, options, 0.25);
                }
                double scale = 0.02 * Muon.UpdateScale(rows, columns);
                for (int i = 0; i < rows; i++)
                    for (int j = 0; j < columns; j++)
                        Assert.True(Math.Abs(w.Row(i)[j] - expected[i, j]) <= 3 * (2e-5 * scale + 6e-8 * (1 + Math.Abs(expected[i, j]))), $"{variant} {rows} x {columns} [{i}, {j}]: {w.Row(i)[j]:R}, expected {expected[i, j]:R}");
            }
    }

    /// <summary>Singular values of the update lie near 1, so that its entries are as large as the scale says.</summary>
    [Fact]
    public void The_update_is_nearly_orthogonal()
    {
        using Matrix<float> w = _device.AllocateMatrix<float>(32, 96), g = TestMatrices.Normal<float>(_device, 32, 96, 5), m = _device.AllocateMatrix<float>(32, 96);
        using Muon muon = new(_device, 32, 96);
        muon.Step(w.View, g.View, m.View, new MuonOptions { LearningRate = 1 / Muon.UpdateScale(32, 96) });
        using Matrix<float> gram = _device.AllocateMatrix<float>(32, 32);
        Gemm.Multiply(Transpose.No, Transpose.Yes, 1, w.View, w.View, 0, gram.View);
        for (int i = 0; i < 32; i++) Assert.InRange(gram.Row(i)[i], 0.4f, 1.5f);
    }

    [Fact]
    public void Warm_updates_allocate_nothing()
    {
        using Matrix<float> w = TestMatrices.Normal<float>(_device, 24, 80, 1), g = TestMatrices.Normal<float>(_device, 24, 80, 2), m = _device.AllocateMatrix<float>(24, 80);
        using Muon muon = new(_device, 24, 80);
        for (int i = 0; i < 3; i++) muon.Step(w.View, g.View, m.View, new MuonOptions { LearningRate = 1e-3 });
        WarmAllocation rounds = new();
        while (rounds.Again()) for (int i = 0; i < 5; i++) muon.Step(w.View, g.View, m.View, new MuonOptions { LearningRate = 1e-3 });
        Assert.Equal(0, rounds.Least);
    }

    private static double[,] Wide(Matrix<float> matrix)
    {
        double[,] values = new double[matrix.Rows, matrix.Columns];
        for (int i = 0; i < matrix.Rows; i++)
            for (int j = 0; j < matrix.Columns; j++) values[i, j] = matrix.Row(i)[j];
        return values;
    }

    /// <summary>The integers of muon.py.</summary>
    private static double[,] Uniform(int rows, int columns, ulong salt)
    {
        double[,] values = new double[rows, columns];
        for (int i = 0; i < rows * columns; i++)
        {
            ulong z = unchecked(((ulong)i + 1) * 0x9E3779B97F4A7C15UL + salt * 0xD1342543DE82EF95UL);
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EBUL;
            z ^= z >> 31;
            values[i / columns, i % columns] = (z >> 40) * Math.ScaleB(1, -24) - 0.5;
        }
        return values;
    }
}
