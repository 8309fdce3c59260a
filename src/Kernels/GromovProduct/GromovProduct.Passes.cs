using System.Numerics;
using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class GromovProduct
{
    private struct LineariseJob<T> : IBlockJob where T : unmanaged, IFloatingPointIeee754<T>
    {
        public T* Product;
        public long ProductStride;
        public T* Cost;
        public long CostStride;
        public int Columns;
        public double* RowTerm;
        public double* ColumnTerm;
        public double Scale;
        public KernelVariant Variant;

        public readonly void Execute(long block, int worker)
        {
            T* product = Product + block * ProductStride, cost = Cost + block * CostStride;
            double row = RowTerm[block];
            if (typeof(T) == typeof(double) && Variant != KernelVariant.Reference)
            {
                double* x = (double*)product;
                double* y = (double*)cost;
                switch (Variant)
                {
                    case KernelVariant.Avx512: Row<Simd512<double>, Vector512<double>>(x, y, row); break;
                    case KernelVariant.Avx2: Row<Simd256<double>, Vector256<double>>(x, y, row); break;
                    default: Row<Simd128<double>, Vector128<double>>(x, y, row); break;
                }
                return;
            }
            for (int j = 0; j < Columns; j++) cost[j] = T.CreateTruncating(Scale * (row + ColumnTerm[j] - double.CreateTruncating(product[j])));
        }

        private readonly void Row<TSimd, TVector>(double* x, double* y, double row) where TSimd : struct, ISimd<TVector, double> where TVector : struct
        {
            TVector scale = TSimd.Broadcast(Scale), first = TSimd.Broadcast(row);
            int whole = Columns / TSimd.Count * TSimd.Count;
            for (int j = 0; j < whole; j += TSimd.Count)
                TSimd.Store(y + j, TSimd.Multiply(scale, TSimd.Subtract(TSimd.Add(first, TSimd.Load(ColumnTerm + j)), TSimd.Load(x + j))));
            for (int j = whole; j < Columns; j++) y[j] = Scale * (row + ColumnTerm[j] - x[j]);
        }
    }

    private struct ExtraTermsJob<T> : IBlockJob where T : unmanaged, IFloatingPointIeee754<T>
    {
        public T* Between;
        public long BetweenStride;
        public double Weight;
        public T* Coupling;
        public long CouplingStride;
        public double Epsilon;
        public T* Cost;
        public long CostStride;
        public int Columns;

        public readonly void Execute(long block, int worker)
        {
            T* cost = Cost + block * CostStride;
            double smallest = sizeof(T) == 8 ? 2.2250738585072014e-308 : 1.17549435e-38;
            for (int j = 0; j < Columns; j++)
            {
                double x = double.CreateTruncating(cost[j]);
                if (Between != null) x += Weight * double.CreateTruncating(Between[block * BetweenStride + j]);
                if (Coupling != null) x -= Epsilon * Math.Log(Math.Max(double.CreateTruncating(Coupling[block * CouplingStride + j]), smallest));
                cost[j] = T.CreateTruncating(x);
            }
        }
    }

    private struct AccumulateJob : IBlockJob
    {
        public float* Addend;
        public long AddendStride;
        public double* Target;
        public long TargetStride;
        public int Columns;

        public readonly void Execute(long block, int worker)
        {
            float* addend = Addend + block * AddendStride;
            double* target = Target + block * TargetStride;
            int j = 0;
            for (; j <= Columns - 4; j += 4)
            {
                (Vector128<double> lower, Vector128<double> upper) = Vector128.Widen(Vector128.Load(addend + j));
                (Vector256.Load(target + j) + Vector256.Create(lower, upper)).Store(target + j);
            }
            for (; j < Columns; j++) target[j] += addend[j];
        }
    }

    private struct MomentsJob<T> : IBlockJob where T : unmanaged, IFloatingPointIeee754<T>
    {
        public T* Cost;
        public long Stride;
        public int Columns;
        public double* Weights, Means, Squares;

        public readonly void Execute(long block, int worker)
        {
            T* cost = Cost + block * Stride;
            double mean = 0, square = 0;
            for (int k = 0; k < Columns; k++)
            {
                double x = double.CreateTruncating(cost[k]), weighted = Weights[k] * x;
                mean += weighted;
                square += weighted * x;
            }
            Means[block] = mean;
            Squares[block] = square;
        }
    }
}
