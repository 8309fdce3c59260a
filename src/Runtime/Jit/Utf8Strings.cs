using System.Runtime.InteropServices;

namespace BioSup.Runtime;

/// <summary>Strings as C wants them, an array of pointers to zero-terminated UTF-8, until disposed.</summary>
internal sealed unsafe class Utf8Strings : IDisposable
{
    private byte** _pointers;

    public Utf8Strings(IEnumerable<string> texts)
    {
        string[] all = [.. texts];
        Count = all.Length;
        _pointers = (byte**)NativeMemory.AllocZeroed((nuint)Math.Max(1, Count), (nuint)sizeof(byte*));
        for (int i = 0; i < Count; i++) _pointers[i] = (byte*)Marshal.StringToCoTaskMemUTF8(all[i]);
    }

    public int Count { get; }

    /// <summary>Null where there are no strings.</summary>
    public byte** Pointers => Count > 0 ? _pointers : null;

    public byte* this[int index] => _pointers[index];

    public void Dispose()
    {
        if (_pointers == null) return;
        for (int i = 0; i < Count; i++) Marshal.FreeCoTaskMem((nint)_pointers[i]);
        NativeMemory.Free(_pointers);
        _pointers = null;
    }
}
