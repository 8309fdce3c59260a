using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>What one model's run needs to know besides its configuration.</summary>
/// <param name="Identity">Of the run.</param>
/// <param name="Folder">For its files; null keeps everything in memory.</param>
/// <param name="Warn">Receives sentences.</param>
internal sealed record SaeRunSettings(SaeRunIdentity Identity, string? Folder, Action<string> Warn)
{
    public long Total => Identity.TotalSteps;
}

/// <summary>
/// One model in training: its arrays, its schedules and controllers, its logs and checkpoints. Tokens come from a <see cref="SaeTokenStream"/>, which many
/// runs can share. The order of calls in a step: <see cref="Plan"/>, the stream sends, <see cref="Run"/>, <see cref="After"/>, the stream releases.
/// </summary>
internal sealed partial class SaeRun : IDisposable
{
    private const int ShareLooks = 20;

    private readonly SaeRunSettings _settings;
    private readonly SaeArrays _gradients, _first, _second;
    private readonly SaeWorkspace _workspace;
    private readonly List<SaeLogRow> _curves = [];
    private readonly GradientWatch _watch = new();
    private readonly SparsityController _controller;
    private readonly long _deadTokens;
    private readonly float[] _usage;
    private SaeConfig _config;
    private SaeTrainingLog _log;
    private SaeTokenStream? _stream;
    private SaeTrainStep? _step;
    private long[] _restored = [];
    private double _deviation, _penaltyScale = 1, _share = double.NaN;
    private long _lastCheckpoint = -1, _resampled;
    private bool _looked;

    public SaeRun(SaeModel model, SaeConfig config, SaeRunSettings settings)
    {
        (Model, _config, _settings) = (model, config, settings);
        _gradients = new SaeArrays(model.Device, model.Shape);
        _first = new SaeArrays(model.Device, model.Shape);
        _second = new SaeArrays(model.Device, model.Shape);
        _workspace = new SaeWorkspace(model.Device, model.Shape, config.AuxLatents) { Precision = config.GpuPrecision };
        _usage = new float[model.Latents];
        _deadTokens = config.DeadTokens(settings.Total, config.Batch);
        _log = new SaeTrainingLog(settings.Folder, config.LogRate);
        _controller = new SparsityController(config.TargetL0, settings.Total);
    }

    public SaeModel Model { get; }

    /// <summary>The step the run begins with; more than 0 when it was resumed.</summary>
    public long Start { get; private set; }

    public IReadOnlyList<SaeLogRow> Curves => _curves;

    private bool FixedMean => _config.Normalisation == TokenNormalisation.Paper && _config.Centring == TokenCentring.Fixed;

    /// <summary>Takes up the folder's checkpoint when it is asked for and there is one; otherwise removes what an earlier run left.</summary>
    public void Prepare(bool resume)
    {
        if (_settings.Folder is not { } folder) return;
        if (!resume || SaeCheckpoint.Read(folder, _settings.Identity, Model, _first, _second, _settings.Warn) is not { } state)
        {
            SaeCheckpoint.Clear(folder);
            return;
        }
        if (_config.Normalisation == TokenNormalisation.Paper && !FixedMean) Model.Normaliser = TokenNormaliser.ByBatch();
        _log = new SaeTrainingLog(folder, _config.LogRate, state.Log, state.Telemetry);
        _curves.AddRange(_log.Rows((long)_config.Batch * Model.Latents));
        if (_curves.Count > 0) _workspace.ChooseDecoding(_curves[^1].Active, _config.Batch);
        Load(state.Training);
        _restored = state.TokensSinceFired;
        Start = _lastCheckpoint = state.Step;
    }

    /// <summary>Joins the stream; a run from step 0 takes its start from it.</summary>
    public void Begin(SaeTokenStream stream, int slot, ulong seed, IProgressReporter progress, CancellationToken cancellation)
    {
        if (Start == 0)
        {
            if (_config.SparsityCoefficient > 0 && _config.SparsityAt(_settings.Total - 1, _settings.Total) == 0)
                _settings.Warn($"The penalty never acts: 'sparsity_warmup_steps' is {_config.SparsityWarmupSteps} and the run has {_settings.Total} steps.");
            Model.Normaliser = stream.Normaliser;
            if (_config.NeedsDeviation) _deviation = Deviation(stream);
            if (_config.Initialisation == SaeInitialisation.Centroids && !Initialised) CentroidStart.Apply(Model, _config, stream.Batches, stream.Tokens, seed, progress, cancellation);
        }
        if (_config.NeedsDeviation) _config = _config.WithDeviation(_deviation);
        if (Start == 0 && !Initialised && Model.Shape.Architecture == SaeArchitecture.JumpRelu) Model.Arrays.Threshold!.CopyFrom([.. Enumerable.Repeat((float)_config.InitialThreshold!.Value, Model.Latents)]);
        _stream = stream;
        _step = new SaeTrainStep(Model.Parameters, _gradients.View, _first.View, _second.View, Model.Usage, _workspace, stream.Feed, new SaeTrainStepOptions
        {
            Objective = _config.Objective(0),
            Update = new SaeUpdateOptions
            {
                Beta1 = _config.Beta1,
                Beta2 = _config.Beta2,
                WeightDecay = _config.WeightDecay,
                ClipNorm = _config.GradientClip,
                DecoderNorm = _config.DecoderNorm,
                Optimiser = _config.Optimiser,
            },
            UsageDecay = _config.UsageDecay,
            DeadAfterTokens = _deadTokens,
            ThresholdDecay = SaeConfig.ThresholdDecay(_settings.Total),
        }, slot);
        if (_restored.Length == Model.Latents) _step.Restore(_restored);
        _log.Open();
    }

    /// <summary>The weights were given, not drawn.</summary>
    public bool Initialised { get; init; }

    public void Plan(long step) => _step!.Plan(step, Sparsity(step), _config.LearningRateAt(step, _settings.Total), _config.SparsityExponentAt(step, _settings.Total));

    public void Run(long step)
    {
        _share = double.NaN;
        _looked = LooksAtShare(step);
        if (!_looked)
        {
            _step!.Run();
            return;
        }
        LookAtShare(step);
    }

    /// <summary>Controllers, watches, log, resampling and checkpoint of a step; the tokens are still there.</summary>
    /// <exception cref="ConvergenceException">The step was not finite.</exception>
    public void After(long step, SaeStreamClock clock)
    {
        long total = _settings.Total;
        bool checkpoint = _config.CheckpointEvery > 0 && (step + 1) % _config.CheckpointEvery == 0, log = Logs(step);
        bool steers = _config.SteersSparsity && step >= _config.SparsityWarmupSteps && (step + 1) % SparsityController.Period == 0;
        double usedSparsity = Sparsity(step);
        RequireFinite(log || checkpoint || steers);
        // A device that works ahead of the host is asked at logged steps only; the rule then looks at those.
        if ((Model.Device.IsHost || log) && _watch.AddNorm(_step!.GradientNorm) && _watch.Spikes == 1)
            _settings.Warn(string.Create(CultureInfo.InvariantCulture, $"The gradient norm of step {step}, {_step.GradientNorm:G3}, is more than {GradientWatch.SpikeFactor} times the median before it; telemetry.csv counts such spikes."));
        if (_looked) Watch(step, usedSparsity);
        if (steers) _controller.Add(_step!.Statistics.L0, step < _config.SparsityRampEnd(total));
        if (log) Log(step, usedSparsity, clock);
        if (_config.ResampleEvery > 0 && (step + 1) % _config.ResampleEvery == 0 && step + 1 < total) Resample(step);
        AnnealPenalty(step);
        if (checkpoint) Checkpoint(step + 1);
    }

    /// <summary>Whether a step is written into the log.</summary>
    public bool Logs(long step) => step % _config.LogEvery == 0 || step == _settings.Total - 1;

    /// <summary>Puts the state after <paramref name="done"/> steps on disk.</summary>
    public void Interrupt(long done)
    {
        RequireFinite(true);
        Checkpoint(done);
    }

    /// <summary>Writes checkpoint, model and configuration.</summary>
    public void Save(long tokens)
    {
        _log.Close();
        if (_settings.Folder is not { } folder) return;
        Checkpoint(_settings.Total);
        JsonObject training = new()
        {
            ["training"] = JsonNode.Parse(_settings.Identity.Config),
            ["seed"] = _settings.Identity.Seed,
            ["order"] = _settings.Identity.Order.ToString().ToLowerInvariant(),
            ["steps"] = _settings.Total,
            ["tokens"] = tokens,
        };
        if (_deviation > 0) training["token_deviation"] = _deviation;
        Model.Save(folder, training);
    }

    public void CloseLog() => _log.Close();

    public void Dispose()
    {
        _log.Close();
        _step?.Dispose();
        _gradients.Dispose();
        _first.Dispose();
        _second.Dispose();
        _workspace.Dispose();
    }

    /// <summary>Standard deviation of an element of the first batch about the mean token.</summary>
    private double Deviation(SaeTokenStream stream)
    {
        int d = Model.InputWidth;
        using Matrix<float> batch = Model.Device.Host.AllocateMatrix<float>(_config.Batch, d);
        stream.Batches.Load(0, batch.View);
        Model.Normaliser.Apply(batch.View);
        double[] sums = new double[d];
        double squares = 0;
        for (int t = 0; t < batch.Rows; t++)
        {
            ReadOnlySpan<float> row = batch.Row(t);
            for (int i = 0; i < d; i++) (sums[i], squares) = (sums[i] + row[i], squares + (double)row[i] * row[i]);
        }
        double variance = (squares - sums.Sum(sum => sum * sum) / batch.Rows) / ((double)batch.Rows * d);
        // A batch of one token, or of equal ones, has no spread; any window will do.
        return double.IsFinite(variance) && variance > 0 ? Math.Sqrt(variance) : 1;
    }

    private double Sparsity(long step) => _config.SparsityAt(step, _settings.Total) * Math.Exp(_controller.LogFactor) * _penaltyScale;

    private void Log(long step, double sparsity, SaeStreamClock clock)
    {
        Model.Usage.CopyTo(_usage);
        long[] since = TokensSinceFired();
        SaeLogRow row = SaeTrainingLog.Row(step, _config.LearningRateAt(step, _settings.Total), sparsity, _step!.Statistics, _step.GradientNorm, _usage, Model.Latents) with
        {
            DeadByTokens = since.Count(n => n >= _deadTokens),
            SparsityExponent = _config.SparsityExponentAt(step, _settings.Total),
            PenaltyShare = _share,
            GradientSpikes = _watch.Spikes,
            Resampled = _resampled,
        };
        _curves.Add(row);
        _workspace.ChooseDecoding(row.Active, _config.Batch);
        _log.Add(row, clock.TokensPerSecond, clock.Seconds);
    }

    private long[] TokensSinceFired()
    {
        long[] since = new long[Model.Latents];
        _step!.TokensSinceFired.CopyTo(since);
        return since;
    }

    private void Resample(long step)
    {
        long[] since = TokensSinceFired();
        int[] dead = [.. Enumerable.Range(0, since.Length).Where(j => since[j] >= _deadTokens)];
        if (dead.Length == 0) return;
        DeadLatents.Resample(Model, _first, _second, dead, _stream!.Feed.Tokens, _workspace, _config, _settings.Identity.Seed, step);
        foreach (int j in dead) since[j] = 0;
        _step!.Restore(since);
        _resampled += dead.Length;
    }

    /// <summary>Where p changes with the next step, λ changes with it, so that the penalty of the batch at hand keeps its value (Karvonen et al. 2024, arXiv 2408.00113).</summary>
    private void AnnealPenalty(long step)
    {
        double now = _config.SparsityExponentAt(step, _settings.Total), next = _config.SparsityExponentAt(step + 1, _settings.Total);
        if (now == next) return;
        double before = Penalty(now), after = Penalty(next);
        if (before > 0 && after > 0) _penaltyScale *= before / after;

        double Penalty(double exponent)
        {
            SaeStatistics statistics = new();
            SaeStep.Evaluate(_stream!.Feed.Tokens, Model.Parameters, _config.Objective(1) with { SparsityExponent = exponent }, _workspace, statistics);
            return statistics.Sparsity;
        }
    }

    private bool LooksAtShare(long step)
    {
        if (!Logs(step) || _config.HasActiveLatents || step < _config.SparsityRampEnd(_settings.Total) || Sparsity(step) <= 0) return false;
        long every = Math.Max(1, _settings.Total / ShareLooks / _config.LogEvery) * _config.LogEvery;
        return step % every == 0;
    }

    /// <summary>Takes the step, and before it the gradient without the penalty.</summary>
    private void LookAtShare(long step)
    {
        SaeObjective objective = _config.Objective(0) with { SparsityExponent = _config.SparsityExponentAt(step, _settings.Total) };
        SaeStep.Run(_stream!.Feed.Tokens, Model.Parameters, _gradients.View, objective, _workspace, new SaeStatistics());
        float[] without = PenalisedGradient();
        _step!.Run();
        _share = GradientWatch.Share(PenalisedGradient(), without);
    }

    /// <summary>The gradient in which penalty and reconstruction compete: of the gate's bias, the threshold, or the encoder's bias.</summary>
    private float[] PenalisedGradient()
    {
        float[] gradient = new float[Model.Latents];
        (_gradients.GateBias ?? _gradients.Threshold ?? _gradients.EncoderBias).CopyTo(gradient);
        return gradient;
    }

    private void Watch(long step, double sparsity)
    {
        SaeStatistics s = _step!.Statistics;
        if (!_watch.AddLook(new PenaltyLook(sparsity, s.L0, s.Sparsity, sparsity * s.Sparsity / s.Loss, _share))) return;
        string name = Model.Shape.HasGateBias ? "b_gate" : Model.Shape.HasThreshold ? "threshold" : "b_enc";
        string why = double.IsNaN(_share) ? "it reaches no latent" : string.Create(CultureInfo.InvariantCulture,
            $"it makes up {100 * _share:F0} % of the gradient of {name} for the median latent, and Adam divides its size away");
        _settings.Warn(string.Create(CultureInfo.InvariantCulture, $"λ no longer acts at step {step}: L0 stands still at {s.L0:F2} and {why}; a smaller 'sparsity_coeff' may help."));
    }

    private void RequireFinite(bool wait)
    {
        if (wait) _step!.Read();
        if (_step!.DivergedAt < 0) return;
        string what = NonFiniteTensor.Find(_stream!.Feed.Tokens, Model.Arrays, _gradients, _step.Statistics, _step.GradientNorm);
        throw new ConvergenceException($"Training stopped at step {_step.DivergedAt}: {what}; "
            + $"{(_lastCheckpoint >= 0 ? $"the checkpoint of step {_lastCheckpoint} is kept" : "there is no checkpoint yet")}; a smaller 'lr' or a 'grad_clip' above 0 usually helps.");
    }

    private void Checkpoint(long done)
    {
        if (_settings.Folder is not { } folder || _lastCheckpoint == done) return;
        SaeCheckpoint.Write(folder, new SaeCheckpointState(done, _settings.Identity, _log.LogText, _log.TelemetryText, TokensSinceFired(), Save()), Model, _first, _second);
        _lastCheckpoint = done;
    }

    private double[] Save() => [_deviation, _penaltyScale, _resampled, .. _controller.Save(), .. _watch.Save()];

    private void Load(double[] state)
    {
        if (state.Length < 6) return;
        (_deviation, _penaltyScale, _resampled) = (state[0], state[1], (long)state[2]);
        _controller.Load(state.AsSpan(3, 3));
        _watch.Load(state.AsSpan(6));
    }
}
