using System.IO.Compression;
using System.Text;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// Count matrices of 10x Genomics' Cell Ranger: the folder of matrix.mtx, features.tsv (genes.tsv before version 3) and barcodes.tsv,
/// plain or gzipped, and the .h5 file, versions 2 and 3. The files hold genes x cells; what is returned is cells x genes.
/// </summary>
public static class TenXFile
{
    private const string GeneExpression = "Gene Expression";
    private const string Kind = "10x";

    /// <param name="path">The folder or the .h5 file.</param>
    /// <param name="geneExpressionOnly">Leaves out features of other types (antibodies, guides).</param>
    /// <returns>X in CSR; obs named by barcode; var named by gene symbol (made unique with -1, -2, …) with gene_ids, feature_types and, from .h5, genome, as scanpy names them.</returns>
    public static AnnData Read(string path, bool geneExpressionOnly = true)
    {
        (SparseMatrix counts, string[] barcodes, string[] ids, string[] symbols, string[] types, string[]? genomes) = Directory.Exists(path) ? ReadFolder(path) : ReadHdf5(path);
        if (barcodes.Length != counts.Rows) throw new DataException(path, "barcodes", $"there are {barcodes.Length}; the matrix has {counts.Rows} cells");
        if (ids.Length != counts.Columns || symbols.Length != ids.Length || types.Length != ids.Length)
            throw new DataException(path, "features", $"there are {ids.Length} ids, {symbols.Length} names and {types.Length} types; the matrix has {counts.Columns} features");
        if (genomes is not null && genomes.Length != ids.Length) throw new DataException(path, "features", $"there are {genomes.Length} genomes; the matrix has {counts.Columns} features");
        RequireUnique(barcodes, path);
        int[] kept = [.. Enumerable.Range(0, ids.Length).Where(j => !geneExpressionOnly || types[j] == GeneExpression)];
        // A file that knows no types at all, or other words for them, is kept whole.
        if (kept.Length == 0) kept = [.. Enumerable.Range(0, ids.Length)];
        if (kept.Length < ids.Length) counts = counts.SelectColumns(kept);
        DataFrame var = new(MakeUnique([.. kept.Select(j => symbols[j])]));
        var.Add("gene_ids", kept.Select(j => ids[j]).ToArray());
        var.Add(FrameColumn.Categorical("feature_types", [.. kept.Select(j => types[j])]));
        if (genomes is not null) var.Add(FrameColumn.Categorical("genome", [.. kept.Select(j => genomes[j])]));
        return new AnnData(new DataFrame(barcodes), var) { X = counts };
    }

    /// <summary>Appends -1, -2, … to the second and later uses of a name, as anndata's var_names_make_unique does.</summary>
    public static string[] MakeUnique(string[] names)
    {
        HashSet<string> taken = new(names, StringComparer.Ordinal), seen = new(StringComparer.Ordinal);
        Dictionary<string, int> counter = new(StringComparer.Ordinal);
        string[] unique = [.. names];
        for (int i = 0; i < names.Length; i++)
        {
            if (seen.Add(names[i])) continue;
            string candidate;
            do
            {
                int count = counter[names[i]] = counter.GetValueOrDefault(names[i]) + 1;
                candidate = $"{names[i]}-{count}";
            }
            while (!taken.Add(candidate));
            unique[i] = candidate;
        }
        return unique;
    }

    private static (SparseMatrix, string[], string[], string[], string[], string[]?) ReadFolder(string folder)
    {
        SparseMatrix counts = ReadPart(folder, ["matrix.mtx"], MatrixMarket.ReadTransposed);
        List<string[]> features = ReadPart(folder, ["features.tsv", "genes.tsv"], ReadTabs);
        List<string[]> barcodes = ReadPart(folder, ["barcodes.tsv"], ReadTabs);
        return (counts, [.. barcodes.Select(row => row[0])], [.. features.Select(row => row[0])],
            [.. features.Select(row => row.Length > 1 ? row[1] : row[0])], [.. features.Select(row => row.Length > 2 ? row[2] : GeneExpression)], null);
    }

    private static T ReadPart<T>(string folder, string[] names, Func<Stream, string, T> read)
    {
        foreach (string name in names)
            foreach (string suffix in new[] { ".gz", "" })
            {
                string path = Path.Combine(folder, name + suffix);
                if (!File.Exists(path)) continue;
                return SourceGuard.Read(path, Kind, () =>
                {
                    using FileStream file = SourceGuard.Open(path);
                    if (suffix.Length == 0) return read(file, path);
                    using GZipStream unpacked = new(file, CompressionMode.Decompress);
                    return read(unpacked, path);
                });
            }
        throw new DataException(folder, null, $"has no {string.Join(" or ", names)}(.gz); a 10x matrix folder was expected");
    }

    private static List<string[]> ReadTabs(Stream stream, string path)
    {
        using StreamReader reader = new(stream, new UTF8Encoding(false, throwOnInvalidBytes: true));
        List<string[]> rows = [];
        try
        {
            while (reader.ReadLine() is { } line)
                if (line.Length > 0) rows.Add(line.Split('\t'));
        }
        catch (DecoderFallbackException e)
        {
            throw new DataException(path, $"line {rows.Count + 1}", "the text is not UTF-8", e);
        }
        return rows;
    }

    private static (SparseMatrix, string[], string[], string[], string[], string[]?) ReadHdf5(string path) => SourceGuard.Read(path, Kind, () =>
    {
        using IStoreFile file = PureHdfFile.Open(path);
        if (file.Root.Find("matrix") is IStoreGroup matrix)
        {
            IStoreGroup features = matrix.Find("features") as IStoreGroup ?? throw new DataException(path, "/matrix", "has no group 'features'");
            string[] ids = Text(features, "id", path);
            return (Counts(matrix, path), Text(matrix, "barcodes", path), ids, Text(features, "name", path),
                features.Find("feature_type") is null ? [.. ids.Select(_ => GeneExpression)] : Text(features, "feature_type", path), features.Find("genome") is null ? null : Text(features, "genome", path));
        }
        string[] genomes = [.. file.Root.Names.Where(name => file.Root.Find(name) is IStoreGroup)];
        if (genomes.Length != 1) throw new DataException(path, "/", $"is not a 10x file: one group ('matrix', or a genome) was expected, there are {Listing.Of(genomes)}");
        IStoreGroup genome = (IStoreGroup)file.Root.Find(genomes[0])!;
        string[] genes = Text(genome, "genes", path);
        return (Counts(genome, path), Text(genome, "barcodes", path), genes, Text(genome, "gene_names", path), [.. genes.Select(_ => GeneExpression)], [.. genes.Select(_ => genomes[0])]);
    });

    private static SparseMatrix Counts(IStoreGroup group, string path)
    {
        long[] shape = Integers(group, "shape", path);
        if (shape.Length != 2 || shape.Any(extent => extent is < 0 or > int.MaxValue)) throw new DataException(path, $"{group.Path}/shape", "two extents were expected");
        int[] indices = Array.ConvertAll(Integers(group, "indices", path), index => index is >= 0 and <= int.MaxValue ? (int)index : -1);
        NdArray data = Child(group, "data", path).Read();
        // CSC of genes x cells is CSR of cells x genes.
        return new SparseMatrix((int)shape[1], (int)shape[0], SparseLayout.Csr, Integers(group, "indptr", path), indices, data, $"{path}:{group.Path}");
    }

    private static IStoreArray Child(IStoreGroup group, string name, string path) => group.Find(name) as IStoreArray ?? throw new DataException(path, group.Path, $"has no dataset '{name}'");

    private static long[] Integers(IStoreGroup group, string name, string path)
    {
        NdArray array = Child(group, name, path).Read();
        return array.Type.IsInteger() && array.Type != ElementType.UInt64 ? array.ToInt64() : throw new DataException(path, $"{group.Path}/{name}", "whole numbers were expected");
    }

    private static string[] Text(IStoreGroup group, string name, string path) => Child(group, name, path).Read() is { Type: ElementType.Text } text
        ? text.As<string>()
        : throw new DataException(path, $"{group.Path}/{name}", "text was expected");

    private static void RequireUnique(string[] barcodes, string path)
    {
        HashSet<string> seen = new(StringComparer.Ordinal);
        foreach (string barcode in barcodes)
            if (!seen.Add(barcode)) throw new DataException(path, "barcodes", $"'{NpyHeader.Printable(barcode)}' is given twice");
    }
}
