namespace BioSup.Data;

/// <summary>An HDF5 file open for reading. The library behind it is used nowhere but in its implementation.</summary>
internal interface IHdf5File : IDisposable
{
    IHdf5Group Root { get; }
}

/// <summary>A group or dataset.</summary>
internal interface IHdf5Node
{
    /// <summary>Path inside the file, for messages: "/obs/line".</summary>
    string Path { get; }

    bool HasAttribute(string name);

    /// <summary>An attribute's value; an empty float array when it has none.</summary>
    NdArray ReadAttribute(string name);

    /// <summary>The object that an attribute holding an object reference points to.</summary>
    IHdf5Node FollowAttribute(string name);
}

internal interface IHdf5Group : IHdf5Node
{
    /// <summary>Names of the children, in file order.</summary>
    IReadOnlyList<string> Names { get; }

    /// <summary>A child, or null.</summary>
    IHdf5Node? Find(string name);
}

internal interface IHdf5Dataset : IHdf5Node
{
    /// <summary>Extents; empty for a scalar.</summary>
    IReadOnlyList<long> Shape { get; }

    /// <summary>True when the dataset has no data space at all (H5S_NULL).</summary>
    bool IsNull { get; }

    /// <summary>True when each element is a record of named fields.</summary>
    bool IsRecord { get; }

    /// <summary>The element type; null for records and what is not supported.</summary>
    ElementType? Type { get; }

    /// <summary>Rows that are stored together; reading a multiple of them reads nothing twice.</summary>
    int RowsPerChunk { get; }

    NdArray Read();

    /// <summary>Whole rows of a two-dimensional numeric dataset, in its own element type.</summary>
    NdArray ReadRows(int start, int count);

    /// <summary>Successive elements of a one-dimensional numeric dataset, in its own element type.</summary>
    NdArray ReadRange(long start, int count);

    RecordArray ReadRecords();
}

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
