using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>The kernels of one batch of every network, in order.</summary>
internal sealed class MlpCudaLaunches(CudaDevice gpu, MlpCudaArrays arrays)
{
    private const int Tile = 128, Columns = 32;
    private static readonly JitRequest s_module = new("cuda/kernels/mlp_bank/mlp_bank_any.cu"), s_product = new("cuda/kernels/mlp_bank/mlp_product_sm80.cu");
    private static readonly Extent s_columnBlock = new(Columns, 8);

    /// <summary>Blocks that share a validation batch.</summary>
    public int LossParts { get; } = Blocks(arrays.State.Batch, MlpCudaArrays.LossRows);

    /// <summary>Means, deviations and ranges of the targets.</summary>
    public void Scale() => DeviceKernels.Get(gpu, s_module, "bs_mlp_scale").Launch(gpu.Stream, OverColumns(arrays.State.Outputs), arrays.State);

    /// <summary>Forward, backward and Adam.</summary>
    public void Step(int step)
    {
        foreach (ref readonly MlpLayerPlaces layer in arrays.Layers.AsSpan())
        {
            DeviceKernels.Get(gpu, s_module, "bs_mlp_normalise").Launch(gpu.Stream, OverColumns(layer.Width), arrays.State, layer, step);
            Forward(layer, MlpPurpose.Train, step);
        }
        for (int l = arrays.Layers.Length - 1; l >= 0; l--) Backward(arrays.Layers[l], step);
        DeviceKernels.Get(gpu, s_module, "bs_mlp_squares").Launch(gpu.Stream, Shape(arrays.State.Runs, 1, 256), arrays.State, step);
        DeviceKernels.Get(gpu, s_module, "bs_mlp_adam").Launch(gpu.Stream, Shape(Blocks((int)arrays.State.ParameterStride, 1024), 1, 256), arrays.State, step);
    }

    /// <summary>Squared residuals of a batch of validation rows.</summary>
    public void Validate(int step)
    {
        Evaluate(MlpPurpose.Validate, step);
        DeviceKernels.Get(gpu, s_module, "bs_mlp_loss").Launch(gpu.Stream, Shape(LossParts, 1, 256), arrays.State, arrays.Layers[^1], step);
    }

    /// <summary>Squared errors of a batch of test rows.</summary>
    public void Test(int step)
    {
        Evaluate(MlpPurpose.Test, step);
        DeviceKernels.Get(gpu, s_module, "bs_mlp_errors").Launch(gpu.Stream, Shape(Blocks(arrays.State.Outputs, 128), 1, 128), arrays.State, arrays.Layers[^1], step);
    }

    private void Evaluate(MlpPurpose purpose, int step)
    {
        foreach (ref readonly MlpLayerPlaces layer in arrays.Layers.AsSpan())
        {
            DeviceKernels.Get(gpu, s_module, "bs_mlp_normalise_running").Launch(gpu.Stream, OverColumns(layer.Width), arrays.State, layer, (int)purpose, step);
            Forward(layer, purpose, step);
        }
    }

    private void Forward(in MlpLayerPlaces layer, MlpPurpose purpose, int step) =>
        DeviceKernels.Get(gpu, s_product, "bs_mlp_forward").Launch(gpu.Stream, Product(arrays.State.Batch, layer.Next, deepA: true, deepB: false), arrays.State, layer, (int)purpose, step);

    private void Backward(in MlpLayerPlaces layer, int step)
    {
        DeviceKernels.Get(gpu, s_product, "bs_mlp_weight_gradient").Launch(gpu.Stream, Product(layer.Width, layer.Next, deepA: false, deepB: false), arrays.State, layer, step);
        DeviceKernels.Get(gpu, s_module, "bs_mlp_bias_gradient").Launch(gpu.Stream, OverColumns(layer.Next), arrays.State, layer, step);
        DeviceKernels.Get(gpu, s_product, "bs_mlp_input_gradient").Launch(gpu.Stream, Product(arrays.State.Batch, layer.Width, deepA: true, deepB: true), arrays.State, layer, step);
        DeviceKernels.Get(gpu, s_module, "bs_mlp_normalise_back").Launch(gpu.Stream, OverColumns(layer.Width), arrays.State, layer, step);
    }

    private LaunchShape OverColumns(int columns) => new(new Extent(Blocks(columns, Columns), 1, arrays.State.SlotCount), s_columnBlock);

    private LaunchShape Shape(int x, int y, int threads) => new(new Extent(x, y, arrays.State.SlotCount), threads);

    /// <summary>Squares of 128 x 128, with the shared memory of the slabs of bs/tensor_tile.cuh.</summary>
    private LaunchShape Product(int rows, int columns, bool deepA, bool deepB) => new(new Extent(Blocks(rows, Tile), Blocks(columns, Tile), arrays.State.SlotCount), 2 * Tile,
        new GemmConfig(GemmForm.TensorFloat3, Tile, 1, 0).SharedBytes(deepA, deepB));

    private static int Blocks(int count, int block) => (count + block - 1) / block;
}
