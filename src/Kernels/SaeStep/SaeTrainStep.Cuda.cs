using System.Runtime.InteropServices;
using BioSup.Runtime;

namespace BioSup.Kernels;

public sealed unsafe partial class SaeTrainStep
{
    // A graph for each way to decode and each of the two places where tokens arrive. The first step of either way runs as it is: it loads what it needs.
    private readonly List<Recording> _recordings = [];
    private DevicePointer _source, _coefficients;
    private bool _warmDense, _warmSparse;

    private void RunCuda(in SaeUpdateOptions update)
    {
        CudaStream stream = _workspace.Cuda!.Device.Stream;
        MemoryMarshal.Cast<float, SaeCoefficients>(_transfer.Extra)[0] = SaeCoefficients.Of(_objective, update, _options.Batch, _workspace.Latents);
        _source = _transfer.SendAll(out _coefficients).Address;
        bool dense = _workspace.Decoding == SaeDecoding.Dense;
        ref bool warm = ref dense ? ref _warmDense : ref _warmSparse;
        if (warm) Recorded(stream).Launch(stream);
        else Enqueue(stream);
        warm = true;
        _transfer.Release();
    }

    /// <summary>The whole step, in the stream.</summary>
    private void Enqueue(CudaStream stream)
    {
        SaeCudaState state = _workspace.Cuda!;
        MatrixView<float> tokens = new((float*)_source.Address, _options.Batch, _width, _width, state.Device);
        if (_batch is not null)
        {
            Prepare(tokens, _batch.View);
            tokens = _batch.View;
        }
        SaeStep.Enqueue(tokens, _parameters.View, _gradients.View, true, _objective, _workspace, _coefficients);
        SaeStep.AverageUsage(_workspace, _usage.View, _options.UsageDecay);
        SaeTensors tensors = new();
        tensors.Add(_parameters.View, _gradients.View, _first.View, _second.View);
        SaeUpdate.Enqueue(tensors, _options.Update, state, _coefficients);
    }

    private CudaGraph Recorded(CudaStream stream)
    {
        foreach (Recording recording in _recordings)
            if (recording.Source == _source && recording.Decoding == _workspace.Decoding) return recording.Graph;
        CudaGraph graph = CudaGraph.Capture(stream, Enqueue);
        _recordings.Add(new Recording(_source, _workspace.Decoding, graph));
        return graph;
    }

    private void DisposeGraphs()
    {
        if (_recordings.Count == 0) return;
        // What was launched last may still run.
        _workspace.Device.Synchronize();
        foreach (Recording recording in _recordings) recording.Graph.Dispose();
        _recordings.Clear();
    }

    private readonly record struct Recording(DevicePointer Source, SaeDecoding Decoding, CudaGraph Graph);
}
