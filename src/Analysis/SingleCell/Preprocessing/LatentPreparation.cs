using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>Which latents are looked for before the sub-sample is drawn.</summary>
public enum LatentChoice
{
    /// <summary>All that are alive.</summary>
    None,

    /// <summary>Those whose class means vary.</summary>
    Variation,

    /// <summary>Those that differ from the control in any mutation.</summary>
    Difference,

    /// <summary>All that are alive; which of them differ is found for each mutation, on the sub-sample.</summary>
    DifferencePerMutation,
}

/// <summary>What is done to the values of the sub-sample, latent by latent.</summary>
public enum LatentScale
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>ln(1 + x).</summary>
    Log,

    /// <summary>(x - mean) / standard deviation, divisor n; a constant latent becomes 0.</summary>
    Std,

    /// <summary>ln(1 + x), then (x - mean) / standard deviation.</summary>
    LogStd,

    /// <summary>x - median.</summary>
    Median,

    /// <summary>(x - median) / (third quartile - first quartile), quartiles interpolated linearly; where both quartiles are equal the difference alone.</summary>
    Iqr,
}

/// <summary>Settings of <see cref="LatentPreparation"/>; the defaults are the paper's.</summary>
public sealed record LatentPreparationOptions
{
    /// <summary>A latent is alive whose share of use, averaged over training, is at least this.</summary>
    public double DeadThreshold { get; init; } = 1e-5;

    /// <summary>Whether every row is brought to unit length.</summary>
    public bool UnitRows { get; init; } = true;

    /// <summary>Classes that stay; null for all.</summary>
    public IReadOnlyList<string>? Classes { get; init; }

    /// <summary>Class that mutations are compared with.</summary>
    public string Control { get; init; } = "Control";

    public LatentChoice Choice { get; init; }

    /// <summary>Smallest coefficient of variation of the class means (standard deviation with divisor k - 1 over the absolute mean).</summary>
    public double MinVariation { get; init; } = 0.1;

    public LatentDifferenceOptions Difference { get; init; } = new();

    /// <summary>Most cells of a class; null for all.</summary>
    public int? PerClass { get; init; } = 10_000;

    public uint Seed { get; init; } = 42;

    public LatentScale Scale { get; init; } = LatentScale.LogStd;
}

/// <summary>Latents made ready for principal components.</summary>
/// <param name="Values">[rows, latents] scaled; owned by the caller.</param>
/// <param name="Rows">Rows of the input that stayed, ascending.</param>
/// <param name="Latents">Columns of the input that stayed, ascending.</param>
/// <param name="Alive">Latents that were alive.</param>
/// <param name="OfClasses">Rows of the classes that take part, before the sub-sample.</param>
/// <param name="Mutations">With <see cref="LatentChoice.DifferencePerMutation"/>: every class other than the control and its comparison, on the sub-sample before it is scaled.</param>
public sealed record PreparedLatents(Matrix<float> Values, int[] Rows, int[] Latents, int Alive, int OfClasses, IReadOnlyList<(string Mutation, LatentComparison Comparison)> Mutations);

/// <summary>
/// The paper's way from a cache of mean activations to the matrix that principal components are taken of. The order matters: alive latents, rows to unit length, classes,
/// filter by variation or difference, sub-sample of every class, scaling over the sub-sample.
/// </summary>
public static class LatentPreparation
{
    /// <param name="latents">Mean activations, cells × latents, in host memory; not changed.</param>
    /// <param name="usage">Share of use of every latent; null when nothing is known, and all count as alive.</param>
    /// <param name="labels">Class of every cell.</param>
    /// <param name="values">A value for every cell, NaN where it is unknown, by which sub-samples prefer cells; null for none.</param>
    /// <param name="options">Settings.</param>
    /// <param name="cancellation">Stops between latents.</param>
    /// <exception cref="DataException">Nothing is left, the control is missing where it is needed, or logarithms are asked for of negative values.</exception>
    public static PreparedLatents Prepare(Matrix<float> latents, IReadOnlyList<double>? usage, IReadOnlyList<string> labels, IReadOnlyList<double>? values, LatentPreparationOptions options, CancellationToken cancellation = default)
    {
        int[] alive = [.. Enumerable.Range(0, latents.Columns).Where(j => usage is null || usage[j] >= options.DeadThreshold)];
        Require(alive.Length, $"none of {latents.Columns} latents is alive: every use is below {options.DeadThreshold:g3}");
        int[] rows = [.. Enumerable.Range(0, labels.Count).Where(i => options.Classes?.Contains(labels[i]) ?? true)];
        Require(rows.Length, $"no cell belongs to the classes {string.Join(", ", options.Classes ?? [])}; there are {string.Join(", ", labels.Distinct().Order(StringComparer.Ordinal).Take(8))}");
        string[] classes = [.. rows.Select(i => labels[i])];
        using Matrix<float> work = Chosen(latents, rows, alive);
        // Unit length is over the latents that are alive, whatever filter comes after it.
        if (options.UnitRows) CellPreprocessing.NormaliseRows(work);
        bool[] kept = Filter(work, classes, options, cancellation);
        int[] columns = [.. Enumerable.Range(0, alive.Length).Where(j => kept[j])];
        Require(columns.Length, $"none of {alive.Length} latents that are alive passes the filter");
        int[] sample = options.PerClass is { } most ? ClassSample.Draw(classes, values is null ? null : [.. rows.Select(i => values[i])], most, options.Seed) : [.. Enumerable.Range(0, rows.Length)];
        Matrix<float> chosen = Chosen(work, sample, columns);
        try
        {
            IReadOnlyList<(string, LatentComparison)> mutations = options.Choice == LatentChoice.DifferencePerMutation
                ? LatentDifference.PerMutation(chosen, [.. sample.Select(i => classes[i])], options.Control, options.Difference, cancellation)
                : [];
            Rescale(chosen, options.Scale);
            return new PreparedLatents(chosen, [.. sample.Select(i => rows[i])], [.. columns.Select(j => alive[j])], alive.Length, rows.Length, mutations);
        }
        catch
        {
            chosen.Dispose();
            throw;
        }
    }

    /// <summary>Scales every latent over all rows, in place.</summary>
    /// <exception cref="DataException">Logarithms are asked for of negative values.</exception>
    public static void Rescale(Matrix<float> values, LatentScale scale)
    {
        if (scale is LatentScale.Log or LatentScale.LogStd)
        {
            for (int i = 0; i < values.Rows; i++)
                foreach (float value in values.Row(i))
                    if (value < 0) throw new DataException("X", $"row {i}", $"holds {value}; ln(1 + x) takes activations, which are not negative: scale channels of an encoder by 'std' instead");
            CellPreprocessing.Log1p(values);
        }
        if (scale is LatentScale.Std or LatentScale.LogStd) CellPreprocessing.Standardise(values);
        if (scale is LatentScale.Median or LatentScale.Iqr)
        {
            BlockLoop.Run(values.Device, values.Columns, j =>
            {
                double[] column = new double[values.Rows];
                for (int i = 0; i < column.Length; i++) column[i] = values.Row(i)[j];
                Array.Sort(column);
                double median = Quantile(column, 0.5), width = scale == LatentScale.Iqr ? Quantile(column, 0.75) - Quantile(column, 0.25) : 1;
                if (width == 0) width = 1;
                for (int i = 0; i < values.Rows; i++) values.Row(i)[j] = (float)((values.Row(i)[j] - median) / width);
            });
        }
    }

    /// <summary>Coefficient of variation, over the classes, of the class means of every latent.</summary>
    /// <param name="latents">Cells × latents in host memory.</param>
    /// <param name="labels">Class of every cell; at least two classes.</param>
    public static double[] ClassVariation(Matrix<float> latents, IReadOnlyList<string> labels)
    {
        const double MeanFloor = 1e-12;
        IGrouping<string, int>[] classes = [.. Enumerable.Range(0, labels.Count).GroupBy(i => labels[i]).OrderBy(g => g.Key, StringComparer.Ordinal)];
        double[][] means = Array.ConvertAll(classes, rows =>
        {
            using Matrix<float> own = Gather.Rows(latents, (int[])[.. rows]);
            using DeviceBuffer<double> mean = own.Device.Allocate<double>(own.Columns);
            Reductions.ColumnMeans(own.View, mean.View);
            double[] found = new double[own.Columns];
            mean.CopyTo(found);
            return found;
        });
        return [.. Enumerable.Range(0, latents.Columns).Select(j =>
        {
            double mean = means.Average(m => m[j]), square = means.Sum(m => (m[j] - mean) * (m[j] - mean));
            return Math.Sqrt(square / (means.Length - 1)) / Math.Max(Math.Abs(mean), MeanFloor);
        })];
    }

    private static bool[] Filter(Matrix<float> work, string[] classes, LatentPreparationOptions options, CancellationToken cancellation)
    {
        bool[] all = new bool[work.Columns];
        Array.Fill(all, true);
        if (options.Choice == LatentChoice.None) return all;
        if (classes.Distinct().Count() < 2) throw new DataException("classes", null, $"there is one class only ('{classes[0]}'), so that nothing can vary or differ between classes");
        if (options.Choice == LatentChoice.Variation) return Array.ConvertAll(ClassVariation(work, classes), cv => cv >= options.MinVariation);
        if (!classes.Contains(options.Control)) throw new DataException("classes", null, $"no cell has the class '{options.Control}' to compare with; there are {string.Join(", ", classes.Distinct().Order(StringComparer.Ordinal))}");
        if (options.Choice == LatentChoice.DifferencePerMutation) return all;
        return LatentDifference.Union(work, classes, options.Control, options.Difference, cancellation);
    }

    private static Matrix<float> Chosen(Matrix<float> from, int[] rows, int[] columns)
    {
        using Matrix<float> some = Gather.Rows(from, rows);
        return Gather.Columns(some, columns);
    }

    /// <summary>NumPy's percentile with linear interpolation.</summary>
    private static double Quantile(double[] sorted, double share)
    {
        double place = share * (sorted.Length - 1);
        int below = (int)Math.Floor(place);
        return below + 1 < sorted.Length ? sorted[below] + (place - below) * (sorted[below + 1] - sorted[below]) : sorted[below];
    }

    private static void Require(int left, string problem)
    {
        if (left == 0) throw new DataException("latents", null, problem);
    }
}
