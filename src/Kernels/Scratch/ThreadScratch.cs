using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>What a piece of scratch memory is for. An operation that calls another one must not share a slot with it.</summary>
internal enum ScratchSlot
{
    GemmLeftPanels,
    GemmThinRows,
    GemmRightPanels,
    GemmTile,
    ReductionPartials,
    RowWork,
}

/// <summary>
/// Scratch memory that each thread keeps between calls, so that warm operations allocate nothing. A slot only grows; it is freed when its thread ends.
/// The content is undefined: the previous call's leftovers.
/// </summary>
internal static unsafe class ThreadScratch
{
    [ThreadStatic] private static AlignedBuffer<byte>?[]? t_slots;

    /// <summary>At least <paramref name="count"/> elements, aligned to 64 bytes, valid until this thread asks for the same slot again.</summary>
    public static T* Get<T>(ScratchSlot slot, long count, CpuDevice device) where T : unmanaged
    {
        AlignedBuffer<byte>?[] slots = t_slots ??= new AlignedBuffer<byte>?[Enum.GetValues<ScratchSlot>().Length];
        AlignedBuffer<byte>? buffer = slots[(int)slot];
        long bytes = checked(count * sizeof(T));
        if (buffer is null || buffer.Length < bytes)
        {
            buffer?.Dispose();
            slots[(int)slot] = buffer = new AlignedBuffer<byte>(device, (bytes + 4095) / 4096 * 4096);
        }
        return (T*)buffer.Pointer;
    }
}
