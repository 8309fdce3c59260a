using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>Eigenpairs of a matrix projected on a space of blocks of vectors, the wanted ones first.</summary>
internal sealed class RitzPairs : IDisposable
{
    private const int Width = VectorBlocks.Width, Square = VectorBlocks.Square;
    private readonly SymmetricEigen _eigen;
    private readonly int[] _order;

    /// <param name="projected">Its leading part is decomposed.</param>
    /// <param name="size">Rows of that part.</param>
    /// <param name="rank">The larger, the more an eigenvalue is wanted.</param>
    public RitzPairs(Matrix<double> projected, int size, Func<double, double> rank)
    {
        using Matrix<double> part = projected.Device.AllocateMatrix<double>(size, size);
        for (int i = 0; i < size; i++) projected.Row(i)[..size].CopyTo(part.Row(i));
        _eigen = SymmetricEigen.Decompose(part, vectors: true);
        _order = [.. Enumerable.Range(0, size).OrderByDescending(i => rank(_eigen.Values[i]))];
    }

    public int Count => _order.Length;

    /// <summary>An eigenvalue by its place.</summary>
    public double Value(int place) => _eigen.Values[_order[place]];

    /// <summary>The least of all eigenvalues.</summary>
    public double Least => _eigen.Values[^1];

    /// <summary>The largest residual ‖A x − θ x‖ of the first pairs, relative to eigenvalues beyond 1; infinite when there are fewer.</summary>
    /// <param name="pairs">How many.</param>
    /// <param name="coupling">[8 × 8] what leaves the space passes through its last block.</param>
    public double Residual(int pairs, ReadOnlySpan<double> coupling)
    {
        if (pairs > Count) return double.PositiveInfinity;
        double largest = 0;
        for (int place = 0; place < pairs; place++) largest = Math.Max(largest, ResidualOf(place, coupling) / Math.Max(1, Math.Abs(Value(place))));
        return largest;
    }

    /// <summary>[blocks × blocks of outputs × 8 × 8] weights of the first vectors, filled up with zeros.</summary>
    public double[] Weights(int vectors)
    {
        int outputs = (vectors + Width - 1) / Width;
        double[] weights = new double[Count / Width * outputs * Square];
        for (int o = 0; o < vectors; o++)
        {
            ReadOnlySpan<double> vector = _eigen.Vectors.Row(_order[o]);
            for (int i = 0; i < vector.Length; i++) weights[(i / Width * outputs + o / Width) * Square + i % Width * Width + o % Width] = vector[i];
        }
        return weights;
    }

    /// <summary>[blocks × 8 × 8] weights of eight random combinations of the first vectors.</summary>
    public double[] Mixture(int vectors, ref CounterRandom random)
    {
        double[] weights = new double[Count / Width * Square];
        for (int o = 0; o < vectors; o++)
        {
            ReadOnlySpan<double> vector = _eigen.Vectors.Row(_order[o]);
            for (int c = 0; c < Width; c++)
            {
                double share = random.NextNormal() / Math.Sqrt(vectors);
                for (int i = 0; i < vector.Length; i++) weights[i * Width + c] += share * vector[i];
            }
        }
        return weights;
    }

    public void Dispose() => _eigen.Dispose();

    private double ResidualOf(int place, ReadOnlySpan<double> coupling)
    {
        ReadOnlySpan<double> last = _eigen.Vectors.Row(_order[place])[^Width..];
        double sum = 0;
        for (int i = 0; i < Width; i++)
        {
            double entry = 0;
            for (int j = 0; j < Width; j++) entry += coupling[i * Width + j] * last[j];
            sum += entry * entry;
        }
        return Math.Sqrt(sum);
    }
}
