using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>Lays an <see cref="AnnData"/> out as anndata's on-disk format 0.1.0 (elements as anndata 0.8 writes them).</summary>
internal static class AnnDataWriter
{
    public static Hdf5Group Build(AnnData data)
    {
        Hdf5Group root = Mark(new Hdf5Group(), "anndata", "0.1.0");
        root.Children["obs"] = Frame(data.Obs);
        root.Children["var"] = Frame(data.Var);
        if (data.X is not null) root.Children["X"] = Element(data.X)!;
        root.Children["layers"] = Dictionary(data.Layers);
        root.Children["obsm"] = Dictionary(data.Obsm);
        root.Children["varm"] = Dictionary(data.Varm);
        root.Children["obsp"] = Dictionary(data.Obsp);
        root.Children["varp"] = Dictionary(data.Varp);
        root.Children["uns"] = Dictionary(data.Uns);
        if (data.Raw is not { } raw) return root;
        Hdf5Group group = Mark(new Hdf5Group(), "raw", "0.1.0");
        if (raw.X is not null) group.Children["X"] = Element(raw.X)!;
        group.Children["var"] = Frame(raw.Var);
        group.Children["varm"] = Dictionary(raw.Varm);
        root.Children["raw"] = group;
        return root;
    }

    public static T Mark<T>(T node, string type, string version) where T : Hdf5Node
    {
        node.Attributes["encoding-type"] = NdArray.Scalar(type);
        node.Attributes["encoding-version"] = NdArray.Scalar(version);
        return node;
    }

    private static Hdf5Group Dictionary(AnnDictionary dictionary)
    {
        Hdf5Group group = Mark(new Hdf5Group(), "dict", "0.1.0");
        foreach ((string key, IAnnElement? value) in dictionary)
            // anndata 0.8 does not know the element "null"; a key without a value is left out.
            if (value is not null) group.Children[key] = Element(value);
        return group;
    }

    private static Hdf5Node Element(IAnnElement value) => value switch
    {
        NdArray array => Array(array),
        SparseMatrix sparse => Sparse(sparse),
        DataFrame frame => Frame(frame),
        FrameColumn column => Column(column),
        AnnDictionary dictionary => Dictionary(dictionary),
        RecordArray records => Records(records),
        _ => throw new UsageException($"{value.GetType().Name} cannot be written to an h5ad file."),
    };

    private static Hdf5Dataset Array(NdArray array)
    {
        Hdf5Dataset dataset = new() { Array = array };
        return (array.Rank, array.Type) switch
        {
            (0, ElementType.Text) => Mark(dataset, "string", "0.2.0"),
            (0, _) => Mark(dataset, "numeric-scalar", "0.2.0"),
            (_, ElementType.Text) => Mark(dataset, "string-array", "0.2.0"),
            _ => Mark(dataset, "array", "0.2.0"),
        };
    }

    private static Hdf5Group Sparse(SparseMatrix sparse)
    {
        Hdf5Group group = Mark(new Hdf5Group(), sparse.Layout == SparseLayout.Csr ? "csr_matrix" : "csc_matrix", "0.1.0");
        group.Attributes["shape"] = NdArray.Vector(new long[] { sparse.Rows, sparse.Columns });
        group.Children["data"] = new Hdf5Dataset { Array = sparse.Values };
        group.Children["indices"] = new Hdf5Dataset { Array = NdArray.Vector(sparse.Indices) };
        // SciPy wants pointers and indices of one width; below 2^31 entries that is int32.
        group.Children["indptr"] = new Hdf5Dataset { Array = NdArray.Vector(System.Array.ConvertAll(sparse.Pointers, pointer => checked((int)pointer))) };
        return group;
    }

    private static Hdf5Group Frame(DataFrame frame)
    {
        Hdf5Group group = Mark(new Hdf5Group(), "dataframe", "0.2.0");
        string index = frame.IndexName ?? "_index";
        if (frame.Contains(index)) throw new DataException("data frame", $"column '{index}'", "a column has the name of the index");
        group.Attributes["_index"] = NdArray.Scalar(index);
        group.Attributes["column-order"] = frame.Columns.Count == 0
            ? NdArray.Vector(System.Array.Empty<double>())
            : NdArray.Vector(frame.Columns.Select(column => column.Name).ToArray());
        group.Children[index] = Array(NdArray.Vector(frame.Index));
        foreach (FrameColumn column in frame.Columns) group.Children[column.Name] = Column(column);
        return group;
    }

    private static Hdf5Node Column(FrameColumn column)
    {
        if (column.Codes is { } codes) return Categorical(column, codes);
        if (column.Missing is not { } missing) return Array(column.Values);
        // anndata 0.8 has nullable integers and bool; text with missing rows becomes categorical, which it can read.
        if (column.Values.Type == ElementType.Text)
        {
            string[] text = [.. column.Values.As<string>().Select((value, i) => missing[i] ? "" : value)];
            FrameColumn labels = FrameColumn.Categorical(column.Name, text);
            return Categorical(labels, labels.Codes!);
        }
        Hdf5Group group = Mark(new Hdf5Group(), column.Values.Type == ElementType.Boolean ? "nullable-boolean" : "nullable-integer", "0.1.0");
        group.Children["values"] = Array(column.Values);
        group.Children["mask"] = Array(NdArray.Vector(missing));
        return group;
    }

    private static Hdf5Group Categorical(FrameColumn column, int[] codes)
    {
        Hdf5Group group = Mark(new Hdf5Group(), "categorical", "0.2.0");
        group.Attributes["ordered"] = NdArray.Scalar(column.Ordered);
        group.Children["codes"] = Array(column.Values.Length switch
        {
            <= sbyte.MaxValue => NdArray.Vector(System.Array.ConvertAll(codes, code => (sbyte)code)),
            <= short.MaxValue => NdArray.Vector(System.Array.ConvertAll(codes, code => (short)code)),
            _ => NdArray.Vector(codes),
        });
        group.Children["categories"] = Array(column.Values);
        return group;
    }

    private static Hdf5Node Records(RecordArray records)
    {
        // Fields that are arrays themselves, and records without a row or a field, have no place in a compound: a dictionary holds them.
        if (records.Fields.Count > 0 && records.Fields[0].Values.Length > 0 && records.Fields.All(field => field.Values.Rank == 1))
            return Mark(new Hdf5Dataset { Records = records }, "rec-array", "0.2.0");
        Hdf5Group group = Mark(new Hdf5Group(), "dict", "0.1.0");
        foreach ((string name, NdArray values) in records.Fields) group.Children[name] = Array(values);
        return group;
    }
}
