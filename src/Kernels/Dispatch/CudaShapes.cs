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
}
