using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>A map over the elements of a matrix: pointers are the device's own, null where there is nothing.</summary>
internal unsafe struct ElementProblem<TIn, TOut> where TIn : unmanaged where TOut : unmanaged
{
    public TIn* X;
    public TOut* Y;
    public long StrideX, StrideY;
    public int Rows, Columns;

    /// <summary>One per column; null for 0 and 1.</summary>
    public double* Shifts, Divisors;

    /// <summary>One per row; null for <see cref="Value"/> everywhere.</summary>
    public double* RowValues;
    public double Value;
}

/// <summary>y = term(x), element by element; rows are cut into blocks among the threads.</summary>
internal static unsafe class ElementMap<TSimd, TVector, TIn, TOut, TTerm>
    where TSimd : struct, ISimd<TVector, double>
    where TVector : struct
    where TIn : unmanaged, INumberBase<TIn>
    where TOut : unmanaged, INumberBase<TOut>
    where TTerm : struct, IElementTerm
{
    private const long ElementsPerBlock = 1 << 15;

    public static void Run(CpuDevice cpu, in ElementProblem<TIn, TOut> problem)
    {
        Job job = new() { P = problem, RowsPerBlock = (int)Math.Clamp(ElementsPerBlock / Math.Max(1, problem.Columns), 1, Math.Max(1, problem.Rows)) };
        cpu.Pool.Run((problem.Rows + job.RowsPerBlock - 1) / job.RowsPerBlock, ref job);
    }

    private struct Job : IBlockJob
    {
        public ElementProblem<TIn, TOut> P;
        public int RowsPerBlock;

        public readonly void Execute(long block, int worker)
        {
            int first = (int)block * RowsPerBlock, last = Math.Min(P.Rows, first + RowsPerBlock);
            for (int i = first; i < last; i++)
                MapRow(P.X + i * P.StrideX, P.Y + i * P.StrideY, P.Columns, P.Shifts, P.Divisors, P.RowValues == null ? P.Value : P.RowValues[i]);
        }
    }

    private static void MapRow(TIn* x, TOut* y, int columns, double* shifts, double* divisors, double value)
    {
        int j = 0;
        if (TTerm.HasVectors)
        {
            TVector same = TSimd.Broadcast(value), one = TSimd.Broadcast(1);
            for (; j <= columns - TSimd.Count; j += TSimd.Count)
            {
                TVector shift = shifts == null ? TSimd.Zero : TSimd.Load(shifts + j), divisor = divisors == null ? one : TSimd.Load(divisors + j);
                TVector target = TTerm.ReadsTarget ? TSimd.LoadWidened(y + j) : TSimd.Zero;
                TSimd.StoreNarrowed(y + j, TTerm.Of<TSimd, TVector>(TSimd.LoadWidened(x + j), shift, divisor, same, target));
            }
        }
        for (; j < columns; j++)
        {
            double result = TTerm.Of(double.CreateTruncating(x[j]), shifts == null ? 0 : shifts[j], divisors == null ? 1 : divisors[j], value, double.CreateTruncating(y[j]));
            y[j] = TOut.CreateTruncating(result);
        }
    }
}
