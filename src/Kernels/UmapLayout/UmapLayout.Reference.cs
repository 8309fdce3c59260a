using BioSup.Runtime;

namespace BioSup.Kernels;

public sealed unsafe partial class UmapLayout
{
    /// <summary>The forces as they are written down, in double precision.</summary>
    private readonly struct ReferenceMove : IMove
    {
        public static void Force(UmapLayout layout, in Pass pass, int vertex, int* due, int count, ref CounterRandom random, float* force)
        {
            int dimensions = layout._dimensions;
            (double a, double b) = (layout._forces.A, layout._forces.B);
            double[] sum = new double[dimensions], difference = new double[dimensions];
            for (int e = 0; e < count; e++)
            {
                for (int d = 0; d < dimensions; d++) difference[d] = (double)pass.Position[(long)vertex * dimensions + d] - pass.Position[(long)due[e] * dimensions + d];
                double square = difference.Sum(x => x * x);
                Add(2, square == 0 ? 0 : -2 * a * b * Math.Pow(square, b - 1) / (1 + a * Math.Pow(square, b)));
            }
            for (int left = count * layout._forces.NegativeSamples; left > 0; left -= GroupSize)
            {
                int group = random.NextInt32(layout._vertices);
                for (int s = 0; s < Math.Min(left, GroupSize); s++)
                {
                    for (int d = 0; d < dimensions; d++) difference[d] = (double)pass.Position[(long)vertex * dimensions + d] - pass.Strewn[d * layout._stride + group + s];
                    double square = difference.Sum(x => x * x);
                    Add(1, square == 0 ? 0 : 2 * layout._forces.Repulsion * b / ((Softening + square) * (1 + a * Math.Pow(square, b))));
                }
            }
            for (int d = 0; d < dimensions; d++) force[d] = (float)sum[d];

            void Add(double times, double factor)
            {
                for (int d = 0; d < sum.Length; d++) sum[d] += times * Math.Clamp(factor * difference[d], -Limit, Limit);
            }
        }
    }
}
