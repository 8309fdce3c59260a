using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells;
using BioSup.Data;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Cells;

/// <summary>The steps about trajectories: the keys and tables they leave, and what they say when something is missing.</summary>
public sealed class TrajectoryStepsTests
{
    private const int Controls = 40, Mutants = 60, Features = 12;

    [Fact]
    public void Pseudotime_leaves_scanpys_keys_and_says_how_it_fits_the_value()
    {
        using CpuDevice host = new(1);
        CellsContext context = Context(host);
        FinishedStep step = Run(context, "dpt:groupby=superclass:value=cell_death")[0];
        double[] time = context.Cells.Obs["dpt_pseudotime"].Values.As<double>();
        long root = ((NdArray)context.Cells.Uns["iroot"]!).As<long>()[0];
        Assert.Equal((0.0, 1.0), (time[root], time.Max()));
        Assert.InRange(root, 0, Controls - 1);
        Assert.Contains("Spearman -0.", step.Outcome.Said);
        Assert.Contains("100 of 100 cells reached, 1 component of the graph", step.Outcome.Said);
        AnnDictionary kept = (AnnDictionary)context.Cells.Uns["dpt"]!;
        Assert.InRange(((NdArray)kept["rho"]!).As<double>()[0], -1, -0.6);
        // The root that is kept, a name and a number give the same.
        foreach (string text in new[] { "dpt", $"dpt:root=cell{root}", $"dpt:root={root}" })
        {
            Run(context, text);
            Assert.Equal(time, context.Cells.Obs["dpt_pseudotime"].Values.As<double>());
        }
    }

    [Fact]
    public void The_sweep_writes_the_published_tables_one_for_each_point_and_one_of_all()
    {
        using CpuDevice host = new(1);
        CellsContext context = Context(host);
        StepOutcome outcome = Run(context, "dpt_sweep:n_pcs=3;5:n_neighbors=8;12:which_layer=stage5")[0].Outcome;
        Assert.Equal(["dpt_summary_log_std_stage5_seed3.csv", "dpt_means_log_std_stage5_seed3.csv", "dpt_summary_log_std_stage5_seed3_pca3_k8.csv", "dpt_summary_log_std_stage5_seed3_pca3_k12.csv",
            "dpt_summary_log_std_stage5_seed3_pca5_k8.csv", "dpt_summary_log_std_stage5_seed3_pca5_k12.csv"], outcome.Tables.Select(t => t.FileName));
        string[] all = outcome.Tables[0].Csv.Split('\n', StringSplitOptions.RemoveEmptyEntries), one = outcome.Tables[2].Csv.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal("Mutation,Seed,Norm,kNN,Features,PCA,rho,r,gam_r2", all[0]);
        Assert.Equal((5, 2), (all.Length, one.Length));
        Assert.StartsWith("SNCA,3,log_std,8,12,3,-0.", one[1]);
        Assert.Equal(all[1], one[1]);
        Assert.DoesNotContain(all.Skip(1), row => row.EndsWith(",0", StringComparison.Ordinal) || row.EndsWith(','));
        Assert.Equal("Mutation,PCA,kNN,rho,r,n", outcome.Tables[1].Csv.Split('\n')[0]);
        Assert.Contains("LRRK2 has 4 cells and is passed over", Assert.Single(outcome.Warnings, w => w.Contains("passed over")));
        Assert.Equal(4, ((NdArray)((AnnDictionary)context.Cells.Uns["dpt_sweep"]!)["rho"]!).Length);
        Assert.Equal(["dpt_sweep_rho", "dpt_sweep_r"], outcome.Report.Select(block => Assert.Single(Assert.IsType<FigureRowBlock>(block).Figures).Name));
    }

    [Fact]
    public void A_mutation_without_values_is_named_and_not_drawn()
    {
        using CpuDevice host = new(1);
        CellsContext context = Context(host);
        context.Cells.Obs.Set(FrameColumn.Of("cell_death", Enumerable.Repeat(double.NaN, context.Cells.ObservationCount).ToArray()));
        StepOutcome outcome = Run(context, "dpt_sweep:n_pcs=3:n_neighbors=8")[0].Outcome;
        Assert.Contains(outcome.Warnings, w => w.StartsWith("SNCA: 1 of its points have no correlation", StringComparison.Ordinal));
        Assert.Empty(outcome.Report);
        Assert.EndsWith(",,,\n", outcome.Tables[0].Csv);
    }

    [Fact]
    public void Robustness_terciles_trends_and_the_heat_map_leave_tables_and_what_a_figure_draws()
    {
        using CpuDevice host = new(1);
        CellsContext context = Context(host);
        IReadOnlyList<FinishedStep> done = Run(context, "dpt:groupby=superclass, root_robustness:groups=SNCA:n_roots=4, terciles:groups=SNCA, gam:features=f3;cell_death:groupby=superclass:groups=SNCA, dpt_heatmap:groups=SNCA:bins=15:n_neighbors=5");
        Assert.All(done.Skip(1), step => Assert.NotEmpty(step.Outcome.Report));
        Assert.Equal("root_perturbation_robustness_log_std_X_seed3_pca7_k10.csv", done[1].Outcome.Tables[0].FileName);
        Assert.Equal(5, done[1].Outcome.Tables[0].Csv.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        Assert.Equal(["terciles_jt_log_std_X_seed3_pca7_k10.csv", "terciles_bins_log_std_X_seed3_pca7_k10.csv", "terciles_pairs_log_std_X_seed3_pca7_k10.csv"], done[2].Outcome.Tables.Select(t => t.FileName));
        Assert.Equal("Mutation,n,left_out,J,mean,variance,z,p_decreasing,log10_p,z_partial_ties,p_partial_ties", done[2].Outcome.Tables[0].Csv.Split('\n')[0]);
        AnnDictionary trend = (AnnDictionary)((AnnDictionary)((AnnDictionary)context.Cells.Uns["gam"]!)["SNCA"]!)["cell_death"]!;
        Assert.Equal([200, 200, 200, 200], new[] { "x", "fit", "lower", "upper" }.Select(k => ((NdArray)trend[k]!).Length));
        Assert.InRange(((NdArray)trend["adj_r2"]!).As<double>()[0], 0.4, 1);
        Assert.Equal(401, done[3].Outcome.Tables[1].Csv.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        AnnDictionary map = (AnnDictionary)((AnnDictionary)context.Cells.Uns["dpt_heatmap"]!)["SNCA"]!;
        Assert.Equal([Features, 15], ((NdArray)map["profiles"]!).Shape);
        Assert.Equal(Features + 1, done[4].Outcome.Tables[0].Csv.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
    }

    [Fact]
    public void A_group_with_too_few_cells_is_named_and_the_others_are_done()
    {
        using CpuDevice host = new(1);
        IReadOnlyList<FinishedStep> done = Run(Context(host), "dpt:groupby=superclass, root_robustness, terciles, gam:features=f3:groupby=superclass, dpt_heatmap:bins=10");
        Assert.All(done.Skip(1), step => Assert.Contains(step.Outcome.Warnings, w => w.StartsWith("LRRK2: no ", StringComparison.Ordinal)));
        Assert.Contains("SNCA", done[2].Outcome.Said);
        Assert.Contains("no group has 10 cells", Assert.Throws<UsageException>(() => Run(Context(host), "dpt:groupby=superclass, terciles:groups=LRRK2")).Message);
    }

    [Fact]
    public void Terciles_name_the_graph_of_the_pseudotime_and_do_without_one()
    {
        using CpuDevice host = new(1);
        CellsContext context = Context(host);
        Run(context, "dpt:groupby=superclass");
        context.Cells.Uns["other"] = new AnnDictionary { ["params"] = new AnnDictionary { ["n_neighbors"] = NdArray.Scalar(21L), ["n_pcs"] = NdArray.Scalar(4L) } };
        ((AnnDictionary)((AnnDictionary)context.Cells.Uns["dpt"]!)["params"]!)["neighbors_key"] = NdArray.Scalar("other");
        Assert.Equal("terciles_jt_log_std_X_seed3_pca4_k21.csv", Run(context, "terciles:groups=SNCA")[0].Outcome.Tables[0].FileName);
        foreach (string key in new[] { "neighbors", "other", "dpt" }) context.Cells.Uns.Remove(key);
        Assert.Equal("terciles_jt_log_std_X_seed3_pcaNA_kNA.csv", Run(context, "terciles:groups=SNCA")[0].Outcome.Tables[0].FileName);
    }

    [Fact]
    public void A_sparse_matrix_gives_the_same_trend_of_a_variable_as_a_dense_one()
    {
        using CpuDevice host = new(1);
        CellsContext context = Context(host);
        Run(context, "dpt:groupby=superclass");
        string dense = Run(context, "gam:features=f5")[0].Outcome.Tables[1].Csv;
        using (Matrix<float> x = CellMatrices.Single(context, host)) context.Cells.X = SparseMatrix.FromDense(x.View);
        Assert.Equal(dense, Run(context, "gam:features=f5")[0].Outcome.Tables[1].Csv);
    }

    [Theory]
    [InlineData("dpt", "there is no root")]
    [InlineData("dpt:root=nobody", "neither the name of a cell nor a number")]
    [InlineData("dpt:groupby=superclass:control=WT", "no cell has superclass = WT; the groups are Control, LRRK2, SNCA")]
    [InlineData("dpt:root=0:n_dcs=99", "needs a map with as many")]
    [InlineData("terciles", "'dpt' makes it and has to run first")]
    [InlineData("gam:features=f1", "'dpt' makes it and has to run first")]
    [InlineData("dpt:root=0,gam:features=f99", "neither a variable nor a column of obs")]
    [InlineData("gam", "features is empty")]
    [InlineData("dpt_sweep:n_neighbors=1", "whole numbers from 2 on")]
    [InlineData("terciles:lower=50:upper=50", "lower below upper")]
    public void What_is_missing_or_wrong_is_said_in_a_sentence(string steps, string expected)
    {
        using CpuDevice host = new(1);
        Assert.Contains(expected, Assert.Throws<UsageException>(() => Run(Context(host), steps)).Message);
    }

    [Fact]
    public void Cells_that_no_walk_reaches_are_counted()
    {
        using CpuDevice host = new(1);
        CellsContext context = Context(host, apart: 1000);
        StepOutcome outcome = Run(context, "dpt:groupby=superclass")[0].Outcome;
        Assert.Contains("2 components", outcome.Said);
        Assert.Contains(outcome.Warnings, w => w.StartsWith("60 cells (60.0%) lie in other components", StringComparison.Ordinal));
        Assert.Equal(0.6, ((NdArray)((AnnDictionary)context.Cells.Uns["dpt"]!)["fraction_inf"]!).As<double>()[0], 1e-12);
        Assert.Equal(60, context.Cells.Obs["dpt_pseudotime"].Values.As<double>().Count(double.IsPositiveInfinity));
    }

    private static IReadOnlyList<FinishedStep> Run(CellsContext context, string steps) => CellsRunner.Run(CellSteps.Parse(steps, CellSteps.All), context, _ => { });

    /// <summary>Cells along a line, control first, with the keys that the steps 'neighbors' and 'diffmap' leave.</summary>
    private static CellsContext Context(CpuDevice host, double apart = 0)
    {
        CounterRandom random = new(9);
        const int Cells = Controls + Mutants;
        float[] x = new float[Cells * Features];
        double[] death = new double[Cells];
        string[] groups = new string[Cells];
        for (int i = 0; i < Cells; i++)
        {
            double along = i < Controls ? random.NextDouble() : 5 * random.NextDouble() + apart;
            for (int f = 0; f < Features; f++) x[i * Features + f] = (float)(0.3 * random.NextNormal() + along * (f + 1) / Features);
            death[i] = i % 9 == 0 ? double.NaN : apart - along + 0.4 * random.NextNormal();
            groups[i] = i < Controls ? "Control" : i < Cells - 4 ? "SNCA" : "LRRK2";
        }
        AnnData data = new(new DataFrame([.. Enumerable.Range(0, Cells).Select(i => $"cell{i}")]), new DataFrame([.. Enumerable.Range(0, Features).Select(f => $"f{f}")])) { X = new NdArray(x, Cells, Features) };
        data.Obs.Add(FrameColumn.Categorical("superclass", groups)).Add("cell_death", death);
        using Matrix<double> points = Matrix<double>.From(host, Cells, Features, Array.ConvertAll(x, v => (double)v));
        CellGraph graph = Connectivities.Umap(NearestCells.Find(points, 10));
        using DiffusionMap map = DiffusionMap.Compute(host, graph);
        data.Obsp["connectivities"] = graph.ToSparse();
        data.Uns["neighbors"] = new AnnDictionary
        {
            ["connectivities_key"] = NdArray.Scalar("connectivities"),
            ["params"] = new AnnDictionary { ["n_neighbors"] = NdArray.Scalar(10L), ["n_pcs"] = NdArray.Scalar(7L) },
        };
        data.Obsm["X_diffmap"] = new NdArray(Enumerable.Range(0, Cells).SelectMany(i => Enumerable.Range(0, 15).Select(k => map.Vectors.Row(k)[i])).ToArray(), Cells, 15);
        data.Uns["diffmap_evals"] = NdArray.Vector(map.Eigenvalues);
        return CellsRunnerTests.Context(host, data);
    }
}
