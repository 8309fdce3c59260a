using System.Diagnostics;

namespace BioSup.Runtime;

/// <summary>Machine code for a request: from the cache, or compiled and put there. Needs NVRTC and no GPU.</summary>
public sealed class KernelBuilder(CubinCache cache)
{
    /// <summary>The key under which a request is cached, for an architecture.</summary>
    public static JitKey KeyOf(KernelSourceSet sources, JitRequest request, JitTarget target) =>
        JitKey.Create(request, sources.Get(request.Source), JitCompiler.Require().Identity, JitCompiler.Options(request, target));

    /// <summary>The image to load on a device of the target, and how it came about.</summary>
    /// <exception cref="JitException">The source has errors.</exception>
    /// <exception cref="DeviceException">The kernel is not cached and BIOSUP_DISABLE_JIT is set, or there is no compiler.</exception>
    public KernelImage Build(KernelSourceSet sources, JitRequest request, JitTarget target)
    {
        KernelSource source = sources.Get(request.Source);
        IReadOnlyList<string> options = JitCompiler.Options(request, target);
        if (!JitCompiler.TryGet(out JitCompiler? compiler, out DeviceException? missing))
            return cache.TryLoadOfAnyCompiler(request, source, options) is { } made ? new KernelImage(made.Key, made.Image, FromCache: true, TimeSpan.Zero) : throw missing;
        JitKey key = JitKey.Create(request, source, compiler.Identity, options);
        if (cache.TryLoad(key) is { } cached) return new KernelImage(key, cached, FromCache: true, TimeSpan.Zero);
        if (BiosupEnvironment.DisableJit) throw NotCached(key, target);
        Stopwatch clock = Stopwatch.StartNew();
        byte[] image = compiler.Compile(source, options, target, text => cache.Keep(key, text));
        cache.Publish(key, target, image, clock.Elapsed);
        return new KernelImage(key, image, FromCache: false, clock.Elapsed);
    }

    private DeviceException NotCached(JitKey key, JitTarget target) => new(
        $"The kernel '{key.Request.Name}' ({key.Request}) is not among the compiled kernels for {target} in {cache.Folder ?? "(no cache folder)"}, and {BiosupEnvironment.DisableJitName} "
        + $"forbids compiling it: run 'biosup cache warm --arch {target}' first (entry {key.FolderName}).");
}

/// <summary>Machine code and where it came from.</summary>
public sealed record KernelImage(JitKey Key, byte[] Bytes, bool FromCache, TimeSpan Compiled);
