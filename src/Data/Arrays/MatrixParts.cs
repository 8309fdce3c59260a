using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>What a view is made of, in a form that a delegate may hold while the view's owner is alive.</summary>
internal readonly unsafe struct MatrixParts<T>(MatrixView<T> view) where T : unmanaged
{
    private readonly T* _pointer = view.Pointer;
    private readonly int _rows = view.Rows;
    private readonly int _columns = view.Columns;
    private readonly long _stride = view.Stride;
    private readonly ComputeDevice _device = view.Device;

    public MatrixView<T> View => new(_pointer, _rows, _columns, _stride, _device);

    /// <summary>Some rows as a managed array, without padding.</summary>
    public Array CopyRows(int start, int count)
    {
        MatrixView<T> view = View;
        T[] values = new T[count * _columns];
        for (int i = 0; i < count; i++) view.Row(start + i).CopyTo(values.AsSpan(i * _columns, _columns));
        return values;
    }
}
