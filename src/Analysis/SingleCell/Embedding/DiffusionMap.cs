using System.Numerics.Tensors;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// Diffusion maps of a weighted graph (Coifman and Lafon 2006 with density normalisation; Haghverdi et al. 2016), with scanpy's conventions:
/// q = Σ_j W_ij, K = Q⁻¹ W Q⁻¹, z = √Σ_j K_ij, T = Z⁻¹ K Z⁻¹; the coordinates are the eigenvectors of the symmetric T, trivial ones included.
/// Double precision throughout.
/// </summary>
public sealed class DiffusionMap : IDisposable
{
    private DiffusionMap(double[] eigenvalues, Matrix<double> vectors, int[] component, int components)
    {
        (Eigenvalues, Vectors, Component, ComponentCount) = (eigenvalues, vectors, component, components);
    }

    /// <summary>[k] falling; 1 as often as there are connected components (at most k).</summary>
    public double[] Eigenvalues { get; }

    /// <summary>[k, cells] unit eigenvectors, the entry of largest magnitude positive. Transposed it is scanpy's <c>X_diffmap</c>, up to signs and single precision.</summary>
    public Matrix<double> Vectors { get; }

    /// <summary>[cells] number of each cell's connected component.</summary>
    public int[] Component { get; }

    public int ComponentCount { get; }

    public int Cells => Component.Length;

    /// <summary>The k eigenpairs of largest absolute eigenvalue, as <c>sc.tl.diffmap</c> takes them. The eigenvalue 1 belongs to one vector per component, which is written down; the others are searched for.</summary>
    /// <param name="device">Whose host threads do the work.</param>
    /// <param name="connectivities">Symmetric weights, not negative, every cell with at least one above 0.</param>
    /// <param name="components">k; 15 is scanpy's. Fewer than the cells.</param>
    /// <param name="cancel">Ends the search.</param>
    /// <exception cref="UsageException">k does not fit, or a cell has no neighbours.</exception>
    /// <exception cref="ConvergenceException">The eigenvectors did not settle.</exception>
    public static DiffusionMap Compute(ComputeDevice device, CellGraph connectivities, int components = 15, CancellationToken cancel = default)
    {
        if (components < 2) throw new UsageException($"A diffusion map of {components} components shows nothing; the first one is trivial, so 2 are the fewest.");
        if (components >= connectivities.Cells) throw new UsageException($"{components} diffusion components need more cells than that; there are {connectivities.Cells}.");
        ScaledGraph transitions = ScaledGraph.Transitions(device.Host, connectivities);
        int[] component = connectivities.Components(out int count);
        using Matrix<double> trivial = Trivial(device.Host, transitions, component, Math.Min(count, components));
        if (count >= components)
            return new DiffusionMap([.. Enumerable.Repeat(1.0, components)], trivial.CopyAt(device.Host), component, count);
        (double[] values, Matrix<double> found) = LanczosEigen.Find(device.Host, transitions, components - count, SpectrumEnd.Magnitude, trivial, seed: 0, cancel);
        using (found)
        {
            Matrix<double> vectors = device.Host.AllocateMatrix<double>(components, connectivities.Cells);
            for (int c = 0; c < count; c++) trivial.Row(c).CopyTo(vectors.Row(c));
            int row = count;
            foreach (int i in Enumerable.Range(0, values.Length).OrderByDescending(i => values[i]))
            {
                found.Row(i).CopyTo(vectors.Row(row));
                FixSign(vectors.Row(row++));
            }
            return new DiffusionMap([.. Enumerable.Repeat(1.0, count), .. values.OrderDescending()], vectors, component, count);
        }
    }

    /// <summary>A map that was kept, such as <c>obsm['X_diffmap']</c> with <c>uns['diffmap_evals']</c>.</summary>
    /// <param name="device">Where it is held; the host reads it.</param>
    /// <param name="connectivities">The graph it was computed from, for its components.</param>
    /// <param name="eigenvalues">[k] falling.</param>
    /// <param name="coordinates">[cells × k] row-major, a vector in each column.</param>
    /// <exception cref="UsageException">The shapes do not fit each other.</exception>
    public static DiffusionMap FromStored(CpuDevice device, CellGraph connectivities, double[] eigenvalues, ReadOnlySpan<double> coordinates)
    {
        int cells = connectivities.Cells, k = eigenvalues.Length;
        if (k == 0 || coordinates.Length != (long)cells * k)
            throw new UsageException($"A diffusion map of {cells} cells with {k} eigenvalues needs {(long)cells * k} coordinates; there are {coordinates.Length}.");
        Matrix<double> vectors = device.AllocateMatrix<double>(k, cells);
        for (int j = 0; j < k; j++)
            for (int i = 0; i < cells; i++) vectors.Row(j)[i] = coordinates[i * k + j];
        return new DiffusionMap(eigenvalues, vectors, connectivities.Components(out int count), count);
    }

    /// <summary>The cell of <paramref name="cells"/> that lies nearest to their mean in all k coordinates, the published root of a trajectory when given the control cells; the first of equals.</summary>
    /// <exception cref="UsageException">There are no such cells.</exception>
    public int Medoid(ReadOnlySpan<int> cells) => ByDistanceToMean(cells)[0];

    /// <summary>Those cells, the nearest to their mean in all k coordinates first, equal distances by position.</summary>
    public int[] ByDistanceToMean(ReadOnlySpan<int> cells)
    {
        if (cells.Length == 0) throw new UsageException("The root of a trajectory is taken among given cells; there are none.");
        double[] squares = new double[cells.Length];
        for (int k = 0; k < Eigenvalues.Length; k++)
        {
            ReadOnlySpan<double> vector = Vectors.Row(k);
            double mean = 0;
            foreach (int cell in cells) mean += vector[cell];
            mean /= cells.Length;
            for (int i = 0; i < squares.Length; i++) squares[i] += (vector[cells[i]] - mean) * (vector[cells[i]] - mean);
        }
        int[] all = cells.ToArray();
        return [.. Enumerable.Range(0, all.Length).OrderBy(i => squares[i]).Select(i => all[i])];
    }

    public void Dispose() => Vectors.Dispose();

    /// <summary>The trivial vector restricted to each of the first components, of unit length.</summary>
    private static Matrix<double> Trivial(CpuDevice host, ScaledGraph transitions, int[] component, int count)
    {
        Matrix<double> vectors = host.AllocateMatrix<double>(count, component.Length);
        for (int c = 0; c < count; c++) vectors.Row(c).Clear();
        for (int i = 0; i < component.Length; i++) if (component[i] < count) vectors.Row(component[i])[i] = transitions.Trivial[i];
        for (int c = 0; c < count; c++) TensorPrimitives.Multiply(vectors.Row(c), 1 / Math.Sqrt(TensorPrimitives.SumOfSquares(vectors.Row(c))), vectors.Row(c));
        return vectors;
    }

    /// <summary>An eigenvector is known up to its sign: its entry of largest magnitude is made positive.</summary>
    internal static void FixSign(Span<double> vector)
    {
        int largest = TensorPrimitives.IndexOfMaxMagnitude(vector);
        if (vector[largest] < 0) TensorPrimitives.Negate(vector, vector);
    }
}
