namespace BioSup.Report.Drawing;

/// <summary>One class in the sorted order, as fractions of the side.</summary>
internal readonly record struct ClassRun(string Name, double From, double To);

/// <summary>The sorted place of every item when items are grouped by class, stable within a class.</summary>
internal sealed class ClassRuns
{
    public ClassRuns(IReadOnlyList<string> classes, IReadOnlyList<string>? order)
    {
        string[] present = [.. classes.Distinct().Order(StringComparer.Ordinal)];
        string[] names = order is null ? present : [.. order.Where(present.Contains), .. present.Except(order)];
        Dictionary<string, int> rank = names.Select((n, i) => (n, i)).ToDictionary(p => p.n, p => p.i);
        int[] sorted = [.. Enumerable.Range(0, classes.Count).OrderBy(i => rank[classes[i]])];
        Place = new int[classes.Count];
        for (int k = 0; k < sorted.Length; k++) Place[sorted[k]] = k;
        List<ClassRun> runs = [];
        for (int from = 0; from < sorted.Length;)
        {
            int to = from;
            while (to < sorted.Length && classes[sorted[to]] == classes[sorted[from]]) to++;
            runs.Add(new(classes[sorted[from]], (double)from / sorted.Length, (double)to / sorted.Length));
            from = to;
        }
        Runs = runs;
    }

    /// <summary>Sorted position of each item.</summary>
    public int[] Place { get; }

    public IReadOnlyList<ClassRun> Runs { get; }
}

/// <summary>Means over rectangular blocks of a matrix whose rows and columns are reordered on the way, scaled by n·m.</summary>
internal sealed class BlockAverage
{
    private readonly double[,] _sums;
    private readonly long[] _rowsIn;
    private readonly long[] _columnsIn;
    private readonly int[] _rowBlock;
    private readonly int[] _columnBlock;

    public BlockAverage(int n, int m, ClassRuns? rows, ClassRuns? columns, int maxBlocks)
    {
        _rowBlock = Blocks(n, rows, maxBlocks, out _rowsIn);
        _columnBlock = Blocks(m, columns, maxBlocks, out _columnsIn);
        _sums = new double[_rowsIn.Length, _columnsIn.Length];
    }

    public void Add(int i, int j, double value) => _sums[_rowBlock[i], _columnBlock[j]] += value;

    public double[,] Result()
    {
        double scale = (double)_rowBlock.Length * _columnBlock.Length;
        for (int i = 0; i < _rowsIn.Length; i++)
            for (int j = 0; j < _columnsIn.Length; j++) _sums[i, j] *= scale / ((double)_rowsIn[i] * _columnsIn[j]);
        return _sums;
    }

    private static int[] Blocks(int count, ClassRuns? order, int maxBlocks, out long[] sizes)
    {
        int blocks = Math.Min(count, maxBlocks);
        sizes = new long[blocks];
        var block = new int[count];
        for (int i = 0; i < count; i++)
        {
            block[i] = (int)((long)(order?.Place[i] ?? i) * blocks / count);
            sizes[block[i]]++;
        }
        return block;
    }
}
