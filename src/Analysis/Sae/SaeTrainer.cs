using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>A training run as it is asked for.</summary>
public sealed record SaeTrainingOptions
{
    public SaeConfig Config { get; init; } = SaeConfig.Default;
    public ulong Seed { get; init; }
    public TokenOrder Order { get; init; } = TokenOrder.Shuffled;

    /// <summary>Total steps; null takes epochs × whole batches.</summary>
    public long? Steps { get; init; }

    /// <summary>A safetensors file with initial weights; null draws them from the seed.</summary>
    public string? InitialWeights { get; init; }

    /// <summary>Receives model, logs and checkpoints; null keeps everything in memory.</summary>
    public string? OutputFolder { get; init; }

    /// <summary>Continue from the checkpoint in the output folder; without one the run starts at step 0.</summary>
    public bool Resume { get; init; }

    public IProgressReporter Progress { get; init; } = SilentProgress.Instance;
    public CancellationToken Cancellation { get; init; }
}

/// <summary>What a finished run leaves.</summary>
public sealed record SaeTrainingResult(SaeModel Model, IReadOnlyList<SaeLogRow> Curves, long Steps, long ResumedAt, double TokensPerSecond, double Seconds) : IDisposable
{
    /// <summary>The last logged step.</summary>
    public SaeLogRow? Last => Curves.Count > 0 ? Curves[^1] : null;

    public void Dispose() => Model.Dispose();
}

/// <summary>
/// Trains a gated sparse autoencoder (docs/sae.md). One step: gradients of the batch; the decoder gradient loses its part along the decoder row;
/// clip; AdamW; decoder rows return to unit length. Usage averages come from the same forward pass. Bytes of the result are a function of tokens,
/// configuration, seed and kernel variant, however often the run was stopped and resumed.
/// </summary>
public static class SaeTrainer
{
    private const int DefaultBatch = 2048, DefaultExpansion = 8;

    /// <summary>Trains on tokens that are in memory [n, d_in]; the matrix stays the caller's.</summary>
    public static SaeTrainingResult Train(ComputeDevice device, Matrix<float> tokens, SaeTrainingOptions options)
    {
        using BorrowedTokens source = new(tokens);
        return Train(device, source, options);
    }

    /// <summary>Trains on any token source.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; a checkpoint was written when there is an output folder.</exception>
    /// <exception cref="ConvergenceException">The loss is no longer finite; the last checkpoint is kept.</exception>
    public static SaeTrainingResult Train(ComputeDevice device, ITokenSource tokens, SaeTrainingOptions options)
    {
        SaeConfig config = options.Config;
        config.Validate("configuration");
        if (tokens.Rows < 1 || tokens.Columns < 1) throw new DataException("tokens", null, $"there are {tokens.Rows} tokens of width {tokens.Columns}; at least one is needed");
        SaeModel model = CreateModel(device, tokens.Columns, ref config, options);
        try
        {
            if (config.Batch == 0) config = config with { Batch = (int)Math.Min(DefaultBatch, tokens.Rows) };
            if (config.Batch > tokens.Rows) throw new UsageException($"'batch' is {config.Batch} but there are only {tokens.Rows} tokens; expected a batch of at most {tokens.Rows}.");
            long total = options.Steps ?? config.Epochs * (tokens.Rows / config.Batch);
            if (total < 1) throw new UsageException($"--steps {total}: expected at least 1.");
            using TrainingRun run = new(device, tokens, model, config, total, options);
            return run.Execute();
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    private static SaeModel CreateModel(ComputeDevice device, int width, ref SaeConfig config, SaeTrainingOptions options)
    {
        if (options.InitialWeights is not { } file)
        {
            if (config.Latents == 0) config = config with { Latents = DefaultExpansion * width };
            return SaeModel.Create(device, width, config.Latents, config.Tied, config.InitialScale, options.Seed);
        }
        SaeModel model = SaeModel.LoadWeights(device, file);
        if (config.Latents == 0) config = config with { Latents = model.Latents };
        string? problem = model.InputWidth != width ? $"has {model.InputWidth} rows, the tokens have {width} dimensions"
            : model.Latents != config.Latents ? $"has {model.Latents} columns, 'd_sae' is {config.Latents}"
            : model.Tied != config.Tied ? $"{(model.Tied ? "comes without W_gate but 'tied' is false" : "comes with W_gate but 'tied' is true")}" : null;
        if (problem is null) return model;
        model.Dispose();
        throw new DataException(file, "W_mag", problem);
    }

    private sealed class BorrowedTokens(Matrix<float> matrix) : ITokenSource
    {
        public long Rows => matrix.Rows;
        public int Columns => matrix.Columns;

        public void Read(long start, MatrixView<float> destination)
        {
            MatrixView<float> rows = matrix.View.RowBlock((int)start, destination.Rows);
            for (int i = 0; i < destination.Rows; i++) rows.RowBlock(i, 1).CopyTo(destination.Row(i));
        }

        public void Dispose() { }
    }

    /// <summary>The state of one run.</summary>
    private sealed class TrainingRun : IDisposable
    {
        private readonly ITokenSource _tokens;
        private readonly SaeModel _model;
        private readonly SaeConfig _config;
        private readonly SaeTrainingOptions _options;
        private readonly long _total;
        private readonly SaeRunIdentity _identity;
        private readonly SaeArrays _gradients, _first, _second;
        private readonly SaeWorkspace _workspace;
        private readonly List<SaeLogRow> _curves = [];
        private readonly float[] _usage;
        private SaeTrainingLog _log;
        private CentredUnitRows? _centring;
        private SaeTokenFeed? _feed;
        private SaeTrainStep? _step;
        private long _lastCheckpoint = -1;

        public TrainingRun(ComputeDevice device, ITokenSource tokens, SaeModel model, SaeConfig config, long total, SaeTrainingOptions options)
        {
            (_tokens, _model, _config, _total, _options) = (tokens, model, config, total, options);
            _identity = new SaeRunIdentity(SaeConfigFile.Write(config), options.Seed, options.Order, total, tokens.Rows, tokens.Columns);
            _gradients = new SaeArrays(device, model.Shape);
            _first = new SaeArrays(device, model.Shape);
            _second = new SaeArrays(device, model.Shape);
            _workspace = new SaeWorkspace(device, model.Shape, config.AuxLatents) { Precision = config.GpuPrecision };
            _usage = new float[model.Latents];
            _log = new SaeTrainingLog(options.OutputFolder, config.LogRate);
        }

        public SaeTrainingResult Execute()
        {
            long start = Start();
            _centring = _model.Normaliser.CreateCentring(_model.Device, _config.Batch, _tokens.Columns);
            _feed = new SaeTokenFeed(_model.Device, _config.Batch, _tokens.Columns, _centring, _model.Normaliser.Mean is null);
            _step = CreateStep(_feed);
            using TokenBatches batches = new(_tokens, _config.Batch, _options.Order, _options.Seed, _total);
            _log.Open();
            Stopwatch clock = Stopwatch.StartNew();
            double lastSeconds = 0;
            long lastStep = start;
            try
            {
                for (long step = start; step < _total; step++)
                {
                    if (_options.Cancellation.IsCancellationRequested) Interrupt(step);
                    batches.Load(step, _feed.Next());
                    _step.Plan(step, _config.SparsityAt(step, _total), _config.LearningRateAt(step, _total));
                    _feed.Send();
                    _step.Run();
                    _feed.Release();
                    bool checkpoint = _config.CheckpointEvery > 0 && (step + 1) % _config.CheckpointEvery == 0;
                    bool log = step % _config.LogEvery == 0 || step == _total - 1;
                    RequireFinite(log || checkpoint);
                    if (log)
                    {
                        double seconds = clock.Elapsed.TotalSeconds, rate = (step + 1 - lastStep) * (double)_config.Batch / Math.Max(seconds - lastSeconds, 1e-9);
                        (lastSeconds, lastStep) = (seconds, step + 1);
                        Log(step, rate, seconds);
                    }
                    if (checkpoint) Checkpoint(step + 1);
                }
            }
            finally
            {
                _log.Close();
            }
            double elapsed = clock.Elapsed.TotalSeconds;
            Save();
            return new SaeTrainingResult(_model, _curves, _total, start, (_total - start) * (double)_config.Batch / Math.Max(elapsed, 1e-9), elapsed);
        }

        public void Dispose()
        {
            _log.Close();
            _step?.Dispose();
            _feed?.Dispose();
            _centring?.Dispose();
            _gradients.Dispose();
            _first.Dispose();
            _second.Dispose();
            _workspace.Dispose();
        }

        private long Start()
        {
            if (_options.OutputFolder is { } folder)
            {
                if (_options.Resume && SaeCheckpoint.Read(folder, _identity, _model, _first, _second) is { } state)
                {
                    if (_config.Normalisation == TokenNormalisation.Paper && _config.Centring == TokenCentring.Batch) _model.Normaliser = TokenNormaliser.ByBatch();
                    _log = new SaeTrainingLog(folder, _config.LogRate, state.Log, state.Telemetry);
                    _curves.AddRange(_log.Rows((long)_config.Batch * _model.Latents));
                    if (_curves.Count > 0) _workspace.ChooseDecoding(_curves[^1].Active, _config.Batch);
                    _lastCheckpoint = state.Step;
                    return state.Step;
                }
                // A checkpoint of an earlier run must not be taken for one of this run.
                string stale = Path.Combine(folder, SaeCheckpoint.FileName);
                if (File.Exists(stale)) File.Delete(stale);
            }
            _model.Normaliser = TokenNormaliser.Fit(_model.Device, _tokens, _config.Normalisation, _config.Centring, _options.Progress, _options.Cancellation);
            return 0;
        }

        private SaeTrainStep CreateStep(SaeTokenFeed feed) => new(_model.Parameters, _gradients.View, _first.View, _second.View, _model.Usage, _workspace,
            feed, new SaeTrainStepOptions
            {
                Objective = _config.Objective(0),
                Update = new SaeUpdateOptions { Beta1 = _config.Beta1, Beta2 = _config.Beta2, WeightDecay = _config.WeightDecay, ClipNorm = _config.GradientClip },
                UsageDecay = _config.UsageDecay,
            });

        /// <summary>A device that works ahead of the host is asked only where the host waits for it anyway: at logged steps and before checkpoints.</summary>
        private void RequireFinite(bool wait)
        {
            if (wait) _step!.Read();
            if (_step!.DivergedAt < 0) return;
            double loss = _step.Statistics.Loss;
            Diverged(_step.DivergedAt, !double.IsFinite(loss) ? $"the loss is {Describe(loss)}" : $"the gradient norm is {Describe(_step.GradientNorm)}");
        }

        private void Log(long step, double rate, double seconds)
        {
            _model.Usage.CopyTo(_usage);
            SaeLogRow row = SaeTrainingLog.Row(step, _config.LearningRateAt(step, _total), _config.SparsityAt(step, _total), _step!.Statistics, _step.GradientNorm, _usage, _model.Latents);
            _curves.Add(row);
            _workspace.ChooseDecoding(row.Active, _config.Batch);
            _log.Add(row, rate, seconds);
            _options.Progress.Report("training the autoencoder", step + 1, _total,
                string.Create(CultureInfo.InvariantCulture, $"FVU {row.Fvu:F3}, L0 {row.L0:F1}, dead {row.Dead}, {rate:F0} tokens/s"));
        }

        private void Checkpoint(long done)
        {
            if (_options.OutputFolder is not { } folder || _lastCheckpoint == done) return;
            SaeCheckpoint.Write(folder, new SaeCheckpoint.State(done, _identity, _log.LogText, _log.TelemetryText), _model, _first, _second);
            _lastCheckpoint = done;
        }

        private void Interrupt(long done)
        {
            RequireFinite(true);
            Checkpoint(done);
            _options.Cancellation.ThrowIfCancellationRequested();
        }

        private void Diverged(long step, string what) => throw new ConvergenceException(
            $"Training stopped at step {step}: {what}; {(_lastCheckpoint >= 0 ? $"the checkpoint of step {_lastCheckpoint} is kept" : "there is no checkpoint yet")}; a smaller 'lr' or a 'grad_clip' above 0 usually helps.");

        private static string Describe(double value) => double.IsNaN(value) ? "not a number" : "infinite";

        private void Save()
        {
            if (_options.OutputFolder is not { } folder) return;
            Checkpoint(_total);
            _model.Save(folder, new JsonObject
            {
                ["training"] = JsonNode.Parse(_identity.Config),
                ["seed"] = _options.Seed,
                ["order"] = _options.Order.ToString().ToLowerInvariant(),
                ["steps"] = _total,
                ["tokens"] = _tokens.Rows,
            });
        }
    }
}
