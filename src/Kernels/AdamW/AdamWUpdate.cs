using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>The fused update: every array is read and written once.</summary>
internal static unsafe class AdamWUpdate<TSimd, TVector, T>
    where TSimd : struct, ISimd<TVector, T>
    where TVector : struct
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const long ElementsPerBlock = 1 << 14;

    public static void Run(CpuDevice cpu, DeviceSpan<T> parameters, DeviceSpan<T> gradients, DeviceSpan<T> first, DeviceSpan<T> second, in AdamWFactors factors)
    {
        Job job = new() { P = parameters.Pointer, G = gradients.Pointer, M = first.Pointer, V = second.Pointer, Length = parameters.Length, Factors = factors };
        cpu.Pool.Run((parameters.Length + ElementsPerBlock - 1) / ElementsPerBlock, ref job);
    }

    private struct Job : IBlockJob
    {
        public T* P, G, M, V;
        public long Length;
        public AdamWFactors Factors;

        public readonly void Execute(long block, int worker)
        {
            long start = block * ElementsPerBlock, end = Math.Min(Length, start + ElementsPerBlock), i = start;
            for (; i <= end - TSimd.Count; i += TSimd.Count) Update(P + i, G + i, M + i, V + i);
            if (i < end) UpdateRest(i, (int)(end - i));
        }

        /// <summary>The last elements go through the same vector code, so that an element's result does not depend on where it lies.</summary>
        private readonly void UpdateRest(long i, int count)
        {
            T* rest = stackalloc T[4 * 16];
            new Span<T>(rest, 64).Clear();
            T** arrays = stackalloc T*[] { P, G, M, V };
            for (int a = 0; a < 4; a++) new Span<T>(arrays[a] + i, count).CopyTo(new Span<T>(rest + 16 * a, count));
            Update(rest, rest + 16, rest + 32, rest + 48);
            for (int a = 0; a < 4; a++)
                if (a != 1) new Span<T>(rest + 16 * a, count).CopyTo(new Span<T>(arrays[a] + i, count));
        }

        private readonly void Update(T* p, T* g, T* m, T* v)
        {
            TVector gradient = TSimd.Multiply(TSimd.Load(g), Constant(Factors.GradientScale));
            TVector parameter = TSimd.Multiply(TSimd.Load(p), Constant(Factors.Decay));
            TVector first = TSimd.MultiplyAdd(gradient, Constant(1 - Factors.Beta1), TSimd.Multiply(TSimd.Load(m), Constant(Factors.Beta1)));
            TVector square = TSimd.Multiply(TSimd.Multiply(gradient, Constant(1 - Factors.Beta2)), gradient);
            TVector second = TSimd.Add(TSimd.Multiply(TSimd.Load(v), Constant(Factors.Beta2)), square);
            TVector denominator = TSimd.Add(TSimd.Divide(TSimd.Sqrt(second), Constant(Factors.RootOfCorrection)), Constant(Factors.Epsilon));
            TSimd.Store(m, first);
            TSimd.Store(v, second);
            TSimd.Store(p, TSimd.Add(parameter, TSimd.Divide(TSimd.Multiply(first, Constant(-Factors.StepSize)), denominator)));
        }

        private static TVector Constant(double value) => TSimd.Broadcast(T.CreateTruncating(value));
    }
}

/// <summary>Σ x² with one partial per block of fixed size, added in block order.</summary>
internal static unsafe class SquareSum<TSimd, TVector, T>
    where TSimd : struct, ISimd<TVector, double>
    where TVector : struct
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const long ElementsPerBlock = 1 << 15;

    public static double Run(CpuDevice cpu, DeviceSpan<T> values)
    {
        long blocks = (values.Length + ElementsPerBlock - 1) / ElementsPerBlock;
        if (blocks == 0) return 0;
        Job job = new() { X = values.Pointer, Length = values.Length, Partials = ThreadScratch.Get<double>(ScratchSlot.ReductionPartials, blocks, cpu) };
        cpu.Pool.Run(blocks, ref job);
        double sum = 0;
        for (long block = 0; block < blocks; block++) sum += job.Partials[block];
        return sum;
    }

    private struct Job : IBlockJob
    {
        public T* X;
        public long Length;
        public double* Partials;

        public readonly void Execute(long block, int worker)
        {
            long i = block * ElementsPerBlock, end = Math.Min(Length, i + ElementsPerBlock);
            TVector a = TSimd.Zero, b = a, c = a, d = a;
            for (; i <= end - 4 * TSimd.Count; i += 4 * TSimd.Count)
            {
                TVector x0 = TSimd.LoadWidened(X + i), x1 = TSimd.LoadWidened(X + i + TSimd.Count), x2 = TSimd.LoadWidened(X + i + 2 * TSimd.Count), x3 = TSimd.LoadWidened(X + i + 3 * TSimd.Count);
                a = TSimd.MultiplyAdd(x0, x0, a);
                b = TSimd.MultiplyAdd(x1, x1, b);
                c = TSimd.MultiplyAdd(x2, x2, c);
                d = TSimd.MultiplyAdd(x3, x3, d);
            }
            double sum = SumInOrder<TSimd, TVector, double>.Of(TSimd.Add(TSimd.Add(a, b), TSimd.Add(c, d)));
            for (; i < end; i++)
            {
                double x = double.CreateTruncating(X[i]);
                sum += x * x;
            }
            Partials[block] = sum;
        }
    }
}

/// <summary>x ← factor · x.</summary>
internal static unsafe class ScaleInPlace<TSimd, TVector, T>
    where TSimd : struct, ISimd<TVector, T>
    where TVector : struct
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const long ElementsPerBlock = 1 << 16;

    public static void Run(CpuDevice cpu, DeviceSpan<T> values, T factor)
    {
        Job job = new() { X = values.Pointer, Length = values.Length, Factor = factor };
        cpu.Pool.Run((values.Length + ElementsPerBlock - 1) / ElementsPerBlock, ref job);
    }

    private struct Job : IBlockJob
    {
        public T* X;
        public long Length;
        public T Factor;

        public readonly void Execute(long block, int worker)
        {
            long i = block * ElementsPerBlock, end = Math.Min(Length, i + ElementsPerBlock);
            TVector f = TSimd.Broadcast(Factor);
            for (; i <= end - TSimd.Count; i += TSimd.Count) TSimd.Store(X + i, TSimd.Multiply(TSimd.Load(X + i), f));
            for (; i < end; i++) X[i] *= Factor;
        }
    }
}
