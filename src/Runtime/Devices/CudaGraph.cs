using BioSup.Runtime.Interop;

namespace BioSup.Runtime;

/// <summary>
/// A sequence of work recorded once and launched many times with one call. Buffers and kernels that it uses must exist before the capture
/// and outlive the graph. Not for several threads at once.
/// </summary>
public sealed unsafe class CudaGraph : IDisposable
{
    private readonly CudaDevice _device;
    private GraphExecHandle _exec;

    private CudaGraph(CudaDevice device, GraphExecHandle exec)
    {
        _device = device;
        _exec = exec;
    }

    /// <summary>
    /// Records what <paramref name="body"/> puts into the stream, without running it. The capture sees this thread alone, so that the
    /// finalizer's thread cannot spoil it; the body therefore must not hand work to other threads, wait for the device, or allocate.
    /// </summary>
    public static CudaGraph Capture(CudaStream stream, Action<CudaStream> body)
    {
        CUgraph graph = Record(stream, body);
        try
        {
            CudaGraph created = new(stream.Device, Instantiate(stream.Device, graph));
            created.Prepare(stream);
            return created;
        }
        finally
        {
            nvcuda.cuGraphDestroy(graph);
        }
    }

    /// <summary>Runs the recorded work in stream order.</summary>
    public void Launch(CudaStream stream)
    {
        _device.Bind();
        nvcuda.cuGraphLaunch(new CUgraphExec(_exec.Value), stream.Raw).Ok();
        GC.KeepAlive(stream);
        GC.KeepAlive(this);
    }

    /// <summary>Records anew. The graph is changed in place where its shape stayed the same (true) and made again otherwise (false).</summary>
    public bool Update(CudaStream stream, Action<CudaStream> body)
    {
        CUgraph graph = Record(stream, body);
        try
        {
            CUgraphExecUpdateResultInfo info;
            CUresult code = nvcuda.cuGraphExecUpdate(new CUgraphExec(_exec.Value), graph, &info);
            if (code == CUresult.CUDA_SUCCESS) return true;
            if (code != CUresult.CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE) code.Ok("cuGraphExecUpdate_v2");
            GraphExecHandle remade = Instantiate(_device, graph);
            _exec.Dispose();
            _exec = remade;
            Prepare(stream);
            return false;
        }
        finally
        {
            nvcuda.cuGraphDestroy(graph);
        }
    }

    public void Dispose() => _exec.Dispose();

    private static CUgraph Record(CudaStream stream, Action<CudaStream> body)
    {
        CudaContextHandle context = stream.Device.Context;
        stream.Device.Bind();
        context.BeginCapture();
        try
        {
            nvcuda.cuStreamBeginCapture(stream.Raw, CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).Ok();
            CUgraph graph;
            try
            {
                body(stream);
            }
            catch
            {
                // The capture ends whatever happened; the first error is the one to report.
                if (nvcuda.cuStreamEndCapture(stream.Raw, &graph) == CUresult.CUDA_SUCCESS && graph.Value != 0) nvcuda.cuGraphDestroy(graph);
                throw;
            }
            stream.Device.Bind();
            nvcuda.cuStreamEndCapture(stream.Raw, &graph).Ok();
            return graph;
        }
        finally
        {
            context.EndCapture();
        }
    }

    private static GraphExecHandle Instantiate(CudaDevice device, CUgraph graph)
    {
        CUgraphExec exec;
        nvcuda.cuGraphInstantiateWithFlags(&exec, graph, 0).Ok();
        return new GraphExecHandle(device.Context, exec);
    }

    /// <summary>Moves the graph to the device now, so that the first launch costs what every launch costs.</summary>
    private void Prepare(CudaStream stream) => nvcuda.cuGraphUpload(new CUgraphExec(_exec.Value), stream.Raw).Ok();
}
