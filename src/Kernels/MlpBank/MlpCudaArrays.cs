using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Device memory of a bank, one run for each network in every array.</summary>
internal sealed class MlpCudaArrays : IDisposable
{
    /// <summary>Elements of a run of the gradient's norm; as in the kernel.</summary>
    private const int Run = 1 << 15;

    /// <summary>Validation rows whose squared residuals one block adds; as in the kernel.</summary>
    public const int LossRows = 8;

    private readonly CudaDevice _gpu;
    private readonly DeviceBuffer<float> _parameters, _gradients, _first, _second, _best, _running, _bestRunning, _scale, _work;
    private readonly DeviceBuffer<double> _ranges, _norms;

    public MlpCudaArrays(CudaDevice gpu, Matrix<float> x, Matrix<float> y, MlpBankOptions options, MlpLayout layout, int slots)
    {
        _gpu = gpu;
        Layers = MlpLayerPlaces.Of(layout, Math.Min(options.Batch, x.Rows), out int running, out long work);
        int outputs = y.Columns, runs = (layout.Length + Run - 1) / Run, batches = (x.Rows + options.Batch - 1) / options.Batch, parts = batches * ((options.Batch + LossRows - 1) / LossRows);
        long all = (long)slots * layout.Length;
        (_parameters, _gradients, _first, _second, _best) = (gpu.Allocate<float>(all), gpu.Allocate<float>(all), gpu.Allocate<float>(all), gpu.Allocate<float>(all), gpu.Allocate<float>(all));
        (_running, _bestRunning) = (gpu.Allocate<float>((long)slots * running), gpu.Allocate<float>((long)slots * running));
        _scale = gpu.Allocate<float>(2L * slots * outputs);
        _work = gpu.Allocate<float>(slots * work);
        _ranges = gpu.Allocate<double>(4L * slots * outputs);
        _norms = gpu.Allocate<double>((long)slots * runs);
        (Rows, Order, Slots) = (gpu.Allocate<int>((long)slots * x.Rows), gpu.Allocate<int>((long)slots * x.Rows), gpu.Allocate<MlpSlotState>(slots));
        (Factors, Losses, Errors) = (gpu.Allocate<double>(2L * batches * slots), gpu.Allocate<double>((long)slots * parts), gpu.Allocate<double>((long)slots * outputs));
        State = new MlpState
        {
            X = x.Buffer.View.Address, Y = y.Buffer.View.Address, Rows = Rows.View.Address, Order = Order.View.Address, Slots = Slots.View.Address, Factors = Factors.View.Address,
            Parameters = _parameters.View.Address, Gradients = _gradients.View.Address, First = _first.View.Address, Second = _second.View.Address, Running = _running.View.Address,
            Scale = _scale.View.Address, Ranges = _ranges.View.Address, Norms = _norms.View.Address, Losses = Losses.View.Address, Errors = Errors.View.Address, Work = _work.View.Address,
            ParameterStride = layout.Length, RunningStride = running, WorkStride = work, RowCount = x.Rows, Inputs = x.Columns, Outputs = outputs, Hidden = options.Hidden, Batch = options.Batch,
            SlotCount = slots, Runs = runs, Parts = parts, Seed = options.Seed, WeightDecay = options.WeightDecay, GradientClip = options.GradientClip, ClipMargin = options.ClipMargin,
        };
    }

    public MlpState State;

    public MlpLayerPlaces[] Layers { get; }
    public DeviceBuffer<int> Rows { get; }
    public DeviceBuffer<int> Order { get; }
    public DeviceBuffer<MlpSlotState> Slots { get; }
    public DeviceBuffer<double> Factors { get; }
    public DeviceBuffer<double> Losses { get; }
    public DeviceBuffer<double> Errors { get; }

    /// <summary>Bytes of one network, all but a few.</summary>
    public static long BytesOfNetwork(MlpLayout layout, int rows, int batch)
    {
        MlpLayerPlaces.Of(layout, Math.Min(batch, rows), out int running, out long work);
        return sizeof(float) * (5L * layout.Length + 2L * running + work) + 2L * sizeof(int) * rows + (5L * sizeof(double) + 2L * sizeof(float)) * layout.Widths[^1];
    }

    public DeviceSpan<float> ParametersOf(int slot) => Of(_parameters, State.ParameterStride, slot);

    public DeviceSpan<float> RunningOf(int slot) => Of(_running, State.RunningStride, slot);

    public DeviceSpan<double> ErrorsOf(int slot) => Of(Errors, State.Outputs, slot);

    public void ClearMoments(int slot)
    {
        _gpu.Stream.Clear(Of(_first, State.ParameterStride, slot));
        _gpu.Stream.Clear(Of(_second, State.ParameterStride, slot));
    }

    public void Keep(int slot)
    {
        _gpu.Copy(ParametersOf(slot), Of(_best, State.ParameterStride, slot));
        _gpu.Copy(RunningOf(slot), Of(_bestRunning, State.RunningStride, slot));
    }

    public void Recall(int slot)
    {
        _gpu.Copy(Of(_best, State.ParameterStride, slot), ParametersOf(slot));
        _gpu.Copy(Of(_bestRunning, State.RunningStride, slot), RunningOf(slot));
    }

    public void Dispose()
    {
        foreach (IDisposable buffer in (IDisposable[])[_parameters, _gradients, _first, _second, _best, _running, _bestRunning, _scale, _work, _ranges, _norms, Rows, Order, Slots, Factors, Losses, Errors])
            buffer.Dispose();
    }

    private static DeviceSpan<T> Of<T>(DeviceBuffer<T> buffer, long stride, int slot) where T : unmanaged => buffer.View.Slice(slot * stride, stride);
}
