using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>Writes a host matrix in the format of the file's extension: .npy, .npz (member "x"), .csv (no header), .safetensors (tensor "x") or .h5ad (X).</summary>
public static class MatrixWriter
{
    /// <summary>The name a matrix gets in formats that need one.</summary>
    public const string MemberName = "x";

    public static void Write(string path, MatrixView<float> matrix) => WriteAs(path, matrix);

    public static void Write(string path, MatrixView<double> matrix) => WriteAs(path, matrix);

    public static void Write(string path, MatrixView<int> matrix) => WriteAs(path, matrix);

    /// <summary>Fails early, before hours of work, when the extension is not one that is written.</summary>
    /// <exception cref="UsageException">The extension is not known.</exception>
    public static void RequireWritable(string path) => _ = Extension(path);

    private static void WriteAs<T>(string path, MatrixView<T> matrix) where T : unmanaged, INumberBase<T>
    {
        MatrixParts<T> parts = new(matrix);
        switch (Extension(path))
        {
            case ".npy": NpyFile.Write(path, matrix); break;
            case ".npz": NpzFile.Write(path, npz => npz.Add(MemberName, parts.View)); break;
            case ".csv": CsvFile.Write(path, matrix); break;
            case ".h5ad": AnnDataFile.Write(path, matrix); break;
            default: SafetensorsFile.Write(path, file => file.Add(MemberName, parts.View)); break;
        }
    }

    private static string Extension(string path)
    {
        string extension = Path.GetExtension(path).ToLowerInvariant();
        return extension is ".npy" or ".npz" or ".csv" or ".safetensors" or ".h5ad"
            ? extension
            : throw new UsageException($"Cannot write {path}: matrices are written as .npy, .npz, .csv, .safetensors or .h5ad.");
    }
}
