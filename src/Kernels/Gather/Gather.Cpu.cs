using BioSup.Runtime;

namespace BioSup.Kernels;

/// <remarks>Memory is moved and nothing computed, so one implementation serves every instruction set: rows by the runtime's copy, columns row by row, so that reads stay within a row.</remarks>
public static unsafe partial class Gather
{
    private const long BytesPerBlock = 1 << 17;

    private static void Cpu<T>(CpuDevice cpu, MatrixView<T> x, DeviceSpan<int> indices, MatrixView<T> y, bool byRow) where T : unmanaged
    {
        Job<T> job = new()
        {
            X = x.Pointer, StrideX = x.Stride, XRows = x.Rows, XColumns = x.Columns, Y = y.Pointer, StrideY = y.Stride, Rows = y.Rows, Columns = y.Columns,
            Indices = indices.Pointer, ByRow = byRow, RowsPerBlock = (int)Math.Clamp(BytesPerBlock / ((long)y.Columns * sizeof(T)), 1, y.Rows),
        };
        cpu.Pool.Run((y.Rows + job.RowsPerBlock - 1) / job.RowsPerBlock, ref job);
    }

    private struct Job<T> : IBlockJob where T : unmanaged
    {
        public T* X, Y;
        public int* Indices;
        public long StrideX, StrideY;
        public int XRows, XColumns, Rows, Columns, RowsPerBlock;
        public bool ByRow;

        public readonly void Execute(long block, int worker)
        {
            int first = (int)block * RowsPerBlock, last = Math.Min(Rows, first + RowsPerBlock);
            T outside = AllBits<T>();
            for (int i = first; i < last; i++)
            {
                T* to = Y + i * StrideY;
                if (ByRow)
                {
                    Span<T> target = new(to, Columns);
                    if ((uint)Indices[i] < (uint)XRows) new ReadOnlySpan<T>(X + Indices[i] * StrideX, Columns).CopyTo(target);
                    else target.Fill(outside);
                    continue;
                }
                T* from = X + i * StrideX;
                for (int j = 0; j < Columns; j++) to[j] = (uint)Indices[j] < (uint)XColumns ? from[Indices[j]] : outside;
            }
        }
    }
}
