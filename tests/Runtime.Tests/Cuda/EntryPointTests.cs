using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using BioSup.Runtime.Interop;
using BioSup.Shapes;

namespace BioSup.Runtime.Tests.Cuda;

/// <summary>The bindings against the libraries that they bind: neither side may have a function that the other lacks.</summary>
public sealed partial class EntryPointTests
{
    [Theory]
    [InlineData("cu")]
    [InlineData("nvrtc")]
    [InlineData("cublasLt")]
    public void The_emulator_exports_what_the_engine_binds_and_nothing_else(string library)
    {
        string sources = Path.Combine(RepositoryRoot.Path, "tests", "CudaEmulator", "src");
        Assert.SkipUnless(Directory.Exists(sources), "tests/CudaEmulator is not part of this checkout");
        string[] exported = [.. Directory.EnumerateFiles(sources, "*.cpp").SelectMany(f => Export().Matches(File.ReadAllText(f))).Select(m => m.Groups[1].Value)
            .Where(n => n.StartsWith(library, StringComparison.Ordinal) && n.StartsWith("cublas", StringComparison.Ordinal) == (library == "cublasLt")).Order(StringComparer.Ordinal)];
        Assert.Equal(Bound(library switch { "cu" => typeof(nvcuda), "nvrtc" => typeof(nvrtc), _ => typeof(cublasLt) }), exported);
    }

    [Fact]
    public void Bindings_name_the_suffix_wherever_the_bare_name_is_an_older_interface()
    {
        string[] suffixed = ["cuDeviceGetUuid", "cuDeviceTotalMem", "cuDevicePrimaryCtxRelease", "cuMemGetInfo", "cuMemAlloc", "cuMemFree", "cuMemHostRegister", "cuMemcpyHtoDAsync",
            "cuMemcpyDtoHAsync", "cuMemcpyDtoDAsync", "cuStreamDestroy", "cuEventDestroy", "cuStreamBeginCapture", "cuGraphExecUpdate"];
        string[] bound = Bound(typeof(nvcuda));
        Assert.All(suffixed, name => Assert.Contains(name + "_v2", bound));
        Assert.All(suffixed, name => Assert.DoesNotContain(name, bound));
    }

    private static string[] Bound(Type bindings) =>
        [.. bindings.GetMethods(BindingFlags.Static | BindingFlags.NonPublic)
            .Select(m => m.GetCustomAttribute<DllImportAttribute>()?.EntryPoint is { Length: > 0 } direct ? direct
                : m.GetCustomAttribute<LibraryImportAttribute>() is { } import ? import.EntryPoint ?? m.Name : null)
            .OfType<string>().Distinct().Order(StringComparer.Ordinal)];

    [GeneratedRegex(@"^BS_EXPORT\s+(?:const\s+)?\w+\s*\*?\s*(\w+)\(", RegexOptions.Multiline)]
    private static partial Regex Export();
}
