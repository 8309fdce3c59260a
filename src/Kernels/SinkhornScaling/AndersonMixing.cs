using System.Numerics.Tensors;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Anderson acceleration (type II; Walker and Ni 2011) of a fixed-point iteration x → G(x): from the last pairs (x, G(x)) the combination whose residual
/// G(x) - x is least. A few slow directions, as mass that moves between groups of an almost decoupled kernel, are removed at once.
/// </summary>
public sealed unsafe class AndersonMixing : IDisposable
{
    /// <summary>Pairs that are combined, at most.</summary>
    public const int Depth = 10;

    /// <summary>A direction whose new part is smaller than this share of it carries only rounding.</summary>
    private const double Dependent = 1e-10;
    private readonly int _length;
    private readonly DeviceBuffer<double> _memory;
    private readonly double[] _weights = new double[Depth], _triangle = new double[Depth * Depth];
    private int _count;

    /// <param name="device">A host device.</param>
    /// <param name="length">Elements of an iterate.</param>
    public AndersonMixing(ComputeDevice device, int length)
    {
        _length = length;
        _memory = device.Allocate<double>((long)length * (3 * Depth + 2));
    }

    /// <summary>Number of pairs kept.</summary>
    public int Count => _count;

    /// <summary>Forgets all pairs.</summary>
    public void Clear() => _count = 0;

    /// <summary>Keeps a pair, dropping the oldest when there is no room. Returns the Euclidean norm of the residual.</summary>
    public double Record(ReadOnlySpan<double> x, ReadOnlySpan<double> image)
    {
        if (_count > Depth)
        {
            for (int k = 0; k < Depth; k++)
            {
                Image(k + 1).CopyTo(Image(k));
                Residual(k + 1).CopyTo(Residual(k));
            }
            _count = Depth;
        }
        image.CopyTo(Image(_count));
        TensorPrimitives.Subtract(image, x, Residual(_count));
        return TensorPrimitives.Norm(Residual(_count++));
    }

    /// <summary>Writes the mixed iterate; false when there are too few pairs or the result is not finite.</summary>
    public bool Extrapolate(Span<double> next)
    {
        int newest = _count - 1;
        if (newest < 1) return false;
        int columns = Orthogonalise(newest);
        if (columns == 0) return false;
        // Weights of the residual in the orthogonal directions, then back substitution to those of the differences.
        for (int c = 0; c < columns; c++) _weights[c] = TensorPrimitives.Dot(Direction(c), Residual(newest));
        for (int c = columns - 1; c >= 0; c--)
        {
            for (int d = c + 1; d < columns; d++) _weights[c] -= _triangle[c * Depth + d] * _weights[d];
            _weights[c] /= _triangle[c * Depth + c];
        }
        Image(newest).CopyTo(next);
        for (int c = 0; c < columns; c++)
        {
            // Direction c is the difference of the pairs newest - c and newest - c - 1.
            TensorPrimitives.MultiplyAdd(Image(newest - c), -_weights[c], next, next);
            TensorPrimitives.MultiplyAdd(Image(newest - c - 1), _weights[c], next, next);
        }
        return double.IsFinite(TensorPrimitives.Sum(next));
    }

    /// <summary>The image of the pair before the last one.</summary>
    public void CopyImageBeforeLast(Span<double> image) => Image(_count - 2).CopyTo(image);

    public void Dispose() => _memory.Dispose();

    /// <summary>Modified Gram-Schmidt of the residual differences, newest first; stops at the first one that depends on the others.</summary>
    private int Orthogonalise(int newest)
    {
        for (int c = 0; c < newest; c++)
        {
            Span<double> direction = Direction(c);
            TensorPrimitives.Subtract(Residual(newest - c), Residual(newest - c - 1), direction);
            double before = TensorPrimitives.Norm(direction);
            for (int d = 0; d < c; d++)
            {
                double overlap = TensorPrimitives.Dot(Direction(d), direction);
                _triangle[d * Depth + c] = overlap;
                TensorPrimitives.MultiplyAdd(Direction(d), -overlap, direction, direction);
            }
            double length = TensorPrimitives.Norm(direction);
            if (!(length > Dependent * before) || length == 0) return c;
            _triangle[c * Depth + c] = length;
            TensorPrimitives.Divide(direction, length, direction);
        }
        return newest;
    }

    private Span<double> Image(int k) => new(_memory.Pointer + (long)k * _length, _length);
    private Span<double> Residual(int k) => new(_memory.Pointer + (long)(Depth + 1 + k) * _length, _length);
    private Span<double> Direction(int k) => new(_memory.Pointer + (long)(2 * Depth + 2 + k) * _length, _length);
}
