using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>All networks at once: every kernel works on the whole bank, blockIdx.z being the network. A launch allocates nothing.</summary>
internal sealed class MlpCudaBank : MlpBank
{
    /// <summary>Enough networks to fill a large device many times over, so that the last blocks of a launch do not count.</summary>
    private const int MostSlots = 128;

    private readonly CudaDevice _gpu;
    private readonly MlpCudaArrays _arrays;
    private readonly MlpCudaLaunches _launch;
    private readonly MlpLayout _layout;
    private readonly int[] _rows, _order;
    private readonly MlpSlotState[] _slots;
    private readonly double[] _factors, _losses;
    private readonly float[] _initial, _initialRunning;
    private readonly bool[] _kept;

    public MlpCudaBank(CudaDevice gpu, Matrix<float> x, Matrix<float> y, MlpBankOptions options, int networks) : base(options, SlotsOf(gpu, x, y, options, networks))
    {
        _gpu = gpu;
        _layout = new MlpLayout(x.Columns, options.Hidden, y.Columns);
        _arrays = new MlpCudaArrays(gpu, x, y, options, _layout, Slots);
        _arrays.State.Kept = KeptFactor(options.Dropout);
        _arrays.State.Threshold = DropoutThreshold(options.Dropout);
        _launch = new MlpCudaLaunches(gpu, _arrays);
        (_rows, _order, _slots) = (new int[(long)Slots * x.Rows], new int[(long)Slots * x.Rows], new MlpSlotState[Slots]);
        (_factors, _losses) = (new double[_arrays.Factors.Length], new double[_arrays.Losses.Length]);
        _initial = new float[Math.Min(Slots, gpu.Host.Pool.Threads) * _layout.Length];
        _initialRunning = new float[_arrays.State.RunningStride];
        foreach (MlpLayerPlaces layer in _arrays.Layers) _initialRunning.AsSpan((int)layer.Running + layer.Width, layer.Width).Fill(1);
        _kept = new bool[Slots];
        DeviceKernels.Report(gpu, nameof(MlpBank), new MlpBankConfig(Slots, x.Columns, options.Hidden, y.Columns, options.Batch, BytesOfNetwork(x, y, options)));
    }

    public override void Start(IReadOnlyList<MlpTask> tasks)
    {
        for (int i = 0; i < tasks.Count; i++)
        {
            MlpTask task = tasks[i];
            (task.Steps, _kept[task.Slot]) = (0, false);
            task.Order.CopyTo(_order, (long)task.Slot * task.Order.Length);
        }
        _gpu.Upload(_order, _arrays.Order.View);
        Describe(tasks);
        _launch.Scale();
        int together = _initial.Length / _layout.Length;
        for (int first = 0; first < tasks.Count; first += together)
        {
            Draw job = new() { Bank = this, Tasks = tasks, First = first };
            int count = Math.Min(together, tasks.Count - first);
            _gpu.Host.Pool.Run(count, ref job);
            for (int i = 0; i < count; i++) Place(tasks[first + i].Slot, _initial.AsSpan(i * _layout.Length, _layout.Length));
        }
    }

    public override void Epoch(IReadOnlyList<MlpTask> tasks)
    {
        Describe(tasks);
        int steps = 0, validations = 0;
        for (int i = 0; i < tasks.Count; i++)
        {
            MlpTask task = tasks[i];
            int own = Steps(task.Fitted);
            for (int step = 0; step < own; step++)
            {
                AdamWFactors factors = new(new AdamWOptions(task.LearningRate, WeightDecay: 0), task.Steps + step + 1, 1);
                long place = 2 * ((long)step * Slots + task.Slot);
                (_factors[place], _factors[place + 1]) = (factors.StepSize, factors.RootOfCorrection);
            }
            task.Steps += own;
            steps = Math.Max(steps, own);
            validations = Math.Max(validations, Batches(task.Count - task.Fitted));
        }
        _gpu.Upload(_factors.AsSpan(0, 2 * steps * Slots), _arrays.Factors.View);
        for (int step = 0; step < steps; step++) _launch.Step(step);
        for (int step = 0; step < validations; step++) _launch.Validate(step);
        _gpu.Download(_arrays.Losses.View, _losses);
        int parts = _arrays.State.Parts, used = validations * _launch.LossParts;
        for (int i = 0; i < tasks.Count; i++)
        {
            double sum = 0;
            foreach (double part in _losses.AsSpan(tasks[i].Slot * parts, used)) sum += part;
            tasks[i].ValidationError = sum;
        }
    }

    public override void Keep(IReadOnlyList<MlpTask> tasks)
    {
        for (int i = 0; i < tasks.Count; i++)
        {
            _arrays.Keep(tasks[i].Slot);
            _kept[tasks[i].Slot] = true;
        }
    }

    public override void Finish(IReadOnlyList<MlpTask> tasks)
    {
        Describe(tasks);
        int batches = 0;
        for (int i = 0; i < tasks.Count; i++)
        {
            if (_kept[tasks[i].Slot]) _arrays.Recall(tasks[i].Slot);
            batches = Math.Max(batches, Batches(tasks[i].Rows.Length - tasks[i].Count));
        }
        _arrays.Errors.Clear();
        for (int step = 0; step < batches; step++) _launch.Test(step);
        for (int i = 0; i < tasks.Count; i++) _gpu.Download(_arrays.ErrorsOf(tasks[i].Slot), tasks[i].Errors);
    }

    public override void Dispose() => _arrays.Dispose();

    /// <summary>The parameters of a slot, for tests.</summary>
    internal float[] Parameters(int slot)
    {
        float[] values = new float[_layout.Length];
        _gpu.Download(_arrays.ParametersOf(slot), values);
        return values;
    }

    private static int SlotsOf(CudaDevice gpu, Matrix<float> x, Matrix<float> y, MlpBankOptions options, int networks)
    {
        // Half of the memory: the rest is for the features, the targets and whatever else lives on the device.
        long room = Math.Min(gpu.Info.MemoryBytes / 2, gpu.Pool.Cap - gpu.Pool.BytesInUse), bytes = BytesOfNetwork(x, y, options);
        return (int)Math.Clamp(room / bytes, 1, Math.Min(networks, MostSlots));
    }

    private static long BytesOfNetwork(Matrix<float> x, Matrix<float> y, MlpBankOptions options) =>
        MlpCudaArrays.BytesOfNetwork(new MlpLayout(x.Columns, options.Hidden, y.Columns), x.Rows, options.Batch);

    /// <summary>Sends rows and progress of the networks that are to be worked on; the others rest.</summary>
    private void Describe(IReadOnlyList<MlpTask> tasks)
    {
        _slots.AsSpan().Clear();
        for (int i = 0; i < tasks.Count; i++)
        {
            MlpTask task = tasks[i];
            _slots[task.Slot] = new MlpSlotState(task.Fitted, task.Count, 1, 0, task.DropoutStream, task.Steps);
            task.Rows.CopyTo(_rows, (long)task.Slot * task.Rows.Length);
        }
        _gpu.Upload(_slots, _arrays.Slots.View);
        _gpu.Upload(_rows, _arrays.Rows.View);
    }

    private void Place(int slot, ReadOnlySpan<float> parameters)
    {
        _gpu.Upload(parameters, _arrays.ParametersOf(slot));
        _gpu.Upload<float>(_initialRunning, _arrays.RunningOf(slot));
        _arrays.ClearMoments(slot);
    }

    private int Batches(int rows) => (rows + Options.Batch - 1) / Options.Batch;

    /// <summary>Steps of an epoch: a last batch of one row is left out.</summary>
    private int Steps(int fitted) => fitted / Options.Batch + (fitted % Options.Batch >= 2 ? 1 : 0);

    private struct Draw : IBlockJob
    {
        public MlpCudaBank Bank;
        public IReadOnlyList<MlpTask> Tasks;
        public int First;

        public readonly void Execute(long block, int worker) =>
            Bank._layout.Initialise(Bank._initial.AsSpan((int)block * Bank._layout.Length, Bank._layout.Length), ref Tasks[First + (int)block].Random);
    }
}
