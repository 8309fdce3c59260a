using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// Sums over all singular values of the walk P of many cells without finding them all: the 100 largest exactly, the others by stochastic Lanczos quadrature (Ubaru, Chen and Saad 2017) of P Pᵀ,
/// 32 vectors of random signs made orthogonal to the singular vectors found, 60 steps each. The time grows with the affinities, where that of all singular values grows with the cells cubed.
/// Nothing depends on a seed of the caller's or on the number of threads.
/// </summary>
internal static unsafe class PhateSpectrum
{
    private const int Largest = 100, Rounds = 4, Steps = 60, Width = VectorBlocks.Width, Square = VectorBlocks.Square;

    /// <summary>Residual of the largest eigenpairs: the error of a sum is its square.</summary>
    private const double Tolerance = 1e-7;

    /// <summary>A vector of which less than this is left spans with those before it all that it can.</summary>
    private const double Nothing = 1e-12;

    public const string Stage = "entropy of the walk (PHATE)";

    /// <param name="host">Whose threads do the work.</param>
    /// <param name="kernel">Affinities, of at least 300 cells.</param>
    /// <param name="progress">Hears of the steps.</param>
    /// <param name="cancel">Ends the work.</param>
    /// <returns>Values, and weights so that Σ weight f(value) is about the sum of f over all singular values.</returns>
    public static (double[] Values, double[] Weights) Estimate(CpuDevice host, PhateKernel kernel, IProgressReporter? progress = null, CancellationToken cancel = default)
    {
        progress?.Report(Stage, 0, 0);
        using SquaredWalk map = new(host, kernel);
        (double[] largest, Matrix<double> found) = LanczosEigen.Find(host, map, Largest, SpectrumEnd.Algebraic, null, seed: 0, cancel, Tolerance);
        List<double> values = [.. largest], weights = [.. Enumerable.Repeat(1.0, Largest)];
        using (found)
        {
            // The vectors found, and three blocks: the last but one vector of eight recurrences, the last, and the next.
            const int Locked = (Largest + Width - 1) / Width, Before = Locked, Last = Locked + 1, Next = Locked + 2;
            using VectorBlocks blocks = new(host, kernel.Cells, Locked + 3);
            for (int v = 0; v < Largest; v++)
                for (int i = 0; i < kernel.Cells; i++) blocks[v, i] = found.Row(v)[i];
            double[] products = new double[(Locked + 3) * Square], gram = new double[Square], scale = new double[Square];
            for (int round = 0; round < Rounds; round++)
            {
                CounterRandom random = new(0, stream: 0x566E4500UL + (ulong)round);
                double* next = blocks.Block(Next);
                for (int i = 0; i < kernel.Cells; i++)
                {
                    uint signs = random.NextUInt32();
                    for (int lane = 0; lane < Width; lane++) next[i * Width + lane] = (signs >> lane & 1) == 0 ? 1 : -1;
                }
                blocks.Project(0, Locked, Next, products);
                blocks.Subtract(0, Locked, Next, products, gram);
                double[] size = [.. Enumerable.Range(0, Width).Select(lane => gram[lane * (Width + 1)])];
                double[,] diagonal = new double[Width, Steps], beside = new double[Width, Steps];
                for (int step = 0; step < Steps; step++)
                {
                    cancel.ThrowIfCancellationRequested();
                    // What is left of the vector before becomes the vector of this step.
                    Array.Clear(scale);
                    for (int lane = 0; lane < Width; lane++)
                    {
                        double length = Math.Sqrt(Math.Max(gram[lane * (Width + 1)], 0));
                        if (step > 0) beside[lane, step - 1] = length > Nothing ? length : 0;
                        scale[lane * (Width + 1)] = length > Nothing ? 1 / length : 0;
                    }
                    blocks.Transform(Next, scale);
                    if (step > 0) blocks.Copy(Last, Before);
                    else new Span<double>(blocks.Block(Before), kernel.Cells * Width).Clear();
                    blocks.Copy(Next, Last);
                    map.Multiply(blocks.Block(Last), blocks.Block(Next), 1, 0, null);
                    blocks.Project(0, Locked + 2, Next, products);
                    // A recurrence is orthogonal to its own last two vectors, and every one to the vectors found.
                    for (int e = Locked * Square; e < (Locked + 2) * Square; e++) if (e % Square % (Width + 1) != 0) products[e] = 0;
                    for (int lane = 0; lane < Width; lane++) diagonal[lane, step] = products[Last * Square + lane * (Width + 1)];
                    blocks.Subtract(0, Locked + 2, Next, products, gram);
                    progress?.Report(Stage, round * Steps + step + 1, Rounds * Steps);
                }
                for (int lane = 0; lane < Width; lane++) Add(values, weights, host, diagonal, beside, lane, size[lane] / (Rounds * Width));
            }
        }
        return ([.. values.Select(v => Math.Sqrt(Math.Max(v * map.Scale, 0)))], [.. weights]);
    }

    /// <summary>The nodes of one recurrence, with what they stand for.</summary>
    private static void Add(List<double> values, List<double> weights, CpuDevice host, double[,] diagonal, double[,] beside, int lane, double size)
    {
        using Matrix<double> tridiagonal = host.AllocateMatrix<double>(Steps, Steps);
        tridiagonal.Buffer.View.Host.Clear();
        for (int i = 0; i < Steps; i++)
        {
            tridiagonal.Row(i)[i] = diagonal[lane, i];
            if (i + 1 < Steps) tridiagonal.Row(i)[i + 1] = tridiagonal.Row(i + 1)[i] = beside[lane, i];
        }
        using SymmetricEigen eigen = SymmetricEigen.Decompose(tridiagonal, vectors: true);
        for (int k = 0; k < Steps; k++)
        {
            double first = eigen.Vectors.Row(k)[0];
            values.Add(eigen.Values[k]);
            weights.Add(size * first * first);
        }
    }

    /// <summary>P Pᵀ / s = D⁻¹ K K D⁻¹ / s, with s such that no eigenvalue is above 1.</summary>
    private sealed class SquaredWalk : ISymmetricMap, IDisposable
    {
        private readonly CpuDevice _device;
        private readonly PhateKernel _kernel;
        private readonly double[] _ones, _inverse;
        private readonly AlignedBuffer<double> _between;

        public SquaredWalk(CpuDevice device, PhateKernel kernel)
        {
            (_device, _kernel) = (device, kernel);
            Order = [.. Enumerable.Range(0, kernel.Cells)];
            _ones = new double[kernel.Cells];
            Array.Fill(_ones, 1);
            _inverse = [.. Enumerable.Range(0, kernel.Cells).Select(i => 1 / kernel.Strength(i))];
            _between = new AlignedBuffer<double>(device, (long)kernel.Cells * Width);
            // The largest singular value squared is at most the largest sum of a row, 1, times that of a column.
            for (int j = 0; j < kernel.Cells; j++)
            {
                double sum = 0;
                ReadOnlySpan<int> neighbours = kernel.Neighbours(j);
                ReadOnlySpan<double> weights = kernel.Weights(j);
                for (int e = 0; e < neighbours.Length; e++) sum += weights[e] * _inverse[neighbours[e]];
                Scale = Math.Max(Scale, sum);
            }
        }

        public double Scale { get; }

        public int Length => _kernel.Cells;

        public int[] Order { get; }

        public void Multiply(double* x, double* y, double factor, double shift, double* minus)
        {
            PhateProducts.Multiply(_device, _kernel, _ones, _inverse, x, _between.Pointer, 1, 0, x, null);
            PhateProducts.Multiply(_device, _kernel, _inverse, _ones, _between.Pointer, y, factor / Scale, shift, x, minus);
        }

        public void Dispose() => _between.Dispose();
    }
}
