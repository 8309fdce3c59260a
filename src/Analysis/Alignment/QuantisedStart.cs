using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// A start from a small problem (as in quantised Gromov-Wasserstein; Chowdhury, Miller and Needham 2021): clusters of both domains are aligned from several starts, and the best coupling of clusters
/// is spread over the points that belong to them. Since costs between clusters are means, the coarse problem is the whole one for couplings that do not tell points of a cluster apart. Balanced problems.
/// </summary>
internal sealed class QuantisedStart : IDisposable
{
    /// <summary>Starts of the coarse problem: the product of the masses, its result mirrored, and random ones.</summary>
    private const int CoarseStarts = 10;
    private readonly Quantisation _first, _second;
    private readonly Matrix<double> _coarse;

    private QuantisedStart(Quantisation first, Quantisation second, Matrix<double> coarse) => (_first, _second, _coarse) = (first, second, coarse);

    /// <summary>Loss of the coarse coupling, and of the one from the product of the masses.</summary>
    public required (double Best, double Product) CoarseLoss { get; init; }

    /// <summary>Solves the coarse problem of two costs.</summary>
    /// <param name="c1">First domain.</param>
    /// <param name="c2">Second domain.</param>
    /// <param name="settings">How starts are solved: the epsilon is that of the whole problem.</param>
    /// <param name="seed">Seed of clusters and random starts.</param>
    /// <param name="cancellation">Stops between solves.</param>
    public static QuantisedStart Of(DomainCostResult c1, DomainCostResult c2, GromovOptions settings, ulong seed, CancellationToken cancellation)
    {
        Quantisation? first = null, second = null;
        try
        {
            first = Quantisation.Of(c1, seed, 0, cancellation);
            second = Quantisation.Of(c2, seed, 1, cancellation);
            GromovOptions coarse = settings with { Precision = GromovPrecision.Double };
            (Matrix<double> best, double product, double loss) = Solve(first, second, coarse, seed, cancellation);
            LinearTransport.Round(best, first.Masses, second.Masses);
            return new QuantisedStart(first, second, best) { CoarseLoss = (loss, product) };
        }
        catch
        {
            first?.Dispose();
            second?.Dispose();
            throw;
        }
    }

    /// <summary>The coupling of the points [n, m]: a cluster's mass is spread evenly over those that belong to it, so that the masses are kept exactly. In host memory.</summary>
    public Matrix<double> Expand()
    {
        int n = _first.Labels.Length, m = _second.Labels.Length;
        Matrix<double> coupling = _coarse.Device.AllocateMatrix<double>(n, m);
        double[] shares = new double[_second.Masses.Length];
        for (int i = 0; i < n; i++)
        {
            int a = _first.Labels[i];
            // Of the masses P_a and Q_b a point has 1 / n and 1 / m.
            for (int b = 0; b < shares.Length; b++) shares[b] = _coarse.Row(a)[b] / (_first.Masses[a] * n) / (_second.Masses[b] * m);
            Span<double> row = coupling.Row(i);
            for (int j = 0; j < m; j++) row[j] = shares[_second.Labels[j]];
        }
        return coupling;
    }

    /// <summary>Γ = Xᵀ T Y [d1, d2] of that coupling, which is that of the clusters' mean points.</summary>
    public Matrix<double> Moments(SquaredDistanceDomain x, SquaredDistanceDomain y)
    {
        ComputeDevice device = x.Points.Device;
        using Matrix<double> first = Means(x, _first), second = Means(y, _second), moved = device.AllocateMatrix<double>(_coarse.Rows, y.Dimensions);
        Gemm.Multiply(Transpose.No, Transpose.No, 1, _coarse.View, second.View, 0, moved.View);
        Matrix<double> gamma = device.AllocateMatrix<double>(x.Dimensions, y.Dimensions);
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1, first.View, moved.View, 0, gamma.View);
        return gamma;
    }

    public void Dispose()
    {
        _first.Dispose();
        _second.Dispose();
        _coarse.Dispose();
    }

    private static Matrix<double> Means(SquaredDistanceDomain domain, Quantisation quantised)
    {
        Matrix<double> means = domain.Points.Device.AllocateMatrix<double>(quantised.Masses.Length, domain.Dimensions);
        means.Buffer.Clear();
        for (int i = 0; i < domain.Count; i++)
        {
            int label = quantised.Labels[i];
            Span<double> mean = means.Row(label);
            TensorPrimitives.MultiplyAdd(domain.Points.Row(i), 1 / (quantised.Masses[label] * domain.Count), mean, mean);
        }
        return means;
    }

    /// <summary>The coupling of the clusters with the lowest loss of several starts; the earlier one where losses are equal.</summary>
    private static (Matrix<double> Coupling, double ProductLoss, double Loss) Solve(Quantisation first, Quantisation second, GromovOptions settings, ulong seed, CancellationToken cancellation)
    {
        GromovResult From(Matrix<double>? initial)
        {
            using (initial) return EntropicGromovWasserstein.Solve(first.Costs, second.Costs, settings, initial: initial, p: first.Masses, q: second.Masses, cancellation: cancellation);
        }

        GromovResult best = From(null);
        double product = best.Loss;
        try
        {
            for (int start = 1; start < CoarseStarts; start++)
            {
                GromovResult found = From(start == 1 ? StartingCouplings.Mirrored(first.Costs, second.Costs, best.Coupling) : StartingCouplings.Random(first.Costs, second.Costs, seed, start));
                if (found.Loss < best.Loss * (1 - AlignmentSearch.WorthwhileGain)) (best, found) = (found, best);
                found.Dispose();
            }
            return (best.Coupling.CopyOnHost(), product, best.Loss);
        }
        finally
        {
            best.Dispose();
        }
    }
}
