namespace BioSup.Data;

/// <summary>What is written to an HDF5 file: groups of groups and datasets.</summary>
internal sealed class Hdf5Group : Hdf5Node
{
    public Dictionary<string, Hdf5Node> Children { get; } = new(StringComparer.Ordinal);
}

/// <summary>A dataset to be written: an array, rows or elements delivered while writing, or nothing (a null data space).</summary>
internal sealed class Hdf5Dataset : Hdf5Node
{
    public NdArray? Array { get; init; }
    public RecordArray? Records { get; init; }
    public Hdf5Rows? Rows { get; init; }
    public Hdf5Vector? Vector { get; init; }
}

/// <summary>A two-dimensional dataset whose rows are asked for block by block.</summary>
internal sealed record Hdf5Rows(ElementType Type, int RowCount, int ColumnCount, Func<int, int, Array> Read);

/// <summary>A one-dimensional dataset whose elements are asked for block by block.</summary>
internal sealed record Hdf5Vector(ElementType Type, long Length, Func<long, int, Array> Read);

internal abstract class Hdf5Node
{
    /// <summary>Attributes: text, bool, or an array.</summary>
    public Dictionary<string, NdArray> Attributes { get; } = new(StringComparer.Ordinal);
}
