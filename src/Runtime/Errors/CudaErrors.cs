using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using BioSup.Runtime.Interop;

namespace BioSup.Runtime;

/// <summary>A call of the CUDA driver or of NVRTC failed (exit code 4).</summary>
public sealed class CudaException : DeviceException
{
    internal CudaException(string call, int code, string name, string text)
        : base($"CUDA failed in {call}: {text} ({name}, {code}).")
    {
        Call = call;
        Code = code;
        Name = name;
    }

    /// <summary>The call as the engine wrote it, for example "nvcuda.cuStreamSynchronize(_handle.Stream)".</summary>
    public string Call { get; }

    /// <summary>NVIDIA's number of the error.</summary>
    public int Code { get; }

    /// <summary>NVIDIA's name of the error.</summary>
    public string Name { get; }
}

/// <summary>Turns the codes of native calls into exceptions.</summary>
internal static unsafe class CudaErrors
{
    /// <summary>Throws unless the call succeeded.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Ok(this CUresult code, [CallerArgumentExpression(nameof(code))] string call = "")
    {
        if (code != CUresult.CUDA_SUCCESS) Throw(code, call);
    }

    /// <summary>Throws unless the call succeeded.</summary>
    public static void Ok(this nvrtcResult code, [CallerArgumentExpression(nameof(code))] string call = "")
    {
        if (code != nvrtcResult.NVRTC_SUCCESS) throw new CudaException(Short(call), (int)code, code.ToString(), Text(nvrtc.nvrtcGetErrorString(code)));
    }

    public static CudaException ToException(CUresult code, string call) => new(call, (int)code, NameOf(code), TextOf(code));

    /// <summary>NVIDIA's name of a code, from the driver where it answers.</summary>
    public static string NameOf(CUresult code)
    {
        byte* name = null;
        return nvcuda.cuGetErrorName(code, &name) == CUresult.CUDA_SUCCESS && name != null ? Text(name) : code.ToString();
    }

    private static string TextOf(CUresult code)
    {
        byte* text = null;
        return nvcuda.cuGetErrorString(code, &text) == CUresult.CUDA_SUCCESS && text != null ? Text(text) : "unknown error";
    }

    private static void Throw(CUresult code, string call) => throw ToException(code, Short(call));

    private static string Text(byte* text) => Marshal.PtrToStringUTF8((nint)text) ?? "";

    /// <summary>"nvcuda.cuInit(0)" is what the source says; the function's name is what a person can look up.</summary>
    private static string Short(string call)
    {
        int start = call.IndexOf('.') + 1, end = call.IndexOf('(');
        return end > start ? call[start..end] : call;
    }
}
