using System.Runtime.InteropServices;
using System.Text;
using BioSup.Runtime.Interop;

namespace BioSup.Runtime;

/// <summary>
/// One kernel of a compiled module. A launch copies its arguments from the stack and allocates nothing. Arguments are plain values that must match
/// the kernel's parameters in order and size: int, long, float, <see cref="DevicePointer"/> (from <c>view.Address</c>), or a struct laid out as in CUDA.
/// </summary>
public sealed unsafe partial class CudaKernel
{
    private const int SharedBytesWithoutAsking = 48 << 10;

    private readonly ModuleHandle _module;
    private readonly CUfunction _function;
    private int _sharedAllowed;
    private bool _parametersChecked;

    internal CudaKernel(CudaDevice device, ModuleHandle module, string name)
    {
        Device = device;
        Name = name;
        _module = module;
        device.Bind();
        CUfunction function;
        fixed (byte* text = Encoding.UTF8.GetBytes(name + '\0'))
        {
            CUresult code = nvcuda.cuModuleGetFunction(&function, new CUmodule(module.Value), text);
            if (code == CUresult.CUDA_ERROR_NOT_FOUND) throw new DeviceException($"The compiled module has no kernel '{name}': it must be declared extern \"C\" __global__.");
            code.Ok("cuModuleGetFunction");
        }
        _function = function;
        Registers = Attribute(CUfunction_attribute.CU_FUNC_ATTRIBUTE_NUM_REGS);
        LocalBytes = Attribute(CUfunction_attribute.CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES);
        StaticSharedBytes = Attribute(CUfunction_attribute.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);
        MaxThreads = Attribute(CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
        // What the kernel declares counts against what a launch may have unasked.
        _sharedAllowed = SharedBytesWithoutAsking - StaticSharedBytes;
    }

    public CudaDevice Device { get; }
    public string Name { get; }

    /// <summary>Registers of one thread.</summary>
    public int Registers { get; }

    /// <summary>Local memory of one thread: more than 0 means spilled registers or an indexed array.</summary>
    public int LocalBytes { get; }

    public int StaticSharedBytes { get; }

    /// <summary>Most threads that a block of this kernel may have.</summary>
    public int MaxThreads { get; }

    /// <summary>Blocks of this kernel that one multiprocessor can hold at a time.</summary>
    public int BlocksPerMultiprocessor(int threads, int sharedBytes = 0)
    {
        Device.Bind();
        AllowShared(sharedBytes);
        int blocks;
        nvcuda.cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, _function, threads, (nuint)sharedBytes).Ok();
        GC.KeepAlive(_module);
        return blocks;
    }

    private int Attribute(CUfunction_attribute attribute)
    {
        int value;
        nvcuda.cuFuncGetAttribute(&value, attribute, _function).Ok();
        return value;
    }

    private void LaunchWith(CudaStream stream, in LaunchShape shape, void** arguments, ReadOnlySpan<int> sizes)
    {
        if (shape.Grid.Count == 0) return; // Nothing to do is no error for an operation on empty arrays; the driver would refuse it.
        if (shape.Block.Count > MaxThreads) throw new ArgumentException($"{Name} may have {MaxThreads} threads in a block, not {shape.Block}.", nameof(shape));
        ObjectDisposedException.ThrowIf(_module.IsDisposed, this);
        Device.Bind();
        if (!_parametersChecked) CheckParameters(sizes);
        if (shape.SharedBytes > _sharedAllowed) AllowShared(shape.SharedBytes);
        CUresult code = shape.Cluster > 1 ? LaunchClusters(stream.Raw, shape, arguments) : nvcuda.cuLaunchKernel(_function,
            (uint)shape.Grid.X, (uint)shape.Grid.Y, (uint)shape.Grid.Z, (uint)shape.Block.X, (uint)shape.Block.Y, (uint)shape.Block.Z,
            (uint)shape.SharedBytes, stream.Raw, arguments, null);
        GC.KeepAlive(stream);
        GC.KeepAlive(_module);
        if (code != CUresult.CUDA_SUCCESS) ThrowLaunch(code, shape);
    }

    /// <summary>
    /// The driver reads as many bytes as each parameter has, whatever the launch hands over. Once per kernel the arguments are held against the
    /// parameters, where the driver tells them (CUDA 12.4 and later).
    /// </summary>
    private void CheckParameters(ReadOnlySpan<int> sizes)
    {
        List<int> parameters = [];
        try
        {
            nuint offset, bytes;
            while (nvcuda.cuFuncGetParamInfo(_function, (nuint)parameters.Count, &offset, &bytes) == CUresult.CUDA_SUCCESS) parameters.Add((int)bytes);
        }
        catch (EntryPointNotFoundException)
        {
            _parametersChecked = true;
            return;
        }
        // A driver that names no parameter at all knows nothing.
        _parametersChecked = parameters.Count == 0 || sizes.SequenceEqual(CollectionsMarshal.AsSpan(parameters));
        if (!_parametersChecked)
            throw new ArgumentException($"{Name} has parameters of {string.Join(", ", parameters)} bytes and was launched with arguments of {string.Join(", ", sizes.ToArray())}.");
    }

    private CUresult LaunchClusters(CUstream stream, in LaunchShape shape, void** arguments)
    {
        CUlaunchAttribute cluster = new() { id = CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, clusterDimX = (uint)shape.Cluster, clusterDimY = 1, clusterDimZ = 1 };
        CUlaunchConfig config = new()
        {
            gridDimX = (uint)shape.Grid.X,
            gridDimY = (uint)shape.Grid.Y,
            gridDimZ = (uint)shape.Grid.Z,
            blockDimX = (uint)shape.Block.X,
            blockDimY = (uint)shape.Block.Y,
            blockDimZ = (uint)shape.Block.Z,
            sharedMemBytes = (uint)shape.SharedBytes,
            hStream = stream,
            attrs = &cluster,
            numAttrs = 1,
        };
        return nvcuda.cuLaunchKernelEx(&config, _function, arguments, null);
    }

    private void AllowShared(int bytes)
    {
        if (bytes <= _sharedAllowed) return;
        if (bytes + StaticSharedBytes > Device.Info.SharedBytesPerBlock)
            throw new ArgumentException($"{Name} would need {bytes + StaticSharedBytes} bytes of shared memory in a block and {Device.Info.Name} has {Device.Info.SharedBytesPerBlock}.", nameof(bytes));
        nvcuda.cuFuncSetAttribute(_function, CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes).Ok();
        _sharedAllowed = bytes;
    }

    private void ThrowLaunch(CUresult code, in LaunchShape shape) =>
        throw CudaErrors.ToException(code, $"the launch of {Name} (grid {shape.Grid}, block {shape.Block}, {shape.SharedBytes} bytes shared, {Registers} registers)");
}

/// <summary>Views as kernel arguments.</summary>
public static unsafe class KernelArguments
{
    extension<T>(DeviceSpan<T> span) where T : unmanaged
    {
        /// <summary>The address of the first element, for a kernel.</summary>
        public DevicePointer Address => new((ulong)span.Pointer);
    }

    extension<T>(MatrixView<T> view) where T : unmanaged
    {
        /// <summary>The address of the first element, for a kernel.</summary>
        public DevicePointer Address => new((ulong)view.Pointer);
    }
}
