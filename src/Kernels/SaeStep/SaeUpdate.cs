using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>What moves the weight matrices; biases, r_mag and thresholds are AdamW's in either case.</summary>
public enum SaeOptimiser
{
    AdamW,

    /// <summary><see cref="Kernels.Muon"/> for W_enc, W_gate and W_dec.</summary>
    Muon,
}

/// <summary>Coefficients of one AdamW update (Loshchilov and Hutter 2019, in the order of operations of torch.optim.AdamW).</summary>
public readonly record struct SaeUpdateOptions
{
    public SaeUpdateOptions() { }

    /// <summary>Learning rate of this step; 0 still updates the moments.</summary>
    public double LearningRate { get; init; }

    public double Beta1 { get; init; } = 0.9;
    public double Beta2 { get; init; } = 0.999;
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Decoupled weight decay, applied to every parameter, biases included; thresholds are the exception.</summary>
    public double WeightDecay { get; init; } = 1e-4;

    /// <summary>Largest norm of all gradients together; 0 or less does not clip.</summary>
    public double ClipNorm { get; init; } = 1.0;

    /// <summary>1 for the first update.</summary>
    public long Step { get; init; } = 1;

    public DecoderNorm DecoderNorm { get; init; }

    public SaeOptimiser Optimiser { get; init; }
}

/// <summary>
/// The parameter update of an autoencoder: the decoder gradient loses its part along the decoder row, all gradients are clipped by their common norm, AdamW
/// moves every parameter, decoder rows return to unit length. Two passes over memory. With <see cref="DecoderNorm.Free"/> the decoder is a parameter like
/// any other. Thresholds of JumpReLU have no weight decay and stay at 0 or above; those of the BatchTopK family are not the optimiser's.
/// </summary>
public static unsafe partial class SaeUpdate
{
    internal const int BlockElements = 32768;
    internal const int BlockRows = 64;
    private const string Operation = "SaeUpdate";

    /// <param name="parameters">Updated; contiguous rows. Left alone when the gradients are not finite.</param>
    /// <param name="gradients">Of the whole batch; the decoder part is projected in place.</param>
    /// <param name="first">First moments, updated; of a matrix that Muon moves, its momentum.</param>
    /// <param name="second">Second moments, updated.</param>
    /// <param name="options">Coefficients.</param>
    /// <param name="workspace">Of the same model.</param>
    /// <param name="muon">Scratch for <see cref="SaeOptimiser.Muon"/>.</param>
    /// <returns>Norm of all gradients after the projection and before clipping.</returns>
    public static double Apply(SaeParameters parameters, SaeParameters gradients, SaeParameters first, SaeParameters second,
        in SaeUpdateOptions options, SaeWorkspace workspace, Muon? muon = null)
    {
        if (options.Optimiser == SaeOptimiser.Muon) ArgumentNullException.ThrowIfNull(muon);
        SaeTensors tensors = new();
        tensors.Add(parameters, gradients, first, second, workspace.Shape);
        double norm = workspace.Cuda is not null ? ApplyCuda(tensors, options, workspace) : KernelDispatch.Select(Operation) switch
        {
            KernelVariant.Avx512 => SaeUpdateEngine<Simd512<float>, Vector512<float>>.Apply(tensors, options, workspace),
            KernelVariant.Avx2 => SaeUpdateEngine<Simd256<float>, Vector256<float>>.Apply(tensors, options, workspace),
            KernelVariant.Portable => SaeUpdateEngine<Simd128<float>, Vector128<float>>.Apply(tensors, options, workspace),
            _ => ApplyReference(tensors, options),
        };
        if (options.Optimiser == SaeOptimiser.Muon && double.IsFinite(norm)) MoveMatrices(parameters, gradients, first, options, ClipScale(norm, options), muon!);
        return norm;
    }

    internal static double ClipScale(double norm, in SaeUpdateOptions o) => o.ClipNorm > 0 ? Math.Min(1, o.ClipNorm / (norm + 1e-6)) : 1;

    private static void MoveMatrices(SaeParameters p, SaeParameters g, SaeParameters m, in SaeUpdateOptions o, double scale, Muon muon)
    {
        MuonOptions options = new() { LearningRate = o.LearningRate, WeightDecay = o.WeightDecay };
        muon.Step(p.Encoder, g.Encoder, m.Encoder, options, scale);
        if (!p.Tied) muon.Step(p.Gate, g.Gate, m.Gate, options, scale);
        muon.Step(p.Decoder, g.Decoder, m.Decoder, options, scale);
        if (o.DecoderNorm == DecoderNorm.Unit) muon.NormaliseRows(p.Decoder);
    }

    /// <summary>The same in double precision, one tensor after the other.</summary>
    private static double ApplyReference(in SaeTensors tensors, in SaeUpdateOptions o)
    {
        double[] decoderGradient = new double[(long)tensors.DecoderRows * tensors.DecoderColumns];
        SaeTensors.Segment w = tensors.Decoder;
        bool unit = o.DecoderNorm == DecoderNorm.Unit, muon = o.Optimiser == SaeOptimiser.Muon;
        double squares = 0;
        for (int j = 0; j < tensors.DecoderRows; j++)
        {
            int at = j * tensors.DecoderColumns;
            double norm = 0, along = 0;
            for (int i = at; unit && i < at + tensors.DecoderColumns; i++) norm += (double)w.Value[i] * w.Value[i];
            norm = Math.Sqrt(norm);
            for (int i = at; norm > 0 && i < at + tensors.DecoderColumns; i++) along += w.Gradient[i] * (w.Value[i] / norm);
            for (int i = at; i < at + tensors.DecoderColumns; i++)
            {
                decoderGradient[i] = w.Gradient[i] - (norm > 0 ? along * w.Value[i] / norm : 0);
                squares += decoderGradient[i] * decoderGradient[i];
                w.Gradient[i] = (float)decoderGradient[i];
            }
        }
        for (int s = 0; s < tensors.Count; s++)
            for (long i = 0; i < tensors[s].Length; i++) squares += (double)tensors[s].Gradient[i] * tensors[s].Gradient[i];
        double total = Math.Sqrt(squares), clip = ClipScale(total, o);
        if (!double.IsFinite(total)) return total;
        for (int s = 0; s < tensors.Count; s++)
        {
            if (muon && tensors.IsMatrix(s)) continue;
            bool threshold = s == tensors.Threshold;
            for (long i = 0; i < tensors[s].Length; i++)
            {
                Adam(tensors[s], i, tensors[s].Gradient[i] * clip, threshold ? o with { WeightDecay = 0 } : o, out tensors[s].Value[i]);
                if (threshold) tensors[s].Value[i] = Math.Max(tensors[s].Value[i], 0);
            }
        }
        double[] row = new double[tensors.DecoderColumns];
        for (int j = 0; j < tensors.DecoderRows && !muon; j++)
        {
            double norm = 0;
            for (int i = 0; i < row.Length; i++)
            {
                row[i] = Adam(w, (long)j * row.Length + i, decoderGradient[j * row.Length + i] * clip, o, out _);
                norm += row[i] * row[i];
            }
            for (int i = 0; i < row.Length; i++) w.Value[j * row.Length + i] = (float)(unit && norm > 0 ? row[i] / Math.Sqrt(norm) : row[i]);
        }
        return total;
    }

    private static double Adam(in SaeTensors.Segment s, long i, double gradient, in SaeUpdateOptions o, out float value)
    {
        double m = o.Beta1 * s.First[i] + (1 - o.Beta1) * gradient, v = o.Beta2 * s.Second[i] + (1 - o.Beta2) * gradient * gradient;
        s.First[i] = (float)m;
        s.Second[i] = (float)v;
        double denominator = Math.Sqrt(v) / Math.Sqrt(1 - Math.Pow(o.Beta2, o.Step)) + o.Epsilon;
        double next = s.Value[i] * (1 - o.LearningRate * o.WeightDecay) - o.LearningRate / (1 - Math.Pow(o.Beta1, o.Step)) * m / denominator;
        value = (float)next;
        return next;
    }
}

/// <summary>The arrays of a model beside their gradients and moments, as addresses a job can hold.</summary>
internal unsafe struct SaeTensors
{
    private Segment _s0, _s1, _s2, _s3, _s4;
    private uint _matrices;

    /// <summary>Everything but the decoder; at most five in any architecture.</summary>
    public int Count { get; private set; }

    /// <summary>Which of them are thresholds that are trained; -1 for none.</summary>
    public int Threshold { get; private set; }

    public Segment Decoder { get; private set; }
    public int DecoderRows { get; private set; }
    public int DecoderColumns { get; private set; }

    public readonly Segment this[int index] => index switch { 0 => _s0, 1 => _s1, 2 => _s2, 3 => _s3, _ => _s4 };

    /// <summary>Whether the tensor is a weight matrix.</summary>
    public readonly bool IsMatrix(int index) => (_matrices >> index & 1) != 0;

    public void Add(SaeParameters p, SaeParameters g, SaeParameters m, SaeParameters v, in SaeShape shape)
    {
        (Count, Threshold, _matrices) = (0, -1, 0);
        Append(Of(p.Encoder, g.Encoder, m.Encoder, v.Encoder), true);
        Append(Of(p.EncoderBias, g.EncoderBias, m.EncoderBias, v.EncoderBias), false);
        if (shape.HasGateBias) Append(Of(p.GateBias, g.GateBias, m.GateBias, v.GateBias), false);
        if (shape.HasMagnitudeScale) Append(Of(p.MagnitudeScale, g.MagnitudeScale, m.MagnitudeScale, v.MagnitudeScale), false);
        if (shape.Architecture == SaeArchitecture.JumpRelu)
        {
            Threshold = Count;
            Append(Of(p.Threshold, g.Threshold, m.Threshold, v.Threshold), false);
        }
        Append(Of(p.DecoderBias, g.DecoderBias, m.DecoderBias, v.DecoderBias), false);
        if (!p.Tied) Append(Of(p.Gate, g.Gate, m.Gate, v.Gate), true);
        Decoder = Of(p.Decoder, g.Decoder, m.Decoder, v.Decoder);
        (DecoderRows, DecoderColumns) = (p.Decoder.Rows, p.Decoder.Columns);
    }

    private void Append(in Segment segment, bool matrix)
    {
        if (matrix) _matrices |= 1u << Count;
        switch (Count++)
        {
            case 0: _s0 = segment; break;
            case 1: _s1 = segment; break;
            case 2: _s2 = segment; break;
            case 3: _s3 = segment; break;
            case 4: _s4 = segment; break;
            default: throw new InvalidOperationException("An autoencoder has more tensors than an update holds.");
        }
    }

    private static Segment Of(MatrixView<float> p, MatrixView<float> g, MatrixView<float> m, MatrixView<float> v)
    {
        if (p.Stride != p.Columns || g.Stride != p.Columns || m.Stride != p.Columns || v.Stride != p.Columns || g.Rows != p.Rows || m.Rows != p.Rows || v.Rows != p.Rows)
            throw new ArgumentException("Parameters, gradients and moments must be contiguous and of one shape.");
        return new Segment { Value = p.Pointer, Gradient = g.Pointer, First = m.Pointer, Second = v.Pointer, Length = (long)p.Rows * p.Columns };
    }

    private static Segment Of(DeviceSpan<float> p, DeviceSpan<float> g, DeviceSpan<float> m, DeviceSpan<float> v)
    {
        if (g.Length != p.Length || m.Length != p.Length || v.Length != p.Length) throw new ArgumentException("Parameters, gradients and moments must be of one shape.");
        return new Segment { Value = p.Pointer, Gradient = g.Pointer, First = m.Pointer, Second = v.Pointer, Length = p.Length };
    }

    public struct Segment
    {
        public float* Value, Gradient, First, Second;
        public long Length;
    }
}
