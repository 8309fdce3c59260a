using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>A sweep as it is asked for.</summary>
public sealed record SaeSweepOptions
{
    public required IReadOnlyList<SaeSweepMember> Members { get; init; }

    /// <summary>Of the order of tokens.</summary>
    public ulong Seed { get; init; }

    public TokenOrder Order { get; init; } = TokenOrder.Shuffled;

    /// <summary>Total steps; null takes epochs × whole batches.</summary>
    public long? Steps { get; init; }

    /// <summary>Gets a folder for every model; null keeps everything in memory.</summary>
    public string? OutputFolder { get; init; }

    /// <summary>Continue from the checkpoints in the models' folders.</summary>
    public bool Resume { get; init; }

    public IProgressReporter Progress { get; init; } = SilentProgress.Instance;
    public CancellationToken Cancellation { get; init; }

    /// <summary>Receives what a person should know while the run goes on: one sentence each.</summary>
    public Action<string> Warn { get; init; } = static _ => { };

    /// <summary>Receives the memory plan, before the first step.</summary>
    public Action<SaeMemoryPlan> Planned { get; init; } = static _ => { };
}

/// <summary>Native memory that training will hold at most.</summary>
/// <param name="Models">Name and bytes of parameters, gradients, moments and workspace of each model.</param>
/// <param name="StreamBytes">Tokens: windows, batches, transfers.</param>
/// <param name="ScratchBytes">What kernels, the start (its first batch, centroids) and resampling need for a while.</param>
public sealed record SaeMemoryPlan(IReadOnlyList<(string Name, long Bytes)> Models, long StreamBytes, long ScratchBytes)
{
    private const long KernelScratchBytes = 64L << 20;

    public long TotalBytes => Models.Sum(m => m.Bytes) + StreamBytes + ScratchBytes;

    /// <summary>What a run of this configuration needs for a while.</summary>
    internal static long Scratch(SaeConfig config, long tokens, int inputWidth) => KernelScratchBytes + Math.Max(
        config.ResampleEvery > 0 ? DeadLatents.Bytes(inputWidth, config.Latents, config.Batch) : 0,
        (config.Initialisation == SaeInitialisation.Centroids ? CentroidStart.Bytes(tokens, inputWidth, config.Latents) : 0)
            + (config.Initialisation == SaeInitialisation.Centroids || config.NeedsDeviation ? sizeof(float) * (long)config.Batch * inputWidth : 0));
}

/// <summary>What became of one model.</summary>
/// <param name="Member">The model.</param>
/// <param name="Model">Trained; null when it failed.</param>
/// <param name="Curves">Logged steps.</param>
/// <param name="ResumedAt">The step it was taken up at.</param>
/// <param name="Problem">Why it failed; null when it did not.</param>
public sealed record SaeSweepOutcome(SaeSweepMember Member, SaeModel? Model, IReadOnlyList<SaeLogRow> Curves, long ResumedAt, string? Problem);

/// <summary>What a finished sweep leaves.</summary>
public sealed record SaeSweepResult(IReadOnlyList<SaeSweepOutcome> Outcomes, long Steps, double TokensPerSecond, double Seconds, SaeMemoryPlan Plan, long PeakBytes) : IDisposable
{
    public void Dispose()
    {
        foreach (SaeSweepOutcome outcome in Outcomes) outcome.Model?.Dispose();
    }
}

/// <summary>
/// Trains many models on one stream of tokens: each batch is read, brought to the device and prepared once. Every model comes out as it would alone, byte
/// for byte, with the same seed for its weights and for the order. One that fails is recorded in its folder (failed.json) and the others go on.
/// </summary>
public static class SaeSweep
{
    public const string FailureFile = "failed.json";
    private static readonly JsonSerializerOptions s_readable = new() { WriteIndented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <exception cref="ConvergenceException">Every model failed.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; every model has a checkpoint.</exception>
    public static SaeSweepResult Train(ComputeDevice device, ITokenSource tokens, SaeSweepOptions options)
    {
        SaeTrainer.RequireTokens(tokens);
        if (options.Members.Count == 0) throw new UsageException("The sweep has no models.");
        SaeConfig[] configs = [.. options.Members.Select(m => SaeTrainer.Resolve(m.Config, tokens, m.Name))];
        SaeConfig first = configs[0];
        if (configs.Any(c => (c.Batch, c.Normalisation, c.Centring, c.ShuffleWindow) != (first.Batch, first.Normalisation, first.Centring, first.ShuffleWindow)))
            throw new UsageException("The models of a sweep share one stream of tokens: 'batch', 'normalise', 'centring' and 'shuffle_window_mib' must be those of all.");
        long total = SaeTrainer.Steps(first, tokens, options.Steps);
        using Sweep sweep = new(device, tokens, options, configs, total);
        return sweep.Execute();
    }

    /// <summary>One member's place in the sweep.</summary>
    private sealed class Lane(SaeSweepMember member, string? folder)
    {
        public SaeSweepMember Member { get; } = member;
        public string? Folder { get; } = folder;
        public SaeRun? Run { get; set; }
        public SaeModel? Model { get; set; }
        public long Bytes { get; set; }
        public string? Problem { get; set; }
        public IReadOnlyList<SaeLogRow> Curves { get; set; } = [];
        public long ResumedAt { get; set; }
        public bool FailedOnData { get; set; }

        public void Release()
        {
            Run?.Dispose();
            Run = null;
        }
    }

    private sealed class Sweep : IDisposable
    {
        private readonly ComputeDevice _device;
        private readonly ITokenSource _tokens;
        private readonly SaeSweepOptions _options;
        private readonly SaeConfig[] _configs;
        private readonly long _total;
        private readonly Lane[] _lanes;
        private readonly Action<Lane> _after;
        private Lane[] _turn = [];
        private long _nextChange, _step;
        private int _failures, _failuresSeen;
        private SaeStreamClock? _clock;
        private DataException? _lastDataProblem;
        private bool _finished;

        public Sweep(ComputeDevice device, ITokenSource tokens, SaeSweepOptions options, SaeConfig[] configs, long total)
        {
            (_device, _tokens, _options, _configs, _total) = (device, tokens, options, configs, total);
            _after = lane => lane.Run!.After(_step, _clock!);
            _lanes = [.. options.Members.Select(m => new Lane(m, options.OutputFolder is null ? null : Path.Combine(options.OutputFolder, m.Name)))];
        }

        private IEnumerable<Lane> Alive => _lanes.Where(l => l.Run is not null);

        public SaeSweepResult Execute()
        {
            long before = MemoryAccounting.CurrentBytes;
            for (int i = 0; i < _lanes.Length; i++) Guarded(_lanes[i], 0, lane => Create(lane, _configs[Array.IndexOf(_lanes, lane)]));
            RequireAny();
            SaeRun? resumed = Alive.Select(l => l.Run!).FirstOrDefault(r => r.Start > 0);
            SaeConfig config = _configs[0];
            TokenNormaliser normaliser = resumed?.Model.Normaliser ?? TokenNormaliser.Fit(_device, _tokens, config.Normalisation, config.Centring, _options.Progress, _options.Cancellation);
            long streamFrom = MemoryAccounting.CurrentBytes;
            using SaeTokenStream stream = new(_device, _tokens, config.Batch, _options.Order, _options.Seed, _total, normaliser, _lanes.Length, (long)config.ShuffleWindow << 20);
            long streamBytes = MemoryAccounting.CurrentBytes - streamFrom;
            MemoryAccounting.ResetPeak();
            for (int i = 0; i < _lanes.Length; i++)
            {
                int slot = i;
                if (_lanes[i].Run is not { } run) continue;
                long held = MemoryAccounting.CurrentBytes;
                Guarded(_lanes[i], run.Start, lane => run.Begin(stream, slot, lane.Member.Seed, _options.Progress, _options.Cancellation));
                _lanes[i].Bytes += MemoryAccounting.CurrentBytes - held;
            }
            RequireAny();
            SaeMemoryPlan plan = new([.. Alive.Select(l => (l.Member.Name, l.Bytes))], streamBytes, Scratch());
            _options.Planned(plan);
            long start = Alive.Min(l => l.Run!.Start);
            SaeStreamClock clock = new(config.Batch, start);
            for (long step = start; step < _total; step++) Step(step, stream, clock);
            foreach (Lane lane in Alive.ToArray()) Guarded(lane, _total, l => l.Run!.Save(_tokens.Rows));
            RequireAny();
            long peak = MemoryAccounting.PeakBytes - before;
            double seconds = clock.Elapsed;
            foreach (Lane lane in Alive.ToArray()) Finish(lane);
            _finished = true;
            return new SaeSweepResult([.. _lanes.Select(l => new SaeSweepOutcome(l.Member, l.Problem is null ? l.Model : null, l.Curves, l.ResumedAt, l.Problem))], _total,
                (_total - start) * (double)config.Batch / Math.Max(seconds, 1e-9), seconds, plan, peak);
        }

        public void Dispose()
        {
            foreach (Lane lane in _lanes)
            {
                lane.Release();
                if (!_finished || lane.Problem is not null) lane.Model?.Dispose();
            }
        }

        private void Create(Lane lane, SaeConfig config)
        {
            if (lane.Folder is { } folder)
            {
                Directory.CreateDirectory(folder);
                string failure = Path.Combine(folder, FailureFile);
                if (_options.Resume && File.Exists(failure))
                {
                    lane.Problem = ReadFailure(failure);
                    return;
                }
                File.Delete(failure);
            }
            long before = MemoryAccounting.CurrentBytes;
            lane.Model = SaeModel.Create(_device, config, _tokens.Columns, lane.Member.Seed);
            SaeRunIdentity identity = new(SaeConfigFile.Write(config), lane.Member.Seed, _options.Order, _total, _tokens.Rows, _tokens.Columns) { StreamSeed = _options.Seed, BlockRows = SaeTrainer.BlockRows(_tokens) };
            SaeRun run = new(lane.Model, config, new SaeRunSettings(identity, lane.Folder, line => _options.Warn($"{lane.Member.Name}: {line}")));
            lane.Run = run;
            run.Prepare(_options.Resume);
            lane.ResumedAt = run.Start;
            lane.Bytes = MemoryAccounting.CurrentBytes - before;
        }

        private void Step(long step, SaeTokenStream stream, SaeStreamClock clock)
        {
            if (_options.Cancellation.IsCancellationRequested) Interrupt(step);
            if (step >= _nextChange) TakeTurns(step);
            Lane[] lanes = _turn;
            if (lanes.Length == 0) return;
            try
            {
                stream.Load(step);
            }
            catch (OperationCanceledException)
            {
                // Tokens that are made on the way may be waited for long: the signal came during that.
                Interrupt(step);
                throw;
            }
            foreach (Lane lane in lanes) lane.Run!.Plan(step);
            stream.Feed.Send();
            foreach (Lane lane in lanes) lane.Run!.Run(step);
            bool log = false;
            foreach (Lane lane in lanes) log |= lane.Run!.Logs(step);
            if (log) clock.Lap(step);
            (_step, _clock) = (step, clock);
            foreach (Lane lane in lanes) Guarded(lane, step, _after);
            stream.Feed.Release();
            if (_failures != _failuresSeen)
            {
                RequireAny();
                TakeTurns(step + 1);
            }
            if (log) Report(step, clock.TokensPerSecond);
        }

        /// <summary>Which models take part from a step on: those that have not failed and whose checkpoint is not further on.</summary>
        private void TakeTurns(long step)
        {
            _turn = [.. Alive.Where(l => l.Run!.Start <= step)];
            _nextChange = Alive.Select(l => l.Run!.Start).Where(start => start > step).DefaultIfEmpty(long.MaxValue).Min();
            _failuresSeen = _failures;
        }

        /// <summary>What one model cannot survive ends that model alone.</summary>
        private void Guarded(Lane lane, long step, Action<Lane> work)
        {
            try
            {
                work(lane);
            }
            catch (Exception e) when (e is ConvergenceException or DataException or DeviceException or OutOfMemoryException)
            {
                string problem = e is OutOfMemoryException ? "There is not enough memory for it." : e.Message;
                lane.Problem = problem;
                lane.FailedOnData = e is DataException;
                _lastDataProblem = e as DataException ?? _lastDataProblem;
                _failures++;
                lane.Curves = lane.Run?.Curves ?? [];
                lane.Release();
                lane.Model?.Dispose();
                lane.Model = null;
                _options.Warn($"{lane.Member.Name} failed, the others go on: {problem}");
                // A disk that is full cannot hold the news either.
                if (lane.Folder is { } folder && e is not DataException)
                    AtomicFile.WriteAllText(Path.Combine(folder, FailureFile), new JsonObject { ["step"] = step, ["problem"] = problem }.ToJsonString(s_readable) + "\n");
            }
        }

        private void Finish(Lane lane)
        {
            lane.Curves = lane.Run!.Curves;
            lane.Release();
        }

        private void Interrupt(long step)
        {
            foreach (Lane lane in Alive.Where(l => l.Run!.Start <= step).ToArray()) Guarded(lane, step, l => l.Run!.Interrupt(step));
            _options.Cancellation.ThrowIfCancellationRequested();
        }

        private void RequireAny()
        {
            if (Alive.Any()) return;
            // A full disk is not a matter of convergence.
            if (_lastDataProblem is { } data && _lanes.All(l => l.FailedOnData)) throw data;
            throw new ConvergenceException(_lanes.Length == 1 ? _lanes[0].Problem! : $"All {_lanes.Length} models failed; the first: {_lanes[0].Problem}");
        }

        private long Scratch() => _lanes.Zip(_configs).Where(p => p.First.Run is not null).Max(p => SaeMemoryPlan.Scratch(p.Second, _tokens.Rows, _tokens.Columns));

        private void Report(long step, double rate)
        {
            SaeLogRow[] rows = [.. Alive.Where(l => l.Run!.Curves.Count > 0).Select(l => l.Run!.Curves[^1])];
            if (rows.Length == 0) return;
            _options.Progress.Report("training the autoencoders", step + 1, _total, string.Create(CultureInfo.InvariantCulture,
                $"{rows.Length} models, FVU {rows.Min(r => r.Fvu):F3} to {rows.Max(r => r.Fvu):F3}, L0 {rows.Min(r => r.L0):F1} to {rows.Max(r => r.L0):F1}, {rate:F0} tokens/s"));
        }

        private static string ReadFailure(string path)
        {
            try
            {
                return JsonNode.Parse(File.ReadAllText(path))?["problem"]?.GetValue<string>() ?? "It failed before.";
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException)
            {
                return "It failed before.";
            }
        }
    }
}
