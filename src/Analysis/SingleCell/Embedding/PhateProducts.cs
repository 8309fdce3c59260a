using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>Products of L K R with blocks of eight vectors, K the kernel and L, R diagonal. The same bytes on any number of threads.</summary>
internal static unsafe class PhateProducts
{
    private const int CellsPerBlock = 512;

    /// <summary>Y = factor L K R X + shift Z − M.</summary>
    /// <param name="device">Whose threads multiply.</param>
    /// <param name="kernel">K.</param>
    /// <param name="left">[cells] L.</param>
    /// <param name="right">[cells] R.</param>
    /// <param name="x">[cells × 8] X.</param>
    /// <param name="y">[cells × 8] Y, another block than X.</param>
    /// <param name="factor">Of the product.</param>
    /// <param name="shift">Of Z.</param>
    /// <param name="shifted">[cells × 8] Z.</param>
    /// <param name="minus">[cells × 8] M, which may be Y; null for zero.</param>
    public static void Multiply(CpuDevice device, PhateKernel kernel, double[] left, double[] right, double* x, double* y, double factor, double shift, double* shifted, double* minus)
    {
        Job job = new(kernel, left, right, x, y, factor, shift, shifted, minus);
        device.Pool.Run((kernel.Cells + CellsPerBlock - 1) / CellsPerBlock, ref job);
    }

    private readonly struct Job(PhateKernel kernel, double[] left, double[] right, double* x, double* y, double factor, double shift, double* shifted, double* minus) : IBlockJob
    {
        public void Execute(long block, int worker)
        {
            for (int i = (int)block * CellsPerBlock, end = Math.Min(i + CellsPerBlock, kernel.Cells); i < end; i++)
            {
                ReadOnlySpan<int> neighbours = kernel.Neighbours(i);
                ReadOnlySpan<double> weights = kernel.Weights(i);
                Vector256<double> first = default, second = default;
                for (int e = 0; e < neighbours.Length; e++)
                {
                    double* from = x + (long)neighbours[e] * VectorBlocks.Width;
                    Vector256<double> weight = Vector256.Create(weights[e] * right[neighbours[e]]);
                    first = Vector256.FusedMultiplyAdd(weight, Vector256.Load(from), first);
                    second = Vector256.FusedMultiplyAdd(weight, Vector256.Load(from + 4), second);
                }
                Vector256<double> scale = Vector256.Create(factor * left[i]);
                VectorBlocks.Finish(i, first * scale, second * scale, shifted, shift, minus, y);
            }
        }
    }
}
