using System.Numerics;
using System.Runtime.CompilerServices;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells;

/// <summary>Reads the parts of an annotated matrix as the methods want them; what is missing is named together with the step that makes it.</summary>
internal static class CellMatrices
{
    /// <summary>X (for "X" or no name) or a layer as it is stored: a two-dimensional array or a sparse matrix.</summary>
    /// <exception cref="UsageException">There is no such layer.</exception>
    /// <exception cref="DataException">It is missing, no matrix or holds text.</exception>
    public static IAnnElement Stored(CellsContext context, string layer = "X")
    {
        bool main = layer is "" or "X";
        if (!main && !context.Cells.Layers.ContainsKey(layer)) throw new UsageException($"there is no layer '{layer}'; {Present("layers are", context.Cells.Layers.Keys)}.");
        IAnnElement? element = main ? context.Cells.X : context.Cells.Layers[layer];
        string key = main ? "X" : $"layers/{layer}";
        return element switch
        {
            SparseMatrix => element,
            NdArray { Type: not ElementType.Text, Rank: 2 } => element,
            null => throw new DataException(context.Source, key, "there is no such matrix"),
            _ => throw new DataException(context.Source, key, "a matrix of numbers was expected"),
        };
    }

    /// <summary>X or a layer as dense float32 on a device. A sparse one is made dense under the memory rule of <see cref="CellMemory"/>.</summary>
    /// <exception cref="DataException">A value is not finite.</exception>
    public static Matrix<float> Single(CellsContext context, ComputeDevice device, string layer = "X") => Dense<float>(context, device, Stored(context, layer), NameOf(layer));

    /// <summary>X or a layer as dense float64 on a device.</summary>
    /// <inheritdoc cref="Single"/>
    public static Matrix<double> Double(CellsContext context, ComputeDevice device, string layer = "X") => Dense<double>(context, device, Stored(context, layer), NameOf(layer));

    /// <summary>X or a layer with rows compressed; of a dense one what is not zero. Values are finite.</summary>
    public static SparseMatrix Sparse(CellsContext context, string layer = "X")
    {
        if (Stored(context, layer) is SparseMatrix sparse)
        {
            RequireFinite(sparse, context.Source, NameOf(layer));
            return sparse.ToCsr();
        }
        using Matrix<float> dense = Single(context, context.Host, layer);
        return SparseMatrix.FromDense(dense.View);
    }

    /// <summary>A matrix of obsm, one row per cell, in double precision.</summary>
    /// <param name="context">The cells.</param>
    /// <param name="device">Where it shall live.</param>
    /// <param name="key">For example X_pca.</param>
    /// <param name="step">The step that makes it, for the message; null where none does.</param>
    public static Matrix<double> Embedding(CellsContext context, ComputeDevice device, string key, string? step = null) => Dense<double>(context, device, Embedded(context, key, step), $"obsm/{key}");

    /// <inheritdoc cref="Embedding"/>
    public static Matrix<float> EmbeddingSingle(CellsContext context, ComputeDevice device, string key, string? step = null) => Dense<float>(context, device, Embedded(context, key, step), $"obsm/{key}");

    /// <summary>The weights of the neighbour graph that a key of uns describes, as scanpy finds it: <c>uns/KEY/connectivities_key</c> names the matrix of obsp.</summary>
    public static CellGraph Connectivities(CellsContext context, string neighborsKey = "neighbors") => Graph(context, neighborsKey, "connectivities");

    /// <summary>The distances of the neighbour graph that a key of uns describes.</summary>
    public static CellGraph Distances(CellsContext context, string neighborsKey = "neighbors") => Graph(context, neighborsKey, "distances");

    /// <summary>A matrix of obsp as a graph, the columns of every row in ascending order.</summary>
    public static CellGraph GraphAt(CellsContext context, string key, string? step = "neighbors")
    {
        if (context.Cells.Obsp.GetValueOrDefault(key) is not { } element) throw Missing($"obsp/{key}", step);
        if (element is not SparseMatrix sparse) throw new DataException(context.Source, $"obsp/{key}", "a sparse matrix was expected");
        RequireFinite(sparse, context.Source, $"obsp/{key}");
        SparseMatrix rows = sparse.ToCsr().SelectColumns([.. Enumerable.Range(0, sparse.Columns)]);
        float[] values = rows.Values.Values as float[] ?? Array.ConvertAll(rows.Values.ToDoubles(), v => (float)v);
        for (int i = 0; i < rows.Rows; i++)
            for (long e = rows.Pointers[i] + 1; e < rows.Pointers[i + 1]; e++)
                if (rows.Indices[e] == rows.Indices[e - 1]) throw new DataException(context.Source, $"obsp/{key}, row {i}", $"names the column {rows.Indices[e]} twice");
        return new CellGraph(Array.ConvertAll(rows.Pointers, p => (int)p), rows.Indices, values);
    }

    /// <summary>A column of obs as groups.</summary>
    /// <returns>[cells] number of the group, -1 where missing; and the names of the groups, in the order of the categories, or ordinal order for plain text.</returns>
    public static (int[] Codes, string[] Names) Groups(CellsContext context, string column, string? step = null)
    {
        FrameColumn found = Column(context, column, step);
        if (!found.IsCategorical) found = FrameColumn.Categorical(column, found.ToColumn(context.Source).Text);
        return (found.Codes!, found.Values.ToText());
    }

    /// <summary>A numeric column of obs; NaN where missing.</summary>
    public static double[] Numbers(CellsContext context, string column, string? step = null)
    {
        Column found = Column(context, column, step).ToColumn($"{context.Source}:obs/{column}");
        return found.IsNumeric ? found.Numbers : throw new DataException(context.Source, $"obs/{column}", "a column of numbers was expected");
    }

    /// <summary>The error for a part that an earlier step makes.</summary>
    public static UsageException Missing(string key, string? step) =>
        new(step is null ? $"the file has no {key}." : $"there is no {key}; the step '{step}' makes it and has to run first.");

    private static FrameColumn Column(CellsContext context, string column, string? step)
    {
        if (context.Cells.Obs.Contains(column)) return context.Cells.Obs[column];
        throw step is not null ? Missing($"obs/{column}", step) : new UsageException($"there is no column '{column}' in obs; {Present("columns are", context.Cells.Obs.Columns.Select(c => c.Name))}.");
    }

    private static IAnnElement Embedded(CellsContext context, string key, string? step)
    {
        IAnnElement? element = context.Cells.Obsm.GetValueOrDefault(key);
        if (element is null && step is null) throw new UsageException($"there is no obsm/{key}; {Present("matrices are", context.Cells.Obsm.Keys)}.");
        if (element is null) throw Missing($"obsm/{key}", step);
        return element is SparseMatrix or NdArray { Type: not ElementType.Text, Rank: 2 } ? element : throw new DataException(context.Source, $"obsm/{key}", "a matrix of numbers was expected");
    }

    private static CellGraph Graph(CellsContext context, string neighborsKey, string which)
    {
        if (context.Cells.Uns.GetValueOrDefault(neighborsKey) is not AnnDictionary described)
            throw neighborsKey == "neighbors" ? Missing("neighbour graph", "neighbors") : new UsageException($"there is no neighbour graph '{neighborsKey}' in uns; the step 'neighbors' with key_added={neighborsKey} makes it.");
        string key = described.GetValueOrDefault(which + "_key") is NdArray { Type: ElementType.Text, Length: 1 } named ? named.As<string>()[0] : which;
        return GraphAt(context, key);
    }

    private static Matrix<T> Dense<T>(CellsContext context, ComputeDevice device, IAnnElement element, string key) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (element is SparseMatrix sparse)
        {
            CellMemory.Require(context, $"{key} made dense, {sparse.Rows} x {sparse.Columns}", (long)sparse.Rows * sparse.Columns * Unsafe.SizeOf<T>());
            RequireFinite(sparse, context.Source, key);
            return typeof(T) == typeof(float) ? (Matrix<T>)(object)sparse.ToSingle(device) : (Matrix<T>)(object)sparse.ToDouble(device);
        }
        NdArray array = (NdArray)element;
        T[] values = array.Values as T[] ?? (typeof(T) == typeof(double) ? (T[])(object)array.ToDoubles() : (T[])(object)Array.ConvertAll(array.ToDoubles(), v => (float)v));
        Matrix<T> matrix = Matrix<T>.From(device.Host, (int)array.Shape[0], (int)array.Shape[1], values);
        try
        {
            if (matrix is Matrix<float> single) FiniteCheck.Require(single.View, $"{context.Source}:{key}");
            else if (matrix is Matrix<double> wide) FiniteCheck.Require(wide.View, $"{context.Source}:{key}");
        }
        catch
        {
            matrix.Dispose();
            throw;
        }
        if (device.IsHost) return matrix;
        using (matrix) return matrix.CopyAt(device);
    }

    private static void RequireFinite(SparseMatrix sparse, string source, string key)
    {
        int at = sparse.Values.Values switch
        {
            float[] single => Array.FindIndex(single, v => !float.IsFinite(v)),
            double[] wide => Array.FindIndex(wide, v => !double.IsFinite(v)),
            _ => -1,
        };
        if (at < 0) return;
        int major = 0;
        while (sparse.Pointers[major + 1] <= at) major++;
        (int row, int column) = sparse.Layout == SparseLayout.Csr ? (major, sparse.Indices[at]) : (sparse.Indices[at], major);
        throw new DataException($"{source}:{key}", $"row {row}, column {column}, counted from 0", "the value is NaN or infinite; every value must be finite");
    }

    private static string NameOf(string layer) => layer is "" or "X" ? "X" : $"layers/{layer}";

    private static string Present(string what, IEnumerable<string> names)
    {
        string[] all = [.. names];
        return all.Length == 0 ? "there are none" : $"the {what} {string.Join(", ", all.Take(20))}{(all.Length > 20 ? ", …" : "")}";
    }
}
