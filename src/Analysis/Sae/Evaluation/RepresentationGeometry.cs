using BioSup.Analysis.Geometry;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>Effective rank of one set of vectors in the three conditions of the paper; NaN where all rows are equal.</summary>
/// <param name="Plain">Of the centred rows.</param>
/// <param name="Components">Of their coordinates on the leading principal components: the entropy of the leading singular values alone.</param>
/// <param name="NormedComponents">The same after rows were brought to unit length and columns to unit deviation.</param>
public sealed record RepresentationRanks(double Plain, double Components, double NormedComponents);

/// <summary>Ranks of one class's images in two representations.</summary>
public sealed record ClassRank(string Class, int Images, RepresentationRanks Raw, RepresentationRanks Latents);

/// <summary>Raw activations and latents as representations of the same images.</summary>
/// <param name="Samples">Images that took part.</param>
/// <param name="Components">Principal components that <see cref="RepresentationRanks.Components"/> keeps, at most; fewer where samples or dimensions are fewer.</param>
/// <param name="Raw">Ranks of the mean tokens [images, d_in].</param>
/// <param name="Latents">Ranks of the mean activations [images, d_sae].</param>
/// <param name="CkaLatents">Linear CKA of mean tokens and latents.</param>
/// <param name="CkaReconstruction">Linear CKA of mean tokens and their reconstructions.</param>
/// <param name="Classes">Ranks by class; empty without labels.</param>
public sealed record RepresentationGeometry(int Samples, int Components, RepresentationRanks Raw, RepresentationRanks Latents, double CkaLatents, double CkaReconstruction, IReadOnlyList<ClassRank> Classes)
{
    // Decompositions grow with the cube of the samples.
    private const int MostDecomposed = 1000;

    /// <param name="model">The model.</param>
    /// <param name="samples">Of that model.</param>
    /// <param name="classes">A class for every sample; null for none.</param>
    /// <param name="components">Principal components kept, at least 1.</param>
    internal static RepresentationGeometry Measure(SaeModel model, SaeSamples samples, string[]? classes, int components, CancellationToken cancellation)
    {
        int[] all = [.. Enumerable.Range(0, samples.Rows.Length)];
        using Matrix<float> rebuilt = samples.Reconstructions(model);
        int[] chosen = [.. all.Where(i => (long)i * MostDecomposed / all.Length != (long)(i - 1) * MostDecomposed / all.Length || all.Length <= MostDecomposed)];
        using Matrix<double> raw = Rows(model, samples.Raw, chosen), latents = Rows(model, samples.Latents, chosen), again = Rows(model, rebuilt, chosen);
        cancellation.ThrowIfCancellationRequested();
        double ckaLatents = Cka(raw, latents), ckaReconstruction = Cka(raw, again);
        return new RepresentationGeometry(chosen.Length, components, Ranks(raw, components), Ranks(latents, components), ckaLatents, ckaReconstruction,
            classes is null ? [] : [.. classes.Distinct().Order(StringComparer.Ordinal).Select(ByClass)]);

        ClassRank ByClass(string name)
        {
            cancellation.ThrowIfCancellationRequested();
            int[] own = [.. all.Where(i => classes![i] == name)];
            using Matrix<double> x = Rows(model, samples.Raw, [.. own.Take(MostDecomposed)]), y = Rows(model, samples.Latents, [.. own.Take(MostDecomposed)]);
            return new ClassRank(name, own.Length, Ranks(x, components), Ranks(y, components));
        }
    }

    /// <summary>All three ranks; <paramref name="x"/> [n, d] is changed.</summary>
    internal static RepresentationRanks Ranks(Matrix<double> x, int components)
    {
        (double plain, double leading) = Rank(x, components);
        x.EditOnHost(Standardise);
        return new RepresentationRanks(plain, leading, Rank(x, components).Leading);
    }

    /// <summary>Coordinates on the k leading components have the k leading singular values: no component has to be formed.</summary>
    private static (double All, double Leading) Rank(Matrix<double> x, int components)
    {
        try
        {
            EffectiveRankResult result = EffectiveRank.Measure(x, centre: true);
            return (result.Value, EffectiveRank.OfSpectrum(result.SingularValues.AsSpan(0, Math.Min(components, result.SingularValues.Length))));
        }
        catch (DataException)
        {
            return (double.NaN, double.NaN);
        }
    }

    /// <summary>Rows to unit length, then columns to mean 0 and deviation 1 (divisor n); zero rows and constant columns become zero.</summary>
    private static void Standardise(Matrix<double> x)
    {
        for (int i = 0; i < x.Rows; i++)
        {
            double length = 0;
            foreach (double v in x.Row(i)) length += v * v;
            length = Math.Sqrt(length);
            if (length > 0) foreach (ref double v in x.Row(i)) v /= length;
        }
        for (int k = 0; k < x.Columns; k++)
        {
            double mean = 0, squares = 0;
            for (int i = 0; i < x.Rows; i++) mean += x.Row(i)[k] / x.Rows;
            for (int i = 0; i < x.Rows; i++) squares += (x.Row(i)[k] - mean) * (x.Row(i)[k] - mean);
            // Of rows of unit length, a smaller deviation is rounding.
            double deviation = Math.Sqrt(squares / x.Rows);
            for (int i = 0; i < x.Rows; i++) x.Row(i)[k] = deviation > 1e-12 ? (x.Row(i)[k] - mean) / deviation : 0;
        }
    }

    private static Matrix<double> Rows(SaeModel model, Matrix<float> values, int[] rows)
    {
        using Matrix<float> chosen = Gather.Rows(values, rows);
        using PlacedMatrix<float> placed = chosen.At(model.Device);
        return Elementwise.Converted<float, double>(placed.Matrix.View);
    }

    /// <summary>NaN where all rows are equal, such as those of a model whose latents are all silent.</summary>
    private static double Cka(Matrix<double> x, Matrix<double> y)
    {
        try
        {
            return LinearCka.Measure(x, y);
        }
        catch (DataException)
        {
            return double.NaN;
        }
    }
}
