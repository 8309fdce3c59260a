using BioSup.Runtime;

namespace BioSup.Kernels.Tests;

/// <summary>Banks of networks on the host.</summary>
public sealed class MlpBankTests : IDisposable
{
    private const int Rows = 70, Inputs = 6, Targets = 9;
    private static readonly MlpBankOptions s_options = new(Hidden: 12, Dropout: 0.3, Batch: 16, WeightDecay: 1.2e-3, GradientClip: 1, ClipMargin: 0.1, Seed: 3);
    private readonly CpuDevice _cpu = new(2);
    private readonly Matrix<float> _x, _y;

    public MlpBankTests()
    {
        _x = Matrix<float>.From(_cpu, Rows, Inputs, MlpCases.Normal(Rows * Inputs, 5));
        _y = Matrix<float>.From(_cpu, Rows, Targets, MlpCases.Normal(Rows * Targets, 6));
    }

    public void Dispose()
    {
        _x.Dispose();
        _y.Dispose();
        _cpu.Dispose();
    }

    [Fact]
    public void AnEpochAllocatesNothing()
    {
        using MlpBank bank = MlpBank.Create(_x, _y, s_options, 1);
        MlpTask[] tasks = [MlpCases.Task(0, 0, Rows, Targets, 56, 49)];
        bank.Start(tasks);
        bank.Epoch(tasks);
        long before = GC.GetAllocatedBytesForCurrentThread();
        bank.Epoch(tasks);
        bank.Keep(tasks);
        bank.Finish(tasks);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    /// <summary>What was kept is what is tested, whatever was trained afterwards.</summary>
    [Fact]
    public void KeptNetworksAreTheOnesThatAreTested()
    {
        using MlpBank bank = MlpBank.Create(_x, _y, s_options, 2);
        Assert.Equal(2, bank.Slots);
        MlpTask[] tasks = [MlpCases.Task(1, 0, Rows, Targets, 56, 49), MlpCases.Task(1, 1, Rows, Targets, 56, 49)];
        bank.Start(tasks);
        bank.Epoch(tasks);
        bank.Keep(tasks);
        bank.Finish([tasks[0]]);
        bank.Epoch([tasks[1]]);
        bank.Finish([tasks[1]]);
        Assert.Equal(tasks[0].Errors, tasks[1].Errors);
        Assert.All(tasks[0].Errors, e => Assert.InRange(e, 1, 100));
        Assert.NotEqual(tasks[0].ValidationError, tasks[1].ValidationError);
        Assert.Equal((3L, 6L), (tasks[0].Steps, tasks[1].Steps));
    }

    /// <summary>An epoch in single precision beside the same in double, with the same dropout: Adam turns small gradients into whole steps, so that rounding is multiplied.</summary>
    [Fact]
    public void SinglePrecisionFollowsTheReference()
    {
        MlpTask actual = MlpCases.Task(2, 0, Rows, Targets, 56, 49), expected = MlpCases.Task(2, 0, Rows, Targets, 56, 49);
        using MlpBank bank = MlpBank.Create(_x, _y, s_options, 1);
        MlpBank reference;
        using (KernelDispatch.Force(KernelVariant.Reference)) reference = MlpBank.Create(_x, _y, s_options, 1);
        using (reference)
        {
            Train(bank, actual);
            Train(reference, expected);
        }
        Assert.Equal(expected.ValidationError, actual.ValidationError, 1e-4 * expected.ValidationError);
        for (int t = 0; t < Targets; t++) Assert.Equal(expected.Errors[t], actual.Errors[t], 1e-4 * expected.Errors[t]);

        static void Train(MlpBank bank, MlpTask task)
        {
            bank.Start([task]);
            for (int epoch = 0; epoch < 2; epoch++)
            {
                task.Shuffle(task.Fitted);
                bank.Epoch([task]);
            }
            bank.Finish([task]);
        }
    }

    /// <summary>The share of dropped units is the one asked for, and every step drops others.</summary>
    [Fact]
    public void DropoutDropsItsShare()
    {
        using MlpHostBank<float> bank = new(_cpu, _x, _y, s_options with { Hidden = 101 }, 1);
        MlpTask[] tasks = [MlpCases.Task(3, 0, Rows, Targets, 56, 49)];
        bank.Start(tasks);
        bank.Epoch(tasks);
        // The last step of 49 rows in batches of 16 would be a single row, which is left out.
        float[] first = bank.Network(0).Keep[0].Buffer.View.Host.ToArray(), other = bank.Network(0).Keep[1].Buffer.View.Host.ToArray();
        bank.Epoch(tasks);
        float[] later = bank.Network(0).Keep[0].Buffer.View.Host.ToArray();
        Assert.Equal(6L, tasks[0].Steps);
        Assert.All(first, v => Assert.True(v == 0 || v == (float)(1 / 0.7)));
        Assert.InRange(first.Count(v => v == 0) / (double)first.Length, 0.26, 0.34);
        Assert.InRange(first.Zip(other).Count(p => p.First == p.Second) / (double)first.Length, 0.5, 0.66);
        Assert.InRange(first.Zip(later).Count(p => p.First == p.Second) / (double)first.Length, 0.5, 0.66);
    }

    [Fact]
    public void RefusesWhatDoesNotBelongTogether()
    {
        using Matrix<float> shorter = _cpu.AllocateMatrix<float>(Rows - 1, Targets);
        Assert.Contains("70 rows of features and 69 of targets", Assert.Throws<ArgumentException>(() => MlpBank.Create(_x, shorter, s_options, 1)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => MlpBank.Create(_x, _y, s_options, 0));
    }
}
