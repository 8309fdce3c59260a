using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// Where a coupling sends cells it was not computed with. A converged entropic coupling is T_ij = exp((f_i + g_j − cost_ij) / ε) with the cost linearised at T, which for a
/// new cell follows from its distances to the first domain's cells: its partners are one softmax over the columns, with the column potentials g.
/// </summary>
public sealed class OutOfSampleMap : IDisposable
{
    private readonly GromovOptions _options;
    private readonly Matrix<double> _transported;
    private double[] _potentials = [];

    private OutOfSampleMap(GromovOptions options, Matrix<double> transported) => (_options, _transported) = (options, transported);

    /// <summary>Prepares the map of a coupling between uniform masses.</summary>
    /// <param name="c1">Symmetric cost within the first domain [n, n], in any memory; the map works on the host.</param>
    /// <param name="c2">Symmetric cost within the second domain [m, m].</param>
    /// <param name="coupling">A converged coupling [n, m].</param>
    /// <param name="options">How it was solved; not by ppa, whose coupling depends on all those before it.</param>
    /// <param name="fused">Cost between the domains [n, m], or null.</param>
    /// <exception cref="UsageException">The solver was ppa.</exception>
    public static OutOfSampleMap Fit(Matrix<double> c1, Matrix<double> c2, Matrix<double> coupling, GromovOptions options, Matrix<double>? fused = null)
    {
        if (options.Solver == GromovSolverKind.Ppa) throw new UsageException("A coupling found by ppa has no out-of-sample map: epsilon is a step size there; use pgd.");
        CpuDevice device = c1.Device.Host;
        using PlacedMatrix<double> first = c1.OnHost(), second = c2.OnHost(), plan = coupling.OnHost();
        int n = first.Matrix.Rows, m = second.Matrix.Rows;
        using Matrix<double> coupled = device.AllocateMatrix<double>(m, m);
        bool square = options.Loss == GromovLoss.Square;
        for (int j = 0; j < m; j++)
        {
            ReadOnlySpan<double> from = second.Matrix.Row(j);
            Span<double> to = coupled.Row(j);
            // h2 of the loss (Peyré, Cuturi and Solomon 2016, proposition 1); the 1e-15 is POT's guard for zero costs.
            for (int l = 0; l < m; l++) to[l] = square ? 2 * from[l] : Math.Log(from[l] + 1e-15);
        }
        Matrix<double> transported = device.AllocateMatrix<double>(n, m);
        Gemm.Multiply(Transpose.No, Transpose.Yes, 1, plan.Matrix.View, coupled.View, 0, transported.View);
        OutOfSampleMap map = new(options, transported);
        using Matrix<double> cost = map.Cost(first.Matrix, fused);
        using DeviceBuffer<double> p = device.Allocate<double>(n), q = device.Allocate<double>(m), f = device.Allocate<double>(n), g = device.Allocate<double>(m);
        p.CopyFrom(EntropicGromovWasserstein.Uniform(n));
        q.CopyFrom(EntropicGromovWasserstein.Uniform(m));
        using SinkhornWorkspace<double> workspace = new(device, n, m);
        SinkhornScaling.Solve(workspace, cost.View, p.View, q.View, options.Epsilon, f.View, g.View, options.Inner with { MaxIterations = 5000, Tolerance = 1e-9, CheckEvery = 1, Accelerate = true });
        map._potentials = new double[m];
        g.CopyTo(map._potentials);
        return map;
    }

    /// <summary>Partners of cells: row i of the result sums to one over the second domain.</summary>
    /// <param name="distances">Costs between the new cells and the first domain's [k, n], in host memory and in the units of its cost.</param>
    /// <param name="fused">Costs between the new cells and the second domain's [k, m] where the problem was fused.</param>
    /// <returns>[k, m], in host memory.</returns>
    public Matrix<double> Map(Matrix<double> distances, Matrix<double>? fused = null)
    {
        Matrix<double> partners = Cost(distances, fused);
        for (int i = 0; i < partners.Rows; i++)
        {
            Span<double> row = partners.Row(i);
            for (int j = 0; j < row.Length; j++) row[j] = (_potentials[j] - row[j]) / _options.Epsilon;
        }
        Softmax.Rows(partners.View, partners.View);
        return partners;
    }

    internal static bool IsSymmetric(Matrix<double> cost)
    {
        for (int i = 0; i < cost.Rows; i++)
            for (int j = 0; j < i; j++)
                if (Math.Abs(cost.Row(i)[j] - cost.Row(j)[i]) > 1e-10) return false;
        return true;
    }

    public void Dispose() => _transported.Dispose();

    /// <summary>The linearised cost of cells with these distances, without what is the same for all partners of a cell, or for all cells with one partner: the potentials hold that.</summary>
    private Matrix<double> Cost(Matrix<double> distances, Matrix<double>? fused)
    {
        double scale = _options.Convention == EpsilonConvention.Pot ? 2 : 1;
        Matrix<double> cost = _transported.Device.AllocateMatrix<double>(distances.Rows, _transported.Columns);
        Gemm.Multiply(Transpose.No, Transpose.No, 1, distances.View, _transported.View, 0, cost.View);
        using PlacedMatrix<double> between = (fused ?? cost).OnHost();
        for (int i = 0; i < cost.Rows; i++)
        {
            Span<double> row = cost.Row(i);
            for (int j = 0; j < row.Length; j++)
            {
                row[j] = -scale * _options.Alpha * row[j];
                if (fused is not null) row[j] += 0.5 * scale * (1 - _options.Alpha) * between.Matrix.Row(i)[j];
            }
        }
        return cost;
    }
}
