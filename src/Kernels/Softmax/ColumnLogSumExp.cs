using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Log-sum-exp of columns: a strip of columns per block, walked down the rows twice, maxima first. Sums are kept in double precision.</summary>
internal static unsafe class ColumnLogSumExp<TSimd, TVector, TWideSimd, TWideVector, T>
    where TSimd : struct, ISimd<TVector, T>
    where TVector : struct
    where TWideSimd : struct, ISimd<TWideVector, double>
    where TWideVector : struct
    where T : unmanaged, IFloatingPointIeee754<T>
{
    // A multiple of every vector width: only the last strip of a matrix has a rest.
    private const int StripGrain = 16;
    private const int WidestStrip = 256;

    public static void Run(CpuDevice cpu, MatrixView<T> x, T* result)
    {
        int width = Math.Clamp((x.Columns / 16 + StripGrain - 1) / StripGrain * StripGrain, StripGrain, WidestStrip);
        Job job = new() { X = x.Pointer, Stride = x.Stride, Rows = x.Rows, Columns = x.Columns, Width = width, Result = result };
        cpu.Pool.Run((x.Columns + width - 1) / width, ref job);
    }

    private struct Job : IBlockJob
    {
        public T* X, Result;
        public long Stride;
        public int Rows, Columns, Width;

        public readonly void Execute(long block, int worker)
        {
            int first = (int)block * Width, width = Math.Min(Width, Columns - first);
            T* largest = stackalloc T[WidestStrip];
            T* exponentials = stackalloc T[WidestStrip];
            double* sums = stackalloc double[WidestStrip];
            new Span<T>(largest, WidestStrip).Fill(T.NegativeInfinity);
            new Span<double>(sums, WidestStrip).Clear();
            for (int row = 0; row < Rows; row++) RaiseMaxima(X + row * Stride + first, largest, width);
            for (int row = 0; row < Rows; row++) AddExponentials(X + row * Stride + first, largest, exponentials, sums, width);
            for (int j = 0; j < width; j++)
                Result[first + j] = T.IsInfinity(largest[j]) ? largest[j] : T.CreateTruncating(double.CreateTruncating(largest[j]) + Math.Log(sums[j]));
        }
    }

    private static void RaiseMaxima(T* x, T* largest, int width)
    {
        int j = 0;
        for (; j <= width - TSimd.Count; j += TSimd.Count) TSimd.Store(largest + j, TSimd.Max(TSimd.Load(largest + j), TSimd.Load(x + j)));
        for (; j < width; j++) largest[j] = T.Max(largest[j], x[j]);
    }

    private static void AddExponentials(T* x, T* largest, T* exponentials, double* sums, int width)
    {
        int j = 0;
        for (; j <= width - TSimd.Count; j += TSimd.Count)
            TSimd.Store(exponentials + j, TSimd.Exp(TSimd.Subtract(TSimd.Load(x + j), TSimd.Load(largest + j))));
        if (j < width)
        {
            for (int i = j; i < width; i++) exponentials[i] = x[i] - largest[i];
            for (int i = width; i < j + TSimd.Count; i++) exponentials[i] = T.Zero;
            TSimd.Store(exponentials + j, TSimd.Exp(TSimd.Load(exponentials + j)));
        }
        for (j = 0; j < width; j += TWideSimd.Count) TWideSimd.Store(sums + j, TWideSimd.Add(TWideSimd.Load(sums + j), TWideSimd.LoadWidened(exponentials + j)));
    }
}
