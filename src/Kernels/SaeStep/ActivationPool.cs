using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Mean activation of every latent over runs of tokens (the tokens of an image). Sums are in double precision and of fixed order; a GPU sums activations where they arise.</summary>
public sealed class ActivationPool : IDisposable
{
    private const int EncodeRows = 512, Threads = 256;
    private static readonly JitRequest s_module = new("cuda/kernels/sae_step/sae_pool_any.cu");
    private readonly SaeWorkspace _workspace;
    private readonly DeviceBuffer<double> _sums;
    private readonly Matrix<float>? _activations;

    /// <param name="workspace">Made for the model; it must outlive the pool.</param>
    public ActivationPool(SaeWorkspace workspace)
    {
        _workspace = workspace;
        _sums = workspace.Device.Allocate<double>(workspace.Latents);
        if (workspace.Cuda is null) _activations = workspace.Device.AllocateMatrix<float>(EncodeRows, workspace.Latents);
    }

    /// <summary>Adds the activations of tokens [n, d_in].</summary>
    public void Add(MatrixView<float> tokens, SaeParameters parameters)
    {
        if (_workspace.Cuda is { } state)
        {
            AddCuda(state, tokens, parameters);
            return;
        }
        Span<double> sums = _sums.View.Host;
        for (int start = 0; start < tokens.Rows; start += EncodeRows)
        {
            int count = Math.Min(EncodeRows, tokens.Rows - start);
            MatrixView<float> activations = _activations!.View.RowBlock(0, count);
            SaeStep.Encode(tokens.RowBlock(start, count), parameters, _workspace, activations);
            for (int t = 0; t < count; t++)
            {
                ReadOnlySpan<float> row = activations.Row(t);
                for (int j = 0; j < row.Length; j++) sums[j] += row[j];
            }
        }
    }

    /// <summary>Writes the means over what was added and begins anew.</summary>
    /// <param name="tokens">How many tokens were added; 0 writes zeros.</param>
    /// <param name="means">[d_sae], on the device.</param>
    public void Take(long tokens, DeviceSpan<float> means)
    {
        if (means.Length != _workspace.Latents) throw new ArgumentException($"There are {means.Length} places for {_workspace.Latents} means.", nameof(means));
        if (_workspace.Cuda is { } state)
        {
            DeviceKernels.Get(state.Device, s_module, "bs_sae_pool_take_f32").Launch(state.Device.Stream, LaunchShape.For(means.Length, Threads), _sums.View.Address, (int)means.Length, (double)tokens, means.Address);
            return;
        }
        Span<double> sums = _sums.View.Host;
        Span<float> target = means.Host;
        for (int j = 0; j < target.Length; j++) target[j] = tokens > 0 ? (float)(sums[j] / tokens) : 0;
        sums.Clear();
    }

    public void Dispose()
    {
        _sums.Dispose();
        _activations?.Dispose();
    }

    private void AddCuda(SaeCudaState state, MatrixView<float> tokens, SaeParameters parameters)
    {
        SaeStep.PrepareModel(state, parameters);
        for (int start = 0; start < tokens.Rows; start += state.TileTokens)
        {
            int count = Math.Min(state.TileTokens, tokens.Rows - start), chunks = (count + SaeCudaState.Chunk - 1) / SaeCudaState.Chunk;
            SaeTile tile = SaeStep.EncodeTile(state, tokens.RowBlock(start, count), parameters, _workspace.Precision, out DevicePointer active);
            DeviceKernels.Get(state.Device, s_module, "bs_sae_pool_partials_f32").Launch(state.Device.Stream, new LaunchShape(new Extent(state.Words, chunks), Threads), tile, active, state.LatentPartials.Penalty);
            DeviceKernels.Get(state.Device, s_module, "bs_sae_pool_join").Launch(state.Device.Stream, LaunchShape.For(state.Latents, Threads), state.LatentPartials.Penalty, chunks, state.Latents, _sums.View.Address);
        }
    }
}
