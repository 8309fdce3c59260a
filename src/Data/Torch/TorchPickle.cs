namespace BioSup.Data;

/// <summary>The pickle inside a file of torch.save.</summary>
internal sealed class TorchPickle(byte[] bytes, string source, string? where) : PickleMachine(bytes, source, where)
{
    private sealed record Storage(string Name, ElementType? Type, long Elements);

    /// <summary>An object of a class that is not known here: its content is not looked at.</summary>
    private sealed record Opaque(ClassName Class);

    protected override string Content => "a file of tensors";

    public object? Read() => Run();

    protected override object? Call(ClassName called, object?[] arguments) => (called.Module, called.Name, arguments) switch
    {
        ("collections", "OrderedDict", []) => new Dictionary<string, object?>(StringComparer.Ordinal),
        ("torch._utils", "_rebuild_tensor_v2" or "_rebuild_tensor", [Storage storage, long offset, object?[] shape, object?[] strides, ..]) =>
            new TorchTensor(storage.Name, storage.Type, storage.Elements, offset, Extents(shape), Extents(strides, shape.Length)),
        ("torch._utils", "_rebuild_parameter", [TorchTensor tensor, ..]) => tensor,
        ("torch._utils", "_rebuild_tensor_v2" or "_rebuild_tensor", _) => throw Error("the pickle is damaged: a tensor has no storage, shape or strides"),
        _ => new Opaque(called),
    };

    protected override void SetState(object? target, object? state)
    {
        if (target is not (Opaque or Dictionary<string, object?> or TorchTensor)) throw Error("the pickle is damaged: it sets the state of something that has none");
    }

    /// <summary>("storage", class, key, device, elements).</summary>
    protected override object Resolve(object? identifier) =>
        identifier is object?[] and ["storage", ClassName type, string key, _, long elements, ..] && elements >= 0
            ? new Storage(key, TypeOf(type.Name), elements)
            : throw Error("the pickle is damaged: a storage was expected");

    private static ElementType? TypeOf(string storage) => storage switch
    {
        "FloatStorage" => ElementType.Float32,
        "DoubleStorage" => ElementType.Float64,
        "HalfStorage" => ElementType.Float16,
        "BFloat16Storage" => ElementType.BFloat16,
        "ByteStorage" => ElementType.UInt8,
        "CharStorage" => ElementType.Int8,
        "ShortStorage" => ElementType.Int16,
        "IntStorage" => ElementType.Int32,
        "LongStorage" => ElementType.Int64,
        "BoolStorage" => ElementType.Boolean,
        _ => null,
    };

    private long[] Extents(object?[] values, int? count = null)
    {
        if (count is { } expected && values.Length != expected) throw Error("the pickle is damaged: a tensor has as many strides as extents");
        return [.. values.Select(v => v is long extent and >= 0 ? extent : throw Error("the pickle is damaged: extents and strides are whole numbers of at least 0"))];
    }
}
