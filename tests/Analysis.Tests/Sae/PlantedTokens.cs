using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Sae;

/// <summary>Tokens that are sums of few planted directions, so that a dictionary can be held against the truth.</summary>
internal sealed class PlantedTokens : IDisposable
{
    public PlantedTokens(ComputeDevice device, int count, int width, int directions, int active, ulong seed = 1)
    {
        CounterRandom random = new(seed);
        Directions = new float[directions][];
        for (int k = 0; k < directions; k++)
        {
            float[] v = [.. Enumerable.Range(0, width).Select(_ => (float)random.NextNormal())];
            float norm = MathF.Sqrt(v.Sum(x => x * x));
            Directions[k] = [.. v.Select(x => x / norm)];
        }
        Tokens = device.AllocateMatrix<float>(count, width);
        for (int t = 0; t < count; t++)
            for (int a = 0; a < active; a++)
            {
                float[] direction = Directions[random.NextInt32(directions)];
                float weight = (float)(0.3 + 0.5 * random.NextDouble());
                for (int i = 0; i < width; i++) Tokens.Row(t)[i] += weight * direction[i];
            }
    }

    public float[][] Directions { get; }
    public Matrix<float> Tokens { get; }

    /// <summary>Mean over planted directions of the largest cosine with a decoder row.</summary>
    public double Recovery(Matrix<float> decoder) => Directions.Average(direction =>
    {
        double best = -1;
        for (int j = 0; j < decoder.Rows; j++)
        {
            ReadOnlySpan<float> row = decoder.Row(j);
            double dot = 0, squares = 0;
            for (int i = 0; i < row.Length; i++) (dot, squares) = (dot + row[i] * direction[i], squares + row[i] * row[i]);
            if (squares > 0) best = Math.Max(best, dot / Math.Sqrt(squares));
        }
        return best;
    });

    public void Dispose() => Tokens.Dispose();
}
