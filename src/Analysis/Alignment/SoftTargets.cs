using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// What a coupling says about the first domain's cells, as numbers: the mean distances of their partners to landmarks of the second domain (the barycentric projection
/// where there are no coordinates), and how well those follow from a cell's neighbours.
/// </summary>
internal sealed class SoftTargets
{
    private readonly Matrix<double> _second, _coupling;
    private readonly int[] _landmarks;
    private readonly int[][] _neighbours;

    /// <param name="first">Cost within the first domain [n, n], in host memory.</param>
    /// <param name="second">Cost within the second domain [m, m], in host memory.</param>
    /// <param name="coupling">[n, m], in host memory.</param>
    /// <param name="landmarks">How many landmarks, evenly spread over the second domain's order.</param>
    /// <param name="neighbours">How many neighbours predict a cell.</param>
    public SoftTargets(Matrix<double> first, Matrix<double> second, Matrix<double> coupling, int landmarks, int neighbours)
    {
        (_second, _coupling) = (second, coupling);
        int count = Math.Min(landmarks, second.Rows);
        _landmarks = [.. Enumerable.Range(0, count).Select(l => (int)((long)l * second.Rows / count))];
        _neighbours = new int[first.Rows][];
        double[] row = new double[first.Rows];
        int[] order = new int[first.Rows];
        for (int i = 0; i < first.Rows; i++)
        {
            first.Row(i).CopyTo(row);
            row[i] = double.PositiveInfinity;
            for (int k = 0; k < order.Length; k++) order[k] = k;
            Array.Sort(row, order);
            _neighbours[i] = order[..Math.Min(neighbours, first.Rows - 1)];
        }
    }

    /// <summary>R² of predicting soft targets by the mean of the neighbours', averaged over landmarks, when column j's cell is taken by <paramref name="image"/>[j].</summary>
    public double Predictability(int[]? image = null) => Explained(Compute(image), null);

    /// <summary>The same for soft targets that were dealt out to other cells.</summary>
    public PermutedSoftTargets PermutationNull(ulong seed, int permutations)
    {
        double[][] targets = Compute(null);
        double observed = Explained(targets, null), sum = 0, squares = 0;
        int atLeast = 0;
        int[] order = [.. Enumerable.Range(0, targets.Length)];
        CounterRandom random = new(seed, stream: 0x7065726DUL);
        for (int k = 0; k < permutations; k++)
        {
            random.Shuffle<int>(order);
            double value = Explained(targets, order);
            sum += value;
            squares += value * value;
            if (value >= observed) atLeast++;
        }
        double mean = sum / permutations;
        return new PermutedSoftTargets(observed, mean, Math.Sqrt(Math.Max(0, squares / permutations - mean * mean)), (1 + atLeast) / (1.0 + permutations), permutations);
    }

    private double[][] Compute(int[]? image)
    {
        double[][] targets = new double[_coupling.Rows][];
        for (int i = 0; i < targets.Length; i++)
        {
            ReadOnlySpan<double> mass = _coupling.Row(i);
            double[] target = new double[_landmarks.Length];
            double total = 0;
            for (int j = 0; j < mass.Length; j++)
            {
                if (mass[j] == 0) continue;
                ReadOnlySpan<double> distances = _second.Row(image is null ? j : image[j]);
                for (int l = 0; l < target.Length; l++) target[l] += mass[j] * distances[_landmarks[l]];
                total += mass[j];
            }
            for (int l = 0; l < target.Length; l++) target[l] /= Math.Max(total, double.Epsilon);
            targets[i] = target;
        }
        return targets;
    }

    private double Explained(double[][] targets, int[]? order)
    {
        int n = targets.Length, count = _landmarks.Length;
        double[] mean = new double[count], residual = new double[count], spread = new double[count];
        foreach (double[] target in targets)
            for (int l = 0; l < count; l++) mean[l] += target[l] / n;
        for (int i = 0; i < n; i++)
        {
            double[] own = targets[order is null ? i : order[i]];
            int[] neighbours = _neighbours[i];
            for (int l = 0; l < count; l++)
            {
                double predicted = 0;
                foreach (int k in neighbours) predicted += targets[order is null ? k : order[k]][l];
                predicted /= neighbours.Length;
                residual[l] += (own[l] - predicted) * (own[l] - predicted);
                spread[l] += (own[l] - mean[l]) * (own[l] - mean[l]);
            }
        }
        double sum = 0;
        int varying = 0;
        for (int l = 0; l < count; l++)
        {
            if (spread[l] == 0) continue;
            sum += 1 - residual[l] / spread[l];
            varying++;
        }
        return varying > 0 ? sum / varying : 0;
    }
}
