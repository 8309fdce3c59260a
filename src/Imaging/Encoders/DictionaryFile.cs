using System.Globalization;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>
/// A <see cref="ConvolutionalDictionary"/> as safetensors: <c>centroids</c> [atoms, d], <c>whitening</c> [d, d], <c>mean</c> [d] with
/// d = channels * window * window, float32; the shape in the metadata.
/// </summary>
public static class DictionaryFile
{
    private const string Format = "biosup-convolutional-dictionary";

    /// <summary>Writes the file; equal dictionaries give equal bytes.</summary>
    public static void Save(string path, ConvolutionalDictionary dictionary) => SafetensorsFile.Write(path, writer =>
    {
        writer.AddMetadata("format", Format);
        writer.AddMetadata("channels", Text(dictionary.Channels));
        writer.AddMetadata("window", Text(dictionary.Window));
        writer.AddMetadata("stride", Text(dictionary.Stride));
        writer.AddMetadata("cell", Text(dictionary.Cell));
        writer.AddMetadata("contrast_epsilon", Text(dictionary.Windows.ContrastEpsilon));
        writer.Add("centroids", dictionary.Centroids);
        writer.Add("whitening", dictionary.Whitening);
        writer.Add("mean", dictionary.Windows.Mean);
    });

    /// <exception cref="DataException">Not such a file, or tensors that do not fit together.</exception>
    public static ConvolutionalDictionary Load(CpuDevice device, string path)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        if (!file.Metadata.TryGetValue("format", out string? format) || format != Format)
            throw new DataException(path, "metadata", $"this is not a convolutional dictionary (format '{Format}')");
        int channels = Number(file, path, "channels", 64), side = Number(file, path, "window", 64), stride = Number(file, path, "stride", 1 << 14), cell = Number(file, path, "cell", 1 << 14);
        if (!double.TryParse(Entry(file, path, "contrast_epsilon"), NumberStyles.Float, CultureInfo.InvariantCulture, out double epsilon) || !(epsilon > 0) || !double.IsFinite(epsilon))
            throw new DataException(path, "contrast_epsilon", "a number larger than 0 was expected");
        int length = channels * side * side;
        float[] mean = file.ReadVector("mean", length);
        Matrix<float> whitening = Read(device, file, path, "whitening", length, length), centroids;
        try
        {
            centroids = Read(device, file, path, "centroids", null, length);
        }
        catch
        {
            whitening.Dispose();
            throw;
        }
        return new ConvolutionalDictionary(device, new WindowReader(channels, side, stride, epsilon, mean), cell, whitening, centroids);
    }

    private static Matrix<float> Read(CpuDevice device, SafetensorsFile file, string path, string name, int? rows, int columns)
    {
        Matrix<float> matrix = file.ReadSingle(device, name);
        bool fits = matrix.Columns == columns && (rows is null ? matrix.Rows >= 2 : matrix.Rows == rows);
        bool finite = fits && Enumerable.Range(0, matrix.Rows).All(i => matrix.Row(i).ToArray().All(float.IsFinite));
        if (finite) return matrix;
        string problem = fits ? "holds values that are not finite" : $"is {matrix.Rows} x {matrix.Columns}; {rows?.ToString(CultureInfo.InvariantCulture) ?? "atoms"} x {columns} was expected";
        matrix.Dispose();
        throw new DataException(path, name, problem);
    }

    private static string Entry(SafetensorsFile file, string path, string key) =>
        file.Metadata.TryGetValue(key, out string? text) ? text : throw new DataException(path, key, "this entry of the metadata is missing");

    private static int Number(SafetensorsFile file, string path, string key, int most) =>
        int.TryParse(Entry(file, path, key), NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value >= 1 && value <= most
            ? value
            : throw new DataException(path, key, $"a whole number between 1 and {most} was expected");

    private static string Text(IFormattable value) => value.ToString(null, CultureInfo.InvariantCulture);
}
