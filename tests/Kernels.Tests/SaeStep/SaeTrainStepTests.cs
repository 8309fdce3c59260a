using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests;

public sealed class SaeTrainStepTests
{
    private const int Batch = 40, Width = 20, Latents = 64;

    /// <summary>Tokens since fired decide who is dead, and a restored count decides the same.</summary>
    [Fact]
    public void Latents_are_dead_after_so_many_tokens_without_activity()
    {
        using Run run = new(new SaeShape { Architecture = SaeArchitecture.TopK, InputWidth = Width, Latents = Latents, ActiveLatents = 1 }, SaeOptimiser.AdamW);
        for (int step = 0; step < 3; step++)
        {
            run.Step(step);
            ReadOnlySpan<int> counts = run.Model.Workspace.UsageCounts;
            for (int j = 0; j < Latents; j++)
            {
                long since = run.Training.TokensSinceFired.View.Host[j];
                if (counts[j] > 0) Assert.Equal(0, since);
                Assert.Equal(since >= 2 * Batch ? 1 : 0, run.Model.Workspace.Dead.View.Host[j]);
            }
        }
        long[] known = new long[Latents];
        (known[3], known[5]) = (2 * Batch, 2 * Batch - 1);
        run.Training.Restore(known);
        Assert.Equal((1, 0), ((int)run.Model.Workspace.Dead.View.Host[3], (int)run.Model.Workspace.Dead.View.Host[5]));
    }

    [Fact]
    public void The_threshold_of_a_batch_starts_at_the_smallest_activation_and_follows_it()
    {
        using Run run = new(new SaeShape { Architecture = SaeArchitecture.BatchTopK, InputWidth = Width, Latents = Latents, ActiveLatents = 2 }, SaeOptimiser.AdamW);
        run.Step(0);
        float first = (float)run.Training.Statistics.SmallestActive;
        Assert.All(run.Model.Values.Threshold!.View.Host.ToArray(), t => Assert.Equal(first, t));
        run.Step(1);
        Assert.Equal(0.999 * first + 0.001 * run.Training.Statistics.SmallestActive, run.Model.Values.Threshold.View.Host[7], 1e-7);
    }

    [Theory]
    [InlineData(SaeArchitecture.Gated, SaeOptimiser.AdamW)]
    [InlineData(SaeArchitecture.GatedOriginal, SaeOptimiser.AdamW)]
    [InlineData(SaeArchitecture.Relu, SaeOptimiser.Muon)]
    [InlineData(SaeArchitecture.TopK, SaeOptimiser.AdamW)]
    [InlineData(SaeArchitecture.BatchTopK, SaeOptimiser.AdamW)]
    [InlineData(SaeArchitecture.Matryoshka, SaeOptimiser.AdamW)]
    [InlineData(SaeArchitecture.JumpRelu, SaeOptimiser.Muon)]
    public void Warm_steps_allocate_nothing(SaeArchitecture architecture, SaeOptimiser optimiser)
    {
        using Run run = new(new SaeShape { Architecture = architecture, InputWidth = Width, Latents = Latents, ActiveLatents = 3 }, optimiser);
        int step = 0;
        while (step < 4) run.Step(step++);
        WarmAllocation rounds = new();
        while (rounds.Again()) for (int i = 0; i < 4; i++) run.Step(step++);
        Assert.Equal(0, rounds.Least);
    }

    private sealed class Run : IDisposable
    {
        private readonly CpuDevice _device = new(2);
        private readonly List<IDisposable> _owned = [];
        private readonly SaeTokenFeed _feed;
        private readonly DeviceBuffer<float> _usage;

        public Run(SaeShape shape, SaeOptimiser optimiser)
        {
            Model = new SaeCase(_device, Batch, shape, 0.05f, 0.01f);
            ModelArrays first = new(_device, shape, _owned), second = new(_device, shape, _owned);
            _usage = _device.Allocate<float>(shape.Latents);
            _feed = new SaeTokenFeed(_device, Batch, Width, null, false);
            Training = new SaeTrainStep(Model.Values.View, Model.Gradients.View, first.View, second.View, _usage, Model.Workspace, _feed, new SaeTrainStepOptions
            {
                Objective = new SaeObjective { AuxChoice = shape.HasGateBias ? AuxiliaryChoice.ClosedGate : AuxiliaryChoice.Dead, AuxLatents = 4 },
                Update = new SaeUpdateOptions { Optimiser = optimiser },
                DeadAfterTokens = 2 * Batch,
            });
        }

        public SaeCase Model { get; }
        public SaeTrainStep Training { get; }

        public void Step(int step)
        {
            MatrixView<float> tokens = _feed.Next();
            for (int t = 0; t < Batch; t++) Model.Tokens.Row((t + step) % Batch).CopyTo(tokens.Row(t));
            Training.Plan(step, 0.1, 1e-3);
            _feed.Send();
            Training.Run();
            _feed.Release();
        }

        public void Dispose()
        {
            Training.Dispose();
            _feed.Dispose();
            _usage.Dispose();
            foreach (IDisposable o in _owned) o.Dispose();
            Model.Dispose();
            _device.Dispose();
        }
    }
}
