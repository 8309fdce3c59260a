using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>One network per thread; products run inside that thread. In double precision it is the reference of the others.</summary>
internal sealed class MlpHostBank<T> : MlpBank where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly CpuDevice _cpu;
    private readonly Matrix<T> _x, _y;
    private readonly bool _isCopy;
    private readonly MlpHostSlot<T>?[] _slots;

    public MlpHostBank(CpuDevice cpu, Matrix<float> x, Matrix<float> y, MlpBankOptions options, int networks) : base(options, Math.Min(networks, cpu.Pool.Threads))
    {
        _cpu = cpu;
        _isCopy = typeof(T) != typeof(float);
        (_x, _y) = _isCopy ? (Converted(x), Converted(y)) : ((Matrix<T>)(object)x, (Matrix<T>)(object)y);
        _slots = new MlpHostSlot<T>?[Slots];
    }

    public override void Start(IReadOnlyList<MlpTask> tasks) => Run(Work.Start, tasks);

    public override void Epoch(IReadOnlyList<MlpTask> tasks) => Run(Work.Epoch, tasks);

    public override void Keep(IReadOnlyList<MlpTask> tasks) => Run(Work.Keep, tasks);

    public override void Finish(IReadOnlyList<MlpTask> tasks) => Run(Work.Finish, tasks);

    public override void Dispose()
    {
        foreach (MlpHostSlot<T>? slot in _slots) slot?.Dispose();
        if (!_isCopy) return;
        _x.Dispose();
        _y.Dispose();
    }

    /// <summary>The network of a slot, for tests.</summary>
    internal MlpNetwork<T> Network(int slot) => _slots[slot]!.Network;

    private Matrix<T> Converted(Matrix<float> from)
    {
        Matrix<T> to = _cpu.AllocateMatrix<T>(from.Rows, from.Columns);
        for (int i = 0; i < from.Rows; i++) EitherPrecision.Convert(from.Row(i), to.Row(i));
        return to;
    }

    private void Run(Work work, IReadOnlyList<MlpTask> tasks)
    {
        Job job = new() { Bank = this, Work = work, Tasks = tasks };
        _cpu.Pool.Run(tasks.Count, ref job);
    }

    private void Run(Work work, MlpTask task)
    {
        MlpHostSlot<T> slot = _slots[task.Slot] ??= new MlpHostSlot<T>(_cpu, _x, _y, Options, DropoutBlocks(Options.Hidden));
        switch (work)
        {
            case Work.Start: slot.Start(task); break;
            case Work.Epoch: slot.Epoch(task, KeptFactor(Options.Dropout), DropoutThreshold(Options.Dropout)); break;
            case Work.Keep: slot.Keep(); break;
            default: slot.Finish(task); break;
        }
    }

    private enum Work
    {
        Start,
        Epoch,
        Keep,
        Finish,
    }

    private struct Job : IBlockJob
    {
        public MlpHostBank<T> Bank;
        public Work Work;
        public IReadOnlyList<MlpTask> Tasks;

        public readonly void Execute(long block, int worker) => Bank.Run(Work, Tasks[(int)block]);
    }
}
