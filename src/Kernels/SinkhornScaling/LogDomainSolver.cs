using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Sinkhorn on potentials: g = epsilon (log b - LSE_i((f_i - C_ij) / epsilon)), then f = epsilon (log a - LSE_j((g_j - C_ij) / epsilon)).
/// Exponents are taken relative to the largest of each sum, so nothing under- or overflows for any cost and epsilon.
/// </summary>
internal static unsafe class LogDomainSolver<TLanes, TVector, T>
    where TLanes : struct, ISimd<TVector, T> where TVector : unmanaged where T : unmanaged, IFloatingPointIeee754<T>
{
    public static SinkhornResult Solve(SinkhornWorkspace<T> w, MatrixView<T> cost, double* a, double* b, double epsilon, double* f, double* g, in SinkhornOptions options)
    {
        double error = double.PositiveInfinity;
        ColumnLogSums(w, cost, epsilon, f);
        for (int iteration = 0; iteration < options.MaxIterations; iteration++)
        {
            UpdateColumns(w, b, epsilon, g);
            UpdateRows(w, cost, a, epsilon, f, g);
            ColumnLogSums(w, cost, epsilon, f);
            if (iteration % options.CheckEvery != 0) continue;
            error = 0;
            for (int j = 0; j < w.Columns; j++)
            {
                double violation = Math.Exp(g[j] / epsilon + w.LogSums[j]) - b[j];
                error += violation * violation;
            }
            error = Math.Sqrt(error);
            if (error < options.Tolerance) return new SinkhornResult(iteration + 1, error, true, 0);
        }
        return new SinkhornResult(options.MaxIterations, error, false, 0);
    }

    /// <summary>One iteration: g from f, then f from g.</summary>
    public static void Iterate(SinkhornWorkspace<T> w, MatrixView<T> cost, double* a, double* b, double epsilon, double* f, double* g)
    {
        ColumnLogSums(w, cost, epsilon, f);
        UpdateColumns(w, b, epsilon, g);
        UpdateRows(w, cost, a, epsilon, f, g);
    }

    /// <summary>softmin_i = -epsilon LSE_j((g_j - C_ij) / epsilon).</summary>
    public static void RowSoftmin(SinkhornWorkspace<T> w, MatrixView<T> cost, double epsilon, double* g, double* softmin) => UpdateRows(w, cost, null, epsilon, softmin, g);

    /// <summary>softmin_j = -epsilon LSE_i((f_i - C_ij) / epsilon).</summary>
    public static void ColumnSoftmin(SinkhornWorkspace<T> w, MatrixView<T> cost, double epsilon, double* f, double* softmin)
    {
        ColumnLogSums(w, cost, epsilon, f);
        for (int j = 0; j < w.Columns; j++) softmin[j] = -epsilon * w.LogSums[j];
    }

    private static void UpdateColumns(SinkhornWorkspace<T> w, double* b, double epsilon, double* g)
    {
        for (int j = 0; j < w.Columns; j++) g[j] = epsilon * (Math.Log(b[j]) - w.LogSums[j]);
    }

    private static void UpdateRows(SinkhornWorkspace<T> w, MatrixView<T> cost, double* a, double epsilon, double* f, double* g)
    {
        for (int j = 0; j < w.Columns; j++) w.PaddedPotential[j] = T.CreateTruncating(g[j]);
        RowJob job = new() { Cost = cost.Pointer, Stride = cost.Stride, Columns = w.Columns, G = w.PaddedPotential, A = a, F = f, Epsilon = epsilon };
        w.Device.Pool.Run(w.Rows, ref job);
    }

    private static void ColumnLogSums(SinkhornWorkspace<T> w, MatrixView<T> cost, double epsilon, double* f)
    {
        ColumnJob job = new()
        {
            Cost = cost.Pointer, Stride = cost.Stride, Rows = w.Rows, Columns = w.Columns, Padded = w.Strips * SinkhornWorkspace<T>.StripWidth,
            Blocks = w.Blocks, F = f, InverseEpsilon = 1 / epsilon, Partials = w.Partials,
        };
        w.Device.Pool.Run(w.Blocks, ref job);
        for (int j = 0; j < w.Columns; j++)
        {
            double most = double.NegativeInfinity, sum = 0;
            for (int block = 0; block < w.Blocks; block++) most = Math.Max(most, double.CreateTruncating(w.Partials[2L * block * job.Padded + j]));
            for (int block = 0; block < w.Blocks; block++)
            {
                double sumOfBlock = double.CreateTruncating(w.Partials[(2L * block + 1) * job.Padded + j]);
                sum += sumOfBlock * Math.Exp(double.CreateTruncating(w.Partials[2L * block * job.Padded + j]) - most);
            }
            w.LogSums[j] = most + Math.Log(sum);
        }
    }

    private struct RowJob : IBlockJob
    {
        public T* Cost;
        public long Stride;
        public int Columns;
        public T* G;
        public double* A;
        public double* F;
        public double Epsilon;

        public readonly void Execute(long block, int worker)
        {
            T* cost = Cost + block * Stride;
            int whole = Columns / TLanes.Count * TLanes.Count;
            T inverse = T.CreateTruncating(1 / Epsilon), most = T.NegativeInfinity;
            if (whole > 0)
            {
                TVector largest = TLanes.Subtract(TLanes.Load(G), TLanes.Load(cost));
                for (int j = TLanes.Count; j < whole; j += TLanes.Count)
                    largest = TLanes.Max(largest, TLanes.Subtract(TLanes.Load(G + j), TLanes.Load(cost + j)));
                most = TLanes.MaxAcross(largest);
            }
            for (int j = whole; j < Columns; j++) most = T.Max(most, G[j] - cost[j]);

            TVector shift = TLanes.Broadcast(most), scale = TLanes.Broadcast(inverse), total = TLanes.Zero;
            for (int j = 0; j < whole; j += TLanes.Count)
            {
                TVector x = TLanes.Subtract(TLanes.Subtract(TLanes.Load(G + j), TLanes.Load(cost + j)), shift);
                total = TLanes.Add(total, TLanes.Exp(TLanes.Multiply(x, scale)));
            }
            T sum = TLanes.Sum(total);
            for (int j = whole; j < Columns; j++) sum += T.Exp((G[j] - cost[j] - most) * inverse);
            double logMass = A == null ? 0 : Math.Log(A[block]);
            F[block] = Epsilon * (logMass - Math.Log(double.CreateTruncating(sum))) - double.CreateTruncating(most);
        }
    }

    /// <summary>Per block of rows and per column: the largest exponent, then the sum of exponentials relative to it.</summary>
    private struct ColumnJob : IBlockJob
    {
        public T* Cost;
        public long Stride;
        public int Rows, Columns, Padded, Blocks;
        public double* F;
        public double InverseEpsilon;
        public T* Partials;

        public readonly void Execute(long block, int worker)
        {
            int start = (int)((long)Rows * block / Blocks), end = (int)((long)Rows * (block + 1) / Blocks);
            T* most = Partials + 2 * block * Padded;
            T* sums = most + Padded;
            T inverse = T.CreateTruncating(InverseEpsilon);
            TVector scale = TLanes.Broadcast(inverse);
            int whole = Columns / TLanes.Count * TLanes.Count;
            new Span<T>(most, Columns).Fill(T.NegativeInfinity);
            new Span<T>(sums, Columns).Clear();
            for (int i = start; i < end; i++)
            {
                T* cost = Cost + i * Stride;
                T potential = T.CreateTruncating(F[i]);
                TVector f = TLanes.Broadcast(potential);
                for (int j = 0; j < whole; j += TLanes.Count)
                {
                    TVector x = TLanes.Multiply(TLanes.Subtract(f, TLanes.Load(cost + j)), scale);
                    TLanes.Store(most + j, TLanes.Max(TLanes.Load(most + j), x));
                }
                for (int j = whole; j < Columns; j++) most[j] = T.Max(most[j], (potential - cost[j]) * inverse);
            }
            for (int i = start; i < end; i++)
            {
                T* cost = Cost + i * Stride;
                T potential = T.CreateTruncating(F[i]);
                TVector f = TLanes.Broadcast(potential);
                for (int j = 0; j < whole; j += TLanes.Count)
                {
                    TVector x = TLanes.Multiply(TLanes.Subtract(f, TLanes.Load(cost + j)), scale);
                    TLanes.Store(sums + j, TLanes.Add(TLanes.Load(sums + j), TLanes.Exp(TLanes.Subtract(x, TLanes.Load(most + j)))));
                }
                for (int j = whole; j < Columns; j++) sums[j] += T.Exp((potential - cost[j]) * inverse - most[j]);
            }
        }
    }
}
