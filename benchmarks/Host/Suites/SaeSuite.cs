using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Benchmarks;

/// <summary>
/// Training steps of sparse autoencoders (forward, backward, update) against PyTorch, eager as reference scripts write the step and in the fastest form found,
/// and as a share of the floor that the dense products of the step set. Further arguments are rows, "architecture:d_sae:L0".
/// </summary>
internal static class SaeSuite
{
    private const int Tokens = 2048, Width = 512, Threads = 2;
    private static readonly string[] s_peers = ["gated", "gated-windowed", "topk", "batchtopk"];

    public static void Run(SuiteOptions options)
    {
        double peak = PeakRate.SingleThread();
        ResultTable table = new("Sparse autoencoders, one training step",
            $"{Tokens} tokens × {Width} → d_sae, tied weights, single precision, {Threads} threads. gated: λ = 800 (mean), 32 auxiliary latents with closed gates; the biases are set so that L0 has the given",
            "value and nearly every magnitude pre-activation is positive: the state training converges to. L0 = d_sae/2 is the first step of training. gated-windowed: the same with a window of 0.01, half the",
            "standard deviation of the pre-activations. jumprelu: λ L0, the same window. topk, batchtopk: k = L0, no dead latents. Ours: SaeStep.Run and SaeUpdate.Apply; the update's share in brackets.",
            "Floor: the dense products no formulation avoids (z, r W_decᵀ and Tᵀ dz of the exact gate and of dense activations; z alone of the others) at the rate Gemm reaches in the same run.",
            $"Ceiling of one thread: {Format(peak * 1e-9, "F1")} GFLOP/s. Peers: benchmarks/peers/torch_sae_step.py, --formulation eager and best (the fastest of its variants, named).");
        table.Header("architecture", "d_sae", "L0", "ours ms (update)", "ours tokens/s", "Gemm GFLOP/s", "of floor", "eager ms", "ratio", "best ms", "ratio", "variant", "core");
        string[] rows = options.Rest.Count > 0 ? [.. options.Rest] : options.Quick ? ["gated:1024:32", "gated-windowed:1024:32", "topk:1024:32", "batchtopk:1024:32", "jumprelu:1024:32"] : [.. AllRows()];
        foreach (string row in rows)
        {
            string[] parts = row.Split(':');
            Compare(table, parts[0], int.Parse(parts[1], CultureInfo.InvariantCulture), double.Parse(parts[2], CultureInfo.InvariantCulture), !options.Quick);
        }
        table.Write(options.Output);
    }

    private static IEnumerable<string> AllRows()
    {
        foreach (string architecture in (string[])[.. s_peers, "jumprelu"])
            foreach (int latents in (int[])[1024, 2048, 4096, 8192]) yield return $"{architecture}:{latents}:{(latents < 4096 ? 32 : 64)}";
        yield return "gated:4096:32";
        yield return "gated:4096:2048";
    }

    private static void Compare(ResultTable table, string architecture, int latents, double l0, bool peers)
    {
        List<double> step = [], update = [], gemm = [];
        double measuredL0 = Own(architecture, latents, l0, step, update, gemm);
        string eager = "-", eagerRatio = "-", best = "-", bestRatio = "-", variant = "-", core = "-";
        if (peers && s_peers.Contains(architecture))
        {
            using JsonDocument plain = Peer(architecture, "eager", latents, l0), fast = Peer(architecture, "best", latents, l0);
            // Ours again, after the peers: the machine's pace of both ends counts.
            Own(architecture, latents, l0, step, update, gemm);
            double Milliseconds(JsonDocument d) => d.RootElement.GetProperty("median_ms").GetDouble();
            (eager, best) = (Format(Milliseconds(plain), "F0"), Format(Milliseconds(fast), "F0"));
            (eagerRatio, bestRatio) = (Format(1e-3 * Milliseconds(plain) / Median(step), "F1"), Format(1e-3 * Milliseconds(fast) / Median(step), "F1"));
            (variant, core) = (fast.RootElement.GetProperty("variant").GetString()!, plain.RootElement.GetProperty("openblas_core").GetString()!);
        }
        double own = Median(step), rate = 2.0 * Tokens * Width * latents / gemm.Min();
        int products = architecture == "gated" || l0 > 0.15 * latents ? 3 : 1;
        table.Row(architecture, $"{latents}", Format(measuredL0, "F1"), $"{Format(1e3 * own, "F1")} ({Format(1e3 * Median(update), "F1")})", Format(Tokens / own, "F0"), Format(rate * 1e-9, "F1"),
            $"{Format(100 * products * gemm.Min() / own, "F0")} % of {products}", eager, eagerRatio, best, bestRatio, variant, core);
    }

    private static string Format(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);

    private static double Own(string architecture, int latents, double l0, List<double> step, List<double> update, List<double> gemm)
    {
        using CpuDevice device = new(Threads);
        (SaeShape shape, SaeObjective objective) = Case(architecture, latents, l0);
        List<IDisposable> owned = [];
        using Matrix<float> tokens = device.AllocateMatrix<float>(Tokens, Width), z = device.AllocateMatrix<float>(Tokens, latents);
        CounterRandom random = new(1);
        FillTokens(tokens, ref random);
        SaeArrays model = new(device, shape, owned), gradients = new(device, shape, owned), first = new(device, shape, owned), second = new(device, shape, owned);
        model.Fill(ref random, l0);
        using SaeWorkspace workspace = new(device, shape);
        SaeStatistics statistics = new();
        for (int i = -3; i < 12; i++)
        {
            long start = Stopwatch.GetTimestamp();
            SaeStep.Run(tokens.View, model.View, gradients.View, objective, workspace, statistics);
            long middle = Stopwatch.GetTimestamp();
            SaeUpdate.Apply(model.View, gradients.View, first.View, second.View, new SaeUpdateOptions { LearningRate = 1e-7, Step = i + 4 }, workspace);
            if (i < 0) continue;
            step.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            update.Add(Stopwatch.GetElapsedTime(middle).TotalSeconds);
        }
        for (int i = -2; i < 8; i++)
        {
            long start = Stopwatch.GetTimestamp();
            Gemm.Multiply(Transpose.No, Transpose.No, 1, tokens.View, model.View.Encoder, 0, z.View);
            if (i >= 0) gemm.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        foreach (IDisposable o in owned) o.Dispose();
        return statistics.L0;
    }

    private static (SaeShape Shape, SaeObjective Objective) Case(string architecture, int latents, double l0)
    {
        SaeObjective gated = new() { SparsityCoefficient = 800, SparsityScale = SparsityScale.Mean, AuxDoubleBias = true }, dead = new() { AuxChoice = AuxiliaryChoice.Dead };
        SaeShape shape = new() { InputWidth = Width, Latents = latents, ActiveLatents = (int)l0 };
        return architecture switch
        {
            "gated" => (SaeShape.Gated(Width, latents), gated),
            "gated-windowed" => (SaeShape.Gated(Width, latents), gated with { StraightThrough = StraightThrough.Windowed, Bandwidth = 0.01 }),
            "topk" => (shape with { Architecture = SaeArchitecture.TopK }, dead),
            "batchtopk" => (shape with { Architecture = SaeArchitecture.BatchTopK }, dead),
            "jumprelu" => (shape with { Architecture = SaeArchitecture.JumpRelu }, dead with { SparsityCoefficient = 0.01, Bandwidth = 0.01 }),
            "relu" => (shape with { Architecture = SaeArchitecture.Relu }, dead with { SparsityCoefficient = 0.01 }),
            _ => throw new ArgumentException($"There is no architecture {architecture} in this suite.", nameof(architecture)),
        };
    }

    private static void FillTokens(Matrix<float> tokens, ref CounterRandom random)
    {
        for (int t = 0; t < tokens.Rows; t++)
        {
            Span<float> row = tokens.Row(t);
            double norm = 0;
            foreach (ref float v in row)
            {
                v = (float)random.NextNormal();
                norm += v * v;
            }
            foreach (ref float v in row) v = (float)(v / Math.Sqrt(norm));
        }
    }

    private static JsonDocument Peer(string architecture, string formulation, int latents, double l0)
    {
        string script = Path.Combine(RepositoryRoot.Path, "benchmarks", "peers", "torch_sae_step.py");
        ProcessStartInfo start = new("/usr/bin/python3") { RedirectStandardOutput = true };
        foreach (string argument in (string[])[script, "--seconds", "4", "--architecture", architecture, "--formulation", formulation, "--tokens", $"{Tokens}", "--d-in", $"{Width}",
            "--d-sae", $"{latents}", "--l0", Format(l0, "R")]) start.ArgumentList.Add(argument);
        start.Environment["OPENBLAS_CORETYPE"] = Environment.GetEnvironmentVariable("OPENBLAS_CORETYPE")
            ?? (CpuFeatures.HasAvx512 ? "SkylakeX" : CpuFeatures.ModelName.Contains("AMD", StringComparison.Ordinal) ? "Zen" : "Haswell");
        start.Environment["OMP_NUM_THREADS"] = "2";
        using Process process = Process.Start(start)!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0) throw new InvalidOperationException($"{script} failed with exit code {process.ExitCode}.");
        return JsonDocument.Parse(output);
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    private sealed class SaeArrays
    {
        private readonly Matrix<float> _magnitude, _decoder;
        private readonly DeviceBuffer<float> _magnitudeBias, _decoderBias;
        private readonly DeviceBuffer<float>? _gateBias, _threshold;

        public SaeArrays(ComputeDevice device, in SaeShape shape, List<IDisposable> owned)
        {
            (int d, int latents) = (shape.InputWidth, shape.Latents);
            owned.Add(_magnitude = device.AllocateMatrix<float>(d, latents));
            owned.Add(_decoder = device.AllocateMatrix<float>(latents, d));
            owned.Add(_magnitudeBias = device.Allocate<float>(latents));
            owned.Add(_decoderBias = device.Allocate<float>(d));
            if (shape.HasGateBias) owned.Add(_gateBias = device.Allocate<float>(latents));
            if (shape.HasThreshold) owned.Add(_threshold = device.Allocate<float>(latents));
        }

        public SaeParameters View => new()
        {
            Encoder = _magnitude.View,
            Decoder = _decoder.View,
            EncoderBias = _magnitudeBias.View,
            GateBias = _gateBias is null ? default : _gateBias.View,
            Threshold = _threshold is null ? default : _threshold.View,
            DecoderBias = _decoderBias.View,
        };

        public void Fill(ref CounterRandom random, double l0)
        {
            foreach (ref float v in _magnitude.Buffer.View.Host) v = (float)(0.02 * random.NextNormal());
            for (int j = 0; j < _decoder.Rows; j++)
            {
                double norm = 0;
                for (int i = 0; i < _decoder.Columns; i++) norm += _magnitude.Row(i)[j] * _magnitude.Row(i)[j];
                for (int i = 0; i < _decoder.Columns; i++) _decoder.Row(j)[i] = (float)(_magnitude.Row(i)[j] / Math.Sqrt(norm));
            }
            // z of a unit-norm token is N(0, 0.02): gate bias and threshold are the quantile that leaves l0 latents open.
            float quantile = (float)(0.02 * MathNet.Numerics.Distributions.Normal.InvCDF(0, 1, 1 - l0 / _magnitude.Columns));
            _magnitudeBias.View.Host.Fill(_gateBias is null ? 0 : 0.05f);
            _gateBias?.View.Host.Fill(-quantile);
            _threshold?.View.Host.Fill(quantile);
        }
    }
}
