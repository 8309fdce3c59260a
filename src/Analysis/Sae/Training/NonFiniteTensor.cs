using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>Names the first thing of a step that is not finite, in the order in which a step meets them: tokens, parameters, losses, gradients.</summary>
internal static class NonFiniteTensor
{
    private const int Piece = 1 << 20;

    /// <param name="tokens">The step's tokens, prepared.</param>
    /// <param name="parameters">The model.</param>
    /// <param name="gradients">Of the step.</param>
    /// <param name="s">Of the step.</param>
    /// <param name="norm">Norm of all gradients.</param>
    /// <returns>A clause such as "the gradient of W_dec is not a number at element 7".</returns>
    public static unsafe string Find(MatrixView<float> tokens, SaeArrays parameters, SaeArrays gradients, SaeStatistics s, double norm)
    {
        if (Locate(new DeviceSpan<float>(tokens.Pointer, (long)tokens.Rows * tokens.Columns, tokens.Device)) is { } token) return $"token {token.At / tokens.Columns} is {Describe(token.Value)} in dimension {token.At % tokens.Columns}";
        foreach ((string name, DeviceBuffer<float> buffer, long[] _) in parameters.Tensors())
            if (Locate(buffer.View) is { } p) return $"the parameter {name} is {Describe(p.Value)} at element {p.At} since an update before";
        foreach ((string name, double value) in new[] { ("reconstruction", s.Reconstruction), ("sparsity", s.Sparsity), ("auxiliary", s.Auxiliary), ("pre-activation", s.PreActivation), ("weighted", s.Loss) })
            if (!double.IsFinite(value)) return $"the {name} loss is {Describe(value)}";
        foreach ((string name, DeviceBuffer<float> buffer, long[] _) in gradients.Tensors())
            if (Locate(buffer.View) is { } g) return $"the gradient of {name} is {Describe(g.Value)} at element {g.At}";
        return $"the gradient norm is {Describe(norm)}";
    }

    private static (long At, double Value)? Locate(DeviceSpan<float> values)
    {
        float[] piece = new float[(int)Math.Min(Piece, values.Length)];
        for (long start = 0; start < values.Length; start += piece.Length)
        {
            int length = (int)Math.Min(piece.Length, values.Length - start);
            values.Device.Download(values.Slice(start, length), piece.AsSpan(0, length));
            int at = Array.FindIndex(piece, 0, length, v => !float.IsFinite(v));
            if (at >= 0) return (start + at, piece[at]);
        }
        return null;
    }

    private static string Describe(double value) => double.IsNaN(value) ? "not a number" : "infinite";
}
