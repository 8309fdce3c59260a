using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Maps a floating-point number to an integer with the same order, NaN on top.</summary>
internal interface IOrderedKey<T> where T : unmanaged
{
    static abstract ulong Of(T value);
}

internal readonly struct SingleKey : IOrderedKey<float>
{
    public static ulong Of(float value)
    {
        if (float.IsNaN(value)) return uint.MaxValue;
        uint bits = BitConverter.SingleToUInt32Bits(value + 0f); // −0 becomes +0
        return (bits & 0x8000_0000u) != 0 ? ~bits : bits | 0x8000_0000u;
    }
}

internal readonly struct DoubleKey : IOrderedKey<double>
{
    public static ulong Of(double value)
    {
        if (double.IsNaN(value)) return ulong.MaxValue;
        ulong bits = BitConverter.DoubleToUInt64Bits(value + 0d);
        return (bits & 0x8000_0000_0000_0000ul) != 0 ? ~bits : bits | 0x8000_0000_0000_0000ul;
    }
}

/// <summary>
/// A heap of the k best with the worst on top. Most elements are below it: whole vectors of them are passed over with one comparison.
/// </summary>
internal static unsafe class RowTopK<TSimd, TVector, T, TKey>
    where TSimd : struct, ISimd<TVector, T>
    where TVector : struct
    where T : unmanaged, IFloatingPointIeee754<T>
    where TKey : struct, IOrderedKey<T>
{
    private const long ElementsPerBlock = 1 << 15;

    private struct Entry
    {
        public ulong Key;
        public int Index;

        /// <summary>Smaller, or equal and further right.</summary>
        public readonly bool IsWorseThan(in Entry other) => Key < other.Key || (Key == other.Key && Index > other.Index);
    }

    public static void Run(CpuDevice cpu, MatrixView<T> x, MatrixView<int> indices, MatrixView<T> values)
    {
        if (indices.Columns == 0) return;
        Job job = new()
        {
            Cpu = cpu, X = x.Pointer, Stride = x.Stride, Rows = x.Rows, Columns = x.Columns, K = indices.Columns,
            Indices = indices.Pointer, IndexStride = indices.Stride, Values = values.Pointer, ValueStride = values.Stride,
            RowsPerBlock = (int)Math.Clamp(ElementsPerBlock / Math.Max(1, x.Columns), 1, Math.Max(1, x.Rows)),
        };
        cpu.Pool.Run((x.Rows + job.RowsPerBlock - 1) / job.RowsPerBlock, ref job);
    }

    private struct Job : IBlockJob
    {
        public CpuDevice Cpu;
        public T* X, Values;
        public int* Indices;
        public long Stride, IndexStride, ValueStride;
        public int Rows, Columns, K, RowsPerBlock;

        public readonly void Execute(long block, int worker)
        {
            Entry* heap = ThreadScratch.Get<Entry>(ScratchSlot.RowWork, K, Cpu);
            int first = (int)block * RowsPerBlock, last = Math.Min(Rows, first + RowsPerBlock);
            for (int row = first; row < last; row++)
            {
                T* x = X + row * Stride;
                Select(x, Columns, heap, K);
                // Taking the worst away again and again leaves the heap sorted, best first.
                for (int end = K - 1; end > 0; end--)
                {
                    (heap[0], heap[end]) = (heap[end], heap[0]);
                    SiftDown(heap, 0, end);
                }
                for (int j = 0; j < K; j++)
                {
                    Indices[row * IndexStride + j] = heap[j].Index;
                    Values[row * ValueStride + j] = x[heap[j].Index];
                }
            }
        }
    }

    private static void Select(T* x, int length, Entry* heap, int k)
    {
        for (int j = 0; j < k; j++) heap[j] = new Entry { Key = TKey.Of(x[j]), Index = j };
        for (int node = k / 2 - 1; node >= 0; node--) SiftDown(heap, node, k);
        TVector worst = TSimd.Broadcast(x[heap[0].Index]);
        int position = k;
        for (; position <= length - TSimd.Count; position += TSimd.Count)
        {
            // An equal element further right never displaces; NaN fails the comparison and is looked at one by one.
            if (TSimd.AllLessOrEqual(TSimd.Load(x + position), worst)) continue;
            for (int j = position; j < position + TSimd.Count; j++) Offer(x, j, heap, k);
            worst = TSimd.Broadcast(x[heap[0].Index]);
        }
        for (; position < length; position++) Offer(x, position, heap, k);
    }

    private static void Offer(T* x, int index, Entry* heap, int k)
    {
        Entry entry = new() { Key = TKey.Of(x[index]), Index = index };
        if (!heap[0].IsWorseThan(entry)) return;
        heap[0] = entry;
        SiftDown(heap, 0, k);
    }

    private static void SiftDown(Entry* heap, int node, int count)
    {
        Entry moving = heap[node];
        while (true)
        {
            int child = 2 * node + 1;
            if (child >= count) break;
            if (child + 1 < count && heap[child + 1].IsWorseThan(heap[child])) child++;
            if (!heap[child].IsWorseThan(moving)) break;
            heap[node] = heap[child];
            node = child;
        }
        heap[node] = moving;
    }
}
