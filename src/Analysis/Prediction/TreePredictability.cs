using System.Globalization;
using BioSup.Runtime;

namespace BioSup.Analysis.Prediction;

/// <summary>Trees and null of <see cref="TreePredictability"/>; the defaults are GW-map's, and XGBoost's where GW-map keeps them.</summary>
public sealed record TreeOptions
{
    /// <summary>Trees of a model, 1 or more.</summary>
    public int Trees { get; init; } = 200;

    /// <summary>Levels of a tree, 1 to 16. A tree may fill them.</summary>
    public int Depth { get; init; } = 5;

    /// <summary>Share of a tree's values that is added to the model, above 0.</summary>
    public double LearningRate { get; init; } = 0.1;

    /// <summary>L2 penalty of a leaf's value (XGBoost's lambda).</summary>
    public double LeafPenalty { get; init; } = 1;

    /// <summary>Permutations of the rows of the targets; 0 for none.</summary>
    public int Permutations { get; init; } = 100;

    /// <summary>Seed of the permutations; the trees draw nothing at random.</summary>
    public ulong Seed { get; init; } = 42;

    internal void Validate()
    {
        PredictionData.RequirePermutations(Permutations);
        Require(Trees >= 1, "number of trees", Trees, "1 or more");
        Require(Depth is >= 1 and <= 16, "depth", Depth, "1 to 16");
        Require(LearningRate > 0 && double.IsFinite(LearningRate), "learning rate", LearningRate, "a finite number above 0");
        Require(LeafPenalty >= 0 && double.IsFinite(LeafPenalty), "leaf penalty", LeafPenalty, "a finite number, 0 or more");
    }

    /// <summary>
    /// LightGBM's words for XGBoost's defaults: no sampling, no least gain, leaves of one row (min_child_weight 1 under the square loss), bins as fine as they go, a
    /// start from the mean. Leaves are split best first instead of level by level, which makes the same tree when there are leaves for all of them.
    /// </summary>
    internal string Parameters() => string.Create(CultureInfo.InvariantCulture,
        $"objective=regression boosting=gbdt max_depth={Depth} num_leaves={1 << Depth} learning_rate={LearningRate} lambda_l2={LeafPenalty} min_data_in_leaf=1 min_sum_hessian_in_leaf=0.5 min_gain_to_split=0 max_bin=255 min_data_in_bin=1 feature_pre_filter=false use_missing=false boost_from_average=true num_threads=1 deterministic=true force_col_wise=true seed=1 verbosity=-1");

    private static void Require(bool holds, string name, double value, string expected)
    {
        if (!holds) throw new UsageException(string.Create(CultureInfo.InvariantCulture, $"The boosted trees' {name} is {value}; expected {expected}."));
    }
}

/// <summary>
/// Cross-validated gradient-boosted regression trees (Friedman 2001) over binned features, one model per target, and their permutation null; fitted by LightGBM (Ke et al. 2017)
/// with the settings that make it XGBoost's <c>hist</c>. R² is that of the pooled out-of-fold predictions. The work is the host's, whatever device the matrices lie on:
/// models are shared out among the threads, each fitted by one, so that results are the same bytes for any number of threads.
/// </summary>
public static class TreePredictability
{
    private const int TargetsPerBlock = 1024, ModelsTogether = 256;

    /// <param name="x">Features [n, p], finite.</param>
    /// <param name="y">Targets [n, G], finite.</param>
    /// <param name="folds">Folds of the n rows.</param>
    /// <param name="options">Protocol.</param>
    /// <param name="progress">Receives "tree predictability" by target and permutation, from one thread at a time.</param>
    /// <param name="cancel">Stops between models.</param>
    /// <param name="parts">Keeps models, 256 at a time; null keeps none.</param>
    /// <exception cref="DataException">Shapes that do not fit together, or a value that is not finite.</exception>
    /// <exception cref="UsageException">An option out of range.</exception>
    /// <exception cref="DeviceException">LightGBM cannot be loaded on this machine, or refuses the data.</exception>
    public static PredictabilityResult Run(MatrixView<float> x, MatrixView<float> y, PredictionFolds folds, TreeOptions options, IProgressReporter progress, CancellationToken cancel,
        NullParts? parts = null)
    {
        options.Validate();
        PredictionData.Require(x, y, folds);
        CpuDevice cpu = x.Device.Host;
        using Matrix<float> features = cpu.AllocateMatrix<float>(x.Rows, x.Columns);
        x.CopyTo(features.Buffer.View.Host);
        using TreeWorkers workers = new(features, folds, options, (long)y.Columns * (1 + options.Permutations), progress, cancel);
        NullTally tally = new(y.Columns, options.Permutations);
        int part = 0;
        for (int first = 0; first < y.Columns; first += TargetsPerBlock)
        {
            using TargetBlock block = new(y, first, Math.Min(TargetsPerBlock, y.Columns - first), cpu);
            double[] rSquared = new double[(1L + options.Permutations) * block.Count];
            for (int start = 0; start < rSquared.Length; start += ModelsTogether, part++)
            {
                int models = Math.Min(ModelsTogether, rSquared.Length - start);
                if (parts?.Find(part, models) is { } found) workers.Take(found, rSquared, start);
                else
                {
                    workers.Run(block, rSquared, start, models);
                    parts?.Keep(part, rSquared[start..(start + models)]);
                }
            }
            float[] engine = Array.ConvertAll(rSquared, r => (float)r);
            for (int t = 0; t < block.Count; t++)
            {
                if (block.IsConstant[t]) tally.AddConstant(first + t);
                else tally.Add(first + t, rSquared[t], engine.AsSpan(t), block.Count);
            }
        }
        return tally.ToResult();
    }

    /// <summary>Each thread's own binned folds: LightGBM writes the target into them.</summary>
    private sealed class TreeWorkers(Matrix<float> x, PredictionFolds folds, TreeOptions options, long models, IProgressReporter progress, CancellationToken cancel) : IDisposable
    {
        private readonly LightGbmFold?[,] _folds = new LightGbmFold?[x.Device.Host.Pool.Threads, folds.Count];
        private readonly int[]?[] _orders = new int[]?[x.Device.Host.Pool.Threads];
        private readonly Lock _reporting = new();
        private long _done;

        /// <summary>Models start … start + count - 1 of a block, numbered by permutation and within it by target.</summary>
        public void Run(TargetBlock block, double[] rSquared, int start, int count)
        {
            Job job = new() { Owner = this, Block = block, RSquared = rSquared, Start = start };
            x.Device.Host.Pool.Run(count, ref job);
        }

        /// <summary>Models that an earlier process fitted.</summary>
        public void Take(double[] found, double[] rSquared, int start)
        {
            found.CopyTo(rSquared, start);
            _done += found.Length;
        }

        public void Dispose()
        {
            foreach (LightGbmFold? fold in _folds) fold?.Dispose();
        }

        private double Evaluate(TargetBlock block, int permutation, int target, int worker)
        {
            int[] order = _orders[worker] ??= new int[x.Rows];
            RowPermutations.Fill(options.Seed, permutation, order);
            double errors = 0;
            for (int f = 0; f < folds.Count; f++)
            {
                cancel.ThrowIfCancellationRequested();
                LightGbmFold fold = _folds[worker, f] ??= new LightGbmFold(x, folds.TrainRows(f), folds.TestRows[f], options);
                for (int i = 0; i < fold.TrainRows.Length; i++) fold.Labels[i] = block.Values.Row(order[fold.TrainRows[i]])[target];
                fold.Fit();
                for (int i = 0; i < fold.TestRows.Length; i++)
                {
                    double error = block.Values.Row(order[fold.TestRows[i]])[target] - fold.Predictions[i];
                    errors += error * error;
                }
            }
            return 1 - errors / block.SumOfSquares[target];
        }

        private struct Job : IBlockJob
        {
            public TreeWorkers Owner;
            public TargetBlock Block;
            public double[] RSquared;
            public int Start;

            public readonly void Execute(long block, int worker)
            {
                int model = Start + (int)block, permutation = model / Block.Count, target = model % Block.Count;
                RSquared[model] = Block.IsConstant[target] ? 0 : Owner.Evaluate(Block, permutation, target, worker);
                Owner.Report();
            }
        }

        private void Report()
        {
            lock (_reporting) progress.Report("tree predictability", ++_done, models, "permuted targets");
        }
    }
}
