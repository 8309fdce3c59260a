using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Columns of values are lanes: a neighbour's values are read in one piece, once for the sum and once, from the first-level cache, for the squares.</summary>
internal static unsafe class NeighbourWalk<TSimd, TVector>
    where TSimd : struct, ISimd<TVector, double>
    where TVector : struct
{
    private const long ElementsPerBlock = 1 << 14;

    public static void Run(CpuDevice cpu, MatrixView<int> neighbours, MatrixView<double> values, MatrixView<double> deviations, MatrixView<double> products)
    {
        Job job = new()
        {
            Neighbours = neighbours.Pointer, Values = values.Pointer, Deviations = deviations.Pointer, Products = products.Pointer,
            NeighbourStride = neighbours.Stride, ValueStride = values.Stride, DeviationStride = deviations.Stride, ProductStride = products.Stride,
            Rows = values.Rows, Columns = values.Columns, K = neighbours.Columns,
            RowsPerBlock = (int)Math.Clamp(ElementsPerBlock / ((long)values.Columns * neighbours.Columns), 1, values.Rows),
        };
        cpu.Pool.Run((values.Rows + job.RowsPerBlock - 1) / job.RowsPerBlock, ref job);
    }

    private struct Job : IBlockJob
    {
        public int* Neighbours;
        public double* Values, Deviations, Products;
        public long NeighbourStride, ValueStride, DeviationStride, ProductStride;
        public int Rows, Columns, K, RowsPerBlock;

        public readonly void Execute(long block, int worker)
        {
            int first = (int)block * RowsPerBlock, last = Math.Min(Rows, first + RowsPerBlock);
            for (int i = first; i < last; i++)
            {
                int* own = Neighbours + i * NeighbourStride;
                bool inside = true;
                for (int a = 0; a < K; a++) inside &= (uint)own[a] < (uint)Rows;
                if (inside)
                {
                    Walk(i, own);
                    continue;
                }
                new Span<double>(Deviations + i * DeviationStride, Columns).Fill(double.NaN);
                new Span<double>(Products + i * ProductStride, Columns).Fill(double.NaN);
            }
        }

        private readonly void Walk(int i, int* own)
        {
            double* value = Values + i * ValueStride, deviation = Deviations + i * DeviationStride, product = Products + i * ProductStride;
            TVector count = TSimd.Broadcast(K);
            int p = 0;
            for (; p <= Columns - TSimd.Count; p += TSimd.Count)
            {
                TVector sum = TSimd.Zero, squares = TSimd.Zero;
                for (int a = 0; a < K; a++) sum = TSimd.Add(sum, TSimd.Load(Values + own[a] * ValueStride + p));
                TVector mean = TSimd.Divide(sum, count);
                for (int a = 0; a < K; a++)
                {
                    TVector off = TSimd.Subtract(TSimd.Load(Values + own[a] * ValueStride + p), mean);
                    squares = TSimd.MultiplyAdd(off, off, squares);
                }
                TSimd.Store(deviation + p, TSimd.Sqrt(TSimd.Divide(squares, count)));
                TSimd.Store(product + p, TSimd.Multiply(TSimd.Load(value + p), sum));
            }
            for (; p < Columns; p++)
            {
                double sum = 0, squares = 0;
                for (int a = 0; a < K; a++) sum += Values[own[a] * ValueStride + p];
                double mean = sum / K;
                for (int a = 0; a < K; a++)
                {
                    double off = Values[own[a] * ValueStride + p] - mean;
                    squares = Math.FusedMultiplyAdd(off, off, squares);
                }
                deviation[p] = Math.Sqrt(squares / K);
                product[p] = value[p] * sum;
            }
        }
    }
}
