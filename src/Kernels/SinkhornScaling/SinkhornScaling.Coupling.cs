using System.Numerics;
using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class SinkhornScaling
{
    /// <summary>
    /// coupling_ij = exp((f_i + g_j - C_ij) / epsilon), and the change from what the matrix held before.
    /// </summary>
    /// <param name="rowChange">Scratch of n elements.</param>
    /// <param name="change">When not empty, receives the change in single precision [n, m], with values below 1e-30 set to zero.</param>
    /// <returns>Frobenius norm of the change.</returns>
    public static double UpdateCoupling<T>(MatrixView<T> cost, DeviceSpan<double> f, DeviceSpan<double> g, double epsilon, MatrixView<T> coupling,
        DeviceSpan<double> rowChange, MatrixView<float> change) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (cost.Rows != coupling.Rows || cost.Columns != coupling.Columns) throw new ArgumentException("The cost and the coupling differ in shape.");
        if (f.Length != cost.Rows || rowChange.Length != cost.Rows || g.Length != cost.Columns) throw new ArgumentException("The potentials do not fit the cost.");
        if (cost.Device is CudaDevice cuda)
            return UpdateCouplingCuda(cuda, cost, f, g, epsilon, coupling, rowChange, change);
        CpuDevice cpu = cost.Device as CpuDevice ?? throw new DeviceException($"Sinkhorn scaling has no implementation for device '{cost.Device.Name}'.");
        CouplingJob<T> job = new()
        {
            Cost = cost.Pointer, CostStride = cost.Stride, Coupling = coupling.Pointer, CouplingStride = coupling.Stride, Change = change.Pointer,
            ChangeStride = change.Stride, Columns = cost.Columns, F = f.Pointer, G = g.Pointer, InverseEpsilon = 1 / epsilon, RowChange = rowChange.Pointer,
            Variant = KernelDispatch.Select(nameof(SinkhornScaling)),
        };
        cpu.Pool.Run(cost.Rows, ref job);
        double sum = 0;
        for (long i = 0; i < rowChange.Length; i++) sum += rowChange.Pointer[i];
        return Math.Sqrt(sum);
    }

    /// <summary>sum T log T over the positive entries of a coupling.</summary>
    /// <param name="coupling">[n, m].</param>
    /// <param name="rowSums">Scratch of n elements.</param>
    public static double SumLogarithms<T>(MatrixView<T> coupling, DeviceSpan<double> rowSums) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (rowSums.Length != coupling.Rows) throw new ArgumentException("The scratch does not fit the coupling.", nameof(rowSums));
        if (coupling.Device is CudaDevice gpu) return coupling.Rows == 0 ? 0 : SumLogarithmsCuda(gpu, coupling, rowSums);
        CpuDevice cpu = coupling.Device as CpuDevice ?? throw new DeviceException($"The entropy of a coupling has no implementation for device '{coupling.Device.Name}'.");
        LogarithmJob<T> job = new() { Coupling = coupling.Pointer, Stride = coupling.Stride, Columns = coupling.Columns, RowSums = rowSums.Pointer };
        cpu.Pool.Run(coupling.Rows, ref job);
        double total = 0;
        for (int i = 0; i < coupling.Rows; i++) total += rowSums.Pointer[i];
        return total;
    }

    private struct LogarithmJob<T> : IBlockJob where T : unmanaged, IFloatingPointIeee754<T>
    {
        public T* Coupling;
        public long Stride;
        public int Columns;
        public double* RowSums;

        public readonly void Execute(long block, int worker)
        {
            T* row = Coupling + block * Stride;
            double sum = 0;
            for (int j = 0; j < Columns; j++)
            {
                double t = double.CreateTruncating(row[j]);
                if (t > 0) sum += t * Math.Log(t);
            }
            RowSums[block] = sum;
        }
    }

    private struct CouplingJob<T> : IBlockJob where T : unmanaged, IFloatingPointIeee754<T>
    {
        private const int Chunk = 256;
        private const double Negligible = 1e-30;
        public T* Cost;
        public long CostStride;
        public T* Coupling;
        public long CouplingStride;
        public float* Change;
        public long ChangeStride;
        public int Columns;
        public double* F;
        public double* G;
        public double InverseEpsilon;
        public double* RowChange;
        public KernelVariant Variant;

        public readonly void Execute(long block, int worker)
        {
            double* x = stackalloc double[Chunk];
            double squares = 0;
            for (int start = 0; start < Columns; start += Chunk)
            {
                int count = Math.Min(Chunk, Columns - start);
                T* cost = Cost + block * CostStride + start;
                double f = F[block];
                for (int j = 0; j < count; j++) x[j] = (f + G[start + j] - double.CreateTruncating(cost[j])) * InverseEpsilon;
                Exponentials(x, count);
                T* coupling = Coupling + block * CouplingStride + start;
                float* change = Change == null ? null : Change + block * ChangeStride + start;
                for (int j = 0; j < count; j++)
                {
                    double difference = x[j] - double.CreateTruncating(coupling[j]);
                    coupling[j] = T.CreateTruncating(x[j]);
                    squares += difference * difference;
                    if (change != null) change[j] = Math.Abs(difference) < Negligible ? 0 : (float)difference;
                }
            }
            RowChange[block] = squares;
        }

        private readonly void Exponentials(double* x, int count)
        {
            switch (Variant)
            {
                case KernelVariant.Avx512: Exponentials<Simd512<double>, Vector512<double>>(x, count); break;
                case KernelVariant.Avx2: Exponentials<Simd256<double>, Vector256<double>>(x, count); break;
                case KernelVariant.Portable: Exponentials<Simd128<double>, Vector128<double>>(x, count); break;
                default:
                    for (int j = 0; j < count; j++) x[j] = Math.Exp(x[j]);
                    break;
            }
        }

        private static void Exponentials<TLanes, TVector>(double* x, int count) where TLanes : struct, ISimd<TVector, double> where TVector : unmanaged
        {
            // The chunk is a whole number of vectors: what lies beyond count is computed and never read.
            for (int j = 0; j < count; j += TLanes.Count) TLanes.Store(x + j, TLanes.Exp(TLanes.Load(x + j)));
        }
    }
}
