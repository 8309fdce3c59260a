namespace BioSup.Runtime.Tests.Cuda;

public sealed class JitKeyTests
{
    private static readonly KernelSource s_source = Source("cuda/kernels/add/add.cu", "a");

    [Fact]
    public void Equal_ingredients_give_equal_keys() => Assert.Equal(Key().Hash, Key().Hash);

    [Fact]
    public void Every_ingredient_changes_the_key()
    {
        string[] hashes =
        [
            Key().Hash,
            Key(path: "cuda/kernels/sub/add.cu").Hash,
            Key(path: "cuda/kernels/add/sub.cu").Hash,
            Key(compiler: "NVRTC 12.4 fedcba").Hash,
            Key(compiler: "NVRTC 12.5 abcdef").Hash,
            Key(defines: "BS_TILE=64").Hash,
            Key(defines: "BS_TILE=128").Hash,
            Key(target: "sm_90a").Hash,
            Key(text: "b").Hash,
        ];
        Assert.Equal(hashes.Length, hashes.Distinct().Count());
    }

    [Theory]
    [InlineData("sm_80", "sm_90a", "NVRTC 12.4 abcdef", "NVRTC 12.4 abcdef")]
    [InlineData("sm_90a", "sm_90a", "NVRTC 12.4 abcdef", "NVRTC 13.0 abcdef")]
    public void Geomloss_66_a_kernel_for_another_architecture_or_compiler_is_never_taken_from_the_cache(string target, string other, string compiler, string otherCompiler) =>
        Assert.NotEqual(Key(target: target, compiler: compiler).Hash, Key(target: other, compiler: otherCompiler).Hash);

    [Fact]
    public void The_text_names_every_ingredient()
    {
        string text = Key(defines: "BS_TILE=64").Text;
        foreach (string name in new[] { "schema", "kernel", "source", "compiler", "options", "sources" }) Assert.Contains($"{name}: ", text);
        Assert.Contains("--gpu-architecture=sm_80", text);
        Assert.Contains("-DBS_TILE=64", text);
        Assert.StartsWith("kernel.add.", Key().FolderName);
    }

    [Theory]
    [InlineData("BS TILE;64")]
    [InlineData("1BAD=3")]
    [InlineData("-I/etc")]
    [InlineData("=3")]
    public void A_constant_is_a_name_with_or_without_value(string defines) =>
        Assert.Throws<DeviceException>(() => JitCompiler.Options(new JitRequest("cuda/kernels/a.cu", defines), JitTarget.Parse("sm_80")));

    [Fact]
    public void A_request_is_read_back_from_its_line()
    {
        JitRequest request = new("cuda/kernels/add/add.cu", "BS_TILE=64 BS_STAGES=3");
        Assert.Equal(request, JitRequest.Parse(request.ToString()));
        Assert.Equal(new JitRequest("cuda/kernels/a.cu"), JitRequest.Parse("cuda/kernels/a.cu"));
    }

    internal static JitKey Key(string path = "cuda/kernels/add/add.cu", string compiler = "NVRTC 12.4 abcdef", string defines = "", string target = "sm_80", string? text = null)
    {
        JitRequest request = new(path, defines);
        return JitKey.Create(request, text is null ? s_source : Source(path, text), compiler, JitCompiler.Options(request, JitTarget.Parse(target)));
    }

    private static KernelSource Source(string path, string text) => new(path, text, []);
}
