using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells;

/// <summary>Reads what <c>biosup cells</c> is given, whatever the format, as an annotated matrix.</summary>
internal static class CellsInput
{
    /// <summary>What may be given, for the description of the argument.</summary>
    public const string Formats = "IN.h5ad, IN.zarr or IN.zarr.zip; latents as .npz (the published code's caches, or written by 'sae encode'); a matrix as .npz:member, .npy, .safetensors:NAME or .csv; counts as a 10x folder or .h5";

    /// <param name="host">Where matrices are held while they are read.</param>
    /// <param name="text">File, FILE:member or folder.</param>
    /// <exception cref="UsageException">The format is not one that is read.</exception>
    /// <exception cref="DataException">The file is missing or damaged, or a value is not finite.</exception>
    public static AnnData Read(CpuDevice host, string text)
    {
        AnnData data = ReadAny(host, text);
        data.Validate(text);
        if (data.ObservationCount == 0 || data.VariableCount == 0) throw new DataException(text, null, $"there are {data.ObservationCount} cells and {data.VariableCount} variables; at least one of each was expected");
        if (data.Var.Index.Distinct(StringComparer.Ordinal).Count() < data.VariableCount)
            data.Warnings.Add($"{text}: some variables share a name; AnnData allows it, but tools that look genes up by name (Seurat, scanpy's plots) want unique ones.");
        return data;
    }

    private static AnnData ReadAny(CpuDevice host, string text)
    {
        if (IsTenX(text)) return TenXFile.Read(text);
        Locator locator = Locator.Parse(text);
        switch (locator.Kind)
        {
            case FileKind.AnnData:
                if (!string.IsNullOrEmpty(locator.Member)) throw new UsageException($"{text}: name the {Path.GetExtension(locator.Path)} file alone; steps take layers and representations by name.");
                return AnnDataFile.Read(locator.Path);
            case FileKind.Npz:
                return CellArchive.Read(host, locator.Path, locator.Member);
            case FileKind.Csv:
                return ReadCsv(host, locator);
            case FileKind.Npy or FileKind.Safetensors:
                using (Matrix<float> matrix = MatrixReader.ReadSingle(host, text)) return OfMatrix(matrix);
            default:
                throw new UsageException($"{text}: single cells are read from .h5ad, .zarr, .zarr.zip, .npz, .npy, .safetensors, .csv and 10x folders.");
        }
    }

    private static bool IsTenX(string path) => path.EndsWith(".h5", StringComparison.OrdinalIgnoreCase) && File.Exists(path)
        || Directory.Exists(path) && (File.Exists(Path.Combine(path, "matrix.mtx")) || File.Exists(Path.Combine(path, "matrix.mtx.gz")));

    private static AnnData OfMatrix(Matrix<float> matrix) => new(DataFrame.OfRows(matrix.Rows), CellArchive.Numbered("feature", matrix.Columns)) { X = CellArchive.Stored(matrix) };

    private static AnnData ReadCsv(CpuDevice host, Locator locator)
    {
        if (locator.Member is not null) throw new UsageException($"{locator.Text}: name the table alone; every column but the names of the rows is a variable.");
        using Matrix<float> matrix = CsvFile.ReadSingle(host, locator.Path);
        FiniteCheck.Require(matrix.View, locator.Path);
        Table table = CsvFile.Read(locator.Path);
        bool named = table.Columns.Count == matrix.Columns + 1;
        string[] names = [.. table.Columns.Skip(named ? 1 : 0).Select(c => c.Name)];
        return new AnnData(named ? new DataFrame(table.Columns[0].Text) : DataFrame.OfRows(matrix.Rows), new DataFrame(names)) { X = CellArchive.Stored(matrix) };
    }
}
