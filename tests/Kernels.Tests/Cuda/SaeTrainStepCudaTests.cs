using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class SaeTrainStepCudaTests(CudaDeviceFixture fixture)
{
    private const int Batch = 24, Width = 12, Latents = 40;

    /// <summary>Recorded steps, between changes of the decoding, against calls one by one.</summary>
    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void Recorded_steps_give_the_bytes_of_single_calls(bool tied, bool batchMean)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Run recorded = new(device, host, tied, batchMean), single = new(device, host, tied, batchMean);
        SaeDecoding[] decodings = [SaeDecoding.Dense, SaeDecoding.Dense, SaeDecoding.Dense, SaeDecoding.Sparse, SaeDecoding.Sparse, SaeDecoding.Dense, SaeDecoding.Sparse, SaeDecoding.Sparse];
        for (int step = 0; step < decodings.Length; step++)
        {
            recorded.Model.Workspace.Decoding = single.Model.Workspace.Decoding = decodings[step];
            recorded.StepRecorded(step);
            single.StepOneByOne(step);
        }
        recorded.Step.Read();
        Assert.Equal(single.Model.Statistics.Loss, recorded.Step.Statistics.Loss);
        Assert.Equal(single.Norm, recorded.Step.GradientNorm);
        Assert.Equal(-1, recorded.Step.DivergedAt);
        foreach (((string name, float[] want), (_, float[] got)) in single.Model.Values.Arrays().Zip(recorded.Model.Values.Arrays())) Assert.True(want.AsSpan().SequenceEqual(got), $"{name} differs");
        Assert.Equal(single.Usage.ToHost(), recorded.Usage.ToHost());
    }

    /// <summary>The same of every architecture, with dead latents counted and thresholds averaged.</summary>
    [Theory]
    [InlineData("gated tied windowed, dead", false)]
    [InlineData("gated-original, free norm", true)]
    [InlineData("relu, p = 0.5, free norm", true)]
    [InlineData("topk", false)]
    [InlineData("batchtopk", false)]
    [InlineData("matryoshka", false)]
    [InlineData("jumprelu tanh, free norm", true)]
    [InlineData("jumprelu quadratic", false)]
    public void Recorded_steps_of_every_architecture_give_the_bytes_of_single_calls(string name, bool dense)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        (SaeShape shape, SaeObjective objective) = SaeArchitectureCases.Get(name, Width, Latents);
        using Run recorded = new(device, host, shape, objective, false), single = new(device, host, shape, objective, false);
        for (int step = 0; step < 6; step++)
        {
            recorded.Model.Workspace.Decoding = single.Model.Workspace.Decoding = dense && step == 1 ? SaeDecoding.Dense : SaeDecoding.Sparse;
            recorded.StepRecorded(step);
            single.StepOneByOne(step);
        }
        recorded.Step.Read();
        Assert.Equal((single.Model.Statistics.Loss, single.Norm), (recorded.Step.Statistics.Loss, recorded.Step.GradientNorm));
        Assert.True(double.IsFinite(single.Norm) && single.Norm > 0);
        foreach (((string array, float[] want), (_, float[] got)) in single.Model.Values.Arrays().Zip(recorded.Model.Values.Arrays())) Assert.True(want.AsSpan().SequenceEqual(got), $"{array} differs");
        long[] since = new long[Latents];
        recorded.Step.TokensSinceFired.CopyTo(since);
        Assert.Equal(single.Since, since);
        Assert.Equal(single.Model.Workspace.Dead.ToHost(), recorded.Model.Workspace.Dead.ToHost());
    }

    [Fact]
    public void Warm_steps_allocate_nothing_on_the_managed_heap()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Run run = new(device, host, true, true);
        int step = 0;
        // The first step runs unrecorded, then each of the two places of arrival gets its recording.
        while (step < 4) run.StepRecorded(step++);
        run.Step.Read();
        WarmAllocation rounds = new();
        while (rounds.Again())
        {
            for (int i = 0; i < 4; i++) run.StepRecorded(step++);
            run.Step.Read();
        }
        Assert.Equal(0, rounds.Least);
    }

    [Fact]
    public void The_first_step_that_is_not_finite_is_remembered()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Run run = new(device, host, true, false);
        for (int step = 0; step < 5; step++)
        {
            MatrixView<float> tokens = run.Fill(step);
            if (step == 2) tokens.Row(3)[1] = 1e30f;
            run.Go(step, 0.1);
        }
        run.Step.Read();
        Assert.Equal(2, run.Step.DivergedAt);
    }

    private sealed class Run : IDisposable
    {
        private readonly List<IDisposable> _owned = [];
        private readonly SaeCase _source;
        private readonly ModelArrays _first, _second;
        private readonly CentredUnitRows? _centring;
        private readonly bool _batchMean;
        private readonly SaeTokenFeed _feed;
        private readonly SaeShape _shape;
        private readonly SaeObjective _objective;

        public Run(CudaDevice device, CpuDevice host, bool tied, bool batchMean) : this(device, host, SaeShape.Gated(Width, Latents, tied), new SaeObjective(), batchMean) { }

        public Run(CudaDevice device, CpuDevice host, in SaeShape shape, in SaeObjective objective, bool batchMean)
        {
            (_batchMean, _shape, _objective) = (batchMean, shape, objective);
            _source = new SaeCase(host, Batch, shape, shape.Architecture == SaeArchitecture.Gated ? 0.05f : 0.01f, 0.01f);
            Model = new CudaSaeCase(device, _source, 32);
            _first = new ModelArrays(device, shape, _owned);
            _second = new ModelArrays(device, shape, _owned);
            Usage = device.Allocate<float>(Latents);
            _centring = batchMean ? new CentredUnitRows(device, Batch, Width) : null;
            _feed = new SaeTokenFeed(device, Batch, Width, _centring, batchMean);
            Step = new SaeTrainStep(Model.Values.View, Model.Gradients.View, _first.View, _second.View, Usage, Model.Workspace, _feed, new SaeTrainStepOptions
            {
                Objective = objective,
                Update = Update,
                UsageDecay = 0.9,
                DeadAfterTokens = DeadAfter,
                ThresholdDecay = ThresholdDecay,
            });
        }

        public CudaSaeCase Model { get; }
        public SaeTrainStep Step { get; }
        public DeviceBuffer<float> Usage { get; }
        public double Norm { get; private set; }

        /// <summary>Tokens since each latent fired, counted by hand.</summary>
        public long[] Since { get; } = new long[Latents];

        private SaeUpdateOptions Update => new() { DecoderNorm = _objective.DecoderNorm };
        private const long DeadAfter = 2 * Batch;
        private const double ThresholdDecay = 0.75;

        /// <summary>Other tokens for every step.</summary>
        public MatrixView<float> Fill(int step)
        {
            MatrixView<float> tokens = _feed.Next();
            for (int t = 0; t < Batch; t++)
                for (int i = 0; i < Width; i++) tokens.Row(t)[i] = _source.Tokens.Row((t + step) % Batch)[i];
            return tokens;
        }

        public void StepRecorded(int step)
        {
            Fill(step);
            Go(step, 0.1 * step);
        }

        /// <summary>The step on what was filled in.</summary>
        public void Go(int step, double sparsity)
        {
            Step.Plan(step, sparsity, 1e-3, _objective.SparsityExponent);
            _feed.Send();
            Step.Run();
            _feed.Release();
        }

        public void StepOneByOne(int step)
        {
            float[] tokens = new float[Batch * Width];
            Fill(step).CopyTo(tokens);
            Model.Tokens.Buffer.CopyFrom(tokens);
            if (_batchMean)
            {
                _centring!.UseMeanOf(Model.Tokens.View);
                _centring.Apply(Model.Tokens.View, Model.Tokens.View);
            }
            SaeStep.Run(Model.Tokens.View, Model.Values.View, Model.Gradients.View, _objective with { SparsityCoefficient = 0.1 * step }, Model.Workspace, Model.Statistics);
            SaeStep.AverageUsage(Model.Workspace, Usage.View, 0.9);
            FollowState(step);
            Norm = SaeUpdate.Apply(Model.Values.View, Model.Gradients.View, _first.View, _second.View, Update with { LearningRate = 1e-3, Step = step + 1 }, Model.Workspace);
        }

        private void FollowState(int step)
        {
            for (int j = 0; j < Latents; j++) Since[j] = Model.Workspace.UsageCounts[j] > 0 ? 0 : Since[j] + Batch;
            Model.Workspace.Dead.CopyFrom([.. Since.Select(n => (byte)(n >= DeadAfter ? 1 : 0))]);
            if (_shape.Architecture is not (SaeArchitecture.BatchTopK or SaeArchitecture.Matryoshka)) return;
            float before = Model.Values.Threshold!.ToHost()[0];
            float[] threshold = new float[Latents];
            Array.Fill(threshold, (float)(step == 0 ? Model.Statistics.SmallestActive : ThresholdDecay * before + (1 - ThresholdDecay) * Model.Statistics.SmallestActive));
            Model.Values.Threshold!.CopyFrom(threshold);
        }

        public void Dispose()
        {
            Step.Dispose();
            _feed.Dispose();
            _centring?.Dispose();
            Usage.Dispose();
            foreach (IDisposable o in _owned) o.Dispose();
            Model.Dispose();
            _source.Dispose();
        }
    }
}
