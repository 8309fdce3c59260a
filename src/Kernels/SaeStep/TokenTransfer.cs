using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Brings tokens from host memory to a device, block by block: the host fills one block while the device works on the one before. For each block fill
/// <see cref="Next"/>, <see cref="Send"/> it, give the device its work, then <see cref="Release"/>. On the host nothing is copied.
/// </summary>
public sealed unsafe class TokenTransfer : IDisposable
{
    private readonly TransferPipeline<float> _pipeline;
    private readonly ComputeDevice _device, _host;
    private readonly int _rows, _width;

    /// <param name="device">Where the tokens go.</param>
    /// <param name="rows">Most tokens of a block.</param>
    /// <param name="width">Dimensions of a token.</param>
    public TokenTransfer(ComputeDevice device, int rows, int width) : this(device, rows, width, 0) { }

    /// <summary>With <paramref name="extra"/> elements that travel behind a full block.</summary>
    internal TokenTransfer(ComputeDevice device, int rows, int width, int extra)
    {
        (_device, _rows, _width) = (device, rows, width);
        _host = device.Host;
        _pipeline = device.CreateTransferPipeline<float>((long)rows * width + extra);
    }

    /// <summary>Host memory for the next tokens; waits until what was in it has left.</summary>
    public MatrixView<float> Next(int rows)
    {
        if (rows > _rows) throw new ArgumentException($"There are {rows} tokens, at most {_rows} were announced.", nameof(rows));
        // Memory of the pipeline does not move: it is no array.
        return new MatrixView<float>((float*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(_pipeline.Next())), rows, _width, _width, _host);
    }

    /// <summary>Sends the first tokens of the block; the view may be read by work given to the device until <see cref="Release"/>.</summary>
    public MatrixView<float> Send(int rows) => new(_pipeline.Send((long)rows * _width).Pointer, rows, _width, _width, _device);

    /// <summary>Says that all work which reads the block has been given to the device.</summary>
    public void Release() => _pipeline.Release();

    public void Dispose() => _pipeline.Dispose();

    /// <summary>The elements behind a full block, on the host.</summary>
    internal Span<float> Extra => _pipeline.Next()[(_rows * _width)..];

    /// <summary>Sends a full block with what is behind it.</summary>
    internal MatrixView<float> SendAll(out DevicePointer extra)
    {
        DeviceSpan<float> all = _pipeline.Send(_pipeline.Capacity);
        extra = new DevicePointer((ulong)(all.Pointer + (long)_rows * _width));
        return new MatrixView<float>(all.Pointer, _rows, _width, _width, _device);
    }
}
