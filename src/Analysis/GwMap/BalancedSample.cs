using BioSup.Runtime;

namespace BioSup.Analysis.GwMap;

/// <summary>How many images and cells take part.</summary>
public sealed record BalancedSampleOptions
{
    /// <summary>Labels that take part; null for all that occur on both sides.</summary>
    public IReadOnlyList<string>? Labels { get; init; }

    /// <summary>Most images, over all labels together.</summary>
    public int MaxImages { get; init; } = 12_000;

    /// <summary>Most cells, over all labels together.</summary>
    public int MaxCells { get; init; } = 12_000;

    /// <summary>Fewest images and cells of a label: with less, nothing within a label can be judged.</summary>
    public int MinPerLabel { get; init; } = 20;

    public ulong Seed { get; init; }
}

/// <summary>
/// As many images as cells of every label, drawn without replacement and shuffled, as GW-map does for two genotypes:
/// n per label = min(sizes of all groups on both sides, max images / labels, max cells / labels).
/// </summary>
public sealed class BalancedSample
{
    private BalancedSample(string[] labels, int perLabel, int[] images, int[] cells, string[] imageLabels, string[] cellLabels) =>
        (Labels, PerLabel, Images, Cells, ImageLabels, CellLabels) = (labels, perLabel, images, cells, imageLabels, cellLabels);

    /// <summary>The labels that take part, in ordinal order.</summary>
    public IReadOnlyList<string> Labels { get; }

    /// <summary>Images, and cells, of each label.</summary>
    public int PerLabel { get; }

    /// <summary>Rows of the images that were drawn, in the order in which they stand in every result.</summary>
    public int[] Images { get; }

    /// <summary>Rows of the cells that were drawn, likewise.</summary>
    public int[] Cells { get; }

    /// <summary>Label of every drawn image.</summary>
    public string[] ImageLabels { get; }

    /// <summary>Label of every drawn cell.</summary>
    public string[] CellLabels { get; }

    /// <summary>Places, within the sample, of the images of one label.</summary>
    public int[] ImagesOf(string label) => Places(ImageLabels, label);

    /// <summary>Places, within the sample, of the cells of one label.</summary>
    public int[] CellsOf(string label) => Places(CellLabels, label);

    /// <param name="imageLabels">A label for every image; empty for none.</param>
    /// <param name="cellLabels">A label for every cell; empty for none.</param>
    /// <param name="options">Which labels and how many.</param>
    /// <exception cref="DataException">Fewer than two labels occur on both sides, a label that was asked for does not, or a group is too small.</exception>
    public static BalancedSample Draw(IReadOnlyList<string> imageLabels, IReadOnlyList<string> cellLabels, BalancedSampleOptions options)
    {
        string[] labels = Shared(imageLabels, cellLabels, options.Labels);
        int[][] images = [.. labels.Select(l => Places(imageLabels, l))], cells = [.. labels.Select(l => Places(cellLabels, l))];
        int least = images.Concat(cells).Min(group => group.Length);
        int perLabel = Math.Min(least, Math.Min(options.MaxImages, options.MaxCells) / labels.Length);
        if (perLabel < options.MinPerLabel)
        {
            string smallest = labels[Array.FindIndex(labels, l => Places(imageLabels, l).Length == least || Places(cellLabels, l).Length == least)];
            throw new DataException("labels", $"label '{smallest}'", perLabel < least
                ? $"{Math.Min(options.MaxImages, options.MaxCells)} rows at most leave {perLabel} for each of {labels.Length} labels; at least {options.MinPerLabel} are needed"
                : $"there are {least} images or cells of this label; at least {options.MinPerLabel} of every label are needed on both sides");
        }
        CounterRandom random = new(options.Seed, stream: 0x67776D6170);
        int[] drawnImages = Take(images, perLabel, ref random), drawnCells = Take(cells, perLabel, ref random);
        return new BalancedSample(labels, perLabel, drawnImages, drawnCells, [.. drawnImages.Select(i => imageLabels[i])], [.. drawnCells.Select(i => cellLabels[i])]);
    }

    private static string[] Shared(IReadOnlyList<string> imageLabels, IReadOnlyList<string> cellLabels, IReadOnlyList<string>? wanted)
    {
        string[] images = Distinct(imageLabels), cells = Distinct(cellLabels), shared = [.. images.Intersect(cells, StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        if (wanted is not null)
        {
            foreach (string label in wanted)
            {
                if (shared.Contains(label)) continue;
                string side = images.Contains(label) ? "cells" : "images";
                throw new DataException("labels", $"label '{label}'", $"none of the {side} carries it; labels of the images: {Some(images)}; of the cells: {Some(cells)}");
            }
            shared = [.. wanted.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        }
        return shared.Length >= 2 ? shared
            : throw new DataException("labels", null, $"images and cells share {(shared.Length == 0 ? "no label" : $"the label '{shared[0]}' only")}, and at least two are needed; "
                + $"labels of the images: {Some(images)}; of the cells: {Some(cells)}");
    }

    private static string[] Distinct(IReadOnlyList<string> labels) => [.. labels.Where(l => l.Length > 0).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];

    private static string Some(string[] labels) => labels.Length == 0 ? "none" : string.Join(", ", labels.Take(6)) + (labels.Length > 6 ? $" and {labels.Length - 6} more" : "");

    private static int[] Places(IReadOnlyList<string> labels, string label) => [.. Enumerable.Range(0, labels.Count).Where(i => labels[i] == label)];

    private static int[] Take(int[][] groups, int perLabel, ref CounterRandom random)
    {
        List<int> drawn = [];
        foreach (int[] group in groups)
        {
            random.Shuffle<int>(group);
            drawn.AddRange(group.AsSpan(0, perLabel));
        }
        int[] all = [.. drawn];
        random.Shuffle<int>(all);
        return all;
    }
}
