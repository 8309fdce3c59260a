namespace BioSup.Shapes;

/// <summary>A matrix product: [M, K] times [K, N].</summary>
public readonly record struct ProductShape(int M, int N, int K)
{
    public override string ToString() => $"{M}x{N}x{K}";
}

/// <summary>A matrix of rows and columns.</summary>
public readonly record struct MatrixShape(int Rows, int Columns)
{
    public override string ToString() => $"{Rows}x{Columns}";
}

/// <summary>Problem sizes shared by tests and benchmarks: nothing, one, primes, one off every tile and vector width, and the sizes of the paper.</summary>
public static class ProblemShapes
{
    /// <summary>Lengths around every vector width and register tile in use.</summary>
    public static IReadOnlyList<int> Lengths { get; } = [0, 1, 2, 3, 5, 7, 8, 9, 13, 15, 16, 17, 31, 32, 33, 61, 64, 67, 127, 129, 257];

    /// <summary>Products small enough for the reference: empty, vectors, primes, tile - 1, tile, tile + 1, several slices of depth.</summary>
    public static IReadOnlyList<ProductShape> Products { get; } =
    [
        new(0, 0, 0), new(0, 5, 3), new(5, 0, 3), new(5, 3, 0), new(1, 1, 1), new(1, 1, 300), new(1, 97, 61), new(97, 1, 61), new(2, 3, 5),
        new(5, 15, 8), new(6, 16, 8), new(7, 17, 9), new(11, 31, 16), new(12, 32, 17), new(13, 33, 31), new(3, 129, 64), new(129, 3, 64),
        new(4, 200, 33), new(200, 4, 33), new(61, 67, 71), new(145, 49, 257), new(25, 50, 513), new(37, 41, 600),
    ];

    /// <summary>Products large enough to be cut among threads and into every kind of block.</summary>
    public static IReadOnlyList<ProductShape> LargeProducts { get; } = [new(150, 3100, 40), new(301, 257, 700), new(512, 512, 64)];

    /// <summary>Matrices for operations on rows and columns.</summary>
    public static IReadOnlyList<MatrixShape> Matrices { get; } =
    [
        new(0, 0), new(0, 7), new(7, 0), new(1, 1), new(1, 17), new(17, 1), new(2, 2), new(3, 8), new(5, 15), new(7, 16), new(13, 17), new(31, 33),
        new(64, 64), new(67, 61), new(129, 31), new(33, 257), new(1009, 5), new(5, 1009),
    ];

    /// <summary>Encoder product of the paper: 4,096 tokens of 512 channels against 8,192 latents.</summary>
    public static ProductShape PaperEncoder => new(4096, 8192, 512);

    /// <summary>The products that are timed against other libraries.</summary>
    public static IReadOnlyList<ProductShape> TimedProducts { get; } =
        [new(512, 512, 512), new(1024, 1024, 1024), new(2048, 2048, 2048), new(4096, 4096, 4096), PaperEncoder];
}
