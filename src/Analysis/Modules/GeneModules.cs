using BioSup.Analysis.SingleCell;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Modules;

/// <summary>
/// Modules of genes whose profiles go together: each gene is joined to the k genes with the largest Pearson correlation, an edge weighs that correlation
/// (negative ones are no edges), and <see cref="Leiden"/> finds the communities at each resolution, independently of the other levels.
/// </summary>
public static class GeneModules
{
    /// <param name="profiles">[genes, images]: predicted expression of each gene over the images (or any profile), finite.</param>
    /// <param name="genes">Names of the rows.</param>
    /// <param name="options">Resolutions, neighbours and seed.</param>
    /// <param name="progress">Hears of every level.</param>
    /// <param name="cancel">Ends the work with <see cref="OperationCanceledException"/>.</param>
    /// <exception cref="UsageException">There are fewer than two genes or images, names and rows do not fit, or a profile is not finite.</exception>
    public static ModuleHierarchy Find(MatrixView<float> profiles, IReadOnlyList<string> genes, ModuleOptions options, IProgressReporter? progress = null, CancellationToken cancel = default)
    {
        options.Check();
        if (profiles.Rows != genes.Count) throw new UsageException($"{genes.Count} genes have {profiles.Rows} profiles.");
        if (profiles.Rows < 2 || profiles.Columns < 2) throw new UsageException($"Gene modules need at least 2 genes and 2 images, not {profiles.Rows} and {profiles.Columns}.");
        if ((long)profiles.Rows * profiles.Columns > Array.MaxLength) throw new UsageException($"Profiles of {profiles.Rows} genes over {profiles.Columns} images are too many; take fewer genes.");
        int[] varying = Varying(profiles, genes);
        LeidenGraph graph = Graph(profiles, varying, options.Neighbours, out int k);
        int levels = options.Resolutions.Length;
        int[][] module = new int[levels][];
        double[] modularity = new double[levels];
        for (int l = 0; l < levels; l++)
        {
            (progress ?? SilentProgress.Instance).Report("grouping genes into modules", l, levels);
            LeidenResult found = Leiden.Run(graph, new LeidenOptions { Resolution = options.Resolutions[l], Seed = options.Seed, Runs = options.Runs }, null, cancel);
            (module[l], modularity[l]) = (found.Community, found.Modularity);
        }
        return new ModuleHierarchy(genes, options.Resolutions, module, modularity, k, [.. Enumerable.Range(0, genes.Count).Except(varying).Select(g => genes[g])]);
    }

    /// <summary>The genes whose profile varies beyond the rounding of single precision; a constant row has no correlation.</summary>
    private static int[] Varying(MatrixView<float> profiles, IReadOnlyList<string> genes)
    {
        int images = profiles.Columns;
        float[] row = new float[images];
        List<int> varying = [];
        for (int g = 0; g < profiles.Rows; g++)
        {
            profiles.RowBlock(g, 1).CopyTo(row);
            float low = row[0], high = row[0];
            for (int i = 0; i < images; i++)
            {
                if (!float.IsFinite(row[i])) throw new UsageException($"The profile of gene {genes[g]} is {row[i]} at image {i}; profiles are finite.");
                (low, high) = (Math.Min(low, row[i]), Math.Max(high, row[i]));
            }
            if (high - low > 1e-6f * Math.Max(Math.Abs(low), Math.Abs(high))) varying.Add(g);
        }
        return [.. varying];
    }

    private static LeidenGraph Graph(MatrixView<float> profiles, int[] rows, int neighbours, out int k)
    {
        ComputeDevice device = profiles.Device;
        k = Math.Max(0, Math.Min(neighbours, rows.Length - 1));
        if (k == 0) return LeidenGraph.FromEdges(profiles.Rows, [], []);
        using Matrix<float> unit = device.Host.AllocateMatrix<float>(rows.Length, profiles.Columns);
        for (int i = 0; i < rows.Length; i++)
        {
            profiles.RowBlock(rows[i], 1).CopyTo(unit.Row(i));
            Standardise(unit.Row(i));
        }
        using PlacedMatrix<float> placed = unit.At(device);
        using Matrix<int> indices = device.AllocateMatrix<int>(rows.Length, k);
        using Matrix<float> distances = device.AllocateMatrix<float>(rows.Length, k);
        KNearestNeighbours.SearchSelf(DistanceMetric.Correlation, placed.Matrix.View, indices.View, distances.View);
        return Symmetric(profiles.Rows, rows, indices.ToArray(), distances.ToArray(), k);
    }

    /// <summary>An edge wherever either gene has the other among its k; where both have, it is one edge.</summary>
    private static LeidenGraph Symmetric(int genes, int[] rows, int[] indices, float[] distances, int k)
    {
        List<int> from = [], to = [];
        List<double> weights = [];
        for (int i = 0; i < rows.Length; i++)
        {
            for (int e = 0; e < k; e++)
            {
                int j = indices[i * k + e];
                double correlation = 1.0 - distances[i * k + e];
                if (correlation <= 0 || (j < i && indices.AsSpan(j * k, k).Contains(i))) continue;
                from.Add(rows[i]);
                to.Add(rows[j]);
                weights.Add(correlation);
            }
        }
        return LeidenGraph.FromEdges(genes, [.. from], [.. to], [.. weights]);
    }

    /// <summary>Centred and scaled in double precision: profiles with a large mean would lose their digits in single.</summary>
    private static void Standardise(Span<float> row)
    {
        double mean = 0, square = 0;
        foreach (float x in row) mean += x;
        mean /= row.Length;
        foreach (float x in row) square += (x - mean) * (x - mean);
        double scale = 1 / Math.Sqrt(square / row.Length);
        for (int i = 0; i < row.Length; i++) row[i] = (float)((row[i] - mean) * scale);
    }
}
