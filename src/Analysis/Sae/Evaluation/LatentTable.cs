using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>
/// What each latent does on a set of tokens: how often and how strongly it is active, and, with labels, how its activation is shared among classes.
/// Arrays are indexed by latent, class arrays by class and latent.
/// </summary>
public sealed class LatentTable
{
    /// <summary>Added to a class mean before a share or a ratio is formed, as the published code does.</summary>
    private const double ShareFloor = 1e-8;

    private readonly double[] _sums;
    private readonly float[] _maxima;

    internal LatentTable(long tokens, long[] active, double[] sums, float[] maxima, IReadOnlyList<string>? classes, double[][]? classSums, double[][]? classMeans, int[][]? activeImages, int[]? images)
    {
        (Tokens, Active, _sums, _maxima) = (tokens, active, sums, maxima);
        if (classes is null) return;
        (Classes, ClassSums, ClassMeans, ActiveImages, ImagesOfClass) = (classes, classSums!, classMeans!, activeImages!, images!);
    }

    public int Latents => Active.Length;

    public long Tokens { get; }

    /// <summary>Tokens on which each latent is active.</summary>
    public long[] Active { get; }

    /// <summary>Class names, sorted; empty without labels.</summary>
    public IReadOnlyList<string> Classes { get; } = [];

    /// <summary>S_jc: summed activation over the tokens of a class.</summary>
    public double[][] ClassSums { get; } = [];

    /// <summary>Mean over the images of a class of the image's mean activation; tokens stand for images where none are known.</summary>
    public double[][] ClassMeans { get; } = [];

    /// <summary>Images of a class on which the latent is active.</summary>
    public int[][] ActiveImages { get; } = [];

    public int[] ImagesOfClass { get; } = [];

    /// <summary>Share of tokens on which a latent is active.</summary>
    public double Rate(int latent) => (double)Active[latent] / Tokens;

    /// <summary>Mean activation over the tokens on which a latent is active; 0 if there is none.</summary>
    public double MeanActivation(int latent) => Active[latent] > 0 ? _sums[latent] / Active[latent] : 0;

    public float MaxActivation(int latent) => _maxima[latent];

    /// <summary>Summed activation over all tokens.</summary>
    public double Total(int latent) => _sums[latent];

    /// <summary>Largest share of a class in the summed activation; NaN for a silent latent.</summary>
    public double Purity(int latent)
    {
        double total = 0, largest = 0;
        foreach (double[] sums in ClassSums) (total, largest) = (total + sums[latent], Math.Max(largest, sums[latent]));
        return total > 0 ? largest / total : double.NaN;
    }

    /// <summary>Entropy in bits of the classes' shares in the summed activation; NaN for a silent latent.</summary>
    public double Entropy(int latent)
    {
        double total = 0, bits = 0;
        foreach (double[] sums in ClassSums) total += sums[latent];
        foreach (double[] sums in ClassSums) if (sums[latent] > 0) bits -= sums[latent] / total * Math.Log2(sums[latent] / total);
        return total > 0 ? bits : double.NaN;
    }

    /// <summary>1 − Σ p_c², p the classes' shares in the class means (each + 1e-8): 0 for one class alone, 1 − 1/classes for an even share.</summary>
    public double GiniImpurity(int latent)
    {
        double total = 0, square = 0;
        foreach (double[] means in ClassMeans) total += means[latent] + ShareFloor;
        foreach (double[] means in ClassMeans) square += Math.Pow((means[latent] + ShareFloor) / total, 2);
        return 1 - square;
    }

    /// <summary>Largest class mean over the smallest (each + 1e-8).</summary>
    public double MaxMinRatio(int latent) => (ClassMeans.Max(m => m[latent]) + ShareFloor) / (ClassMeans.Min(m => m[latent]) + ShareFloor);

    /// <summary>The class with the largest mean.</summary>
    public int TopClass(int latent)
    {
        int best = 0;
        for (int c = 1; c < ClassMeans.Length; c++) if (ClassMeans[c][latent] > ClassMeans[best][latent]) best = c;
        return best;
    }

    /// <summary>Images of all classes on which a latent is active.</summary>
    public int ActiveOverClasses(int latent) => ActiveImages.Sum(a => a[latent]);

    /// <summary>Latents by decades of their firing rate: bin k counts rates from 10^(first + k / perDecade); silent latents are not among them.</summary>
    public double[] LogRates() => [.. Active.Where(a => a > 0).Select(a => Math.Log10((double)a / Tokens))];
}

/// <summary>Collects a <see cref="LatentTable"/> token by token.</summary>
internal sealed class LatentAccumulator
{
    private readonly long[] _active;
    private readonly double[] _sums, _image;
    private readonly float[] _maxima;
    private readonly LabelPlan? _plan;
    private readonly double[][] _classSums = [], _classMeans = [];
    private readonly int[][] _activeImages = [];
    private readonly List<int> _touched = [];
    private int _current = -1;

    public LatentAccumulator(int latents, LabelPlan? plan)
    {
        (_active, _sums, _maxima, _image, _plan) = (new long[latents], new double[latents], new float[latents], new double[latents], plan);
        if (plan is null) return;
        _classSums = [.. plan.Classes.Select(_ => new double[latents])];
        _classMeans = [.. plan.Classes.Select(_ => new double[latents])];
        _activeImages = [.. plan.Classes.Select(_ => new int[latents])];
    }

    /// <summary>Adds a token; tokens come in order.</summary>
    public int Add(long token, ReadOnlySpan<float> row)
    {
        int image = _plan?.ImageOf(token) ?? -1, count = 0;
        if (image != _current) CloseImage(image);
        double[]? classSums = _plan is null ? null : _classSums[_plan.ClassOfImage[image]];
        for (int j = row.IndexOfAnyExcept(0f); j >= 0;)
        {
            float value = row[j];
            count++;
            _active[j]++;
            _sums[j] += value;
            _maxima[j] = Math.Max(_maxima[j], value);
            if (classSums is not null)
            {
                classSums[j] += value;
                if (_image[j] == 0) _touched.Add(j);
                _image[j] += value;
            }
            int next = row[(j + 1)..].IndexOfAnyExcept(0f);
            j = next < 0 ? -1 : j + 1 + next;
        }
        return count;
    }

    public LatentTable Finish(long tokens)
    {
        CloseImage(-1);
        if (_plan is null) return new LatentTable(tokens, _active, _sums, _maxima, null, null, null, null, null);
        int[] images = new int[_plan.Classes.Length];
        foreach (int c in _plan.ClassOfImage) images[c]++;
        for (int c = 0; c < images.Length; c++)
            for (int j = 0; j < _sums.Length; j++) _classMeans[c][j] /= Math.Max(1, images[c]);
        return new LatentTable(tokens, _active, _sums, _maxima, _plan.Classes, _classSums, _classMeans, _activeImages, images);
    }

    private void CloseImage(int next)
    {
        if (_current >= 0)
        {
            int c = _plan!.ClassOfImage[_current], rows = _plan.RowsOf(_current);
            foreach (int j in _touched)
            {
                _classMeans[c][j] += _image[j] / rows;
                _activeImages[c][j]++;
                _image[j] = 0;
            }
            _touched.Clear();
        }
        _current = next;
    }
}

/// <summary>Which class every token belongs to, by its image or by itself.</summary>
internal sealed class LabelPlan
{
    private readonly long[]? _first;
    private int _image;

    private LabelPlan(string[] classes, int[] classOfImage, long[]? first) => (Classes, ClassOfImage, _first) = (classes, classOfImage, first);

    /// <summary>Sorted.</summary>
    public string[] Classes { get; }

    /// <summary>By image; by token where images are not known.</summary>
    public int[] ClassOfImage { get; }

    public static LabelPlan Create(IReadOnlyList<string> labels, long tokens, IReadOnlyList<int>? rowsPerImage, string option = "--labels")
    {
        string[] classes = [.. labels.Distinct().Order(StringComparer.Ordinal)];
        int[] classOfLabel = [.. labels.Select(l => Array.BinarySearch(classes, l, StringComparer.Ordinal))];
        bool images = rowsPerImage is { Count: > 0 };
        if (images && labels.Count == rowsPerImage!.Count) return new LabelPlan(classes, classOfLabel, FirstRows(rowsPerImage));
        if (labels.Count == tokens) return new LabelPlan(classes, classOfLabel, null);
        throw new DataException(option, null, $"there are {labels.Count} labels for {tokens} tokens{(images ? $" of {rowsPerImage!.Count} images" : "")}; expected one for each");
    }

    /// <summary>Tokens are asked for in ascending order.</summary>
    public int ImageOf(long token)
    {
        if (_first is null) return (int)token;
        while (token >= _first[_image + 1]) _image++;
        return _image;
    }

    public int RowsOf(int image) => _first is null ? 1 : (int)(_first[image + 1] - _first[image]);

    private static long[] FirstRows(IReadOnlyList<int> rowsPerImage)
    {
        long[] first = new long[rowsPerImage.Count + 1];
        for (int i = 0; i < rowsPerImage.Count; i++) first[i + 1] = first[i] + rowsPerImage[i];
        return first;
    }
}
