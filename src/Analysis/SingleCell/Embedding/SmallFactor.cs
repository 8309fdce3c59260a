namespace BioSup.Analysis.SingleCell;

/// <summary>Arithmetic on the 8 × 8 matrices between blocks of vectors.</summary>
internal static class SmallFactor
{
    private const int Width = VectorBlocks.Width, Square = VectorBlocks.Square;

    /// <summary>Share of a squared norm below which what is left after the columns before it is rounding.</summary>
    private const double Separable = 1e-8;

    /// <summary>Upper R with Rᵀ R = G as far as G tells, and its inverse. A column that G cannot separate from those before it is made free of them and keeps its length as scale.</summary>
    /// <returns>True when G was the identity but for rounding and small angles: nothing is left to separate.</returns>
    public static bool Cholesky(double[] gram, double[] factor, double[] inverse)
    {
        bool settled = true;
        Array.Clear(factor);
        for (int j = 0; j < Width; j++)
        {
            double own = gram[j * Width + j], left = own;
            for (int i = 0; i < j; i++)
            {
                double sum = gram[i * Width + j];
                for (int l = 0; l < i; l++) sum -= factor[l * Width + i] * factor[l * Width + j];
                double entry = sum / factor[i * Width + i];
                factor[i * Width + j] = entry;
                left -= entry * entry;
            }
            bool separate = left > Separable * own;
            factor[j * Width + j] = separate ? Math.Sqrt(left) : own > 0 ? Math.Sqrt(own) : 1;
            settled &= left > 0.5 && own < 2;
        }
        Invert(factor, inverse);
        return settled;
    }

    /// <summary>b ← a b.</summary>
    public static void Multiply(double[] a, double[] b)
    {
        Span<double> result = stackalloc double[Square];
        Product(a, b, result);
        result.CopyTo(b);
    }

    /// <summary>sums += blocks · right, each of the [8 × 8] blocks by itself.</summary>
    public static void AddProduct(ReadOnlySpan<double> blocks, ReadOnlySpan<double> right, Span<double> sums)
    {
        Span<double> result = stackalloc double[Square];
        for (int at = 0; at < blocks.Length; at += Square)
        {
            Product(blocks.Slice(at, Square), right, result);
            for (int i = 0; i < Square; i++) sums[at + i] += result[i];
        }
    }

    private static void Product(ReadOnlySpan<double> a, ReadOnlySpan<double> b, Span<double> c)
    {
        c.Clear();
        for (int i = 0; i < Width; i++)
            for (int l = 0; l < Width; l++)
                for (int j = 0; j < Width; j++) c[i * Width + j] += a[i * Width + l] * b[l * Width + j];
    }

    private static void Invert(double[] upper, double[] inverse)
    {
        Array.Clear(inverse);
        for (int j = 0; j < Width; j++)
            for (int i = j; i >= 0; i--)
            {
                double sum = i == j ? 1 : 0;
                for (int l = i + 1; l <= j; l++) sum -= upper[i * Width + l] * inverse[l * Width + j];
                inverse[i * Width + j] = sum / upper[i * Width + i];
            }
    }
}
