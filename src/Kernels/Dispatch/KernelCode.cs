using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>The device code of the operations, embedded in this assembly.</summary>
public static class KernelCode
{
    /// <summary>Every kernel file under cuda/kernels with the headers under cuda/include.</summary>
    public static KernelSourceSet Sources { get; } = new(typeof(KernelCode).Assembly);
}
