using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels.Tests.Cuda;

/// <summary>A seeded matrix on the host and its copy on a device, both with padded rows: the padding holds NaN, so that a kernel that reads past a row is seen.</summary>
internal sealed class CudaOperand<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly Matrix<T> _host, _device;
    private readonly int _columns;

    public CudaOperand(CpuDevice cpu, CudaDevice gpu, int rows, int columns, ulong seed, int padding = 3)
    {
        _columns = columns;
        _host = TestMatrices.Normal<T>(cpu, rows, columns, seed, padding);
        _device = Matrix<T>.From(gpu, rows, columns + padding, _host.Buffer.View.Host[..(rows * (columns + padding))]);
    }

    public MatrixView<T> Host => _host.Inner(_columns);

    public MatrixView<T> Device => _device.Inner(_columns);

    /// <summary>Sends the host's elements again, after they were changed.</summary>
    public void Upload() => _device.Buffer.CopyFrom(_host.Buffer.View.Host[..(_host.Rows * _host.Columns)]);

    /// <summary>What the device holds, row by row and without padding. The padding must not have been written.</summary>
    public T[][] Read()
    {
        T[] all = new T[_device.Rows * _device.Columns];
        _device.Buffer.CopyTo(all);
        T[][] rows = new T[_device.Rows][];
        for (int i = 0; i < rows.Length; i++)
        {
            Span<T> row = all.AsSpan(i * _device.Columns, _device.Columns);
            foreach (T pad in row[_columns..]) Assert.True(T.IsNaN(pad), $"wrote past the end of row {i}");
            rows[i] = row[.._columns].ToArray();
        }
        return rows;
    }

    public void Dispose()
    {
        _host.Dispose();
        _device.Dispose();
    }
}
