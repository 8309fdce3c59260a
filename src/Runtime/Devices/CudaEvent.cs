using BioSup.Runtime.Interop;

namespace BioSup.Runtime;

/// <summary>A mark in a stream: the host or another stream can wait for it, and two of them measure the time between.</summary>
public sealed unsafe class CudaEvent : IDisposable
{
    private readonly EventHandle _handle;
    private readonly CudaDevice _device;

    /// <param name="device">The device on whose streams the event is recorded.</param>
    /// <param name="timing">True where the event measures time; without it the device has less to do.</param>
    public CudaEvent(CudaDevice device, bool timing = false)
    {
        _device = device;
        device.Bind();
        _handle = new EventHandle(device.Context, timing ? CUevent_flags.CU_EVENT_DEFAULT : CUevent_flags.CU_EVENT_DISABLE_TIMING);
    }

    /// <summary>True when the stream has passed the last <see cref="Record"/>, or there was none.</summary>
    public bool IsComplete
    {
        get
        {
            _device.Bind();
            CUresult code = nvcuda.cuEventQuery(Raw);
            GC.KeepAlive(this);
            if (code == CUresult.CUDA_ERROR_NOT_READY) return false;
            code.Ok("cuEventQuery");
            return true;
        }
    }

    internal CUevent Raw => new(_handle.Value);

    /// <summary>Puts the mark behind everything that is in the stream now.</summary>
    public void Record(CudaStream stream)
    {
        _device.Bind();
        nvcuda.cuEventRecord(Raw, stream.Raw).Ok();
        GC.KeepAlive(stream);
        GC.KeepAlive(this);
    }

    /// <summary>Waits until the stream has passed the mark.</summary>
    public void Synchronize()
    {
        _device.Bind();
        nvcuda.cuEventSynchronize(Raw).Ok();
        GC.KeepAlive(this);
    }

    /// <summary>Milliseconds from <paramref name="start"/> to this mark; both were made with timing and are complete.</summary>
    public double MillisecondsSince(CudaEvent start)
    {
        _device.Bind();
        float milliseconds;
        nvcuda.cuEventElapsedTime(&milliseconds, start.Raw, Raw).Ok();
        GC.KeepAlive(start);
        GC.KeepAlive(this);
        return milliseconds;
    }

    public void Dispose() => _handle.Dispose();
}
