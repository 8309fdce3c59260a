namespace BioSup.Data;

/// <summary>
/// How close a bounded shuffle comes to a perfect one. Its measure is <em>crowding</em>: how many times as often as in a perfect shuffle two tokens
/// of one image land in the same batch; 1 is perfect. Every token's place in the epoch is uniform in either; what the bound costs is that tokens
/// which lie within one block of the file always share a window.
/// </summary>
/// <param name="Rows">Tokens of an epoch.</param>
/// <param name="BlockRows">Neighbouring tokens that stay in one window.</param>
/// <param name="BlocksPerWindow">Blocks whose tokens are permuted together.</param>
public readonly record struct ShuffleMixing(long Rows, int BlockRows, int BlocksPerWindow)
{
    /// <summary>Blocks of an epoch.</summary>
    public long Blocks => (Rows + BlockRows - 1) / BlockRows;

    /// <summary>Tokens of a window.</summary>
    public long WindowRows => Math.Min((long)BlockRows * BlocksPerWindow, Rows);

    /// <summary>
    /// Of the pairs of tokens of one image, the share whose tokens lie in the same block: Σ_d (m − d)(1 − d/b)⁺ / (m(m − 1)/2) over distances d, for images of
    /// m neighbouring tokens whose beginnings are spread evenly over the blocks of b. With m = b·k and images that begin with a block it is (b − 1)/(m − 1).
    /// </summary>
    /// <param name="imageRows">Tokens of an image.</param>
    /// <param name="aligned">Images begin with blocks, as where each image is a block of its own.</param>
    public double SameBlockShare(long imageRows, bool aligned = false)
    {
        long m = imageRows, b = BlockRows;
        if (m < 2) return 0;
        if (aligned) return m <= b ? 1 : (b - 1.0) / (m - 1);
        // Sum over d = 1 … n of (m − d)(b − d)/b, in closed form.
        double n = Math.Min(m - 1, b), linear = n * (n + 1) / 2, square = n * (n + 1) * (2 * n + 1) / 6;
        return (m * b * n - (m + b) * linear + square) / b / (m * (m - 1) / 2.0);
    }

    /// <summary>
    /// Expected crowding for batches of consecutive rows of the order (an incomplete last one is no batch): P(same batch) of a pair of one image, in
    /// the same block or in two, over the windows and the batches that cut them, divided by that of a perfect shuffle, (⌊N/B⌋B/N)(B − 1)/(N − 1).
    /// </summary>
    public double Crowding(long batch, long imageRows, bool aligned = false)
    {
        (double sameBlock, double otherBlock) = SameBatch(batch);
        double share = SameBlockShare(imageRows, aligned), perfect = (double)(Rows / batch * batch) / Rows * (batch - 1) / Math.Max(1, Rows - 1);
        return perfect > 0 ? (share * sameBlock + (1 - share) * otherBlock) / perfect : 1;
    }

    /// <summary>Expected tokens of its own image that a token meets in its batch: (what this shuffle gives, what a perfect one gives).</summary>
    public (double Here, double Perfect) Company(long batch, long imageRows, bool aligned = false)
    {
        double perfect = (batch - 1.0) * (imageRows - 1) / Math.Max(1, Rows - 1);
        return (perfect * Crowding(batch, imageRows, aligned), perfect);
    }

    /// <summary>P(same batch) for two tokens of one block, and for two of different blocks.</summary>
    private (double SameBlock, double OtherBlock) SameBatch(long batch)
    {
        double same = 0, other = 0, blocks = Blocks;
        for (long window = 0, first = 0; first < Rows; window++)
        {
            double inside = Math.Min(BlocksPerWindow, blocks - window * BlocksPerWindow);
            long rows = Math.Min((long)BlockRows * BlocksPerWindow, Rows - first);
            same += inside / blocks * Together(first, rows, batch);
            if (blocks > 1) other += inside * (inside - 1) / (blocks * (blocks - 1)) * Together(first, rows, batch);
            first += rows;
        }
        if (blocks < 2) return (same, 0);
        // Batches that straddle windows join tokens of both: pairs of parts, each part a share of its window.
        long size = (long)BlockRows * BlocksPerWindow;
        for (long start = size / batch * batch; start + batch <= Rows; start = NextStraddling(start, batch, size))
        {
            double sum = 0, squares = 0;
            for (long window = start / size; window * size < start + batch; window++)
            {
                long from = Math.Max(start, window * size), to = Math.Min(Math.Min(start + batch, (window + 1) * size), Rows);
                double inside = Math.Min(BlocksPerWindow, blocks - window * BlocksPerWindow);
                double part = inside * (to - from) / Math.Min(size, Rows - window * size);
                sum += part;
                squares += part * part;
            }
            other += (sum * sum - squares) / (blocks * (blocks - 1));
        }
        return (same, other);
    }

    private static long NextStraddling(long start, long batch, long size)
    {
        // The batch that holds the next window's edge; batches in between lie inside one window.
        long edge = (start + batch + size - 1) / size * size;
        return Math.Max(start + batch, edge / batch * batch);
    }

    /// <summary>P(two given places of a window are in one batch): Σ n(n − 1) over the batches' parts of it, over W(W − 1).</summary>
    private double Together(long first, long rows, long batch)
    {
        if (rows < 2) return 0;
        double pairs = 0;
        long last = Rows / batch * batch, end = Math.Min(first + rows, last);
        if (end <= first) return 0;
        long headEnd = Math.Min(end, (first / batch + 1) * batch), tailStart = Math.Max(headEnd, end / batch * batch);
        double head = headEnd - first, tail = end - tailStart, whole = (tailStart - headEnd) / batch;
        pairs = head * (head - 1) + tail * (tail - 1) + whole * batch * (batch - 1.0);
        return pairs / ((double)rows * (rows - 1));
    }
}
