using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>What a shuffled stream of tokens holds in memory and how well it mixes, known before anything is read.</summary>
/// <param name="Mixing">Windows and blocks.</param>
/// <param name="Threads">Threads that read ahead; 0 for tokens that are in memory.</param>
/// <param name="BlocksPerGroup">Blocks that a thread takes at a time.</param>
/// <param name="Places">Rows that are held: the window, and what may be read before it frees a place.</param>
/// <param name="ScratchRows">Rows that each thread holds while it reads.</param>
/// <param name="MemoryBytes">All of it, with the tables of the order.</param>
public readonly record struct ShufflePlan(ShuffleMixing Mixing, int Threads, int BlocksPerGroup, int Places, int ScratchRows, long MemoryBytes)
{
    // 64 KiB in one read is enough for a disk; smaller blocks mix better.
    private const int BlockBytes = 64 << 10;
    private const int MostThreads = 4, GroupBlocks = 8;

    /// <param name="source">The tokens.</param>
    /// <param name="windowBytes">Memory of the window as float32.</param>
    /// <param name="epochs">Epochs that follow one another.</param>
    /// <exception cref="UsageException">There are more blocks than can be permuted.</exception>
    public static ShufflePlan For(ITokenSource source, long windowBytes = ShuffledTokens.DefaultWindowBytes, ulong epochs = 1)
    {
        long rowBytes = sizeof(float) * (long)source.Columns;
        IBlockTokens? made = source as IBlockTokens;
        int blockRows = made?.BlockRows ?? (int)Math.Max(1, BlockBytes / rowBytes);
        long blocks = (source.Rows + blockRows - 1) / blockRows;
        if (blocks > Array.MaxLength) throw new UsageException($"{source.Rows} tokens are too many to be shuffled.");
        int perWindow = (int)Math.Clamp(windowBytes / rowBytes / blockRows, 1, Math.Max(1, Math.Min(blocks, int.MaxValue / blockRows)));
        ShuffleMixing mixing = new(source.Rows, blockRows, perWindow);
        bool resident = source is IResidentTokens;
        long tables = sizeof(int) * (blocks * (epochs > 1 && !resident ? 2 : 1) + mixing.WindowRows);
        if (resident) return new ShufflePlan(mixing, 0, 0, 0, 0, tables);
        int group = Math.Clamp(made?.BlocksPerRead ?? GroupBlocks, 1, perWindow), threads = made is null ? MostThreads : 1;
        int groupRows = (int)Math.Min((long)group * blockRows, mixing.WindowRows);
        int places = (int)Math.Min(int.MaxValue, mixing.WindowRows + (long)groupRows * threads);
        int scratch = made is null ? (int)Math.Min(blockRows, mixing.WindowRows) : groupRows;
        return new ShufflePlan(mixing, threads, group, places, scratch, tables + sizeof(int) * (long)places + rowBytes * (places + (long)scratch * threads));
    }
}
