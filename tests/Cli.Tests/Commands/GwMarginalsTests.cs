using System.Text.Json.Nodes;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Commands;

/// <summary>`biosup gw align --marginals`: what it writes and what it refuses.</summary>
public sealed class GwMarginalsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-marginals-").FullName;

    public GwMarginalsTests()
    {
        using CpuDevice device = new(1);
        CounterRandom random = new(5);
        using Matrix<double> x = device.AllocateMatrix<double>(24, 2), skewed = device.AllocateMatrix<double>(12, 12), between = device.AllocateMatrix<double>(24, 24);
        for (int i = 0; i < x.Rows; i++)
            for (int j = 0; j < 2; j++) x.Row(i)[j] = (j == 0 ? i / 8 * (i / 8 + 1) : 0) + 0.2 * random.NextNormal();
        for (int i = 0; i < 12; i++)
            for (int j = 0; j < 12; j++) skewed.Row(i)[j] = i == j ? 0 : 0.5 + random.NextDouble();
        for (int i = 0; i < 24; i++)
            for (int j = 0; j < 24; j++) between.Row(i)[j] = 0.1 * random.NextDouble();
        MatrixWriter.Write(Path.Combine(_folder, "x.npy"), x.View);
        MatrixWriter.Write(Path.Combine(_folder, "between.npy"), between.View);
        MatrixWriter.Write(Path.Combine(_folder, "skewed.npy"), skewed.View);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("semi-relaxed", 1.0, "--marginals", "semi-relaxed", "--tol", "1e-4")]
    [InlineData("partial", 0.5, "--marginals", "partial", "--mass", "0.5")]
    [InlineData("unbalanced", null, "--marginals", "unbalanced", "--rho", "0.5")]
    [InlineData("unbalanced", null, "--marginals", "unbalanced", "--rho", "0.5", "--fused", "between.npy", "--alpha", "0.7")]
    [InlineData("balanced", 1.0, "--stop", "ott", "--convention", "ott")]
    public void A_result_states_its_marginals_and_its_mass(string name, double? mass, params string[] options)
    {
        JsonNode result = Align("x.npy", "euclidean", options);
        Assert.Equal(name, (string)result["marginals"]!);
        if (mass is { } expected) Assert.Equal(expected, (double)result["mass"]!, 1e-6);
        else Assert.InRange((double)result["mass"]!, 0.1, 1);
        Assert.True((double)result["marginal_error_rows"]! < 1e-6);
        Assert.True((bool)result["symmetric_costs"]!);
        Assert.Equal(options[0] == "--stop", result["cost_trace"] is not null);
        Assert.True((bool)result["converged"]!);
    }

    [Fact]
    public void Costs_that_are_not_symmetric_are_solved_and_named()
    {
        JsonNode result = Align("skewed.npy", "precomputed", ["--epsilon", "0.05", "--max-iter", "300"]);
        Assert.False((bool)result["symmetric_costs"]!);
        Assert.True((double)result["gw_loss"]! >= 0);
    }

    [Theory]
    [InlineData("--mass is the mass of a partial coupling", "--mass", "0.5")]
    [InlineData("--rho is the price", "--marginals", "partial", "--mass", "0.5", "--rho", "1")]
    [InlineData("needs --mass", "--marginals", "partial")]
    [InlineData("mass is 2", "--marginals", "partial", "--mass", "2")]
    [InlineData("rho is -1", "--marginals", "unbalanced", "--rho", "-1")]
    [InlineData("closed form", "--marginals", "semi-relaxed", "--solver", "pgd")]
    [InlineData("solved by pgd", "--marginals", "unbalanced", "--solver", "ppa")]
    [InlineData("inner iterates", "--marginals", "unbalanced", "--inner", "pot")]
    [InlineData("stopping rule", "--marginals", "partial", "--mass", "0.5", "--stop", "ott")]
    [InlineData("expected balanced, semi-relaxed, unbalanced, partial", "--marginals", "free")]
    public void Combinations_without_a_meaning_are_refused_in_one_sentence(string reason, params string[] options)
    {
        (int code, string output, string error) = Invoke("x.npy", "euclidean", options);
        Assert.Equal(2, code);
        Assert.Contains(reason, output + error, StringComparison.Ordinal);
    }

    private JsonNode Align(string file, string cost, string[] options)
    {
        (int code, string output, string error) = Invoke(file, cost, options);
        Assert.True(code == 0, output + error);
        return JsonNode.Parse(output)!;
    }

    private (int Code, string Output, string Error) Invoke(string file, string cost, string[] options)
    {
        string path = Path.Combine(_folder, file);
        string[] epsilon = options.Contains("--epsilon") ? [] : ["--epsilon", "0.02"];
        return CommandFrameTests.Invoke(["gw", "align", "--x", path, "--y", path, "--cost", cost, "--out", Path.Combine(_folder, "out"), "--json", "--threads", "1", "--device", "cpu", .. epsilon,
            .. options.Select(option => option == "between.npy" ? Path.Combine(_folder, option) : option)]);
    }
}
