using System.Runtime.InteropServices;
using BioSup.Benchmarks.Device;
using BioSup.Runtime;

namespace BioSup.Benchmarks.Tests;

/// <summary>The calls of cuBLASLt, against a stand-in for it that multiplies on the emulated device's memory.</summary>
[Collection(nameof(DeviceTests))]
public sealed class LtProductTests
{
    [Theory]
    [InlineData(nameof(LtPrecision.Single), 1e-6)]
    [InlineData(nameof(LtPrecision.Tf32), 1e-6)]
    [InlineData(nameof(LtPrecision.Bf16), 4e-3)]
    [InlineData(nameof(LtPrecision.Double), 1e-14)]
    public void The_product_is_that_of_its_operands(string precision, double tolerance)
    {
        TestDevice.RequireCublasLt();
        LtPrecision p = Enum.Parse<LtPrecision>(precision);
        const int m = 7, n = 5, k = 9;
        using CudaDevice gpu = CudaDevice.Open();
        using LtProduct product = new(gpu, p, m, n, k);
        product.Run();
        gpu.Synchronize();
        double[] a = Read(product.A, p), b = Read(product.B, p), c = Read(product.Result, p);
        Assert.Equal((m * k, k * n, m * n), (a.Length, b.Length, c.Length));
        Assert.All(a, v => Assert.InRange(v, -1, 1));
        Assert.True(a.Distinct().Count() > m * k / 2, "operands are random");
        for (int i = 0; i < m; i++)
        {
            for (int j = 0; j < n; j++)
            {
                double sum = 0, size = 0;
                for (int q = 0; q < k; q++)
                {
                    sum += a[i * k + q] * b[q * n + j];
                    size += Math.Abs(a[i * k + q] * b[q * n + j]);
                }
                Assert.True(Math.Abs(c[i * n + j] - sum) <= tolerance * size, $"{precision} [{i}, {j}]: {c[i * n + j]}, expected {sum}");
            }
        }
    }

    [Fact]
    public void Ours_is_put_beside_it()
    {
        TestDevice.RequireCublasLt();
        using DeviceBench bench = new(new BenchOptions { Tiny = true, Repetitions = 2 });
        CeilingSuite.Run(bench);
        GemmSuite.Run(bench);
        Assert.DoesNotContain(bench.Figures, f => f.Status != FigureStatus.Measured);
        Assert.Equal(7, bench.Figures.Count(f => f.Suite == "ceilings" && f.Contender == "cuBLASLt"));
        Assert.All(bench.Figures.Where(f => f is { Suite: "gemm", Contender: Figure.Own }), f => Assert.True(f.TimesCublaslt > 0));
    }

    private static double[] Read(DeviceBuffer<byte> buffer, LtPrecision precision)
    {
        byte[] bytes = new byte[buffer.Length];
        buffer.CopyTo(bytes);
        return precision switch
        {
            LtPrecision.Double => MemoryMarshal.Cast<byte, double>(bytes).ToArray(),
            LtPrecision.Bf16 => [.. MemoryMarshal.Cast<byte, ushort>(bytes).ToArray().Select(b => (double)BitConverter.UInt32BitsToSingle((uint)b << 16))],
            _ => [.. MemoryMarshal.Cast<byte, float>(bytes).ToArray().Select(v => (double)v)],
        };
    }
}
