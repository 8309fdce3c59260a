using System.Runtime.InteropServices;
using BioSup.Runtime;

namespace BioSup.Kernels;

public sealed unsafe partial class SaeTrainStep
{
    // A graph for each way to decode and each of the two places where tokens arrive. The first step of either way runs as it is: it loads what it needs.
    private readonly List<Recording> _recordings = [];
    private DevicePointer _source, _coefficients;
    private bool _warmDense, _warmSparse;

    private void PlanCuda() =>
        MemoryMarshal.Cast<float, SaeCoefficients>(_feed.Coefficients(_slot))[0] = SaeCoefficients.Of(_objective, _update, _feed.Batch, _workspace.Latents);

    private void RunCuda()
    {
        CudaStream stream = _workspace.Cuda!.Device.Stream;
        _source = _feed.Tokens.Address;
        _coefficients = _feed.CoefficientsAddress(_slot);
        // Muon's norms are read on the host in the middle of a step, which cannot be recorded.
        if (_muon is not null)
        {
            Enqueue(stream);
            return;
        }
        bool dense = _workspace.Decoding == SaeDecoding.Dense;
        ref bool warm = ref dense ? ref _warmDense : ref _warmSparse;
        if (warm) Recorded(stream).Launch(stream);
        else Enqueue(stream);
        warm = true;
    }

    /// <summary>The whole step, in the stream.</summary>
    private void Enqueue(CudaStream stream)
    {
        SaeCudaState state = _workspace.Cuda!;
        MatrixView<float> tokens = new((float*)_source.Address, _feed.Batch, _width, _width, state.Device);
        SaeStep.Enqueue(tokens, _parameters.View, _gradients.View, true, _objective, _workspace, _coefficients);
        SaeStep.AverageUsage(_workspace, _usage.View, _options.UsageDecay);
        FollowState(state);
        SaeTensors tensors = new();
        tensors.Add(_parameters.View, _gradients.View, _first.View, _second.View, _workspace.Shape);
        SaeUpdate.Enqueue(tensors, _update, state, _coefficients);
        if (_muon is not null) SaeUpdate.MoveMatricesCuda(_parameters.View, _gradients.View, _first.View, _update, state, _muon);
    }

    /// <summary>Counts dead latents and averages the threshold of the BatchTopK family.</summary>
    private void FollowState(SaeCudaState state)
    {
        const int threads = 256;
        LaunchShape latents = LaunchShape.For(state.Latents, threads);
        if (_options.DeadAfterTokens > 0)
            state.Kernels.Dead.Launch(state.Device.Stream, latents, state.LatentTotals.Usage, state.Latents, (long)_feed.Batch, _options.DeadAfterTokens, TokensSinceFired.View.Address, _workspace.Dead.View.Address);
        if (state.Shape.Architecture is SaeArchitecture.BatchTopK or SaeArchitecture.Matryoshka)
            state.Kernels.Threshold.Launch(state.Device.Stream, latents, state.Statistics, _coefficients, state.Latents, _options.ThresholdDecay, _parameters.View.Threshold.Address);
    }

    private CudaGraph Recorded(CudaStream stream)
    {
        foreach (Recording recording in _recordings)
            if (recording.Source == _source && recording.Coefficients == _coefficients && recording.Decoding == _workspace.Decoding) return recording.Graph;
        CudaGraph graph = CudaGraph.Capture(stream, Enqueue);
        _recordings.Add(new Recording(_source, _coefficients, _workspace.Decoding, graph));
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

    private readonly record struct Recording(DevicePointer Source, DevicePointer Coefficients, SaeDecoding Decoding, CudaGraph Graph);
}
