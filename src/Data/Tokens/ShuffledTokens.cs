using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// The rows of a token source in random order with bounded memory. The rows are cut into blocks of neighbouring rows; the blocks are
/// permuted; as many blocks as fit into the memory limit form a window, whose rows are permuted in turn. The order is a pure function of
/// (rows, columns, seed, epoch, window size): it depends neither on threads nor on how the tokens are cut into shards, and any position can
/// be resumed.
/// </summary>
public sealed class ShuffledTokens : IDisposable
{
    /// <summary>Memory of the window unless the caller asks for another.</summary>
    public const long DefaultWindowBytes = 256L << 20;

    // 64 KiB in one read is enough for a disk; smaller blocks mix better.
    private const int BlockBytes = 64 << 10;
    private readonly ITokenSource _source;
    private readonly CpuDevice _host = new(1);
    private readonly Matrix<float> _window;
    private readonly int[] _blocks;
    private readonly int[] _rowOrder;
    private readonly int _rowsPerBlock;
    private readonly int _blocksPerWindow;
    private readonly ulong _seed;
    private ulong _epoch;
    private int _loadedWindow = -1;
    private int _loadedRows;
    private long _firstRowOfWindow;

    /// <param name="source">Not disposed here.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="epoch">Every epoch has an order of its own.</param>
    /// <param name="windowBytes">Memory limit; part of what defines the order.</param>
    public ShuffledTokens(ITokenSource source, ulong seed, ulong epoch = 0, long windowBytes = DefaultWindowBytes)
    {
        _source = source;
        _seed = seed;
        long rowBytes = sizeof(float) * (long)source.Columns;
        _rowsPerBlock = (int)Math.Max(1, BlockBytes / rowBytes);
        long blocks = (source.Rows + _rowsPerBlock - 1) / _rowsPerBlock;
        if (blocks > Array.MaxLength) throw new UsageException($"{source.Rows} tokens are too many to be shuffled.");
        _blocksPerWindow = (int)Math.Clamp(windowBytes / rowBytes / _rowsPerBlock, 1, Math.Max(1, blocks));
        _blocks = new int[blocks];
        _rowOrder = new int[Math.Min((long)_blocksPerWindow * _rowsPerBlock, source.Rows)];
        _window = _host.AllocateMatrix<float>(_rowOrder.Length, source.Columns);
        Restart(epoch);
    }

    /// <summary>Rows delivered so far in this epoch; set it to resume anywhere.</summary>
    public long Position { get; private set; }

    /// <summary>Starts an epoch at a position.</summary>
    public void Restart(ulong epoch, long position = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(position, _source.Rows);
        _epoch = epoch;
        Position = position;
        _loadedWindow = -1;
        for (int i = 0; i < _blocks.Length; i++) _blocks[i] = i;
        CounterRandom random = new(_seed, Stream(0));
        random.Shuffle(_blocks.AsSpan());
    }

    /// <summary>Fills a host batch with the next rows; fewer, and at the end of the epoch none.</summary>
    /// <param name="batch">Any number of rows, the source's columns.</param>
    /// <param name="rows">Receives the row number in the source of each row delivered; may be empty.</param>
    /// <returns>Rows delivered.</returns>
    public int Next(MatrixView<float> batch, Span<long> rows = default)
    {
        int done = 0;
        while (done < batch.Rows && Position < _source.Rows)
        {
            LoadWindowAt(Position);
            int at = (int)(Position - _firstRowOfWindow);
            int count = Math.Min(batch.Rows - done, _loadedRows - at);
            for (int i = 0; i < count; i++)
            {
                int slot = _rowOrder[at + i];
                _window.Row(slot).CopyTo(batch.Row(done + i));
                if (rows.Length > 0) rows[done + i] = SourceRow(slot);
            }
            done += count;
            Position += count;
        }
        return done;
    }

    public void Dispose()
    {
        _window.Dispose();
        _host.Dispose();
    }

    private void LoadWindowAt(long position)
    {
        if (_loadedWindow >= 0 && position >= _firstRowOfWindow && position < _firstRowOfWindow + _loadedRows) return;
        // All blocks have the same length but the source's last one, wherever the permutation put it.
        int window = 0;
        long first = 0;
        int rows;
        while (position >= first + (rows = RowsOfWindow(window)))
        {
            first += rows;
            window++;
        }
        int filled = 0;
        foreach (int block in WindowBlocks(window))
        {
            int count = RowsOfBlock(block);
            _source.Read((long)block * _rowsPerBlock, _window.View.RowBlock(filled, count));
            filled += count;
        }
        for (int i = 0; i < rows; i++) _rowOrder[i] = i;
        CounterRandom random = new(_seed, Stream(window + 1));
        random.Shuffle(_rowOrder.AsSpan(0, rows));
        _loadedWindow = window;
        _loadedRows = rows;
        _firstRowOfWindow = first;
    }

    private ReadOnlySpan<int> WindowBlocks(int window)
    {
        int start = window * _blocksPerWindow;
        return _blocks.AsSpan(start, Math.Min(_blocksPerWindow, _blocks.Length - start));
    }

    private int RowsOfBlock(int block) => (int)Math.Min(_rowsPerBlock, _source.Rows - (long)block * _rowsPerBlock);

    private int RowsOfWindow(int window)
    {
        ReadOnlySpan<int> blocks = WindowBlocks(window);
        int rows = blocks.Length * _rowsPerBlock;
        return blocks.Contains(_blocks.Length - 1) ? rows - _rowsPerBlock + RowsOfBlock(_blocks.Length - 1) : rows;
    }

    private long SourceRow(int slot)
    {
        foreach (int block in WindowBlocks(_loadedWindow))
        {
            int count = RowsOfBlock(block);
            if (slot < count) return (long)block * _rowsPerBlock + slot;
            slot -= count;
        }
        throw new InvalidOperationException("The slot is not in the window.");
    }

    // Streams of the same seed never meet: the epoch in the upper half, the purpose in the lower.
    private ulong Stream(int purpose) => (_epoch << 32) | (uint)purpose;
}
