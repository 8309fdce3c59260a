using BioSup.Benchmarks.Device;
using BioSup.Benchmarks.Device.Results;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Benchmarks.Tests;

[Collection(nameof(DeviceTests))]
public sealed class GatesTests
{
    private static string Committed => Path.Combine(RepositoryRoot.Path, "benchmarks", "Device", "gates.json");

    private static Gate AtMost(double limit) => new() { Title = "t", Figure = "sae/step", Field = "ms", AtMost = limit };

    private static Figure Ours(double ms) => new() { Suite = "sae", Name = "step", Ms = ms };

    [Theory]
    [InlineData(5.9, "met")]
    [InlineData(6.0, "met")]
    [InlineData(6.1, "not met")]
    public void A_time_is_held_against_its_limit(double ms, string outcome)
    {
        GateResult result = Assert.Single(Gates.Judge([AtMost(6)], [Ours(ms)]));
        Assert.Equal(outcome, result.Outcome);
        Assert.Equal("≤ 6 ms", result.Limit);
    }

    [Fact]
    public void A_ratio_is_the_peers_time_over_ours()
    {
        Gate gate = new() { Title = "t", Figure = "sae/step", Over = "sae/step [torch eager bf16]", AtLeast = 12 };
        Figure peer = new() { Suite = "sae", Name = "step", Contender = "torch eager bf16", Ms = 90 };
        GateResult met = Assert.Single(Gates.Judge([gate], [peer, Ours(5)]));
        Assert.Equal((Verdict.Met, 18.0, "18 ×"), (met.Verdict, met.Value!.Value, met.Measured));
        Assert.Equal(Verdict.NotMet, Assert.Single(Gates.Judge([gate], [peer, Ours(10)])).Verdict);
        GateResult missing = Assert.Single(Gates.Judge([gate], [Ours(10)]));
        Assert.Equal((Verdict.NotMeasured, "peer: no such figure in this run"), (missing.Verdict, missing.Reason));
    }

    [Fact]
    public void What_the_device_refused_is_not_measured_and_says_why()
    {
        Figure refused = new() { Suite = "sae", Name = "step", Status = FigureStatus.NotAvailable, Reason = "no kernel" };
        GateResult result = Assert.Single(Gates.Judge([AtMost(6)], [refused]));
        Assert.Equal((Verdict.NotMeasured, "no kernel", "–"), (result.Verdict, result.Reason, result.Measured));
    }

    [Fact]
    public void A_share_of_a_ceiling_that_was_not_measured_is_no_verdict()
    {
        Gate gate = new() { Title = "t", Figure = "sae/step", Field = "percent_of_roofline", AtLeast = 70 };
        Assert.Equal(Verdict.NotMeasured, Assert.Single(Gates.Judge([gate], [Ours(1)])).Verdict);
        Assert.Equal(Verdict.Met, Assert.Single(Gates.Judge([gate], [Ours(1) with { PercentOfRoofline = 70 }])).Verdict);
    }

    [Fact]
    public void The_last_of_several_figures_counts() => Assert.Equal(4, Assert.Single(Gates.Judge([AtMost(6)], [Ours(9), Ours(4)])).Value);

    [Theory]
    [InlineData("""[ { "gate": "t", "figure": "a/b", "field": "ms" } ]""")]
    [InlineData("""[ { "gate": "t", "figure": "a/b", "field": "speed", "at_most": 1 } ]""")]
    [InlineData("""[ { "gate": "t", "figure": "a/b", "field": "ms", "at_most": 1, "color": "red" } ]""")]
    [InlineData("nonsense")]
    public void A_list_that_makes_no_sense_is_refused(string json)
    {
        string file = Path.Combine(Directory.CreateTempSubdirectory("biosup-gates-").FullName, "gates.json");
        File.WriteAllText(file, json);
        Assert.Throws<DataException>(() => Gates.Read(file));
    }

    /// <summary>A gate whose figure no suite makes would be "not measured" for ever: the names are those of the cases at full size.</summary>
    [Fact]
    public void Every_gate_of_the_list_names_a_figure_that_a_suite_makes()
    {
        TestDevice.Require();
        HashSet<string> names = ["jit/worst NVRTC over nvcc"];
        using (DeviceBench bench = new(new BenchOptions { Cases = 0 }))
        {
            foreach (DeviceSuite suite in DeviceProgram.Suites)
                if (suite.Name is not ("jit" or "ceilings")) suite.Run(bench);
            names.UnionWith(bench.Skipped);
        }
        IReadOnlyList<Gate> gates = Gates.Read(Committed);
        Assert.Equal(14, gates.Count);
        Assert.All(gates, gate => Assert.Contains(gate.Figure, names));
        Assert.All(gates.Where(g => g.Over is not null), gate => Assert.StartsWith(gate.Figure + " [", gate.Over, StringComparison.Ordinal));
    }
}
