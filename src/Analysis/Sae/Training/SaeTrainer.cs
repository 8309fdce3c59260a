using System.Globalization;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>
/// Trains a sparse autoencoder (docs/sae.md). One step: gradients of the batch; the decoder gradient loses its part along the decoder row; clip; AdamW or
/// Muon; decoder rows return to unit length. Usage averages come from the same forward pass. Bytes of the result are a function of tokens, configuration,
/// seed and kernel variant, however often the run was stopped and resumed.
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
    /// <exception cref="ConvergenceException">A step was not finite; the sentence names the step and the tensor, the last checkpoint is kept.</exception>
    public static SaeTrainingResult Train(ComputeDevice device, ITokenSource tokens, SaeTrainingOptions options)
    {
        RequireTokens(tokens);
        options.Config.Validate("configuration");
        long before = MemoryAccounting.CurrentBytes;
        SaeModel model = CreateModel(device, tokens, options, out SaeConfig config);
        try
        {
            long total = Steps(config, tokens, options.Steps);
            SaeRunSettings settings = new(new SaeRunIdentity(SaeConfigFile.Write(config), options.Seed, options.Order, total, tokens.Rows, tokens.Columns) { BlockRows = BlockRows(tokens) }, options.OutputFolder, options.Warn);
            using SaeRun run = new(model, config, settings) { Initialised = options.InitialWeights is not null };
            return Execute(device, tokens, run, config, total, before, options);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    private static SaeTrainingResult Execute(ComputeDevice device, ITokenSource tokens, SaeRun run, SaeConfig config, long total, long before, SaeTrainingOptions options)
    {
        run.Prepare(options.Resume);
        TokenNormaliser normaliser = run.Start > 0 ? run.Model.Normaliser
            : TokenNormaliser.Fit(device, tokens, config.Normalisation, config.Centring, options.Progress, options.Cancellation);
        long streamFrom = MemoryAccounting.CurrentBytes;
        using SaeTokenStream stream = new(device, tokens, config.Batch, options.Order, options.Seed, total, normaliser, 1, (long)config.ShuffleWindow << 20);
        long streamBytes = MemoryAccounting.CurrentBytes - streamFrom;
        run.Begin(stream, 0, options.Seed, options.Progress, options.Cancellation);
        SaeMemoryPlan plan = new([("model", MemoryAccounting.CurrentBytes - before - streamBytes)], streamBytes, SaeMemoryPlan.Scratch(config, tokens.Rows, tokens.Columns));
        options.Planned(plan);
        SaeStreamClock clock = new(config.Batch, run.Start);
        try
        {
            for (long step = run.Start; step < total; step++)
            {
                if (options.Cancellation.IsCancellationRequested)
                {
                    run.Interrupt(step);
                    options.Cancellation.ThrowIfCancellationRequested();
                }
                try
                {
                    stream.Load(step);
                }
                catch (OperationCanceledException)
                {
                    // Tokens that are made on the way may be waited for long: the signal came during that.
                    run.Interrupt(step);
                    throw;
                }
                run.Plan(step);
                stream.Feed.Send();
                run.Run(step);
                if (run.Logs(step)) clock.Lap(step);
                run.After(step, clock);
                stream.Feed.Release();
                if (run.Logs(step)) Report(options.Progress, run.Curves[^1], step, total, clock.TokensPerSecond);
            }
        }
        finally
        {
            run.CloseLog();
        }
        double elapsed = clock.Elapsed;
        run.Save(tokens.Rows);
        return new SaeTrainingResult(run.Model, run.Curves, total, run.Start, (total - run.Start) * (double)config.Batch / Math.Max(elapsed, 1e-9), elapsed) { Plan = plan };
    }

    internal static void RequireTokens(ITokenSource tokens)
    {
        if (tokens.Rows < 1 || tokens.Columns < 1) throw new DataException("tokens", null, $"there are {tokens.Rows} tokens of width {tokens.Columns}; at least one is needed");
    }

    /// <summary>Fills in what a configuration leaves to the tokens.</summary>
    /// <summary>d_sae of a configuration for tokens of this width.</summary>
    public static int Latents(SaeConfig config, int inputWidth) => config.Latents > 0 ? config.Latents : DefaultExpansion * inputWidth;

    internal static int BlockRows(ITokenSource tokens) => tokens is IBlockTokens made ? made.BlockRows : 0;

    internal static SaeConfig Resolve(SaeConfig config, ITokenSource tokens, string source)
    {
        config = config with { Latents = Latents(config, tokens.Columns) };
        if (config.Batch == 0) config = config with { Batch = (int)Math.Min(DefaultBatch, tokens.Rows) };
        if (config.Batch > tokens.Rows) throw new UsageException($"'batch' is {config.Batch} but there are only {tokens.Rows} tokens; expected a batch of at most {tokens.Rows}.");
        config = config with { Prefixes = config.ResolvePrefixes(), LearningRate = config.LearningRate ?? SaeConfig.DefaultRate(config.Latents) };
        config.Validate(source);
        return config;
    }

    internal static long Steps(SaeConfig config, ITokenSource tokens, long? steps)
    {
        long total = steps ?? config.Epochs * (tokens.Rows / config.Batch);
        return total >= 1 ? total : throw new UsageException($"--steps {total}: expected at least 1.");
    }

    private static SaeModel CreateModel(ComputeDevice device, ITokenSource tokens, SaeTrainingOptions options, out SaeConfig config)
    {
        config = options.Config;
        if (options.InitialWeights is not { } file)
        {
            config = Resolve(config, tokens, "configuration");
            return SaeModel.Create(device, config, tokens.Columns, options.Seed);
        }
        SaeModel model = SaeModel.LoadWeights(device, file, (config with { Latents = Math.Max(1, config.Latents) }).Shape(tokens.Columns));
        try
        {
            if (config.Latents == 0) config = config with { Latents = model.Latents };
            string? problem = model.InputWidth != tokens.Columns ? $"has {model.InputWidth} rows, the tokens have {tokens.Columns} dimensions"
                : model.Latents != config.Latents ? $"has {model.Latents} columns, 'd_sae' is {config.Latents}"
                : model.Tied != config.Tied ? $"{(model.Tied ? "comes without W_gate but 'tied' is false" : "comes with W_gate but 'tied' is true")}" : null;
            if (problem is not null) throw new DataException(file, config.Architecture == SaeArchitecture.Gated ? "W_mag" : "W_enc", problem);
            config = Resolve(config, tokens, "configuration");
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    private static void Report(IProgressReporter progress, SaeLogRow row, long step, long total, double rate) => progress.Report("training the autoencoder", step + 1, total,
        string.Create(CultureInfo.InvariantCulture, $"FVU {row.Fvu:F3}, L0 {row.L0:F1}, dead {row.Dead}, {rate:F0} tokens/s"));

    internal sealed class BorrowedTokens(Matrix<float> matrix) : IResidentTokens
    {
        public long Rows => matrix.Rows;
        public int Columns => matrix.Columns;
        public MatrixView<float> All => matrix.View;

        public void Read(long start, MatrixView<float> destination)
        {
            MatrixView<float> rows = matrix.View.RowBlock((int)start, destination.Rows);
            for (int i = 0; i < destination.Rows; i++) rows.RowBlock(i, 1).CopyTo(destination.Row(i));
        }

        public void Dispose() { }
    }
}
