using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Small point clouds for alignment tests.</summary>
internal static class Clouds
{
    public static Matrix<double> Normal(ComputeDevice device, int n, int d, ulong seed)
    {
        CounterRandom random = new(seed);
        Matrix<double> x = device.AllocateMatrix<double>(n, d);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < d; j++) x.Row(i)[j] = random.NextNormal() * (d - j);
        return x;
    }

    /// <summary>Clusters of unequal sizes at corners of a lopsided simplex, so that no exchange of clusters is a symmetry.</summary>
    public static (Matrix<double> X, string[] Labels) Clusters(ComputeDevice device, int n, int d, ulong seed, double spread = 0.3)
    {
        (double X, double Y)[] centres = [(0, 0), (3, 0), (0, 6), (8, 8)];
        double[] shares = [0.4, 0.7, 0.9, 1.0];
        CounterRandom random = new(seed);
        Matrix<double> x = device.AllocateMatrix<double>(n, d);
        string[] labels = new string[n];
        for (int i = 0; i < n; i++)
        {
            int c = Array.FindIndex(shares, share => (i + 0.5) / n < share);
            labels[i] = $"type {c}";
            for (int j = 0; j < d; j++) x.Row(i)[j] = spread * random.NextNormal() + (j == 0 ? centres[c].X : j == 1 ? centres[c].Y : 0);
        }
        return (x, labels);
    }

    public static Matrix<double> Permuted(Matrix<double> x, int[] order)
    {
        Matrix<double> result = x.Device.AllocateMatrix<double>(x.Rows, x.Columns);
        for (int i = 0; i < x.Rows; i++) x.Row(order[i]).CopyTo(result.Row(i));
        return result;
    }

    public static int[] Order(int n, ulong seed)
    {
        int[] order = [.. Enumerable.Range(0, n)];
        new CounterRandom(seed).Shuffle<int>(order);
        return order;
    }


}
