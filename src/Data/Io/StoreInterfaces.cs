namespace BioSup.Data;

/// <summary>A hierarchy of groups and arrays open for reading: an HDF5 file or a zarr store. The libraries behind them are used nowhere but in their implementations.</summary>
internal interface IStoreFile : IDisposable
{
    IStoreGroup Root { get; }
}

/// <summary>A group or an array.</summary>
internal interface IStoreNode
{
    /// <summary>Path inside the file, for messages: "/obs/line".</summary>
    string Path { get; }

    bool HasAttribute(string name);

    /// <summary>An attribute's value; an empty float array when it has none.</summary>
    NdArray ReadAttribute(string name);

    /// <summary>The object that an attribute holding an object reference points to; zarr has no such references.</summary>
    IStoreNode FollowAttribute(string name);
}

internal interface IStoreGroup : IStoreNode
{
    /// <summary>Names of the children, in file order.</summary>
    IReadOnlyList<string> Names { get; }

    /// <summary>A child, or null.</summary>
    IStoreNode? Find(string name);
}

internal interface IStoreArray : IStoreNode
{
    /// <summary>Extents; empty for a scalar.</summary>
    IReadOnlyList<long> Shape { get; }

    /// <summary>True when it stands for nothing at all (H5S_NULL; zarr: its encoding says so).</summary>
    bool IsNull { get; }

    /// <summary>True when each element is a record of named fields.</summary>
    bool IsRecord { get; }

    /// <summary>The element type; null for records and what is not supported.</summary>
    ElementType? Type { get; }

    /// <summary>Rows that are stored together; reading a multiple of them reads nothing twice.</summary>
    int RowsPerChunk { get; }

    NdArray Read();

    /// <summary>Whole rows of a two-dimensional numeric array, in its own element type.</summary>
    NdArray ReadRows(int start, int count);

    /// <summary>Successive elements of a one-dimensional numeric array, in its own element type.</summary>
    NdArray ReadRange(long start, int count);

    RecordArray ReadRecords();
}
