using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Coefficients of one AdamW update (Loshchilov and Hutter 2019, in the order of operations of torch.optim.AdamW).</summary>
public readonly record struct SaeUpdateOptions
{
    public SaeUpdateOptions() { }

    /// <summary>Learning rate of this step; 0 still updates the moments.</summary>
    public double LearningRate { get; init; }

    public double Beta1 { get; init; } = 0.9;
    public double Beta2 { get; init; } = 0.999;
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Decoupled weight decay, applied to every parameter, biases included.</summary>
    public double WeightDecay { get; init; } = 1e-4;

    /// <summary>Largest norm of all gradients together; 0 or less does not clip.</summary>
    public double ClipNorm { get; init; } = 1.0;

    /// <summary>1 for the first update.</summary>
    public long Step { get; init; } = 1;
}

/// <summary>
/// The parameter update of the gated autoencoder: the decoder gradient loses its part along the decoder row, all gradients are clipped by their common
/// norm, AdamW moves every parameter, decoder rows return to unit length. Two passes over memory.
/// </summary>
public static unsafe partial class SaeUpdate
{
    internal const int BlockElements = 32768;
    internal const int BlockRows = 64;
    private const string Operation = "SaeUpdate";

    /// <param name="parameters">Updated; contiguous rows.</param>
    /// <param name="gradients">Of the whole batch; the decoder part is projected in place.</param>
    /// <param name="first">First moments, updated.</param>
    /// <param name="second">Second moments, updated.</param>
    /// <param name="options">Coefficients.</param>
    /// <param name="workspace">Of the same model.</param>
    /// <returns>Norm of all gradients after the projection and before clipping.</returns>
    public static double Apply(SaeParameters parameters, SaeParameters gradients, SaeParameters first, SaeParameters second,
        in SaeUpdateOptions options, SaeWorkspace workspace)
    {
        SaeTensors tensors = new();
        tensors.Add(parameters, gradients, first, second);
        if (workspace.Cuda is not null) return ApplyCuda(tensors, options, workspace);
        return KernelDispatch.Select(Operation) switch
        {
            KernelVariant.Avx512 => SaeUpdateEngine<Simd512<float>, Vector512<float>>.Apply(tensors, options, workspace),
            KernelVariant.Avx2 => SaeUpdateEngine<Simd256<float>, Vector256<float>>.Apply(tensors, options, workspace),
            KernelVariant.Portable => SaeUpdateEngine<Simd128<float>, Vector128<float>>.Apply(tensors, options, workspace),
            _ => ApplyReference(tensors, options),
        };
    }

    /// <summary>The same in double precision, one tensor after the other.</summary>
    private static double ApplyReference(in SaeTensors tensors, in SaeUpdateOptions o)
    {
        double[] decoderGradient = new double[(long)tensors.DecoderRows * tensors.DecoderColumns];
        SaeTensors.Segment w = tensors.Decoder;
        double squares = 0;
        for (int j = 0; j < tensors.DecoderRows; j++)
        {
            int at = j * tensors.DecoderColumns;
            double norm = 0, along = 0;
            for (int i = at; i < at + tensors.DecoderColumns; i++) norm += (double)w.Value[i] * w.Value[i];
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
        double total = Math.Sqrt(squares), clip = o.ClipNorm > 0 ? Math.Min(1, o.ClipNorm / (total + 1e-6)) : 1;
        for (int s = 0; s < tensors.Count; s++)
            for (long i = 0; i < tensors[s].Length; i++) Adam(tensors[s], i, tensors[s].Gradient[i] * clip, o, out tensors[s].Value[i]);
        double[] row = new double[tensors.DecoderColumns];
        for (int j = 0; j < tensors.DecoderRows; j++)
        {
            double norm = 0;
            for (int i = 0; i < row.Length; i++)
            {
                row[i] = Adam(w, (long)j * row.Length + i, decoderGradient[j * row.Length + i] * clip, o, out _);
                norm += row[i] * row[i];
            }
            for (int i = 0; i < row.Length; i++) w.Value[j * row.Length + i] = (float)(norm > 0 ? row[i] / Math.Sqrt(norm) : row[i]);
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

    /// <summary>Everything but the decoder.</summary>
    public int Count { get; private set; }

    public Segment Decoder { get; private set; }
    public int DecoderRows { get; private set; }
    public int DecoderColumns { get; private set; }

    public readonly Segment this[int index] => index switch { 0 => _s0, 1 => _s1, 2 => _s2, 3 => _s3, _ => _s4 };

    public void Add(SaeParameters p, SaeParameters g, SaeParameters m, SaeParameters v)
    {
        _s0 = Of(p.Encoder, g.Encoder, m.Encoder, v.Encoder);
        _s1 = Of(p.EncoderBias, g.EncoderBias, m.EncoderBias, v.EncoderBias);
        _s2 = Of(p.GateBias, g.GateBias, m.GateBias, v.GateBias);
        _s3 = Of(p.DecoderBias, g.DecoderBias, m.DecoderBias, v.DecoderBias);
        Count = 4;
        if (!p.Tied)
        {
            _s4 = Of(p.Gate, g.Gate, m.Gate, v.Gate);
            Count = 5;
        }
        Decoder = Of(p.Decoder, g.Decoder, m.Decoder, v.Decoder);
        (DecoderRows, DecoderColumns) = (p.Decoder.Rows, p.Decoder.Columns);
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
