using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>Factors from which the descent starts: row sums are the masses, the rest is the first projection's.</summary>
internal static class LowRankStarts
{
    /// <summary>Share of random factors in a start from clusters: no entry may be zero, and equal entries must differ to part.</summary>
    private const double RandomShare = 0.1;
    private const int Refinements = 10;

    /// <summary>Entropy of the coarse alignment, as a share of the loss of its product coupling.</summary>
    private const double CoarseEntropy = 0.05;
    private const int CoarseIterations = 200;

    /// <summary>Fills Q, R and g.</summary>
    public static void Fill(LowRankCosts c1, LowRankCosts c2, LowRankOptions options, LowRankFactor q, LowRankFactor r, double[] weights, CancellationToken cancellation)
    {
        switch (options.Start)
        {
            case LowRankStart.RankTwo: RankTwo(q.Values, r.Values, weights); break;
            case LowRankStart.Random: Random(q.Values, r.Values, weights, options.Seed + (ulong)options.Variant); break;
            default: FromClusters(c1, c2, options, q, r, weights, cancellation); break;
        }
    }

    /// <summary>|normal| + 1, rows scaled to their masses and weights to 1.</summary>
    private static void Random(Matrix<double> q, Matrix<double> r, double[] weights, ulong seed)
    {
        CounterRandom random = new(seed, stream: 0x6C72);
        for (int k = 0; k < weights.Length; k++) weights[k] = Math.Abs(random.NextNormal()) + 1;
        TensorPrimitives.Divide(weights, TensorPrimitives.Sum<double>(weights), weights);
        foreach (Matrix<double> factor in (ReadOnlySpan<Matrix<double>>)[q, r])
            for (int i = 0; i < factor.Rows; i++)
            {
                Span<double> row = factor.Row(i);
                for (int k = 0; k < row.Length; k++) row[k] = Math.Abs(random.NextNormal()) + 1;
                TensorPrimitives.Multiply(row, 1 / (TensorPrimitives.Sum<double>(row) * factor.Rows), row);
            }
    }

    /// <summary>λ a1 g1ᵀ + (1 - λ) a2 g2ᵀ with ramps a1 and g1 and what makes the masses uniform.</summary>
    private static void RankTwo(Matrix<double> q, Matrix<double> r, double[] weights)
    {
        int rank = weights.Length;
        double share = 0.5 / Math.Max(rank, Math.Max(q.Rows, r.Rows));
        Array.Fill(weights, 1.0 / rank);
        double[] ramp = Ramp(rank), rest = Rest(ramp, share);
        foreach (Matrix<double> factor in (ReadOnlySpan<Matrix<double>>)[q, r])
        {
            double[] rows = Ramp(factor.Rows), others = Rest(rows, share);
            for (int i = 0; i < factor.Rows; i++)
                for (int k = 0; k < rank; k++) factor.Row(i)[k] = share * rows[i] * ramp[k] + (1 - share) * others[i] * rest[k];
        }
    }

    private static double[] Ramp(int count)
    {
        double[] ramp = new double[count];
        for (int i = 0; i < count; i++) ramp[i] = 2.0 * (i + 1) / ((double)count * (count + 1));
        return ramp;
    }

    private static double[] Rest(double[] ramp, double share)
    {
        double[] rest = new double[ramp.Length];
        for (int i = 0; i < rest.Length; i++) rest[i] = (1.0 / rest.Length - share * ramp[i]) / (1 - share);
        return rest;
    }

    /// <summary>With cluster memberships Z1, Z2 and a coupling G of the clusters, Q = Z1 diag(1 / mass) G, R = Z2 and g the masses of the second domain's clusters.</summary>
    private static void FromClusters(LowRankCosts c1, LowRankCosts c2, LowRankOptions options, LowRankFactor q, LowRankFactor r, double[] weights, CancellationToken cancellation)
    {
        // The mirrored start has the clusters of the usual one, so that what differs is how they are aligned.
        ulong other = options.Variant > 1 ? (ulong)options.Variant << 24 : 0;
        using Clusters first = Clusters.Of(c1, q, options.Seed, 0x636C31 + other, cancellation), second = Clusters.Of(c2, r, options.Seed, 0x636C32 + other, cancellation);
        using Matrix<double> coarse = Align(first, second, options, cancellation);
        Random(q.Values, r.Values, weights, options.Seed);
        second.Masses.CopyTo(weights.AsSpan());
        for (int i = 0; i < c1.Count; i++)
        {
            Span<double> row = q.Values.Row(i);
            int cluster = first.Labels[i];
            TensorPrimitives.Multiply(row, RandomShare, row);
            TensorPrimitives.MultiplyAdd<double>(coarse.Row(cluster), (1 - RandomShare) / (first.Masses[cluster] * c1.Count), row, row);
        }
        for (int j = 0; j < c2.Count; j++)
        {
            Span<double> row = r.Values.Row(j);
            TensorPrimitives.Multiply(row, RandomShare, row);
            row[second.Labels[j]] += (1 - RandomShare) / c2.Count;
        }
    }

    private static Matrix<double> Align(Clusters first, Clusters second, LowRankOptions options, CancellationToken cancellation)
    {
        double loss = MeanSquare(first) + MeanSquare(second) - 2 * Mean(first) * Mean(second);
        if (!(loss > 0))
        {
            Matrix<double> product = first.Costs.Device.AllocateMatrix<double>(first.Masses.Length, second.Masses.Length);
            for (int k = 0; k < product.Rows; k++) TensorPrimitives.Multiply(second.Masses, first.Masses[k], product.Row(k));
            return product;
        }
        GromovOptions settings = new() { Epsilon = CoarseEntropy * loss, MaxIterations = CoarseIterations, Tolerance = 1e-6 };
        using Matrix<double>? landmarks = options.Variant > 1 ? StartingCouplings.Random(first.Costs, second.Costs, options.Seed, options.Variant) : null;
        Matrix<double> found = Solve(landmarks);
        if (options.Variant != 1) return found;
        using (found)
        {
            using Matrix<double> mirrored = StartingCouplings.Mirrored(first.Costs, second.Costs, found);
            return Solve(mirrored);
        }

        Matrix<double> Solve(Matrix<double>? initial)
        {
            using GromovResult result = EntropicGromovWasserstein.Solve(first.Costs, second.Costs, settings, initial: initial, p: first.Masses, q: second.Masses, cancellation: cancellation);
            return result.Coupling.CopyOnHost();
        }
    }

    private static double Mean(Clusters clusters) => Sum(clusters, x => x);

    private static double MeanSquare(Clusters clusters) => Sum(clusters, x => x * x);

    private static double Sum(Clusters clusters, Func<double, double> of)
    {
        double sum = 0;
        for (int k = 0; k < clusters.Masses.Length; k++)
            for (int l = 0; l < clusters.Masses.Length; l++) sum += clusters.Masses[k] * clusters.Masses[l] * of(clusters.Costs.Row(k)[l]);
        return sum;
    }

    /// <summary>A partition of one domain by its costs: k-means++ seeds, then Lloyd's iteration with centres that are known by mean costs (exact for squared distances).</summary>
    private sealed class Clusters(int[] labels, double[] masses, Matrix<double> costs) : IDisposable
    {
        public int[] Labels => labels;

        /// <summary>Share of the points in every cluster, positive [r].</summary>
        public double[] Masses => masses;

        /// <summary>Mean cost between the points of two clusters [r, r].</summary>
        public Matrix<double> Costs => costs;

        public static Clusters Of(LowRankCosts c, LowRankFactor scratch, ulong seed, ulong stream, CancellationToken cancellation)
        {
            int[] labels = CostClustering.Seed(c.Row, c.Count, c.Rank, new CounterRandom(seed, stream), cancellation);
            double[] masses = new double[c.Rank];
            Matrix<double> costs = c.Device.AllocateMatrix<double>(c.Rank, c.Rank);
            using Matrix<double> inverse = c.Device.AllocateMatrix<double>(c.Rank, c.Rank);
            for (int round = 0; ; round++)
            {
                cancellation.ThrowIfCancellationRequested();
                Summarise(c, labels, scratch.Values, masses, costs);
                if (round == Refinements) return new Clusters(labels, masses, costs);
                inverse.Buffer.Clear();
                for (int k = 0; k < masses.Length; k++) inverse.Row(k)[k] = -0.25 / masses[k];
                c.Gradient(inverse.View, scratch.Gradient.View);
                int[] sizes = new int[masses.Length];
                foreach (int label in labels) sizes[label]++;
                if (!CostClustering.Assign(i => scratch.Gradient.Row(i), labels, sizes, costs)) return new Clusters(labels, masses, costs);
            }
        }

        public void Dispose() => costs.Dispose();

        private static void Summarise(LowRankCosts c, int[] labels, Matrix<double> members, double[] masses, Matrix<double> costs)
        {
            members.Buffer.Clear();
            Array.Clear(masses);
            double mass = 1.0 / labels.Length;
            for (int i = 0; i < labels.Length; i++)
            {
                members.Row(i)[labels[i]] = mass;
                masses[labels[i]] += mass;
            }
            c.Products(members.View, costs.View);
            for (int k = 0; k < masses.Length; k++)
                for (int l = 0; l < masses.Length; l++) costs.Row(k)[l] = Math.Max(0, costs.Row(k)[l] / (masses[k] * masses[l]));
            for (int k = 0; k < masses.Length; k++)
                for (int l = 0; l < k; l++) costs.Row(k)[l] = costs.Row(l)[k];
        }
    }
}
