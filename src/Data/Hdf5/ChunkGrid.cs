namespace BioSup.Data;

/// <summary>Where one chunk lies: <see cref="Bytes"/> stored bytes at <see cref="Address"/>; bit i of <see cref="Skipped"/> says that filter i was not applied.</summary>
internal readonly record struct ChunkPlace(ulong Address, long Bytes, uint Skipped)
{
    /// <summary>False for a chunk that was never written.</summary>
    public bool Exists => Bytes > 0;
}

/// <summary>An array cut into equal boxes, the last along each axis reaching over its end.</summary>
internal sealed class ChunkGrid
{
    private readonly long[] _shape, _limits, _extents, _counts;

    /// <param name="shape">Extents of the array.</param>
    /// <param name="limits">Extents that it may grow to; -1 for no limit.</param>
    /// <param name="extents">Extents of a chunk.</param>
    /// <param name="elementBytes">Bytes of an element.</param>
    public ChunkGrid(long[] shape, long[] limits, long[] extents, int elementBytes)
    {
        (_shape, _limits, _extents, ElementBytes) = (shape, limits, extents, elementBytes);
        _counts = new long[shape.Length];
        long total = 1, bytes = elementBytes;
        for (int i = 0; i < shape.Length; i++)
        {
            _counts[i] = (shape[i] + extents[i] - 1) / extents[i];
            total = checked(total * _counts[i]);
            bytes = checked(bytes * extents[i]);
        }
        Total = checked((int)total);
        ChunkBytes = checked((int)bytes);
    }

    public int Rank => _shape.Length;
    public int ElementBytes { get; }

    /// <summary>Bytes of a chunk before its filters.</summary>
    public int ChunkBytes { get; }

    /// <summary>Chunks that the array crosses.</summary>
    public int Total { get; }

    public IReadOnlyList<long> Shape => _shape;

    /// <summary>Extents that the array may grow to; -1 for no limit.</summary>
    public IReadOnlyList<long> Limits => _limits;
    public IReadOnlyList<long> Extents => _extents;
    public IReadOnlyList<long> Counts => _counts;

    /// <summary>Coordinates of a chunk, in chunks; the last axis runs fastest.</summary>
    public void Locate(int chunk, Span<long> coordinates)
    {
        for (int i = Rank - 1; i >= 0; i--) (chunk, coordinates[i]) = ((int)(chunk / _counts[i]), chunk % _counts[i]);
    }

    /// <summary>The number of the chunk at coordinates; -1 outside the array.</summary>
    public int Number(ReadOnlySpan<long> coordinates)
    {
        long number = 0;
        for (int i = 0; i < Rank; i++)
        {
            if (coordinates[i] < 0 || coordinates[i] >= _counts[i]) return -1;
            number = number * _counts[i] + coordinates[i];
        }
        return (int)number;
    }

    /// <summary>Whether a chunk reaches over the end of the array.</summary>
    public bool IsPartial(ReadOnlySpan<long> coordinates)
    {
        for (int i = 0; i < Rank; i++)
            if ((coordinates[i] + 1) * _extents[i] > _shape[i]) return true;
        return false;
    }
}
