using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Benchmarks.Device;

/// <summary>The paper's training step of the gated autoencoder: forward, backward with the exact straight-through gate, projection, clip, AdamW, renormalisation.</summary>
internal static class SaeSuite
{
    private const string Suite = "sae";

    public static void Run(DeviceBench bench)
    {
        int tokens = bench.Size(65_536, 64), d = bench.Size(512, 16);
        foreach (int latents in bench.Tiny ? [32] : new[] { 1024, 2048, 4096, 8192 })
            foreach (int l0 in bench.Tiny ? [4] : latents == 8192 ? new[] { 8, 32 } : [32])
                foreach (GemmPrecision precision in new[] { GemmPrecision.BFloat16, GemmPrecision.Single }) Step(bench, tokens, d, latents, l0, precision);
    }

    private static void Step(DeviceBench bench, int n, int d, int latents, int l0, GemmPrecision precision)
    {
        TrainingStep step = new();
        bool narrow = precision == GemmPrecision.BFloat16;
        bench.Measure(Suite, $"step {n}x{d}->{latents} L0={l0} {(narrow ? "bf16" : "fp32")}", Floor(n, d, latents, l0, narrow), owned =>
        {
            step.Prepare(bench.Gpu, n, d, latents, l0, precision, owned);
            return step.Run;
        }, f => f with { Note = FormattableString.Invariant($"{n / f.Ms * 1e-3:F2} Mtokens/s, active latents per token {step.L0:F1}") });
    }

    /// <summary>A step in bf16 that is ready to run.</summary>
    internal static Action Ready(CudaDevice gpu, int n, int d, int latents, int l0, List<IDisposable> owned)
    {
        TrainingStep step = new();
        step.Prepare(gpu, n, d, latents, l0, GemmPrecision.BFloat16, owned);
        return step.Run;
    }

    /// <summary>Hash of the parameters after two steps on fixed tokens.</summary>
    internal static string Fingerprint(CudaDevice gpu, bool tiny, List<IDisposable> owned)
    {
        TrainingStep step = new();
        step.Prepare(gpu, tiny ? 48 : 4096, tiny ? 16 : 512, tiny ? 32 : 2048, tiny ? 4 : 16, GemmPrecision.BFloat16, owned);
        step.Run();
        step.Run();
        return Fingerprints.Hash(step.Parameters.Encoder) + Fingerprints.Hash(step.Parameters.Decoder) + Fingerprints.Hash(step.Parameters.GateBias);
    }

    /// <summary>
    /// The exact step with sparse decoding: three dense products in bf16, or of three tf32 products each (encoder, residual times decoder, gradient of the encoder), and the rows of the decoder
    /// gathered for every active pair twice, for the reconstruction and for its gradient.
    /// </summary>
    private static Roofline Floor(double n, double d, double latents, double l0, bool narrow) => new(
        [narrow ? new Load(Unit.Bf16, 3 * 2 * n * d * latents) : new Load(Unit.Tf32, 3 * 3 * 2 * n * d * latents)],
        [new Load(Unit.Gather, 2 * n * l0 * (narrow ? 2 : 4) * d)])
    { Operations = 3 * 2 * n * d * latents };

    private static float[] UnitRows(int n, int d, ref CounterRandom random)
    {
        float[] values = new float[(long)n * d];
        for (int i = 0; i < n; i++)
        {
            Span<float> row = values.AsSpan(i * d, d);
            double norm = 0;
            foreach (ref float v in row)
            {
                v = (float)random.NextNormal();
                norm += v * v;
            }
            foreach (ref float v in row) v = (float)(v / Math.Sqrt(norm));
        }
        return values;
    }

    /// <summary>One model with its gradients and both moments, and a batch for it.</summary>
    private sealed class TrainingStep
    {
        private readonly SaeStatistics _statistics = new();
        private readonly SaeObjective _objective = new() { SparsityCoefficient = 800, SparsityScale = SparsityScale.Mean, AuxDoubleBias = true };
        private SaeWorkspace _workspace = null!;
        private Matrix<float> _tokens = null!;
        private Arrays _gradients = null!, _first = null!, _second = null!;
        private int _step;

        public Arrays Parameters { get; private set; } = null!;
        public double L0 => _statistics.L0;

        public void Prepare(CudaDevice gpu, int n, int d, int latents, double l0, GemmPrecision precision, List<IDisposable> owned)
        {
            _workspace = new SaeWorkspace(gpu, SaeShape.Gated(d, latents)) { Precision = precision };
            owned.Add(_workspace);
            CounterRandom random = new(1);
            _tokens = gpu.Output<float>(n, d, owned);
            _tokens.Buffer.CopyFrom(UnitRows(n, d, ref random));
            (Parameters, _gradients, _first, _second) = (new(gpu, d, latents, owned), new(gpu, d, latents, owned), new(gpu, d, latents, owned), new(gpu, d, latents, owned));
            Fill(d, latents, l0, ref random);
        }

        public void Run()
        {
            SaeStep.Run(_tokens.View, Parameters.View, _gradients.View, _objective, _workspace, _statistics);
            // The rate keeps the sparsity where it was set, while the whole update is still computed.
            SaeUpdate.Apply(Parameters.View, _gradients.View, _first.View, _second.View, new SaeUpdateOptions { LearningRate = 1e-7, Step = ++_step }, _workspace);
        }

        private void Fill(int d, int latents, double l0, ref CounterRandom random)
        {
            float[] magnitude = new float[d * latents], decoder = new float[latents * d], gate = new float[latents], open = new float[latents];
            foreach (ref float v in magnitude.AsSpan()) v = (float)(0.02 * random.NextNormal());
            for (int j = 0; j < latents; j++)
            {
                double norm = 0;
                for (int i = 0; i < d; i++) norm += magnitude[i * latents + j] * magnitude[i * latents + j];
                for (int i = 0; i < d; i++) decoder[j * d + i] = (float)(magnitude[i * latents + j] / Math.Sqrt(norm));
            }
            // The pre-activation of a token of unit length is N(0, 0.02): the bias is the quantile that leaves l0 gates open.
            Array.Fill(gate, (float)(-0.02 * MathNet.Numerics.Distributions.Normal.InvCDF(0, 1, 1 - l0 / latents)));
            Array.Fill(open, 0.05f);
            Parameters.Encoder.Buffer.CopyFrom(magnitude);
            Parameters.Decoder.Buffer.CopyFrom(decoder);
            Parameters.GateBias.CopyFrom(gate);
            Parameters.EncoderBias.CopyFrom(open);
        }
    }

    private sealed class Arrays(CudaDevice gpu, int d, int latents, List<IDisposable> owned)
    {
        public Matrix<float> Encoder { get; } = gpu.Output<float>(d, latents, owned);
        public Matrix<float> Decoder { get; } = gpu.Output<float>(latents, d, owned);
        public DeviceBuffer<float> EncoderBias { get; } = gpu.Array<float>(latents, owned);
        public DeviceBuffer<float> GateBias { get; } = gpu.Array<float>(latents, owned);
        public DeviceBuffer<float> DecoderBias { get; } = gpu.Array<float>(d, owned);

        public SaeParameters View => new()
        {
            Encoder = Encoder.View,
            Decoder = Decoder.View,
            EncoderBias = EncoderBias.View,
            GateBias = GateBias.View,
            DecoderBias = DecoderBias.View,
        };
    }
}
