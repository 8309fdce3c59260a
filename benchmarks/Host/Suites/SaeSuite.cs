using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Benchmarks;

/// <summary>
/// A training step of the gated autoencoder (forward, backward, update) against eager PyTorch running the step as the reference script writes it,
/// in alternating runs, and as a share of the floor that three dense products set. Further arguments are values of L0.
/// </summary>
internal static class SaeSuite
{
    public static void Run(SuiteOptions options)
    {
        double peak = PeakRate.SingleThread();
        string script = Path.Combine(RepositoryRoot.Path, "benchmarks", "peers", "torch_sae_step.py");
        ResultTable table = new("Gated sparse autoencoder, one training step",
            "Shape: tokens × d_in → d_sae, tied weights, λ = 800 (mean), 32 auxiliary latents; single precision. The biases are set so that L0 has the given value and nearly every magnitude",
            "pre-activation is positive: the state training converges to. L0 = d_sae/2 is the first step of training. Ours: SaeStep.Run and SaeUpdate.Apply.",
            "Floor: three dense products (z, r W_decᵀ, Tᵀ dz) at the rate Gemm reaches on tokens × d_in × d_sae in the same run.",
            $"Ceiling of one thread: {(peak * 1e-9).ToString("F1", CultureInfo.InvariantCulture)} GFLOP/s. Peer: benchmarks/peers/torch_sae_step.py, rounds alternate with ours.");
        table.Header("tokens × d_in → d_sae", "L0", "threads", "ours ms (median)", "ours tokens/s", "Gemm GFLOP/s", "of floor", "peer ms (median)", "peer tokens/s", "peer core", "ratio median", "ratio best");
        double[] active = options.Rest.Count > 0 ? [.. options.Rest.Select(v => double.Parse(v, CultureInfo.InvariantCulture))] : [32, 64, 2048];
        foreach (double l0 in active) Compare(table, 2048, 512, 4096, l0, options.Quick ? 0 : 3, script);
        table.Write(options.Output);
    }

    private static void Compare(ResultTable table, int tokens, int d, int latents, double l0, int rounds, string script)
    {
        const int threads = 2;
        List<double> ours = [], gemm = [], peer = [], peerBest = [];
        string core = "-";
        double measuredL0 = 0;
        for (int round = 0; round < Math.Max(1, rounds); round++)
        {
            measuredL0 = Own(threads, tokens, d, latents, l0, ours, gemm);
            if (rounds == 0) break;
            using JsonDocument result = Peer(script, tokens, d, latents, l0);
            peer.Add(result.RootElement.GetProperty("median_ms").GetDouble() * 1e-3);
            peerBest.Add(result.RootElement.GetProperty("best_ms").GetDouble() * 1e-3);
            core = result.RootElement.GetProperty("openblas_core").GetString()!;
        }
        double own = Median(ours), rate = 2.0 * tokens * d * latents / gemm.Min(), floor = 3 * gemm.Min();
        string F(double v, string format) => v.ToString(format, CultureInfo.InvariantCulture);
        table.Row($"{tokens} × {d} → {latents}", F(measuredL0, "F1"), $"{threads}", F(1e3 * own, "F1"), F(tokens / own, "F0"), F(rate * 1e-9, "F1"), F(100 * floor / own, "F0") + " %",
            rounds == 0 ? "-" : F(1e3 * Median(peer), "F0"), rounds == 0 ? "-" : F(tokens / Median(peer), "F0"), core,
            rounds == 0 ? "-" : F(Median(peer) / own, "F1"), rounds == 0 ? "-" : F(peerBest.Min() / ours.Min(), "F1"));
    }

    private static double Own(int threads, int n, int d, int latents, double l0, List<double> step, List<double> gemm)
    {
        using CpuDevice device = new(threads);
        List<IDisposable> owned = [];
        using Matrix<float> tokens = device.AllocateMatrix<float>(n, d), z = device.AllocateMatrix<float>(n, latents);
        CounterRandom random = new(1);
        FillTokens(tokens, ref random);
        SaeArrays model = new(device, d, latents, owned), gradients = new(device, d, latents, owned), first = new(device, d, latents, owned), second = new(device, d, latents, owned);
        model.Fill(ref random, l0);
        using SaeWorkspace workspace = new(device, SaeShape.Gated(d, latents));
        SaeStatistics statistics = new();
        SaeObjective objective = new() { SparsityCoefficient = 800, SparsityScale = SparsityScale.Mean, AuxDoubleBias = true };
        for (int i = -3; i < 12; i++)
        {
            long start = Stopwatch.GetTimestamp();
            SaeStep.Run(tokens.View, model.View, gradients.View, objective, workspace, statistics);
            SaeUpdate.Apply(model.View, gradients.View, first.View, second.View, new SaeUpdateOptions { LearningRate = 1e-7, Step = i + 4 }, workspace);
            if (i >= 0) step.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
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

    private static JsonDocument Peer(string script, int tokens, int d, int latents, double l0)
    {
        ProcessStartInfo start = new("/usr/bin/python3") { RedirectStandardOutput = true };
        foreach (string argument in (string[])[script, "--seconds", "4", "--tokens", $"{tokens}", "--d-in", $"{d}", "--d-sae", $"{latents}", "--l0", l0.ToString(CultureInfo.InvariantCulture)]) start.ArgumentList.Add(argument);
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
        private readonly DeviceBuffer<float> _magnitudeBias, _gateBias, _decoderBias;

        public SaeArrays(ComputeDevice device, int d, int latents, List<IDisposable> owned)
        {
            _magnitude = device.AllocateMatrix<float>(d, latents);
            _decoder = device.AllocateMatrix<float>(latents, d);
            _magnitudeBias = device.Allocate<float>(latents);
            _gateBias = device.Allocate<float>(latents);
            _decoderBias = device.Allocate<float>(d);
            owned.AddRange([_magnitude, _decoder, _magnitudeBias, _gateBias, _decoderBias]);
        }

        public SaeParameters View => new()
        {
            Encoder = _magnitude.View,
            Decoder = _decoder.View,
            EncoderBias = _magnitudeBias.View,
            GateBias = _gateBias.View,
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
            _magnitudeBias.View.Host.Fill(0.05f);
            // z of a unit-norm token is N(0, 0.02): the gate bias is the quantile that leaves l0 latents open.
            _gateBias.View.Host.Fill((float)(-0.02 * MathNet.Numerics.Distributions.Normal.InvCDF(0, 1, 1 - l0 / _magnitude.Columns)));
        }
    }
}
