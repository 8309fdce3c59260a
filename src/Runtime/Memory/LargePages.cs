using System.Runtime.InteropServices;

namespace BioSup.Runtime;

/// <summary>
/// Asks Linux to back large buffers with pages of 2 MiB: matrices are then reached through hundreds of entries of the translation buffer instead of
/// hundreds of thousands, and their first touch takes one fault in place of 512. Where the kernel refuses, or is set to "never", pages stay small.
/// </summary>
internal static unsafe partial class LargePages
{
    /// <summary>Smaller buffers would hold too few whole large pages.</summary>
    private const long FewestBytes = 4 << 20;
    private const int MADV_HUGEPAGE = 14;

    public static void Advise(void* pointer, long bytes)
    {
        if (bytes < FewestBytes || !OperatingSystem.IsLinux()) return;
        nuint page = (nuint)Environment.SystemPageSize;
        nuint first = ((nuint)pointer + page - 1) & ~(page - 1), last = ((nuint)pointer + (nuint)bytes) & ~(page - 1);
        _ = madvise((void*)first, last - first, MADV_HUGEPAGE);
    }

    [LibraryImport("libc")]
    private static partial int madvise(void* address, nuint length, int advice);
}
