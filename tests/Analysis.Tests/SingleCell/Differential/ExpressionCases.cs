using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.SingleCell.Differential;

/// <summary>A small matrix whose columns hold every kind of value that a test of genes can trip over, and its forms.</summary>
internal sealed class ExpressionCases
{
    public const int Cells = 300, Groups = 4, Kinds = 35;

    /// <summary>The kind whose values agree in their upper 32 bits.</summary>
    public const int Fine = 9;

    public ExpressionCases(ulong seed = 3)
    {
        CounterRandom random = new(seed);
        Codes = new int[Cells];
        for (int i = 0; i < Cells; i++) Codes[i] = i < 7 ? 3 : i < 20 ? 2 : i % 10 == 0 ? -1 : i % 3 == 0 ? 1 : 0;
        random.Shuffle<int>(Codes);
        Values = new double[Cells * Kinds];
        for (int i = 0; i < Cells; i++)
            for (int kind = 0; kind < Kinds; kind++) Values[i * Kinds + kind] = Value(kind, Codes[i], random.NextDouble());
    }

    public int[] Codes { get; }

    /// <summary>[cells, kinds]</summary>
    public double[] Values { get; }

    /// <summary>The same rounded to float32.</summary>
    public float[] Singles => Array.ConvertAll(Values, v => (float)v);

    public NdArray Dense => new(Values, Cells, Kinds);

    public NdArray DenseSingle => new(Singles, Cells, Kinds);

    /// <summary>Compressed either way, in float32 or float64, with some zeros stored.</summary>
    public SparseMatrix Sparse(SparseLayout layout, bool single)
    {
        (int majors, int minors) = layout == SparseLayout.Csr ? (Cells, Kinds) : (Kinds, Cells);
        List<int> indices = [];
        List<double> values = [];
        long[] pointers = new long[majors + 1];
        for (int a = 0; a < majors; a++)
        {
            for (int b = 0; b < minors; b++)
            {
                double value = layout == SparseLayout.Csr ? Values[a * Kinds + b] : Values[b * Kinds + a];
                if (value == 0 && (a + b) % 7 != 0) continue;
                indices.Add(b);
                values.Add(value);
            }
            pointers[a + 1] = indices.Count;
        }
        return new SparseMatrix(Cells, Kinds, layout, pointers, [.. indices], single ? NdArray.Vector(values.Select(v => (float)v).ToArray()) : NdArray.Vector(values.ToArray()));
    }

    private static double Value(int kind, int group, double u)
    {
        return kind switch
        {
            0 => u,
            1 => Math.Round(3 * u + 0.4 * group),
            2 => u < 0.7 ? 0 : 5 * u,
            3 => u - 0.5,
            4 => Math.Round(8 * u) - 4,
            5 => 2.7,
            6 => 0,
            7 => group == 1 ? 3.1 : 1.3,
            8 => group == 0 ? 2 + u : 0.1,
            Fine => 1 + 1e-12 * Math.Round(40 * u + group),
            10 => 200 * group + u,
            11 => u < 0.9 ? 0 : -u,
            12 => u < 0.02 ? 1e5 : 0,
            13 => u + 0.02 * group,
            14 => 1e-30 * u,
            15 => group == 3 ? 0.1 : u < 0.5 ? 0.1 : 0.2,
            _ => Math.Max(0, u - 0.02 * kind + 0.005 * kind * group),
        };
    }
}
