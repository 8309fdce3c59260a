using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Analysis.Alignment;
using BioSup.Analysis.Sae;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup bench`: how fast this machine runs the operations, at the sizes that matter. Ratios to other libraries are the business of benchmarks/.</summary>
internal static class BenchCommand
{
    private sealed record Row(string Suite, string Shape, double Seconds, double Rate, string Unit);

    private static readonly string[] s_suites = ["gemm", "distance", "knn", "sae", "gw"];

    public static Command Create()
    {
        Option<string> suites = new("--suite") { Description = $"comma-separated: {string.Join(',', s_suites)}", DefaultValueFactory = _ => string.Join(',', s_suites) };
        Option<string> sizes = new("--sizes") { Description = "small (seconds) or paper (minutes)", DefaultValueFactory = _ => "small" };
        return new Command("bench", "Time the engine's operations on this machine.") { suites, sizes }.Runs((parsed, context) => Run(parsed.GetValue(suites)!, parsed.GetValue(sizes)!, context));
    }

    private static JsonObject Run(string suites, string sizes, CommandContext context)
    {
        if (sizes is not ("small" or "paper")) throw new UsageException($"--sizes {sizes}: expected small or paper.");
        string[] chosen = suites.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        if (chosen.FirstOrDefault(s => !s_suites.Contains(s)) is { } unknown) throw new UsageException($"--suite {unknown}: expected some of {string.Join(", ", s_suites)}.");
        if (chosen.Length == 0) throw new UsageException($"--suite names nothing to time; expected some of {string.Join(", ", s_suites)}.");
        bool paper = sizes == "paper";
        string? gpu = (context.Device as CudaDevice)?.Info.Name;
        context.Say($"{(gpu is null ? "" : $"{context.Device.Name}, {gpu}; host ")}{CpuFeatures.ModelName}, {context.Host.Pool.Threads} threads, kernels {KernelDispatch.Select("").ToString().ToLowerInvariant()}; best of several runs");
        context.Say($"{"suite",-10} {"shape",-34} {"seconds",12} {"rate",14}");
        List<Row> rows = [];
        foreach (string suite in chosen)
            foreach (Row row in Suite(suite, paper, context))
            {
                context.Say(string.Create(CultureInfo.InvariantCulture, $"{row.Suite,-10} {row.Shape,-34} {row.Seconds,12:F5} {row.Rate,14:N1} {row.Unit}"));
                rows.Add(row);
            }
        return new JsonObject
        {
            ["device"] = context.Device.Name,
            ["gpu"] = gpu,
            ["processor"] = CpuFeatures.ModelName,
            ["instruction_set"] = CpuFeatures.BestInstructionSet,
            ["kernel_variant"] = KernelDispatch.Select("").ToString().ToLowerInvariant(),
            ["threads"] = context.Host.Pool.Threads,
            ["rows"] = new JsonArray([.. rows.Select(r => (JsonNode)new JsonObject { ["suite"] = r.Suite, ["shape"] = r.Shape, ["seconds"] = r.Seconds, ["rate"] = r.Rate, ["unit"] = r.Unit })]),
        };
    }

    private static IEnumerable<Row> Suite(string suite, bool paper, CommandContext context) => suite switch
    {
        "gemm" => Gemms(paper, context),
        "distance" => Distances(paper, context),
        "knn" => Neighbours(paper, context),
        "sae" => SaeSteps(paper, context),
        _ => Alignments(paper, context),
    };

    private static IEnumerable<Row> Gemms(bool paper, CommandContext context)
    {
        (int M, int K, int N)[] shapes = paper ? [(512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048), (4096, 4096, 4096), (4096, 512, 8192)] : [(512, 512, 512), (1024, 1024, 1024)];
        foreach ((int m, int k, int n) in shapes)
        {
            using Matrix<float> a = Noise(context, m, k), b = Noise(context, k, n), c = context.Device.AllocateMatrix<float>(m, n);
            double seconds = Best(context, () => Gemm.Multiply(Transpose.No, Transpose.No, 1, a.View, b.View, 0, c.View));
            yield return new Row("gemm", $"{m} x {k} x {n} float32", seconds, 2.0 * m * k * n / seconds / 1e9, "GFLOP/s");
        }
    }

    private static IEnumerable<Row> Distances(bool paper, CommandContext context)
    {
        (int N, int D)[] shapes = paper ? [(10000, 512), (20000, 50)] : [(2000, 512), (4000, 50)];
        foreach ((int n, int d) in shapes)
        {
            using Matrix<float> x = Noise(context, n, d), distances = context.Device.AllocateMatrix<float>(n, n);
            double seconds = Best(context, () => PairwiseDistance.ComputeSelf(DistanceMetric.Euclidean, x.View, distances.View));
            yield return new Row("distance", $"{n} x {d} euclidean, all pairs", seconds, (double)n * n / seconds / 1e6, "M pairs/s");
        }
    }

    private static IEnumerable<Row> Neighbours(bool paper, CommandContext context)
    {
        (int N, int D)[] shapes = paper ? [(10000, 512), (20000, 50)] : [(2000, 512), (4000, 50)];
        foreach ((int n, int d) in shapes)
        {
            using Matrix<float> x = Noise(context, n, d), distances = context.Device.AllocateMatrix<float>(n, 15);
            using Matrix<int> indices = context.Device.AllocateMatrix<int>(n, 15);
            double seconds = Best(context, () => KNearestNeighbours.SearchSelf(DistanceMetric.Euclidean, x.View, indices.View, distances.View));
            yield return new Row("knn", $"{n} x {d} euclidean, k = 15", seconds, (double)n * n / seconds / 1e6, "M pairs/s");
        }
    }

    private static IEnumerable<Row> SaeSteps(bool paper, CommandContext context)
    {
        (int Batch, int D, int Latents)[] shapes = paper ? [(2048, 512, 4096), (4096, 512, 8192)] : [(1024, 256, 1024)];
        foreach ((int batch, int d, int latents) in shapes)
        {
            using Matrix<float> tokens = Noise(context, batch, d);
            const int steps = 6;
            SaeTrainingOptions options = new()
            {
                Config = SaeConfig.Default with { Latents = latents, Batch = batch, LogEvery = steps, CheckpointEvery = 0, SparsityWarmupSteps = 0 },
                Seed = context.Seed,
                Steps = steps,
                Cancellation = context.Cancellation,
            };
            // One step that is not counted: what is compiled at first use is compiled there.
            SaeTrainer.Train(context.Device, tokens, options with { Steps = 1 }).Dispose();
            using SaeTrainingResult result = SaeTrainer.Train(context.Device, tokens, options);
            yield return new Row("sae", $"{batch} tokens x {d} -> {latents}, first steps", batch / result.TokensPerSecond, result.TokensPerSecond, "tokens/s");
        }
    }

    private static IEnumerable<Row> Alignments(bool paper, CommandContext context)
    {
        foreach (int n in paper ? new[] { 500, 1000, 2000 } : [300])
        {
            using Matrix<double> x = Points(context, n, 0), y = Points(context, n, 1);
            DomainCostOptions costs = new() { Cost = DomainCost.SquaredEuclidean, RowNormalisation = RowNormalisation.None, Scale = CostScale.Max };
            using DomainCostResult cx = DomainCosts.Build(x, costs), cy = DomainCosts.Build(y, costs);
            EntropicGromovWasserstein.Solve(cx.Cost, cy.Cost, new GromovOptions { Epsilon = 5e-3, MaxIterations = 1 }, cancellation: context.Cancellation).Dispose();
            Stopwatch clock = Stopwatch.StartNew();
            using GromovResult result = EntropicGromovWasserstein.Solve(cx.Cost, cy.Cost, new GromovOptions { Epsilon = 5e-3, MaxIterations = 50 }, cancellation: context.Cancellation);
            double seconds = clock.Elapsed.TotalSeconds;
            yield return new Row("gw", $"{n} x {n} sqeuclidean, {result.Iterations} iterations", seconds, result.Iterations / seconds, "iterations/s");
        }
    }

    /// <summary>Shortest of at least three runs and half a second, after one that is not counted.</summary>
    private static double Best(CommandContext context, Action run)
    {
        run();
        double best = double.MaxValue;
        Stopwatch all = Stopwatch.StartNew();
        for (int i = 0; i < 3 || all.Elapsed.TotalSeconds < 0.5; i++)
        {
            context.Cancellation.ThrowIfCancellationRequested();
            Stopwatch one = Stopwatch.StartNew();
            run();
            context.Device.Synchronize();
            best = Math.Min(best, one.Elapsed.TotalSeconds);
        }
        return best;
    }

    private static Matrix<float> Noise(CommandContext context, int rows, int columns)
    {
        float[] values = new float[rows * columns];
        CounterRandom random = new(context.Seed, (ulong)columns);
        for (int i = 0; i < values.Length; i++) values[i] = (float)(random.NextDouble() - 0.5);
        return Matrix<float>.From(context.Device, rows, columns, values);
    }

    /// <summary>Three clusters on a bent line, so that the alignment has structure to find.</summary>
    private static Matrix<double> Points(CommandContext context, int n, ulong stream)
    {
        double[] values = new double[n * 3];
        CounterRandom random = new(context.Seed, 77 + stream);
        for (int i = 0; i < n; i++)
        {
            double t = i % 3 + 0.3 * random.NextNormal();
            (values[3 * i], values[3 * i + 1], values[3 * i + 2]) = (t * t, t, 0.1 * random.NextNormal());
        }
        return Matrix<double>.From(context.Device, n, 3, values);
    }
}
