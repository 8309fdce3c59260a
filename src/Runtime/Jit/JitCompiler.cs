using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using BioSup.Runtime.Interop;
using BioSup.Runtime.Loading;

namespace BioSup.Runtime;

/// <summary>
/// Compiles kernels with NVRTC. Source and headers are passed in memory and include no header of a toolkit, so that a node needs libnvrtc
/// and its built-ins and nothing else. Works without a GPU.
/// </summary>
public sealed unsafe class JitCompiler
{
    private static readonly Lazy<JitCompiler> s_instance = new(() => new JitCompiler(NvrtcLibrary.Require()), LazyThreadSafetyMode.ExecutionAndPublication);
    private readonly NvrtcLibrary _nvrtc;

    private JitCompiler(NvrtcLibrary library)
    {
        _nvrtc = library;
        Identity = $"NVRTC {library.Version} {Fingerprint()}";
    }

    /// <summary>The compiler of this machine.</summary>
    /// <exception cref="DeviceException">NVRTC is missing or of a version that cannot be used.</exception>
    public static JitCompiler Require() => s_instance.Value;

    /// <summary>The compiler of this machine, or why there is none.</summary>
    internal static bool TryGet([NotNullWhen(true)] out JitCompiler? compiler, [NotNullWhen(false)] out DeviceException? missing)
    {
        (compiler, missing) = (null, null);
        try
        {
            compiler = Require();
            return true;
        }
        catch (DeviceException e)
        {
            missing = e;
            return false;
        }
    }

    /// <summary>Version and a fingerprint of the build: patch releases share a version number and do not share their output.</summary>
    public string Identity { get; }

    public CudaVersion Version => _nvrtc.Version;

    /// <summary>The library that was loaded, where the system tells.</summary>
    public string? LibraryPath => _nvrtc.Path;

    /// <summary>Best target for a device: without a compiler, the device's own architecture.</summary>
    public static JitTarget TargetFor(CudaDevice device) => TryGet(out JitCompiler? compiler, out _)
        ? JitTarget.For(device.Info.Capability, compiler._nvrtc.Architectures, compiler.Version)
        : JitTarget.For(device.Info.Capability, [device.Info.Capability.Number], CudaDriver.Oldest);

    /// <summary>Every option for a request, in the order in which the compiler gets them.</summary>
    public static IReadOnlyList<string> Options(JitRequest request, JitTarget target)
    {
        List<string> options = [$"--gpu-architecture={target.Name}", "--std=c++20", "-default-device", "--device-int128"];
        if (BiosupEnvironment.LineInfo) options.Add("-lineinfo");
        options.AddRange(request.Options());
        return options;
    }

    /// <summary>Compiles to machine code, or to PTX where the target says so.</summary>
    /// <param name="source">The source with its headers.</param>
    /// <param name="options">Options from <see cref="Options"/>.</param>
    /// <param name="target">The architecture.</param>
    /// <param name="keep">Keeps a source that failed and answers where; may be null.</param>
    /// <exception cref="JitException">The source has errors.</exception>
    /// <exception cref="DeviceException">The compiler itself failed.</exception>
    public byte[] Compile(KernelSource source, IReadOnlyList<string> options, JitTarget target, Func<string, string?>? keep = null)
    {
        using Utf8Strings headers = new(source.Headers.Select(h => h.Text)), names = new(source.Headers.Select(h => h.IncludeName));
        using Utf8Strings arguments = new(options), file = new([source.Text, source.Path]);
        nvrtcProgram program;
        nvrtc.nvrtcCreateProgram(&program, file[0], file[1], headers.Count, headers.Pointers, names.Pointers).Ok();
        try
        {
            nvrtcResult result = nvrtc.nvrtcCompileProgram(program, arguments.Count, arguments.Pointers);
            if (result == nvrtcResult.NVRTC_SUCCESS) return Output(program, target.IsPtx);
            string log = Log(program);
            if (result == nvrtcResult.NVRTC_ERROR_COMPILATION) throw new JitException(source, options, log, keep?.Invoke(source.Text));
            if (result == nvrtcResult.NVRTC_ERROR_BUILTIN_OPERATION_FAILURE) throw new DeviceException(CudaSentences.BuiltinsMissing(log));
            if (result == nvrtcResult.NVRTC_ERROR_INVALID_OPTION) throw new DeviceException($"NVRTC {Version} does not know an option of '{string.Join(' ', options)}': {log}");
            result.Ok("nvrtcCompileProgram");
            return [];
        }
        finally
        {
            nvrtc.nvrtcDestroyProgram(&program);
        }
    }

    private static byte[] Output(nvrtcProgram program, bool ptx)
    {
        nuint size;
        (ptx ? nvrtc.nvrtcGetPTXSize(program, &size) : nvrtc.nvrtcGetCUBINSize(program, &size)).Ok("nvrtcGetCUBINSize");
        byte[] bytes = new byte[checked((int)size)];
        fixed (byte* first = bytes) (ptx ? nvrtc.nvrtcGetPTX(program, first) : nvrtc.nvrtcGetCUBIN(program, first)).Ok("nvrtcGetCUBIN");
        return bytes.Length > 0 ? bytes : throw new DeviceException("NVRTC made no machine code: the architecture given to it is a virtual one.");
    }

    private static string Log(nvrtcProgram program)
    {
        nuint size;
        if (nvrtc.nvrtcGetProgramLogSize(program, &size) != nvrtcResult.NVRTC_SUCCESS || size <= 1) return "";
        byte[] log = new byte[checked((int)size)];
        fixed (byte* first = log)
            if (nvrtc.nvrtcGetProgramLog(program, first) != nvrtcResult.NVRTC_SUCCESS) return "";
        return Encoding.UTF8.GetString(log).TrimEnd('\0', '\n');
    }

    /// <summary>PTX of an empty file: its comment names the exact build of the compiler.</summary>
    private string Fingerprint()
    {
        KernelSource empty = new("cuda/kernels/empty.cu", "", []);
        JitTarget target = JitTarget.Virtual(CudaDeviceInfo.Oldest.Number);
        byte[] ptx = Compile(empty, [$"--gpu-architecture={target.Name}"], target);
        return Convert.ToHexStringLower(SHA256.HashData(ptx))[..16];
    }
}
