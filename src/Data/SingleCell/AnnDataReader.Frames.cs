using BioSup.Runtime;

namespace BioSup.Data;

internal sealed partial class AnnDataReader
{
    private const string OldCategories = "__categories";

    /// <summary>A data frame of any version; <paramref name="only"/> limits it to the index and one column.</summary>
    private DataFrame ReadFrame(IStoreNode node, string? only = null)
    {
        if (node is IStoreArray dataset) return FrameOfRecords(dataset);
        IStoreGroup group = (IStoreGroup)node;
        string indexKey = group.HasAttribute("_index") ? Text(group, "_index") ?? throw Error(group, "'_index' is not text") : "_index";
        DataFrame frame = new(ReadIndex(group, indexKey), indexKey is "_index" or "index" ? null : indexKey);
        foreach (string name in ColumnOrder(group, indexKey))
        {
            if (only is not null && name != only) continue;
            IStoreNode child = group.Find(name) ?? throw Error(group, $"'column-order' names the column '{NpyHeader.Printable(name)}', which is not there");
            if (ReadFrameColumn(child, name) is not { } column) continue;
            if (column.Length != frame.Rows) throw Error(child, $"has {column.Length} rows, its index {frame.Rows}");
            if (frame.Contains(name)) throw Error(group, $"'column-order' names '{NpyHeader.Printable(name)}' twice");
            frame.Add(column);
        }
        return frame;
    }

    private IEnumerable<string> ColumnOrder(IStoreGroup group, string indexKey)
    {
        if (!group.HasAttribute("column-order")) return group.Names.Where(name => name != indexKey && name != OldCategories);
        NdArray order = group.ReadAttribute("column-order");
        // h5py writes an empty list as float64[0].
        if (order.Length == 0) return [];
        return order.Type == ElementType.Text ? order.As<string>() : throw Error(group, "'column-order' is not a list of text");
    }

    private string[] ReadIndex(IStoreGroup group, string key)
    {
        IStoreNode node = group.Find(key) ?? throw Error(group, $"has no index '{NpyHeader.Printable(key)}'");
        FrameColumn index = ReadFrameColumn(node, key) ?? throw Error(node, "cannot be an index");
        return index is { IsCategorical: false, Missing: null, Values: { Rank: 1, Values: string[] names } } ? names : index.ToColumn(path).Text;
    }

    private FrameColumn? ReadFrameColumn(IStoreNode node, string name)
    {
        if (node is IStoreGroup group)
        {
            if (Encoding(group) is "categorical" or "nullable-integer" or "nullable-boolean" or "nullable-string-array") return ReadColumnGroup(group, name);
            _warnings.Add($"{node.Path}: a column of this kind is not read and was left out");
            return null;
        }
        IStoreArray dataset = (IStoreArray)node;
        if (dataset.HasAttribute("categories"))
        {
            IStoreArray categories = dataset.FollowAttribute("categories") as IStoreArray ?? throw Error(node, "'categories' does not refer to a dataset");
            return Categorical(node, name, dataset.Read(), categories.Read(), Flag(categories, "ordered"));
        }
        if (dataset.IsNull || dataset.IsRecord || dataset.Type is null || dataset.Shape.Count != 1)
        {
            _warnings.Add($"{node.Path}: a column of this kind is not read and was left out");
            return null;
        }
        return FrameColumn.Of(name, dataset.Read());
    }

    private FrameColumn ReadColumnGroup(IStoreGroup group, string name)
    {
        if (Encoding(group) == "categorical") return Categorical(group, name, Child(group, "codes").Read(), ReadCategories(group), Flag(group, "ordered"));
        NdArray values = Child(group, "values").Read(), mask = Child(group, "mask").Read();
        if (values.Rank != 1 || mask.Values is not bool[] missing || missing.Length != values.Length) throw Error(group, "'mask' is not one bool per value");
        return FrameColumn.Nullable(name, values, missing);
    }

    private NdArray ReadCategories(IStoreGroup group) => group.Find("categories") switch
    {
        IStoreArray dataset => dataset.Read(),
        IStoreGroup nested when Encoding(nested) is "nullable-string-array" => ReadColumnGroup(nested, "categories").Values,
        _ => throw Error(group, "has no 'categories'"),
    };

    private FrameColumn Categorical(IStoreNode node, string name, NdArray codes, NdArray categories, bool ordered)
    {
        if (codes.Rank != 1 || categories.Rank != 1) throw Error(node, "codes and categories must be vectors");
        int[] narrow = Array.ConvertAll(Integers(node, codes), code => code is >= -1 and < int.MaxValue ? (int)code : int.MinValue);
        for (int i = 0; i < narrow.Length; i++)
            if (narrow[i] < -1 || narrow[i] >= categories.Length) throw Error(node, $"row {i} has a code that is none of the {categories.Length} categories");
        return FrameColumn.Categorical(name, narrow, categories, ordered);
    }

    private static bool Flag(IStoreNode node, string attribute) =>
        node.HasAttribute(attribute) && node.ReadAttribute(attribute) is { Length: 1 } flag && (flag.Type == ElementType.Text ? flag.ToText()[0] == "True" : flag.ToDoubles()[0] != 0);

    // anndata < 0.7: one record per row; the first field is the index.
    private DataFrame FrameOfRecords(IStoreArray dataset)
    {
        if (!dataset.IsRecord) throw Error(dataset, "is neither a group nor an array of records, so it is no data frame");
        RecordArray records = dataset.ReadRecords();
        if (records.Fields.Count == 0) throw Error(dataset, "its records have no fields, so it has no index");
        DataFrame frame = new(records.Fields[0].Values.ToText(), records.Fields[0].Name is "index" ? null : records.Fields[0].Name);
        foreach ((string name, NdArray values) in records.Fields.Skip(1))
            if (values.Rank == 1) frame.Add(FrameColumn.Of(name, values));
            else _warnings.Add($"{dataset.Path}.{name}: a column of arrays was left out");
        return frame;
    }

    /// <summary>In files of records the categories of a column lie in uns as NAME_categories, and the column holds codes.</summary>
    private void RestoreOldCategories(AnnData data)
    {
        if (file.Root.Find("obs") is IStoreGroup && file.Root.Find("var") is IStoreGroup) return;
        foreach (DataFrame frame in new[] { data.Obs, data.Var })
            foreach (FrameColumn column in frame.Columns.ToArray())
            {
                string key = column.Name + "_categories";
                if (column.IsCategorical || !column.Values.Type.IsInteger() || data.Uns.GetValueOrDefault(key) is not NdArray { Rank: 1 } categories) continue;
                long[] codes = column.Values.ToInt64();
                if (codes.Any(code => code < -1 || code >= categories.Length)) throw new DataException(path, $"uns/{key}", $"column '{column.Name}' has codes outside its {categories.Length} categories");
                frame.Set(FrameColumn.Categorical(column.Name, Array.ConvertAll(codes, code => (int)code), categories));
                data.Uns.Remove(key);
            }
    }
}
