using System.Text.RegularExpressions;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// npz archives with one row per cell as an annotated matrix: the caches of the published code (latents as <c>X_all</c> with <c>usage_ema</c>, channels of the
/// encoder as <c>X_gap</c>, both with <c>y</c>, <c>lines</c> and <c>uids</c>), what <c>biosup sae encode</c> writes (<c>X</c> or a matrix as
/// <c>scipy.sparse.save_npz</c> lays it out, with <c>ids</c>), and archives of one matrix.
/// </summary>
public static partial class CellArchive
{
    /// <summary>Below this share of non-zero values a dense matrix is kept sparse.</summary>
    public const double SparseBelow = 0.3;

    /// <summary>A latent is alive from this moving average of its use on, the published code's threshold; in single precision, as NumPy compares it.</summary>
    public const float AliveFrom = 1e-5f;

    private static readonly string[] s_matrices = ["X_all", "X_gap", "X"];
    private static readonly string[] s_classes = ["Control", "SNCA", "GBA", "LRRK2"];

    /// <summary>
    /// X; obs named by uids or ids where there are any, with uid, line, superclass, plate and y as far as the archive has them; var named <c>latent_0</c>, …
    /// with latent_id, usage_ema and alive.
    /// </summary>
    /// <param name="host">Where the matrix is held while it is read.</param>
    /// <param name="path">The archive.</param>
    /// <param name="member">The matrix to take; null finds it by the names above.</param>
    /// <exception cref="DataException">The archive holds no such matrix, or arrays beside it of another length.</exception>
    public static AnnData Read(CpuDevice host, string path, string? member = null)
    {
        using NpzFile file = NpzFile.Open(path);
        if (member is null && IsSparse(file)) return Describe(path, file, ReadSparse(path, file), "X");
        member ??= s_matrices.FirstOrDefault(file.Contains) ?? (file.Members.Count == 1 ? file.Members[0]
            : throw new DataException(path, null, $"has none of {string.Join(", ", s_matrices)}; name the matrix after a colon, as in {Path.GetFileName(path)}:NAME; the archive has {Listing.Of(file.Members)}"));
        using Matrix<float> matrix = file.ReadSingle(host, member);
        FiniteCheck.Require(matrix.View, $"{path}:{member}");
        return Describe(path, file, Stored(matrix), member);
    }

    /// <summary>A host matrix as X, its variables named by a word and a number; sparse where few values are not zero.</summary>
    public static IAnnElement Stored(Matrix<float> matrix)
    {
        long filled = 0;
        for (int i = 0; i < matrix.Rows; i++)
            foreach (float value in matrix.Row(i))
                if (value != 0) filled++;
        long all = (long)matrix.Rows * matrix.Columns;
        if (filled < SparseBelow * all && filled <= Array.MaxLength) return SparseMatrix.FromDense(matrix.View);
        return all <= Array.MaxLength ? NdArray.FromMatrix(matrix.View)
            : throw new DataException("matrix", null, $"{matrix.Rows} x {matrix.Columns} values are more than the {Array.MaxLength} that a dense annotated matrix holds");
    }

    /// <summary>Names prefix_0, prefix_1, ….</summary>
    public static DataFrame Numbered(string prefix, int count) => new([.. Enumerable.Range(0, count).Select(i => $"{prefix}_{i}")]);

    private static bool IsSparse(NpzFile file) => file.Contains("data") && file.Contains("indices") && file.Contains("indptr") && file.Contains("shape") && file.Contains("format");

    private static SparseMatrix ReadSparse(string path, NpzFile file)
    {
        string format = file.Read("format") is { Type: ElementType.Text, Length: 1 } text ? text.As<string>()[0] : "";
        if (format is not ("csr" or "csc")) throw new DataException(path, "format", $"is '{format}'; csr or csc was expected");
        long[] shape = Integers(path, file, "shape");
        if (shape.Length != 2 || shape.Any(extent => extent is < 0 or > int.MaxValue)) throw new DataException(path, "shape", "two extents were expected");
        long[] indices = Integers(path, file, "indices");
        int wild = Array.FindIndex(indices, i => i is < 0 or > int.MaxValue);
        if (wild >= 0) throw new DataException(path, $"indices[{wild}]", $"the index {indices[wild]} lies outside the matrix");
        return new SparseMatrix((int)shape[0], (int)shape[1], format == "csr" ? SparseLayout.Csr : SparseLayout.Csc, Integers(path, file, "indptr"),
            Array.ConvertAll(indices, i => (int)i), file.Read("data"), path);
    }

    private static long[] Integers(string path, NpzFile file, string member)
    {
        NdArray array = file.Read(member);
        return array.Type.IsInteger() ? array.ToInt64() : throw new DataException(path, member, $"holds {array.Type.Name()}; integers were expected");
    }

    private static AnnData Describe(string path, NpzFile file, IAnnElement x, string member)
    {
        (int rows, int columns) = x is SparseMatrix sparse ? (sparse.Rows, sparse.Columns) : ((int)((NdArray)x).Shape[0], (int)((NdArray)x).Shape[1]);
        string[]? ids = Texts(path, file, "uids", rows) ?? Texts(path, file, "ids", rows);
        bool named = ids is not null && ids.Distinct(StringComparer.Ordinal).Count() == rows;
        DataFrame obs = named ? new DataFrame(ids!) : DataFrame.OfRows(rows), var = Numbered(member == "X_gap" ? "channel" : "latent", columns);
        AnnData data = new(obs, var) { X = x };
        if (ids is not null && !named) data.Warnings.Add($"{path}: two cells share an id, so the cells are numbered from 0 and the ids are the column 'uid'.");
        if (ids is not null) obs.Add("uid", ids);
        string[]? lines = Texts(path, file, "lines", rows);
        long[]? classes = file.Contains("y") ? Integers(path, file, "y") : null;
        if (classes is not null && classes.Length != rows) throw new DataException(path, "y", $"has {classes.Length} entries; the matrix has {rows} rows");
        if (lines is not null) obs.Add(FrameColumn.Categorical("line", lines));
        if (lines is not null || classes is not null) obs.Add(FrameColumn.Categorical("superclass", lines is not null ? Array.ConvertAll(lines, Superclass) : Array.ConvertAll(classes!, Superclass)));
        if (ids is not null && Plates(ids) is { } plates) obs.Add(FrameColumn.Categorical("plate", plates));
        if (classes is not null) obs.Add("y", classes);
        if (member != "X_gap") DescribeLatents(path, file, var);
        if (file.Contains("which_layer") && file.Read("which_layer") is { Type: ElementType.Text, Length: 1 } layer) data.Uns["which_layer"] = NdArray.Scalar(layer.As<string>()[0]);
        return data;
    }

    private static void DescribeLatents(string path, NpzFile file, DataFrame var)
    {
        var.Add("latent_id", Enumerable.Range(0, var.Rows).ToArray());
        if (!file.Contains("usage_ema")) return;
        NdArray use = file.Read("usage_ema");
        if (use.Type == ElementType.Text || use.Length != var.Rows) throw new DataException(path, "usage_ema", $"has the shape {use.ShapeText}; one number for each of {var.Rows} latents was expected");
        float[] values = Array.ConvertAll(use.ToDoubles(), v => (float)v);
        var.Add("usage_ema", values);
        var.Add("alive", Array.ConvertAll(values, v => v >= AliveFrom));
    }

    private static string[]? Texts(string path, NpzFile file, string member, int rows)
    {
        if (!file.Contains(member)) return null;
        NdArray array = file.Read(member);
        return array.Length == rows ? array.ToText() : throw new DataException(path, member, $"has {array.Length} entries; the matrix has {rows} rows");
    }

    /// <summary>The published code's classes: control lines are one class, every other line is its own.</summary>
    private static string Superclass(string line) => line.StartsWith("Control", StringComparison.Ordinal) ? "Control" : line;

    private static string Superclass(long label) => label >= 0 && label < s_classes.Length ? s_classes[label] : $"{label}";

    private static string[]? Plates(string[] ids)
    {
        Match[] found = Array.ConvertAll(ids, id => Plate().Match(id));
        return found.All(m => m.Success) && found.Length > 0 ? Array.ConvertAll(found, m => m.Groups[1].Value) : null;
    }

    [GeneratedRegex(@"plate=(\d{6})")]
    private static partial Regex Plate();
}
