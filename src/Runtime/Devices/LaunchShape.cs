namespace BioSup.Runtime;

/// <summary>Extents in three directions; those not given are 1.</summary>
public readonly record struct Extent(int X, int Y = 1, int Z = 1)
{
    public long Count => (long)X * Y * Z;

    public static implicit operator Extent(int x) => new(x);

    public override string ToString() => Z > 1 ? $"{X}x{Y}x{Z}" : Y > 1 ? $"{X}x{Y}" : $"{X}";
}

/// <summary>How many blocks of how many threads run a kernel.</summary>
/// <param name="Grid">Blocks in each direction.</param>
/// <param name="Block">Threads of a block in each direction.</param>
/// <param name="SharedBytes">Dynamic shared memory of a block; more than 48 KiB is asked of the device automatically.</param>
/// <param name="Cluster">Blocks of a thread block cluster (compute capability 9.0 and later); 1 for none.</param>
public readonly record struct LaunchShape(Extent Grid, Extent Block, int SharedBytes = 0, int Cluster = 1)
{
    /// <summary>Enough blocks of <paramref name="block"/> threads to have one thread per item.</summary>
    public static LaunchShape For(long items, int block, int sharedBytes = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(items);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(block);
        return new LaunchShape(new Extent(checked((int)((items + block - 1) / block))), new Extent(block), sharedBytes);
    }
}

/// <summary>An address in a device's memory as a kernel takes it: eight bytes.</summary>
public readonly record struct DevicePointer(ulong Address)
{
    public static DevicePointer Null => default;
}
