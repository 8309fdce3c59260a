using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>Anything an AnnData file can hold under a key: an array, a sparse matrix, a data frame, records, a column, or a dictionary of these.</summary>
public interface IAnnElement;

/// <summary>A dictionary of elements (<c>uns</c> and its branches). A null value is a key that holds nothing.</summary>
public sealed class AnnDictionary() : Dictionary<string, IAnnElement?>(StringComparer.Ordinal), IAnnElement;

/// <summary>A structured array: named fields of equal length.</summary>
public sealed record RecordArray(IReadOnlyList<(string Name, NdArray Values)> Fields) : IAnnElement;

/// <summary>
/// An annotated matrix as scverse's anndata defines it: observations (cells) x variables (genes, latents), with data frames along both
/// axes, further matrices of the same shape (layers), embeddings (obsm, varm), graphs (obsp, varp) and unstructured notes (uns).
/// </summary>
public sealed partial class AnnData
{
    /// <param name="obs">One row per observation.</param>
    /// <param name="var">One row per variable.</param>
    public AnnData(DataFrame obs, DataFrame var)
    {
        Obs = obs;
        Var = var;
    }

    public DataFrame Obs { get; }
    public DataFrame Var { get; }

    /// <summary>The matrix, observations x variables: an <see cref="NdArray"/>, a <see cref="SparseMatrix"/>, or null.</summary>
    public IAnnElement? X { get; set; }

    /// <summary>Matrices of the shape of X.</summary>
    public AnnDictionary Layers { get; } = [];

    /// <summary>Per observation: arrays, sparse matrices or data frames with a row each.</summary>
    public AnnDictionary Obsm { get; } = [];

    /// <summary>Per variable: arrays, sparse matrices or data frames with a row each.</summary>
    public AnnDictionary Varm { get; } = [];

    /// <summary>Observation x observation, for example kNN graphs.</summary>
    public AnnDictionary Obsp { get; } = [];

    /// <summary>Variable x variable.</summary>
    public AnnDictionary Varp { get; } = [];

    public AnnDictionary Uns { get; } = [];

    /// <summary>The state before variables were selected; null when there is none.</summary>
    public AnnRaw? Raw { get; set; }

    /// <summary>What the file holds and this reader left out, one sentence each.</summary>
    public IList<string> Warnings { get; } = [];

    public int ObservationCount => Obs.Rows;
    public int VariableCount => Var.Rows;

    /// <summary>Checks that no two observations share a name, and every part against the number of observations and variables.</summary>
    /// <exception cref="DataException">A name is given twice, or a part has another shape; its key is named.</exception>
    public void Validate(string source)
    {
        RequireUniqueNames(source, Obs);
        int n = ObservationCount, d = VariableCount;
        RequireShape(source, "X", X, n, d);
        foreach ((string key, IAnnElement? value) in Layers) RequireShape(source, $"layers/{key}", value, n, d);
        foreach ((string key, IAnnElement? value) in Obsm) RequireShape(source, $"obsm/{key}", value, n, null);
        foreach ((string key, IAnnElement? value) in Varm) RequireShape(source, $"varm/{key}", value, d, null);
        foreach ((string key, IAnnElement? value) in Obsp) RequireShape(source, $"obsp/{key}", value, n, n);
        foreach ((string key, IAnnElement? value) in Varp) RequireShape(source, $"varp/{key}", value, d, d);
        if (Raw is null) return;
        RequireShape(source, "raw/X", Raw.X, n, Raw.Var.Rows);
        foreach ((string key, IAnnElement? value) in Raw.Varm) RequireShape(source, $"raw/varm/{key}", value, Raw.Var.Rows, null);
    }

    internal static void RequireUniqueNames(string source, DataFrame obs)
    {
        Dictionary<string, int> rows = new(obs.Rows, StringComparer.Ordinal);
        for (int i = 0; i < obs.Rows; i++)
            if (!rows.TryAdd(obs.Index[i], i))
                throw new DataException(source, "obs", $"rows {rows[obs.Index[i]]} and {i} have the same name '{NpyHeader.Printable(obs.Index[i])}'; every observation needs its own (counted from 0)");
    }

    private static void RequireShape(string source, string key, IAnnElement? value, long rows, long? columns)
    {
        IReadOnlyList<long> shape;
        switch (value)
        {
            case null: return;
            case NdArray array: shape = array.Shape; break;
            case SparseMatrix sparse: shape = [sparse.Rows, sparse.Columns]; break;
            case DataFrame frame when columns is null: shape = [frame.Rows, frame.Columns.Count]; break;
            default: throw new DataException(source, key, "an array or a sparse matrix was expected");
        }
        if (shape.Count < (columns is null ? 1 : 2) || shape[0] != rows || (columns is not null && (shape.Count != 2 || shape[1] != columns)))
            throw new DataException(source, key, $"has the shape {NdArray.Describe(shape)}; {rows} x {(columns is null ? "any" : columns.ToString())} was expected");
    }
}

/// <summary>AnnData's <c>raw</c>: a matrix over more variables than X has.</summary>
public sealed record AnnRaw(IAnnElement? X, DataFrame Var, AnnDictionary Varm);
