using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Launch shapes that operations on rows and columns share. They depend on the problem alone, and with them the order of every sum.</summary>
internal static class CudaShapes
{
    private const int ColumnThreads = 512;
    private const int Processors = 128;

    /// <summary>One block per row, with as many threads as keep busy with eight elements each.</summary>
    public static LaunchShape Rows(int rows, int columns)
    {
        int threads = 32;
        while (threads < 512 && threads * 8 < columns) threads *= 2;
        return new LaunchShape(rows, threads);
    }

    /// <summary>
    /// Blocks of neighbouring columns (x) times threads that share a column (y). Eight columns of single precision are one sector of memory;
    /// 32 are a whole line, taken where there are enough columns for every multiprocessor all the same.
    /// </summary>
    public static LaunchShape Columns(int columns, int sharedBytesPerThread)
    {
        int width = columns >= 32 * Processors ? 32 : 8;
        return new LaunchShape((columns + width - 1) / width, new Extent(width, ColumnThreads / width), ColumnThreads * sharedBytesPerThread);
    }

    /// <summary>Blocks of 256 threads over tiles of a matrix, four by four elements a thread: rows in x, columns in y. Narrow matrices get narrow tiles.</summary>
    public static LaunchShape Tiles(int rows, int columns)
    {
        int width = columns > 32 ? 32 : 8, height = 256 / width;
        return new LaunchShape(new Extent((int)(((long)rows + 4 * height - 1) / (4 * height)), (int)(((long)columns + 4 * width - 1) / (4 * width))), new Extent(width, height));
    }
}
