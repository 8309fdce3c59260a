using System.Diagnostics;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Benchmarks.Device;

/// <summary>
/// The run-time compiler beside nvcc: how long each takes, and how fast the same operations run with the code of each. The code of nvcc goes into a cache
/// of compiled kernels under the keys of NVRTC, so that a second device object runs it without knowing.
/// </summary>
internal static class JitSuite
{
    private const string Suite = "jit";

    /// <summary>Another compiler: machine code for a source with the options that NVRTC gets.</summary>
    internal delegate byte[] OtherCompiler(KernelSource source, JitRequest request, JitTarget target);

    public static void Run(DeviceBench bench) => Run(bench, "nvcc", NvccCompiler.Find(out string reason), reason);

    /// <param name="bench">The device.</param>
    /// <param name="name">Of the other compiler.</param>
    /// <param name="other">The other compiler, or null.</param>
    /// <param name="reason">Why there is none.</param>
    internal static void Run(DeviceBench bench, string name, OtherCompiler? other, string reason)
    {
        string folder = Directory.CreateTempSubdirectory("biosup-jit-").FullName;
        try
        {
            CudaDeviceOptions ours = new() { CacheFolder = Path.Combine(folder, "nvrtc") };
            using CudaDevice first = CudaDevice.Open(bench.Gpu.Info.Ordinal, ours);
            List<IDisposable> owned = [];
            try
            {
                Dictionary<string, Action> operations = Operations(bench, first, owned);
                foreach (Action operation in operations.Values) operation();
                first.Synchronize();
                foreach (CubinEntry entry in first.Kernels.Cache.List())
                    if (entry.Manifest is { } manifest)
                        bench.Record(Compile($"compile {manifest.Request}", "NVRTC", manifest.CompileSeconds * 1e3));
                if (other is null)
                {
                    bench.Record(new Figure { Suite = Suite, Name = "worst NVRTC over nvcc", Status = FigureStatus.NotAvailable, Reason = reason });
                    return;
                }
                Compare(bench, name, other, first, folder, operations);
            }
            finally
            {
                foreach (IDisposable each in owned) each.Dispose();
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void Compare(DeviceBench bench, string name, OtherCompiler other, CudaDevice first, string folder, Dictionary<string, Action> operations)
    {
        CubinCache theirs = new(Path.Combine(folder, "other"), message => Console.Error.WriteLine(message));
        JitTarget target = JitCompiler.TargetFor(first);
        string? failure = null;
        foreach (CubinEntry entry in first.Kernels.Cache.List())
        {
            if (entry.Manifest is not { } manifest) continue;
            JitRequest request = manifest.Request;
            Figure? figure = bench.Guard(Suite, $"compile {request}", _ =>
            {
                long start = Stopwatch.GetTimestamp();
                byte[] image = other(DeviceKernels.Sources.Get(request.Source), request, target);
                TimeSpan took = Stopwatch.GetElapsedTime(start);
                theirs.Publish(KernelBuilder.KeyOf(DeviceKernels.Sources, request, target), target, image, took);
                return Compile($"compile {request}", name, took.TotalMilliseconds);
            }, name);
            if (figure is null) failure ??= bench.Figures[^1].Reason;
        }
        if (failure is not null)
        {
            bench.Record(new Figure { Suite = Suite, Name = "worst NVRTC over nvcc", Status = FigureStatus.NotAvailable, Reason = failure });
            return;
        }
        List<IDisposable> owned = [];
        using CudaDevice second = CudaDevice.Open(first.Info.Ordinal, new CudaDeviceOptions { CacheFolder = theirs.Folder });
        try
        {
            Dictionary<string, Action> again = Operations(bench, second, owned);
            double worst = 0;
            string slowest = "";
            foreach ((string operation, Action run) in operations)
            {
                // In turn, and the better half of two rounds each: clocks and neighbours change.
                double mine = Math.Min(Time(first, run, bench), Time(first, run, bench)), its = Math.Min(Time(second, again[operation], bench), Time(second, again[operation], bench));
                double ratio = mine / its;
                if (ratio > worst) (worst, slowest) = (ratio, operation);
                bench.Record(new Figure { Suite = Suite, Name = operation, Ms = mine, Value = ratio, Unit = $"x the time with {name}", Repetitions = bench.Repetitions });
            }
            bench.Record(new Figure { Suite = Suite, Name = "worst NVRTC over nvcc", Value = worst, Unit = $"x the time with {name}", Note = slowest });
            if (second.Kernels.Compiled > 0) throw new InvalidOperationException($"{second.Kernels.Compiled} kernels of {name} were not taken from its cache.");
        }
        finally
        {
            foreach (IDisposable each in owned) each.Dispose();
        }
    }

    private static Figure Compile(string name, string contender, double milliseconds) => new() { Suite = Suite, Name = name, Contender = contender, Value = milliseconds, Unit = "ms to compile" };

    /// <summary>The operations that matter most, on a device with its own kernels.</summary>
    private static Dictionary<string, Action> Operations(DeviceBench bench, CudaDevice gpu, List<IDisposable> owned)
    {
        int n = bench.Size(8192, 40), d = bench.Size(512, 16), wide = bench.Size(20_000, 40);
        Matrix<float> a = gpu.Random(n, d, 1, owned), b = gpu.Random(d, n, 2, owned), c = gpu.Output<float>(n, n, owned), x = gpu.Random(wide, d, 3, owned), near = gpu.Output<float>(wide, 8, owned);
        Matrix<int> who = gpu.Output<int>(wide, 8, owned);
        DeviceBuffer<float> logs = gpu.Array<float>(n, owned);
        int tokens = bench.Size(16_384, 48), latents = bench.Size(8192, 32), iterations = bench.Size(20, 1);
        Action step = SaeSuite.Ready(gpu, tokens, d, latents, bench.Size(32, 4), owned);
        Action<int> sinkhorn = SinkhornSuite.Prepare(gpu, n, SinkhornPasses.Automatic, owned);
        return new Dictionary<string, Action>
        {
            [$"gemm {n}x{n}x{d}"] = () => Gemm.Multiply(Transpose.No, Transpose.No, 1, a.View, b.View, 0, c.View),
            [$"distances {n}x{n}x{d}"] = () => PairwiseDistance.ComputeSelf(DistanceMetric.SquaredEuclidean, a.View, c.View),
            [$"neighbours n={wide} d={d}"] = () => KNearestNeighbours.SearchSelf(DistanceMetric.Euclidean, x.View, who.View, near.View),
            [$"softmax {n}x{n}"] = () => Softmax.Rows(c.View, c.View),
            [$"SAE step {tokens}x{d}->{latents}"] = step,
            [$"Sinkhorn {n}x{n}, {iterations} iterations"] = () => sinkhorn(iterations),
            [$"log-sum-exp of columns {n}x{n}"] = () => Softmax.LogSumExpColumns(c.View, logs.View),
        };
    }

    private static double Time(CudaDevice gpu, Action work, DeviceBench bench)
    {
        using CudaEvent begin = new(gpu, timing: true), end = new(gpu, timing: true);
        work();
        double[] ms = new double[bench.Repetitions];
        for (int i = 0; i < ms.Length; i++)
        {
            begin.Record(gpu.Stream);
            work();
            end.Record(gpu.Stream);
            end.Synchronize();
            ms[i] = end.MillisecondsSince(begin);
        }
        return Timing.Of(ms).Median;
    }
}

/// <summary>nvcc of this machine, with NVRTC's options and the headers of the engine as files.</summary>
internal static class NvccCompiler
{
    /// <summary>NVCC, or nvcc in CUDA_HOME, CUDA_PATH, PATH or /usr/local/cuda; null with the reason.</summary>
    /// <param name="reason">Why there is none.</param>
    /// <param name="program">The program; null looks for it.</param>
    public static JitSuite.OtherCompiler? Find(out string reason, string? program = null)
    {
        reason = "nvcc was not found in CUDA_HOME, CUDA_PATH, PATH or /usr/local/cuda; NVCC names it";
        IEnumerable<string> candidates = new[] { "CUDA_HOME", "CUDA_PATH" }.Select(Environment.GetEnvironmentVariable).OfType<string>().Select(f => Path.Combine(f, "bin"))
            .Concat((Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries)).Append("/usr/local/cuda/bin").Select(f => Path.Combine(f, "nvcc"));
        string? nvcc = program ?? (Environment.GetEnvironmentVariable("NVCC") is { Length: > 0 } named ? named : candidates.FirstOrDefault(File.Exists));
        if (nvcc is null) return null;
        return (source, request, target) => Compile(nvcc, source, request, target);
    }

    private static byte[] Compile(string nvcc, KernelSource source, JitRequest request, JitTarget target)
    {
        string folder = Directory.CreateTempSubdirectory("biosup-nvcc-").FullName;
        try
        {
            string file = Path.Combine(folder, Path.GetFileName(source.Path)), cubin = Path.Combine(folder, "out.cubin");
            File.WriteAllText(file, source.Text);
            foreach (KernelHeader header in source.Headers)
            {
                string path = Path.Combine(folder, "include", header.IncludeName);
                Directory.CreateDirectory(Path.GetDirectoryName(path)!);
                File.WriteAllText(path, header.Text);
            }
            string architecture = target.Name.Replace("sm_", "", StringComparison.Ordinal);
            List<string> arguments = [$"-gencode=arch=compute_{architecture},code=sm_{architecture}", "-cubin", "-std=c++20", "-I", Path.Combine(folder, "include"), "-o", cubin];
            arguments.AddRange(request.Defines.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(d => $"-D{d}"));
            arguments.Add(file);
            ProcessStartInfo start = new(nvcc, arguments) { RedirectStandardError = true, RedirectStandardOutput = true };
            using Process process = Process.Start(start) ?? throw new DeviceException($"{nvcc} does not start");
            Task<string> output = process.StandardOutput.ReadToEndAsync();
            string errors = process.StandardError.ReadToEnd();
            process.WaitForExit();
            if (process.ExitCode != 0) throw new DeviceException($"nvcc ends with {process.ExitCode}: {(errors + output.Result).Trim().Split('\n')[0]}");
            return File.ReadAllBytes(cubin);
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new DeviceException($"{nvcc} does not start: {e.Message}");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
