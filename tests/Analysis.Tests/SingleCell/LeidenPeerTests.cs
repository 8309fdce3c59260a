using System.Globalization;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell;

/// <summary>Against igraph's and leidenalg's own searches on the same graphs.</summary>
public sealed class LeidenPeerTests
{
    private static readonly double[] s_resolutions = [0.08, 0.45, 1, 2];

    [Theory]
    [InlineData(300, 6, 0.12, 0.02)]
    [InlineData(400, 20, 0.3, 0.02)]
    [InlineData(300, 1, 0.03, 0)]
    public void Random_graphs_reach_the_modularity_of_igraph(int nodes, int groups, double inside, double across) =>
        Compare(LeidenGraphs.Planted(nodes, groups, inside, across, 9));

    [Fact]
    public void The_neighbour_graph_of_700_blood_cells_reaches_the_modularity_of_igraph()
    {
        string? folder = SharedData.Find("pbmc68k_reduced", out string reason);
        Assert.SkipWhen(folder is null, reason);
        using CpuDevice device = new(2);
        using Matrix<double> all = MatrixReader.ReadDouble(device, Path.Combine(folder!, "pbmc68k_reduced.h5ad") + ":obsm/X_pca");
        double[] points = [.. Enumerable.Range(0, all.Rows).SelectMany(i => all.Row(i)[..30].ToArray())];
        using Matrix<double> x = Matrix<double>.From(device, all.Rows, 30, points);
        Compare(LeidenGraphs.Neighbours(x, 10));
    }

    private static void Compare(EdgeList list)
    {
        string? python = Python.Find("import igraph, leidenalg", out string reason);
        Assert.SkipWhen(python is null, reason);
        Dictionary<(string, double), double[]> peers = Peers(python!, list);
        LeidenGraph graph = list.Graph;
        foreach (double resolution in s_resolutions)
        {
            double[] igraph = peers[("igraph", resolution)];
            LeidenResult[] runs = [.. Enumerable.Range(0, 10).Select(seed => Leiden.Run(graph, new LeidenOptions { Resolution = resolution, Seed = (ulong)seed }))];
            double[] ours = [.. runs.Select(r => r.Modularity)];
            TestContext.Current.TestOutputHelper?.WriteLine(FormattableString.Invariant(
                $"γ {resolution}: {runs.Min(r => r.Sizes.Length)}-{runs.Max(r => r.Sizes.Length)} communities, Q {ours.Min():F6}-{ours.Max():F6}; igraph {igraph.Min():F6}-{igraph.Max():F6}; leidenalg {peers[("leidenalg", resolution)].Min():F6}-{peers[("leidenalg", resolution)].Max():F6}"));
            Assert.True(ours[0] >= igraph.Min() - 1e-12, $"γ {resolution}: one run reaches {ours[0]:R}, igraph's worst of ten {igraph.Min():R}");
            Assert.True(ours.Max() >= 0.998 * igraph.Max(), $"γ {resolution}: the best of ten reaches {ours.Max():R}, igraph's {igraph.Max():R}");
        }
    }

    private static Dictionary<(string, double), double[]> Peers(string python, EdgeList list)
    {
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllLines(file, list.Edges.Select(e => FormattableString.Invariant($"{e.From} {e.To} {e.Weight:R}")));
            string script = Path.Combine(RepositoryRoot.Path, "tests", "golden", "leiden", "igraph_leiden.py");
            string output = Python.Run(python, [script, file, list.Nodes.ToString(CultureInfo.InvariantCulture), .. s_resolutions.Select(r => r.ToString(CultureInfo.InvariantCulture))]);
            return output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' '))
                .ToDictionary(f => (f[0], double.Parse(f[1], CultureInfo.InvariantCulture)), f => f.Skip(2).Select(q => double.Parse(q, CultureInfo.InvariantCulture)).ToArray());
        }
        finally
        {
            File.Delete(file);
        }
    }
}
