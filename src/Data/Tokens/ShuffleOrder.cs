using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// The order of one epoch: the rows are cut into blocks of neighbours, the blocks are permuted, neighbouring blocks of that permutation form a
/// window, and the rows of a window are permuted in turn. A pure function of (rows, block, window, seed, epoch).
/// </summary>
internal sealed class ShuffleOrder
{
    private readonly long _rows;
    private readonly ulong _seed;
    private readonly int[] _blocks;
    private bool _drawn;

    // Place of the source's last block, the only one that may be short, among the permuted blocks.
    private int _short;

    public ShuffleOrder(long rows, int blockRows, int blocksPerWindow, ulong seed)
    {
        (_rows, _seed, BlockRows) = (rows, seed, blockRows);
        long blocks = (rows + blockRows - 1) / blockRows;
        if (blocks > Array.MaxLength) throw new UsageException($"{rows} tokens are too many to be shuffled.");
        BlocksPerWindow = (int)Math.Clamp(blocksPerWindow, 1, Math.Max(1, blocks));
        _blocks = new int[blocks];
    }

    public int BlockRows { get; }
    public int BlocksPerWindow { get; }
    public ulong Epoch { get; private set; }
    public int Windows => (int)(((long)_blocks.Length + BlocksPerWindow - 1) / BlocksPerWindow);

    /// <summary>Rows of the largest window.</summary>
    public int Capacity => (int)Math.Min((long)BlocksPerWindow * BlockRows, _rows);

    public long TableBytes => sizeof(int) * (long)_blocks.Length;

    /// <summary>Draws the order of an epoch.</summary>
    public void Draw(ulong epoch)
    {
        if (_drawn && Epoch == epoch) return;
        for (int i = 0; i < _blocks.Length; i++) _blocks[i] = i;
        Epoch = epoch;
        CounterRandom random = new(_seed, Stream(0));
        random.Shuffle(_blocks.AsSpan());
        _short = Array.IndexOf(_blocks, _blocks.Length - 1);
        _drawn = true;
    }

    /// <summary>The window that holds a position of the epoch; one past the last for its end.</summary>
    public int WindowAt(long position)
    {
        if (position >= _rows) return Windows;
        int window = (int)(position / ((long)BlocksPerWindow * BlockRows));
        // Behind the short block every window begins a little earlier.
        while (position >= FirstRow(window) + RowsOf(window)) window++;
        return window;
    }

    /// <summary>Position of a window's first row in the epoch.</summary>
    public long FirstRow(int window)
    {
        long first = (long)window * BlocksPerWindow * BlockRows;
        return first - (_short / BlocksPerWindow < window ? Missing : 0);
    }

    public int RowsOf(int window) => Blocks(window).Length * BlockRows - (_short / BlocksPerWindow == window ? Missing : 0);

    /// <summary>Numbers of a window's blocks in the source, in the order their rows are laid down before they are permuted.</summary>
    public ReadOnlySpan<int> Blocks(int window)
    {
        int start = window * BlocksPerWindow;
        return _blocks.AsSpan(start, Math.Min(BlocksPerWindow, _blocks.Length - start));
    }

    /// <summary>Rows of a block of the source.</summary>
    public int RowsOfBlock(int block) => block == _blocks.Length - 1 ? BlockRows - Missing : BlockRows;

    /// <summary>Where the rows of a window's block begin among the window's rows.</summary>
    public int RowOffset(int window, int block)
    {
        int inside = _short - window * BlocksPerWindow;
        return block * BlockRows - (inside >= 0 && inside < block ? Missing : 0);
    }

    /// <summary>The row of the source that is row <paramref name="row"/> of a window before it is permuted.</summary>
    public long SourceRow(int window, int row)
    {
        int inside = _short - window * BlocksPerWindow;
        ReadOnlySpan<int> blocks = Blocks(window);
        int block = row / BlockRows;
        if (inside >= 0 && inside < blocks.Length && row >= inside * BlockRows + RowsOfBlock(blocks[inside]))
        {
            row += Missing;
            block = row / BlockRows;
        }
        return (long)blocks[block] * BlockRows + row % BlockRows;
    }

    /// <summary>Permutes what belongs to the rows of a window, always alike.</summary>
    public void Permute(int window, Span<int> items)
    {
        CounterRandom random = new(_seed, Stream(window + 1));
        random.Shuffle(items);
    }

    private int Missing => (int)((long)_blocks.Length * BlockRows - _rows);

    // Streams of the same seed never meet: the epoch in the upper half, the purpose in the lower.
    private ulong Stream(int purpose) => (Epoch << 32) | (uint)purpose;
}
