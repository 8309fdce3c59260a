using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// Reads the elements of an AnnData file, HDF5 or zarr, by their <c>encoding-type</c> (anndata's on-disk format 0.1.0), or, in files older than anndata 0.8
/// that do not say it, by their structure.
/// </summary>
internal sealed partial class AnnDataReader(string path, IStoreFile file)
{
    private const int MaxDepth = 32;
    private static readonly string[] s_dictionaries = ["layers", "obsm", "varm", "obsp", "varp"];
    private readonly List<string> _warnings = [];

    public AnnData ReadAll()
    {
        AnnData data = new(ReadFrame(Axis("obs")), ReadFrame(Axis("var")));
        data.X = file.Root.Find("X") is { } x ? ReadMatrixElement(x) : null;
        ReadBranch("layers", data.Layers);
        ReadBranch("obsm", data.Obsm);
        ReadBranch("varm", data.Varm);
        ReadBranch("obsp", data.Obsp);
        ReadBranch("varp", data.Varp);
        if (file.Root.Find("uns") is { } uns)
            foreach ((string key, IAnnElement? value) in ReadAny(uns, 0) as AnnDictionary ?? throw Error(uns, "a group was expected")) data.Uns[key] = value;
        if (file.Root.Find("raw") is IStoreGroup raw)
            data.Raw = new AnnRaw(raw.Find("X") is { } rawX ? ReadMatrixElement(rawX) : null,
                ReadFrame(raw.Find("var") ?? throw Error(raw, "has no 'var'")), Branch(raw.Find("varm")));
        else if (file.Root.Find("raw.X") is { } oldRaw && file.Root.Find("raw.var") is { } oldVar)
            data.Raw = new AnnRaw(ReadMatrixElement(oldRaw), ReadFrame(oldVar), Branch(file.Root.Find("raw.varm")));
        RestoreOldCategories(data);
        foreach (string warning in _warnings) data.Warnings.Add(warning);
        data.Validate(path);
        return data;
    }

    /// <summary>X, layers/NAME, obsm/NAME and so on, for error messages.</summary>
    public IReadOnlyList<string> MatrixKeys()
    {
        List<string> keys = [];
        if (file.Root.Find("X") is not null) keys.Add("X");
        foreach (string branch in s_dictionaries)
            switch (file.Root.Find(branch))
            {
                case IStoreGroup group: keys.AddRange(group.Names.Select(name => $"{branch}/{name}")); break;
                case IStoreArray { IsRecord: true } records: keys.AddRange(records.ReadRecords().Fields.Select(field => $"{branch}/{field.Name}")); break;
            }
        if (file.Root.Find("raw") is IStoreGroup raw && raw.Find("X") is not null) keys.Add("raw/X");
        return keys;
    }

    /// <summary>The node of a matrix key, or for embeddings of old files the array itself.</summary>
    public object FindMatrix(string key)
    {
        string[] parts = key.Split('/', 2);
        IStoreNode? node = parts is ["X"] ? file.Root.Find("X") : null;
        if (parts is ["raw", "X"]) node = (file.Root.Find("raw") as IStoreGroup)?.Find("X");
        if (parts.Length == 2 && s_dictionaries.Contains(parts[0]))
        {
            IStoreNode? branch = file.Root.Find(parts[0]);
            node = (branch as IStoreGroup)?.Find(parts[1]);
            if (branch is IStoreArray { IsRecord: true } records && records.ReadRecords().Fields.FirstOrDefault(field => field.Name == parts[1]) is { Values: { } values }) return values;
        }
        return node ?? throw new DataException(path, key, $"there is no such matrix; the file has {Listing.Of(MatrixKeys())}");
    }

    /// <summary>One column of obs or var; <c>obs/_index</c> is the row names.</summary>
    public FrameColumn ReadColumn(string axis, string name)
    {
        DataFrame frame = ReadAxis(axis, only: name);
        if (name is "_index" or "index" && !frame.Contains(name)) return FrameColumn.Of(name, frame.Index);
        return frame.Contains(name) ? frame[name] : throw new DataException(path, $"{axis}/{name}", $"there is no such column; {axis} has {Listing.Of(ReadAxis(axis).Columns.Select(c => c.Name))}");
    }

    public IAnnElement? ReadMatrixElement(IStoreNode node) => ReadAny(node, 0) switch
    {
        null => null,
        NdArray array => array,
        SparseMatrix sparse => sparse,
        _ => throw Error(node, "an array or a sparse matrix was expected"),
    };

    public DataFrame ReadAxis(string name, string? only = null)
    {
        DataFrame frame = ReadFrame(Axis(name), only);
        // Genes may share a symbol; two cells of one name are one cell twice, or two that no table can tell apart.
        if (name == "obs") AnnData.RequireUniqueNames(path, frame);
        return frame;
    }

    private IStoreNode Axis(string name) => file.Root.Find(name) ?? throw new DataException(path, "/", $"is not an AnnData file: it has no '{name}'");

    /// <summary>Two rows of one name are refused for every matrix whose rows are observations. A file without 'obs' has no names to clash.</summary>
    public void RequireUniqueObservations(string key)
    {
        if (key.Split('/')[0] is "X" or "layers" or "obsm" or "obsp" or "raw" && file.Root.Find("obs") is not null) ReadAxis("obs", only: "");
    }

    private void ReadBranch(string name, AnnDictionary target)
    {
        foreach ((string key, IAnnElement? value) in Branch(file.Root.Find(name)))
            if (value is not null) target[key] = value;
    }

    private AnnDictionary Branch(IStoreNode? node)
    {
        if (node is null) return [];
        if (node is not IStoreArray { IsRecord: true } records) return ReadAny(node, 0) as AnnDictionary ?? throw Error(node, "a group was expected");
        // anndata < 0.7: one record per row, one field per matrix.
        AnnDictionary branch = [];
        foreach ((string name, NdArray values) in records.ReadRecords().Fields) branch[name] = values;
        return branch;
    }

    /// <summary>Any element; null for null, and with a warning for what is not known.</summary>
    private IAnnElement? ReadAny(IStoreNode node, int depth)
    {
        if (depth > MaxDepth) throw Error(node, $"groups are nested more than {MaxDepth} deep");
        if (node is IStoreArray dataset) return ReadDataset(dataset);
        IStoreGroup group = (IStoreGroup)node;
        string? encoding = Encoding(group);
        switch (encoding)
        {
            case "csr_matrix" or "csc_matrix": return ReadSparse(group, encoding == "csr_matrix" ? SparseLayout.Csr : SparseLayout.Csc, "shape");
            case "dataframe": return ReadFrame(group);
            case "categorical" or "nullable-integer" or "nullable-boolean" or "nullable-string-array": return ReadColumnGroup(group, group.Path);
            case null when group.HasAttribute("h5sparse_format"):
                return ReadSparse(group, Text(group, "h5sparse_format") == "csr" ? SparseLayout.Csr : SparseLayout.Csc, "h5sparse_shape");
            case null or "dict" or "raw" or "anndata": return ReadDictionary(group, depth);
            default:
                _warnings.Add($"{group.Path}: elements of type '{NpyHeader.Printable(encoding)}' are not read and were left out");
                return null;
        }
    }

    private AnnDictionary ReadDictionary(IStoreGroup group, int depth)
    {
        AnnDictionary dictionary = [];
        foreach (string name in group.Names)
            if (group.Find(name) is { } child) dictionary[name] = ReadAny(child, depth + 1);
        return dictionary;
    }

    private IAnnElement? ReadDataset(IStoreArray dataset)
    {
        if (dataset.IsNull) return null;
        if (dataset.IsRecord || dataset.Type is null)
        {
            try
            {
                if (dataset.IsRecord) return dataset.ReadRecords();
                _warnings.Add($"{dataset.Path}: the element type is not supported and the array was left out");
            }
            catch (DataException e)
            {
                // Records hold notes such as rank_genes_groups; a kind that is not known must not make the file unreadable.
                _warnings.Add($"{dataset.Path}: records were left out: {e.Message}");
            }
            return null;
        }
        return dataset.Read();
    }

    /// <summary>Rows and columns of a sparse matrix.</summary>
    public long[] SparseShape(IStoreGroup group) => SparseShape(group, group.HasAttribute("h5sparse_shape") ? "h5sparse_shape" : "shape");

    private long[] SparseShape(IStoreGroup group, string attribute)
    {
        long[] shape = Integers(group, group.ReadAttribute(attribute));
        return shape.Length == 2 && !shape.Any(extent => extent is < 0 or > int.MaxValue) ? shape : throw Error(group, $"'{attribute}' is not two extents");
    }

    private SparseMatrix ReadSparse(IStoreGroup group, SparseLayout layout, string shapeAttribute)
    {
        long[] shape = SparseShape(group, shapeAttribute);
        NdArray data = Child(group, "data").Read();
        long[] pointers = Integers(group, Child(group, "indptr").Read());
        NdArray indices = Child(group, "indices").Read();
        int[] narrow = indices.Values as int[] ?? Narrow(Integers(group, indices));
        return new SparseMatrix((int)shape[0], (int)shape[1], layout, pointers, narrow, data, $"{path}:{group.Path}");
    }

    /// <summary>Whether a group is a matrix compressed by rows.</summary>
    public bool IsCsr(IStoreGroup group) => Encoding(group) == "csr_matrix" || (Encoding(group) is null && group.HasAttribute("h5sparse_format") && Text(group, "h5sparse_format") == "csr");

    /// <summary>Hands over the wanted rows of a matrix compressed by rows; of entries, a few million are in memory at a time.</summary>
    public void VisitCsr(IStoreGroup group, RowEntries rows)
    {
        const int BlockEntries = 1 << 21;
        long[] shape = SparseShape(group), pointers = Integers(group, Child(group, "indptr").Read());
        IStoreArray data = Child(group, "data"), indices = Child(group, "indices");
        string source = $"{path}:{group.Path}";
        if (pointers.Length != shape[0] + 1) throw new DataException(source, "indptr", $"has {pointers.Length} entries; {shape[0] + 1} were expected for {shape[0]} x {shape[1]}");
        if (data.Shape is not [long stored] || indices.Shape is not [long places] || stored != places) throw new DataException(source, "indices", "data and indices are not two lists of one length");
        if (pointers[0] != 0 || pointers[^1] != stored) throw new DataException(source, "indptr", $"must run from 0 to {stored}, not from {pointers[0]} to {pointers[^1]}");
        for (int i = 1; i < pointers.Length; i++)
            if (pointers[i] < pointers[i - 1]) throw new DataException(source, $"indptr[{i}]", "the pointers must not descend");
        for (int first = 0, end; first < shape[0]; first = end)
        {
            for (end = first + 1; end < shape[0] && pointers[end + 1] - pointers[first] <= BlockEntries;) end++;
            ReadOnlySpan<int> wanted = rows.Between(first, end);
            if (wanted.Length == 0) continue;
            long from = pointers[first];
            int count = checked((int)(pointers[end] - from));
            NdArray where = indices.ReadRange(from, count), what = data.ReadRange(from, count);
            if (what.Type == ElementType.Text) throw new DataException(source, null, "a sparse matrix holds text; numbers were expected");
            int[] columns = where.Values as int[] ?? Narrow(Integers(group, where));
            if (SparseMatrix.FirstOutside(columns, (int)shape[1]) is int bad and >= 0)
                throw new DataException(source, $"indices[{from + bad}]", $"the index {where.Values.GetValue(bad)} lies outside 0 to {shape[1] - 1}");
            if (what.Values is not float[] values) ElementDecoder.Convert(what, values = new float[count]);
            foreach (int row in wanted)
            {
                int start = (int)(pointers[row] - from), length = (int)(pointers[row + 1] - pointers[row]);
                rows.Take(row, columns.AsSpan(start, length), values.AsSpan(start, length));
            }
        }
    }

    // What no index can be becomes -1, which is none either.
    private static int[] Narrow(long[] indices) => Array.ConvertAll(indices, index => index is >= 0 and <= int.MaxValue ? (int)index : -1);

    private IStoreArray Child(IStoreGroup group, string name) => group.Find(name) as IStoreArray ?? throw Error(group, $"has no dataset '{name}'");

    private long[] Integers(IStoreNode node, NdArray array)
    {
        if (!array.Type.IsInteger()) throw Error(node, $"holds {array.Type.Name()} where whole numbers were expected");
        if (array.Values is ulong[] wide && wide.Any(value => value > long.MaxValue)) throw Error(node, "holds a number that is too large");
        return array.ToInt64();
    }

    private static string? Encoding(IStoreNode node) => node.HasAttribute("encoding-type") ? Text(node, "encoding-type") : null;

    private static string? Text(IStoreNode node, string attribute) => node.ReadAttribute(attribute) is { Type: ElementType.Text, Length: 1 } text ? text.As<string>()[0] : null;

    private DataException Error(IStoreNode node, string problem) => new(path, node.Path, problem);
}
