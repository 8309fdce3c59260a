using System.Globalization;
using BioSup.Runtime;

namespace BioSup.Benchmarks.Device;

/// <summary>Milliseconds of the repetitions of one piece of work.</summary>
internal sealed record Timing(double Median, double Low, double High, int Repetitions)
{
    /// <param name="milliseconds">At least one, in any order.</param>
    public static Timing Of(IEnumerable<double> milliseconds)
    {
        double[] sorted = [.. milliseconds.Order()];
        return new Timing(Percentile(sorted, 0.5), Percentile(sorted, 0.1), Percentile(sorted, 0.9), sorted.Length);
    }

    /// <summary>Linear between neighbours.</summary>
    private static double Percentile(double[] sorted, double share)
    {
        double place = share * (sorted.Length - 1);
        int below = (int)place, above = Math.Min(below + 1, sorted.Length - 1);
        return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
    }
}

/// <summary>How a run was asked for.</summary>
internal sealed record BenchOptions
{
    /// <summary>Sizes that the emulated device finishes in seconds.</summary>
    public bool Tiny { get; init; }

    /// <summary>Measured repetitions of each figure.</summary>
    public int Repetitions { get; init; } = 20;

    /// <summary>File that figures are appended to as they come, and whose ceilings are taken; null prints only.</summary>
    public string? Figures { get; init; }

    /// <summary>Only so many cases of each suite, for a profiler.</summary>
    public int Cases { get; init; } = int.MaxValue;
    public int Ordinal { get; init; }
}

/// <summary>
/// A device under test. Work is timed by events on the device's stream; between repetitions a buffer larger than the second-level cache is written, so
/// that every repetition starts from cold caches, and while that runs the host has already put the next launches into the stream.
/// </summary>
internal sealed class DeviceBench : IDisposable
{
    private const int WarmUps = 2;
    private const int DifferenceAttempts = 5;
    private readonly CudaEvent _begin, _end;
    private readonly DeviceBuffer<float> _flush;
    private readonly BenchOptions _options;
    private readonly List<Figure> _figures = [];
    private readonly List<string> _skipped = [];
    private int _cases;

    public DeviceBench(BenchOptions options)
    {
        _options = options;
        Gpu = CudaDevice.Open(options.Ordinal);
        IsEmulated = IsEmulatedName(Gpu.Info.Name);
        (_begin, _end) = (new CudaEvent(Gpu, timing: true), new CudaEvent(Gpu, timing: true));
        // Twice the cache, so that nothing of the last repetition is left whatever the replacement rule.
        _flush = Gpu.Allocate<float>(options.Tiny ? 1024 : Math.Max(2L * Gpu.Info.CacheBytes, 64L << 20) / sizeof(float));
        Ceilings = Ceilings.From(options.Figures is { } path ? Figure.ReadAll(path).Where(f => f.Tiny == options.Tiny && f.Emulated == IsEmulated) : []);
    }

    public CudaDevice Gpu { get; }

    /// <summary>The device is the emulator: its times say nothing.</summary>
    public bool IsEmulated { get; }
    public bool Tiny => _options.Tiny;
    public int Repetitions => _options.Repetitions;
    public Ceilings Ceilings { get; private set; }

    /// <summary>Figures of this process, in order.</summary>
    public IReadOnlyList<Figure> Figures => _figures;

    /// <summary>Cases beyond the number asked for, "suite/name".</summary>
    public IReadOnlyList<string> Skipped => _skipped;
    public bool AnyFailed => _figures.Any(f => f.Status == FigureStatus.Failed);

    public static bool IsEmulatedName(string device) => device.Contains("emulated", StringComparison.OrdinalIgnoreCase);

    /// <summary>The size for a device or the one for the emulator.</summary>
    public int Size(int full, int tiny) => Tiny ? tiny : full;

    /// <summary>The count of cases starts anew.</summary>
    public void BeginSuite() => _cases = 0;

    /// <summary>Takes the ceilings from the figures of this process: the first suite measured them.</summary>
    public void UseOwnCeilings() => Ceilings = Ceilings.From(_figures);

    /// <summary>Times work on the device's stream from cold caches.</summary>
    /// <param name="work">Puts work into the stream; may wait for it.</param>
    public Timing Time(Action work)
    {
        for (int i = 0; i < (Tiny ? 1 : WarmUps); i++) work();
        double[] ms = new double[Math.Max(1, Repetitions)];
        for (int i = 0; i < ms.Length; i++)
        {
            Gpu.Stream.Fill(_flush.View, 1f);
            _begin.Record(Gpu.Stream);
            work();
            _end.Record(Gpu.Stream);
            _end.Synchronize();
            ms[i] = _end.MillisecondsSince(_begin);
        }
        return Timing.Of(ms);
    }

    /// <summary>
    /// Time of one iteration: the difference of two solves of fixed numbers of iterations, divided by the difference of those numbers. A difference
    /// that noise has swallowed (nothing or less) is measured again, a few times.
    /// </summary>
    /// <param name="solve">Runs so many iterations.</param>
    /// <param name="few">Iterations of the shorter solve.</param>
    /// <param name="many">Iterations of the longer one.</param>
    /// <exception cref="DeviceException">No attempt gave a positive difference.</exception>
    public Timing TimeIteration(Action<int> solve, int few, int many)
    {
        int difference = many - few;
        for (int attempt = 0; attempt < DifferenceAttempts; attempt++)
        {
            Timing small = Time(() => solve(few)), large = Time(() => solve(many));
            if (large.Median > small.Median)
                return new((large.Median - small.Median) / difference, (large.Low - small.Median) / difference, (large.High - small.Median) / difference, large.Repetitions);
        }
        throw new DeviceException($"{many} iterations took no longer than {few} in any of {DifferenceAttempts} attempts: an iteration is shorter than the noise of this device.");
    }

    /// <summary>Times work and records the figure; a device, library or operation that refuses is recorded with its sentence.</summary>
    /// <param name="suite">The suite.</param>
    /// <param name="name">The case.</param>
    /// <param name="roofline">What the work needs at least; null where that is not known.</param>
    /// <param name="prepare">Makes operands and answers with the work; what it adds to the list is disposed afterwards.</param>
    /// <param name="finish">Adds to the figure, for example a ratio.</param>
    /// <param name="contender">Who is measured.</param>
    public Figure? Measure(string suite, string name, Roofline? roofline, Func<List<IDisposable>, Action> prepare, Func<Figure, Figure>? finish = null, string contender = Figure.Own) =>
        Guard(suite, name, owned =>
        {
            Figure figure = Describe(suite, name, Time(prepare(owned)), roofline) with { Contender = contender };
            return finish is null ? figure : finish(figure);
        }, contender);

    /// <summary>Runs <paramref name="body"/> and records its figure, or why there is none.</summary>
    public Figure? Guard(string suite, string name, Func<List<IDisposable>, Figure> body, string contender = Figure.Own)
    {
        if (_cases++ >= _options.Cases)
        {
            _skipped.Add($"{suite}/{name}");
            return null;
        }
        List<IDisposable> owned = [];
        try
        {
            return Record(body(owned));
        }
        catch (DeviceException e) when (e is JitException || e.Message.StartsWith("CUDA failed", StringComparison.Ordinal))
        {
            // Not a refusal: a kernel does not compile, or the device stopped in the middle of it.
            Record(new Figure { Suite = suite, Name = name, Contender = contender, Status = FigureStatus.Failed, Reason = FirstLine(e.Message) });
        }
        catch (Exception e) when (e is DeviceException or UsageException or NotSupportedException)
        {
            Record(new Figure { Suite = suite, Name = name, Contender = contender, Status = FigureStatus.NotAvailable, Reason = FirstLine(e.Message) });
        }
        catch (InvalidOperationException e) when (e.Message.Contains("cannot be read from the host", StringComparison.Ordinal))
        {
            // An algorithm that reads its operands on the host: it has no form for the device.
            Record(new Figure { Suite = suite, Name = name, Contender = contender, Status = FigureStatus.NotAvailable, Reason = FirstLine(e.Message) });
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or IOException or EntryPointNotFoundException)
        {
            Record(new Figure { Suite = suite, Name = name, Contender = contender, Status = FigureStatus.Failed, Reason = $"{e.GetType().Name}: {FirstLine(e.Message)}" });
        }
        finally
        {
            for (int i = owned.Count - 1; i >= 0; i--) owned[i].Dispose();
        }
        return null;
    }

    /// <summary>A figure from a timing and what the work needs.</summary>
    public Figure Describe(string suite, string name, Timing timing, Roofline? roofline)
    {
        (double Milliseconds, string Limit)? floor = roofline is null ? null : Ceilings.Floor(roofline);
        double seconds = timing.Median * 1e-3;
        return new Figure
        {
            Suite = suite,
            Name = name,
            Ms = timing.Median,
            MsLow = timing.Low,
            MsHigh = timing.High,
            Repetitions = timing.Repetitions,
            Tflops = roofline is { Operations: > 0 } && seconds > 0 ? roofline.Operations / seconds * 1e-12 : null,
            GbPerS = roofline is { Bytes: > 0 } && seconds > 0 ? roofline.Bytes / seconds * 1e-9 : null,
            Roofline = floor?.Limit,
            PercentOfRoofline = floor is { } f && timing.Median > 0 ? 100 * f.Milliseconds / timing.Median : null,
        };
    }

    /// <summary>Prints a figure and appends it to the file at once, so that a run that is cut off keeps what it had.</summary>
    public Figure Record(Figure figure)
    {
        figure = figure with { Emulated = IsEmulated, Tiny = Tiny };
        _figures.Add(figure);
        Console.WriteLine(Line(figure));
        if (_options.Figures is { } path) File.AppendAllText(path, figure.ToJson() + "\n");
        return figure;
    }

    public void Dispose()
    {
        _flush.Dispose();
        _begin.Dispose();
        _end.Dispose();
        Gpu.Dispose();
    }

    private static string FirstLine(string text) => text.Split('\n')[0].Trim();

    private static string Line(Figure f)
    {
        if (f.Status != FigureStatus.Measured) return $"  {f.Suite}/{f.Name} [{f.Contender}]: {(f.Status == FigureStatus.Failed ? "FAILED" : "not available")}: {f.Reason}";
        List<string> parts = [];
        void Add(double? value, string format, string unit)
        {
            if (value is { } v) parts.Add(v.ToString(format, CultureInfo.InvariantCulture) + unit);
        }
        Add(f.Ms, "G4", " ms");
        Add(f.Tflops, "G4", " TFLOP/s");
        Add(f.GbPerS, "G4", " GB/s");
        Add(f.PercentOfRoofline, "F0", $" % of {f.Roofline}");
        Add(f.TimesCublaslt, "F2", " x cuBLASLt");
        Add(f.Value, "G4", $" {f.Unit}");
        if (f.Note is { } note) parts.Add(note);
        return $"  {f.Suite}/{f.Name} [{f.Contender}]: {string.Join(", ", parts)}{(f.Emulated ? " (emulated device: not a timing)" : "")}";
    }
}
