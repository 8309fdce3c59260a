using BioSup.Benchmarks.Device;
using BioSup.Runtime;

namespace BioSup.Benchmarks.Tests;

/// <summary>The measuring program on the emulated device. What it times there is nothing; that every case runs, and says what it is, is the test.</summary>
[Collection(nameof(DeviceTests))]
public sealed class DeviceBenchTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-bench-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private DeviceBench Open(string? figures = null)
    {
        TestDevice.Require();
        return new DeviceBench(new BenchOptions { Tiny = true, Repetitions = 2, Figures = figures });
    }

    [Fact]
    public void Every_suite_measures_something_against_the_ceilings_of_its_run()
    {
        string file = Path.Combine(_folder, "figures.jsonl");
        using (DeviceBench bench = Open(file))
            foreach (DeviceSuite suite in DeviceProgram.Suites) suite.Run(bench);
        List<Figure> figures = Figure.ReadAll(file);
        Assert.All(figures, f => Assert.True(f is { Emulated: true, Tiny: true }));
        Assert.DoesNotContain(figures, f => f.Status == FigureStatus.Failed);
        Assert.All(figures.Where(f => f.Status == FigureStatus.NotAvailable), f => Assert.NotEmpty(f.Reason!));
        foreach (DeviceSuite suite in DeviceProgram.Suites)
            Assert.True(suite.Name == "gw" || figures.Any(f => f.Suite == suite.Name && f.Status == FigureStatus.Measured), suite.Name);
        foreach (Figure f in figures.Where(f => f.Suite is "gemm" or "distance" or "knn" or "sinkhorn" or "memory" && f is { Status: FigureStatus.Measured, Contender: Figure.Own }))
        {
            Assert.True(f.Repetitions > 0, f.Name);
            Assert.NotNull(f.Roofline);
            Assert.NotNull(f.PercentOfRoofline);
        }
        // A later process takes the ceilings from the file instead of measuring them again.
        using DeviceBench later = Open(file);
        Assert.False(later.Ceilings.IsEmpty);
        foreach (Unit unit in Enum.GetValues<Unit>()) Assert.True(later.Ceilings[unit] > 0, unit.ToString());
    }

    [Fact]
    public void An_operation_that_refuses_the_device_is_recorded_with_its_sentence()
    {
        using DeviceBench bench = Open();
        bench.Measure("sae", "refused", null, _ => throw new DeviceException("There is no kernel for this.\nTrace"));
        bench.Measure("sae", "broken", null, _ => throw new ArgumentException("shape"));
        Assert.Equal((FigureStatus.NotAvailable, "There is no kernel for this."), (bench.Figures[0].Status, bench.Figures[0].Reason));
        Assert.Equal((FigureStatus.Failed, "ArgumentException: shape"), (bench.Figures[1].Status, bench.Figures[1].Reason));
        Assert.True(bench.AnyFailed);
    }

    [Fact]
    public void A_difference_of_timings_that_noise_has_swallowed_is_measured_again_and_then_given_up()
    {
        using DeviceBench bench = Open();
        int slow = 0;
        // Until so many of them have run, the solves of one iteration take longer than those of three.
        Action<int> Solve(int disturbed) => iterations => Thread.Sleep(iterations == 1 ? slow++ < disturbed ? 150 : 0 : 20);
        // A timing is one warm-up and two repetitions.
        Timing one = bench.TimeIteration(Solve(2 * 3), 1, 3);
        Assert.InRange(one.Median, 1, 1000);
        slow = 0;
        bench.Guard("sinkhorn", "noise", _ => bench.Describe("sinkhorn", "noise", bench.TimeIteration(Solve(int.MaxValue), 1, 3), null));
        Assert.Equal(FigureStatus.NotAvailable, bench.Figures[^1].Status);
        Assert.StartsWith("3 iterations took no longer than 1 in any of 5 attempts", bench.Figures[^1].Reason);
    }

    [Fact]
    public void Operands_are_freed_in_reverse_order_even_when_a_case_fails()
    {
        using DeviceBench bench = Open();
        List<string> freed = [];
        bench.Measure("x", "y", null, owned =>
        {
            owned.Add(new Probe(() => freed.Add("first")));
            owned.Add(new Probe(() => freed.Add("second")));
            throw new DeviceException("no");
        });
        Assert.Equal(["second", "first"], freed);
    }

    [Fact]
    public void A_floor_is_the_slowest_unit_of_each_stage_and_stages_add_up()
    {
        static Figure Rate(string unit, double perSecond) => new() { Suite = "ceilings", Name = unit, Ceiling = unit, Value = perSecond };
        Ceilings ceilings = Ceilings.From([Rate("single", 1e12), Rate("memory", 1e9), Rate("memory", 2e9), Rate("gather", 4e9)]);
        (double ms, string limit) = ceilings.Floor(Roofline.Of(new(Unit.Single, 1e9), new(Unit.Memory, 4e6)))!.Value;
        Assert.Equal(2, ms, 12);
        Assert.Equal("copy 2 GB/s", limit);
        (ms, limit) = ceilings.Floor(new Roofline([new Load(Unit.Single, 5e9)], [new Load(Unit.Gather, 4e6)]))!.Value;
        Assert.Equal(6, ms, 12);
        Assert.Equal("fp32 1 TFLOP/s", limit);
        Assert.Null(ceilings.Floor(Roofline.Of(new Load(Unit.Tf32, 1))));
        Assert.Equal(2e9, new Roofline([new Load(Unit.Tf32, 6e9)]) { Operations = 2e9 }.Operations);
    }

    [Fact]
    public void A_timing_has_its_median_and_percentiles()
    {
        Timing timing = Timing.Of([5, 1, 2, 4, 3, 6, 7, 8, 9, 10, 11]);
        Assert.Equal((6.0, 2.0, 10.0, 11), (timing.Median, timing.Low, timing.High, timing.Repetitions));
    }

    [Fact]
    public void A_figure_survives_its_file()
    {
        Figure figure = new() { Suite = "a", Name = "b → c", Ms = 1.25, Status = FigureStatus.Measured, Tiny = true, Note = "n" };
        Assert.Equal(figure, Figure.FromJson(figure.ToJson()));
        Assert.Contains("\"ms\":1.25", figure.ToJson());
        Assert.Equal(FigureStatus.NotAvailable, Figure.FromJson("""{"suite": "a", "name": "b", "contender": "torch", "status": "NotAvailable", "reason": "no"}""").Status);
    }

    [Fact]
    public void The_code_of_another_compiler_is_timed_in_the_place_of_ours()
    {
        using DeviceBench bench = Open();
        int compiled = 0;
        JitSuite.Run(bench, "other", (source, request, target) =>
        {
            compiled++;
            return JitCompiler.Require().Compile(source, JitCompiler.Options(request, target), target);
        }, "");
        Assert.DoesNotContain(bench.Figures, f => f.Status != FigureStatus.Measured);
        Assert.Equal(compiled, bench.Figures.Count(f => f.Contender == "other"));
        Assert.True(compiled >= 5);
        Figure worst = bench.Figures[^1];
        Assert.Equal("worst NVRTC over nvcc", worst.Name);
        Assert.Equal(bench.Figures.Where(f => f.Unit == worst.Unit && f.Ms is not null).Max(f => f.Value), worst.Value);
    }

    [Fact]
    public void A_compiler_that_fails_is_no_comparison()
    {
        using DeviceBench bench = Open();
        Assert.NotNull(NvccCompiler.Find(out _, "no/such/nvcc"));
        JitSuite.Run(bench, "nvcc", NvccCompiler.Find(out string reason, "no/such/nvcc"), reason);
        Assert.Contains(bench.Figures, f => f is { Status: FigureStatus.NotAvailable, Name: "worst NVRTC over nvcc" } && f.Reason!.Contains("no/such/nvcc", StringComparison.Ordinal));
    }

    [Fact]
    public void Fingerprints_are_the_same_in_every_run()
    {
        TestDevice.Require();
        string[] Take()
        {
            using CudaDevice gpu = CudaDevice.Open();
            return [.. Fingerprints.Take(gpu, tiny: true)];
        }
        string[] first = Take();
        Assert.Equal(first, Take());
        Assert.True(first.Count(l => !l.Contains(": not available: ", StringComparison.Ordinal)) >= 8);
    }

    private sealed class Probe(Action dispose) : IDisposable
    {
        public void Dispose() => dispose();
    }
}
