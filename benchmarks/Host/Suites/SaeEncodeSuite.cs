using System.Globalization;
using BioSup.Kernels;
using BioSup.Runtime;
using MathNet.Numerics.Distributions;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace BioSup.Benchmarks;

/// <summary>
/// Tokens to latents beside ONNX Runtime and OpenBLAS: the product alone, which is the least anybody has to do, and the whole encoder of a tied gated
/// (JumpReLU) autoencoder as ONNX Runtime would run it. All in one process, in turn. Further arguments are values of d_sae.
/// </summary>
internal static unsafe class SaeEncodeSuite
{
    private const int Tokens = 2048, Width = 512, Threads = 2;
    private const double ActiveLatents = 32;

    public static void Run(SuiteOptions options)
    {
        string core = OpenBlas.Load();
        OpenBlas.SetThreads(Threads);
        ResultTable table = new("Sparse autoencoder, encoding",
            $"{Tokens} tokens × {Width} → d_sae, tied gated weights, {ActiveLatents.ToString(CultureInfo.InvariantCulture)} active latents per token, dense result, single precision, {Threads} threads; median of the rounds, contenders in turn in one process.",
            $"Ours: SaeStep.Encode. ONNX Runtime {typeof(InferenceSession).Assembly.GetName().Version}, its own matrix kernels (MLAS), processor only, arrays bound in advance: MatMul + Add alone, and the",
            "encoder as a graph (MatMul, Add, Greater, Where).",
            $"OpenBLAS: sgemm of the same product, core {core}.");
        table.Header("d_sae", "ours ms", "ours tokens/s", "ORT MatMul + Add ms", "ratio", "ORT encoder ms", "ratio", "sgemm ms", "ratio", "largest difference");
        int[] widths = options.Rest.Count > 0 ? [.. options.Rest.Select(v => int.Parse(v, CultureInfo.InvariantCulture))] : options.Quick ? [1024] : [1024, 2048, 4096, 8192];
        foreach (int latents in widths) Compare(table, latents, options.Quick ? 5 : 12);
        table.Write(options.Output);
    }

    private static void Compare(ResultTable table, int latents, int rounds)
    {
        using CpuDevice device = new(Threads);
        using Matrix<float> tokens = device.AllocateMatrix<float>(Tokens, Width), encoder = device.AllocateMatrix<float>(Width, latents), decoder = device.AllocateMatrix<float>(latents, Width);
        using Matrix<float> ours = device.AllocateMatrix<float>(Tokens, latents), peer = device.AllocateMatrix<float>(Tokens, latents);
        using DeviceBuffer<float> magnitudeBias = device.Allocate<float>(latents), gateBias = device.Allocate<float>(latents), decoderBias = device.Allocate<float>(Width);
        CounterRandom random = new(1);
        Fill(tokens, 1 / Math.Sqrt(Width), ref random);
        Fill(encoder, 0.02, ref random);
        Span<float> magnitude = magnitudeBias.View.Host, gate = gateBias.View.Host;
        // z is close to N(0, 0.02): the gate bias is the quantile that leaves the wanted latents open.
        double threshold = 0.02 * Normal.InvCDF(0, 1, 1 - ActiveLatents / latents);
        for (int j = 0; j < latents; j++) (magnitude[j], gate[j]) = (0.05f, (float)-threshold);
        SaeParameters parameters = new() { Encoder = encoder.View, Decoder = decoder.View, EncoderBias = magnitudeBias.View, GateBias = gateBias.View, DecoderBias = decoderBias.View };
        using SaeWorkspace workspace = new(device, SaeShape.Gated(Width, latents), 0);
        float[] thresholds = new float[latents];
        for (int j = 0; j < latents; j++) thresholds[j] = Math.Max(magnitude[j] - gate[j], 0);
        OnnxGraph Graph(string result) => new OnnxGraph().Input("x", Tokens, Width).Constant("W", encoder.Buffer.View.Host, Width, latents).Constant("b", magnitudeBias.View.Host, latents)
            .Node("MatMul", "p", "x", "W").Node("Add", "m", "p", "b").Output(result, Tokens, latents);
        using Network product = new(Graph("m").ToModel(), tokens, peer, "m");
        using Network whole = new(Graph("a").Constant("theta", thresholds, latents).Constant("zero", [0], 1).Node("Greater", "open", "m", "theta").Node("Where", "a", "open", "m", "zero").ToModel(), tokens, peer, "a");
        SaeStep.Encode(tokens.View, parameters, workspace, ours.View);
        whole.Run();
        double difference = Difference(ours.Buffer.View.Host, peer.Buffer.View.Host);
        Timing[] times = Interleaved.Measure(rounds,
            () => SaeStep.Encode(tokens.View, new SaeParameters { Encoder = encoder.View, Decoder = decoder.View, EncoderBias = magnitudeBias.View, GateBias = gateBias.View, DecoderBias = decoderBias.View }, workspace, ours.View),
            product.Run,
            whole.Run,
            () => OpenBlas.Multiply(Tokens, latents, Width, tokens.Buffer.View.Pointer, false, encoder.Buffer.View.Pointer, false, peer.Buffer.View.Pointer));
        string F(double v, string format) => v.ToString(format, CultureInfo.InvariantCulture);
        List<string> cells = [$"{latents}", F(1e3 * times[0].Median, "F1"), F(Tokens / times[0].Median, "F0")];
        foreach (Timing other in times.AsSpan(1)) cells.AddRange([F(1e3 * other.Median, "F1"), F(other.Median / times[0].Median, "F2")]);
        table.Row([.. cells, F(difference, "E1")]);
    }

    /// <summary>Largest difference between two encodings; a pair that one of them has active alone, at its threshold to rounding, is not one.</summary>
    private static double Difference(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        double largest = 0;
        long alone = 0;
        for (int i = 0; i < x.Length; i++)
        {
            if (x[i] == 0 != (y[i] == 0)) alone++;
            else largest = Math.Max(largest, Math.Abs(x[i] - y[i]));
        }
        return alone <= x.Length / 1_000_000 + 1 ? largest : double.PositiveInfinity;
    }

    private static void Fill(Matrix<float> matrix, double scale, ref CounterRandom random)
    {
        foreach (ref float v in matrix.Buffer.View.Host) v = (float)(scale * random.NextNormal());
    }

    /// <summary>A session whose input and output are arrays of ours.</summary>
    private sealed class Network : IDisposable
    {
        private readonly InferenceSession _session;
        private readonly OrtIoBinding _binding;
        private readonly OrtValue _input, _output;
        private readonly RunOptions _run = new();

        public Network(byte[] model, Matrix<float> input, Matrix<float> output, string result)
        {
            using SessionOptions options = new() { IntraOpNumThreads = Threads, InterOpNumThreads = 1, GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_ALL };
            _session = new InferenceSession(model, options);
            (_input, _output) = (Bind(input), Bind(output));
            _binding = _session.CreateIoBinding();
            _binding.BindInput("x", _input);
            _binding.BindOutput(result, _output);
        }

        public void Run() => _session.RunWithBinding(_run, _binding);

        public void Dispose()
        {
            _binding.Dispose();
            _input.Dispose();
            _output.Dispose();
            _run.Dispose();
            _session.Dispose();
        }

        private static OrtValue Bind(Matrix<float> matrix) => OrtValue.CreateTensorValueWithData(OrtMemoryInfo.DefaultInstance, TensorElementType.Float,
            [matrix.Rows, matrix.Columns], (nint)matrix.Buffer.View.Pointer, matrix.Buffer.Length * sizeof(float));
    }
}
