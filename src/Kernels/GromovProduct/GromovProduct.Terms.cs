using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>f1(C1) [n, n] and f2(C2) [m, m], averaged with their transposes, for problems whose coupling has other marginals than the masses.</summary>
public sealed class GromovTermCosts<T>(Matrix<T> first, Matrix<T> second) : IDisposable where T : unmanaged
{
    internal Matrix<T> First => first;
    internal Matrix<T> Second => second;

    public void Dispose()
    {
        first.Dispose();
        second.Dispose();
    }
}

public static unsafe partial class GromovProduct
{
    /// <summary>Prepares the costs that <see cref="UpdateTerms{T}"/> reads.</summary>
    public static GromovTermCosts<T> PrepareTerms<T>(GromovLoss loss, MatrixView<T> c1, MatrixView<T> c2) where T : unmanaged, IFloatingPointIeee754<T> =>
        new(TermCost(loss, first: true, c1), TermCost(loss, first: false, c2));

    /// <summary>
    /// Sets the row and column terms of a problem to those of a coupling with these marginals: f1(C1) r and f2(C2) c. With them
    /// <see cref="Linearise{T}"/> and <see cref="Objective{T}"/> are right for couplings of any mass.
    /// </summary>
    /// <param name="costs">The transformed costs.</param>
    /// <param name="operands">The problem whose terms are set.</param>
    /// <param name="rowSums">r, row sums of the coupling [n].</param>
    /// <param name="columnSums">c, column sums of the coupling [m].</param>
    public static void UpdateTerms<T>(GromovTermCosts<T> costs, GromovOperands<T> operands, DeviceSpan<double> rowSums, DeviceSpan<double> columnSums) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (rowSums.Length != operands.Rows || columnSums.Length != operands.Columns) throw new ArgumentException("The marginals do not fit the problem.", nameof(rowSums));
        UpdateTerm(costs.First, rowSums, operands.RowTerm);
        UpdateTerm(costs.Second, columnSums, operands.ColumnTerm);
    }

    private static void UpdateTerm<T>(Matrix<T> cost, DeviceSpan<double> mass, DeviceBuffer<double> term) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (cost.Device is CudaDevice gpu)
        {
            CudaMoments(gpu, cost.View, mass, term.View, default);
            return;
        }
        TermJob<T> job = new() { Cost = cost.Buffer.Pointer, Count = cost.Rows, Mass = mass.Pointer, Term = term.Pointer };
        RequireCpu(cost.Device).Pool.Run(cost.Rows, ref job);
    }

    private static Matrix<T> TermCost<T>(GromovLoss loss, bool first, MatrixView<T> cost) where T : unmanaged, IFloatingPointIeee754<T>
    {
        Matrix<T> result = cost.Device.AllocateMatrix<T>(cost.Rows, cost.Rows);
        if (cost.Device is CudaDevice gpu)
        {
            CudaTermCost(gpu, loss, first, cost, result.View);
            return result;
        }
        for (int i = 0; i < cost.Rows; i++)
        {
            Span<T> row = result.Row(i);
            for (int k = 0; k < row.Length; k++)
            {
                double forward = Separable(loss, first, double.CreateTruncating(cost.Pointer[i * cost.Stride + k]));
                row[k] = T.CreateTruncating(0.5 * (forward + Separable(loss, first, double.CreateTruncating(cost.Pointer[k * cost.Stride + i]))));
            }
        }
        return result;
    }

    private struct TermJob<T> : IBlockJob where T : unmanaged, IFloatingPointIeee754<T>
    {
        public T* Cost;
        public int Count;
        public double* Mass;
        public double* Term;

        public readonly void Execute(long block, int worker)
        {
            T* row = Cost + block * Count;
            double sum = 0;
            for (int k = 0; k < Count; k++) sum += double.CreateTruncating(row[k]) * Mass[k];
            Term[block] = sum;
        }
    }
}
