using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.GwMap;

/// <summary>Values of cells by gene, asked for in blocks of genes: what soft targets are made of.</summary>
public abstract class GeneValues : IDisposable
{
    public abstract int Cells { get; }

    public abstract int Genes { get; }

    /// <summary>Native bytes held.</summary>
    public abstract long Bytes { get; }

    /// <summary>Writes successive genes of some cells.</summary>
    /// <param name="cells">Cells, in the order of the block's rows.</param>
    /// <param name="first">First gene.</param>
    /// <param name="count">Genes.</param>
    /// <param name="block">[cells, at least count] in host memory; its further columns become 0.</param>
    public abstract void Fill(ReadOnlySpan<int> cells, int first, int count, Matrix<double> block);

    /// <summary>Some of the genes, in the given order. What this holds has to outlive it.</summary>
    public abstract GeneValues Select(int[] genes);

    public abstract void Dispose();

    /// <summary>Every cell, as <see cref="Fill"/> takes them.</summary>
    public int[] AllCells() => [.. Enumerable.Range(0, Cells)];
}

/// <summary>Values of every gene and cell, zeros included.</summary>
/// <param name="values">[cells, genes] in host memory; freed with this.</param>
public sealed class DenseGenes(Matrix<float> values) : GeneValues
{
    public override int Cells => values.Rows;
    public override int Genes => values.Columns;
    public override long Bytes => (long)values.Rows * values.Columns * sizeof(float);

    public override void Fill(ReadOnlySpan<int> cells, int first, int count, Matrix<double> block)
    {
        for (int j = 0; j < cells.Length; j++)
        {
            ReadOnlySpan<float> from = values.Row(cells[j]).Slice(first, count);
            Span<double> to = block.Row(j);
            for (int g = 0; g < count; g++) to[g] = from[g];
            to[count..].Clear();
        }
    }

    public override GeneValues Select(int[] genes) => new DenseGenes(Gather.Columns(values, genes));

    public override void Dispose() => values.Dispose();
}
