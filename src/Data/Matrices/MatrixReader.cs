using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// Reads a matrix from any format by its locator (<see cref="Locator"/>), converted to float32 or float64. Rows are cells, tokens or
/// observations, columns are features; a one-dimensional array of n becomes n x 1.
/// </summary>
public static class MatrixReader
{
    // Below this size a copy costs less than keeping a file mapped.
    private const long MapThresholdBytes = 4L << 20;

    /// <summary>Reads as float32. A large C-order float32 .npy on a host device is memory-mapped: its memory must only be read.</summary>
    /// <param name="device">Where the matrix shall live.</param>
    /// <param name="locator">FILE, FILE:MEMBER or a folder of token shards.</param>
    /// <param name="requireFinite">NaN and infinity are errors that name row and column.</param>
    public static Matrix<float> ReadSingle(ComputeDevice device, string locator, bool requireFinite = true) =>
        OnDevice(device, Checked(Read<float>(device.Host, Locator.Parse(locator)), locator, requireFinite));

    /// <summary>Reads as float64. A large C-order float64 .npy on a host device is memory-mapped: its memory must only be read.</summary>
    /// <inheritdoc cref="ReadSingle"/>
    public static Matrix<double> ReadDouble(ComputeDevice device, string locator, bool requireFinite = true) =>
        OnDevice(device, Checked(Read<double>(device.Host, Locator.Parse(locator)), locator, requireFinite));

    /// <summary>Rows and columns, from headers alone where the format has them; a .csv is read.</summary>
    /// <exception cref="DataException">There is no such matrix.</exception>
    public static (int Rows, int Columns) ReadShape(string locator)
    {
        Locator parsed = Locator.Parse(locator);
        switch (parsed.Kind)
        {
            case FileKind.Npy:
                parsed.RequireNoMember();
                return MatrixLoader.MatrixShape(NpyFile.ReadHeader(parsed.Path).Shape, locator);
            case FileKind.Npz:
                using (NpzFile npz = NpzFile.Open(parsed.Path))
                    return MatrixLoader.MatrixShape(npz.ReadHeader(parsed.Member is null && npz.Members.Count == 1 ? npz.Members[0] : parsed.RequireMember("the array", npz.Members)).Shape, locator);
            case FileKind.Safetensors:
                using (SafetensorsFile file = SafetensorsFile.Open(parsed.Path))
                    return MatrixLoader.MatrixShape(file.Entry(parsed.RequireMember("the tensor", file.Names)).Shape, locator);
            case FileKind.AnnData:
                return AnnDataFile.ReadShape(parsed.Path, string.IsNullOrEmpty(parsed.Member) ? "X" : parsed.Member);
            case FileKind.TokenShards:
                return MatrixLoader.MatrixShape([TokenIndex.Read(parsed.Path) is var index ? index.Rows : 0, index.Columns], locator);
            default:
                using (CpuDevice host = new(1))
                using (Matrix<float> matrix = Read<float>(host, parsed))
                    return (matrix.Rows, matrix.Columns);
        }
    }

    /// <summary>A file is decoded and looked at in host memory, whatever device its values are for.</summary>
    private static Matrix<T> OnDevice<T>(ComputeDevice device, Matrix<T> matrix) where T : unmanaged
    {
        if (device.IsHost) return matrix;
        using (matrix) return matrix.CopyAt(device);
    }

    private static Matrix<T> Read<T>(CpuDevice device, Locator locator) where T : unmanaged, IFloatingPointIeee754<T>
    {
        switch (locator.Kind)
        {
            case FileKind.Npy:
                locator.RequireNoMember();
                return ReadNpy<T>(device, locator.Path);
            case FileKind.Npz:
                using (NpzFile npz = NpzFile.Open(locator.Path))
                {
                    // An archive of one array needs no name.
                    string member = locator.Member is null && npz.Members.Count == 1 ? npz.Members[0] : locator.RequireMember("the array", npz.Members);
                    return npz.ReadMatrix<T>(device, member);
                }
            case FileKind.Safetensors:
                using (SafetensorsFile file = SafetensorsFile.Open(locator.Path))
                    return file.ReadMatrix<T>(device, locator.RequireMember("the tensor", file.Names));
            case FileKind.Csv:
                return locator.Member is null ? CsvFile.ReadMatrix<T>(device, locator.Path) : FromColumn<T>(device, CsvFile.ReadColumn(locator.Path, locator.Member));
            case FileKind.AnnData:
                // Without a member, X is meant.
                return AnnDataFile.ReadMatrix<T>(device, locator.Path, string.IsNullOrEmpty(locator.Member) ? "X" : locator.Member);
            case FileKind.TokenShards:
                return ReadShards<T>(device, locator.Path);
            default:
                throw new UsageException($"{locator.Text}: no matrix can be read from this kind of file.");
        }
    }

    private static Matrix<T> ReadNpy<T>(CpuDevice device, string path) where T : unmanaged, INumberBase<T> => SourceGuard.Read(path, "npy", () =>
    {
        using FileStream stream = SourceGuard.Open(path);
        NpyHeader header = NpyHeader.Read(stream, path);
        if (header.Storage != NpyStorage.Numeric) throw new DataException(path, null, "holds text; numbers were expected");
        (int rows, int columns) = MatrixLoader.MatrixShape(header.ShapeArray, path);
        NpyDecoder.RequireBytes(header, stream.Length - header.DataOffset, path, null);
        if (NpyFile.CanMap<T>(header) && header.Count * header.ItemSize >= MapThresholdBytes) return NpyFile.MapChecked<T>(device, path, header);
        return MatrixLoader.Load<T>(device, stream, new MatrixLoader.Layout(header.Type, header.BigEndian, header.FortranOrder), rows, columns);
    });

    private static Matrix<T> ReadShards<T>(CpuDevice device, string folder) where T : unmanaged, IFloatingPointIeee754<T>
    {
        using TokenShards shards = TokenShards.Open(folder, requireFinite: false);
        if (typeof(T) == typeof(float)) return (Matrix<T>)(object)shards.ReadAll(device);
        using Matrix<float> tokens = shards.ReadAll(device);
        T[] wide = new T[(long)tokens.Rows * tokens.Columns];
        for (int i = 0; i < tokens.Rows; i++)
            for (int j = 0; j < tokens.Columns; j++) wide[(long)i * tokens.Columns + j] = T.CreateTruncating(tokens.Row(i)[j]);
        return Matrix<T>.From(device, tokens.Rows, tokens.Columns, wide);
    }

    private static Matrix<T> FromColumn<T>(CpuDevice device, Column column) where T : unmanaged, INumberBase<T> =>
        MatrixLoader.FromArray<T>(device, NdArray.Vector(column.Numbers), column.Name);

    private static Matrix<T> Checked<T>(Matrix<T> matrix, string locator, bool requireFinite) where T : unmanaged
    {
        if (!requireFinite) return matrix;
        try
        {
            if (matrix is Matrix<float> single) FiniteCheck.Require(single.View, locator);
            else if (matrix is Matrix<double> wide) FiniteCheck.Require(wide.View, locator);
            return matrix;
        }
        catch
        {
            matrix.Dispose();
            throw;
        }
    }
}
