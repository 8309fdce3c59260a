using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.GwMap;

/// <summary>
/// What a coupling expects of the genes of every image: Y_soft[i] = Σ_j T_ij Y_j / Σ_j T_ij (GW-map's barycentric projection). Genes pass through in blocks, so that only
/// one block is ever held in double precision.
/// </summary>
public static class GeneSoftTargets
{
    /// <summary>What a row of the coupling without mass is divided by: its soft target is 0, as in GW-map.</summary>
    public const double EmptyRow = 1e-15;

    /// <summary>Bytes of a block of genes, features and projection together.</summary>
    private const long BlockBytes = 64L << 20;

    /// <summary>Genes of a block.</summary>
    public static int GenesAtOnce(int images, int cells) => (int)Math.Clamp(BlockBytes / sizeof(double) / Math.Max(1, images + cells), 1, int.MaxValue);

    /// <summary>Bytes that a projection holds besides the coupling and the expression: the block and the result.</summary>
    public static long PlannedBytes(int images, int cells, int genes) =>
        (long)Math.Min(genes, GenesAtOnce(images, cells)) * (images + cells) * sizeof(double) + (long)images * genes * sizeof(float);

    /// <param name="coupling">[images, cells] in host memory, not negative.</param>
    /// <param name="values">What cells have of every gene.</param>
    /// <param name="places">Cells of the coupling's columns, in their order.</param>
    /// <param name="genesAtOnce">Genes of a block; 0 for as many as fit into 64 MiB.</param>
    /// <param name="progress">Receives blocks.</param>
    /// <param name="cancellation">Stops between blocks.</param>
    /// <returns>[images, genes] in host memory.</returns>
    public static Matrix<float> Project(Matrix<double> coupling, GeneValues values, ReadOnlySpan<int> places, int genesAtOnce = 0, IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        if (coupling.Columns != places.Length) throw new ArgumentException($"The coupling has {coupling.Columns} columns; there are {places.Length} cells.", nameof(places));
        int images = coupling.Rows, cells = coupling.Columns, genes = values.Genes;
        CpuDevice host = coupling.Device.Host;
        int width = Math.Max(1, Math.Min(genes, genesAtOnce > 0 ? genesAtOnce : GenesAtOnce(images, cells)));
        double[] mass = Masses(coupling);
        Matrix<float> soft = host.AllocateMatrix<float>(images, genes);
        try
        {
            using Matrix<double> block = host.AllocateMatrix<double>(cells, width), projected = host.AllocateMatrix<double>(images, width);
            for (int first = 0; first < genes; first += width)
            {
                cancellation.ThrowIfCancellationRequested();
                int count = Math.Min(width, genes - first);
                values.Fill(places, first, count, block);
                Gemm.Multiply(Transpose.No, Transpose.No, 1.0, coupling.View, block.View, 0.0, projected.View);
                for (int i = 0; i < images; i++)
                {
                    ReadOnlySpan<double> from = projected.Row(i);
                    Span<float> to = soft.Row(i).Slice(first, count);
                    for (int g = 0; g < count; g++) to[g] = (float)(from[g] / mass[i]);
                }
                progress?.Report("projecting genes", first + count, genes);
            }
            return soft;
        }
        catch
        {
            soft.Dispose();
            throw;
        }
    }

    private static double[] Masses(Matrix<double> coupling)
    {
        double[] mass = new double[coupling.Rows];
        using DeviceBuffer<double> sums = coupling.Device.Allocate<double>(coupling.Rows);
        Reductions.RowSums(coupling.View, sums.View);
        sums.CopyTo(mass);
        return Array.ConvertAll(mass, m => m > 0 ? m : EmptyRow);
    }
}
