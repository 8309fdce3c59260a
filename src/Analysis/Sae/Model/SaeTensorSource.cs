using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>Named tensors of a file, read as finite floats of a shape that is asked for.</summary>
internal sealed class SaeTensorSource : IDisposable
{
    private readonly string _path;
    private readonly SafetensorsFile? _safetensors;
    private readonly TorchFile? _torch;
    private readonly IReadOnlyDictionary<string, object?> _state = new Dictionary<string, object?>();

    /// <param name="path">A safetensors file, or a file of torch.save.</param>
    /// <param name="key">In a file of torch.save: the entry that holds the state dictionary, where the file is not that itself.</param>
    public SaeTensorSource(string path, string? key = null)
    {
        _path = path;
        if (!SaeExport.IsTorchFile(path))
        {
            _safetensors = SafetensorsFile.Open(path);
            return;
        }
        _torch = TorchFile.Open(path);
        try
        {
            Dictionary<string, object?> root = _torch.Root as Dictionary<string, object?> ?? throw new DataException(path, null, "does not hold a dictionary of tensors");
            _state = key is not null && root.TryGetValue(key, out object? inner) && inner is Dictionary<string, object?> dictionary ? dictionary : root;
        }
        catch
        {
            _torch.Dispose();
            throw;
        }
    }

    public IEnumerable<string> Names => _safetensors?.Names ?? _state.Where(s => s.Value is TorchTensor).Select(s => s.Key);

    public bool Contains(string name) => _safetensors?.Contains(name) ?? _state.GetValueOrDefault(name) is TorchTensor;

    /// <summary>A value in a file of torch.save that is not a tensor.</summary>
    public object? Value(string name) => _state.GetValueOrDefault(name);

    /// <summary>Extents of a matrix.</summary>
    public (int Rows, int Columns) Matrix(string name)
    {
        IReadOnlyList<long> shape = _safetensors is not null ? _safetensors.Entry(name).Shape : Tensor(name).Shape;
        if (shape.Count != 2 || shape.Any(e => e is < 1 or > int.MaxValue) || shape[0] > Array.MaxLength / shape[1])
            throw new DataException(_path, name, $"has the shape [{string.Join(", ", shape)}]; a matrix was expected");
        return ((int)shape[0], (int)shape[1]);
    }

    public float[] Read(string name, params ReadOnlySpan<long> shape)
    {
        float[] values = _safetensors is not null ? _safetensors.ReadVector(name, shape.ToArray()) : _torch!.ReadVector(Tensor(name), name, shape);
        int at = Array.FindIndex(values, v => !float.IsFinite(v));
        if (at < 0) return values;
        string where = shape.Length == 2 ? $", row {at / shape[1]}, column {at % shape[1]}" : shape.Length == 1 ? $", element {at}" : "";
        throw new DataException(_path, name + where, $"is {values[at]}; weights must be finite");
    }

    /// <summary>A vector of any length.</summary>
    public float[] ReadVector(string name)
    {
        IReadOnlyList<long> shape = _safetensors is not null ? _safetensors.Entry(name).Shape : Tensor(name).Shape;
        return shape.Count == 1 ? Read(name, shape[0]) : throw Refuse(name, $"has the shape [{string.Join(", ", shape)}]; a vector was expected");
    }

    /// <summary>A linear layer's weights [out, in] as [in, out].</summary>
    public float[] ReadTransposed(string name, int rows, int columns) => SaeWeights.Transpose(Read(name, rows, columns), rows, columns);

    public DataException Refuse(string name, string problem) => new(_path, name, problem);

    public void Dispose()
    {
        _safetensors?.Dispose();
        _torch?.Dispose();
    }

    private TorchTensor Tensor(string name) => _state.GetValueOrDefault(name) as TorchTensor
        ?? throw new DataException(_path, name, $"there is no such tensor; the file has {(Names.Any() ? string.Join(", ", Names.Take(20)) : "none")}");
}
