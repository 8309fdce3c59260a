using System.Globalization;
using BioSup.Cli.Pipeline.Cells;
using BioSup.Data;
using BioSup.Report;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Cli.Tests.Cells;

/// <summary>The steps that test genes and measure values, on a small matrix of which the answers are known; anndata reads what they write.</summary>
public sealed class DifferentialStepsTests : IDisposable
{
    private const int Cells = 60;

    private readonly CpuDevice _host = new(2);

    [Fact]
    public void Ranked_genes_lie_under_scanpys_keys_best_first()
    {
        CellsContext context = Context();
        StepOutcome outcome = Run(context, "rank_genes_groups:groupby=line:method=wilcoxon:n_genes=3");
        AnnDictionary kept = (AnnDictionary)context.Cells.Uns["rank_genes_groups"]!;
        Assert.Equal(["params", "pts", "names", "scores", "pvals", "pvals_adj", "logfoldchanges", "log10_pvals", "log10_pvals_adj", "pts_rest"], kept.Keys);
        RecordArray names = (RecordArray)kept["names"]!;
        Assert.Equal(["a", "b", "c/d"], names.Fields.Select(f => f.Name));
        Assert.Equal("g0", names.Fields[0].Values.As<string>()[0]);
        Assert.Equal("g1", names.Fields[1].Values.As<string>()[0]);
        Assert.All(names.Fields, f => Assert.Equal(3, f.Values.Length));
        RecordArray Field(string key) => (RecordArray)kept[key]!;
        Assert.Equal(ElementType.Float32, Field("scores").Fields[0].Values.Type);
        Assert.Equal(ElementType.Float32, Field("logfoldchanges").Fields[0].Values.Type);
        for (int g = 0; g < 3; g++)
        {
            float[] scores = Field("scores").Fields[g].Values.As<float>();
            Assert.Equal(scores.OrderDescending(), scores);
            for (int k = 0; k < 3; k++)
            {
                Assert.Equal(Field("pvals").Fields[g].Values.As<double>()[k], Math.Pow(10, Field("log10_pvals").Fields[g].Values.As<double>()[k]));
                Assert.True(Field("pvals").Fields[g].Values.As<double>()[k] <= Field("pvals_adj").Fields[g].Values.As<double>()[k]);
            }
        }
        AnnDictionary parameters = (AnnDictionary)kept["params"]!;
        Assert.Equal(["line", "rest", "wilcoxon", "benjamini-hochberg"], new[] { "groupby", "reference", "method", "corr_method" }.Select(k => ((NdArray)parameters[k]!).As<string>()[0]));
        Assert.Equal(["rank_genes_groups_a.csv", "rank_genes_groups_b.csv", "rank_genes_groups_c_d.csv"], outcome.Tables.Select(t => t.FileName));
        Assert.StartsWith("names,scores,log2fc_scanpy,pvals,pvals_adj,log10_pvals,log10_pvals_adj,mean,mean_reference,pct,pct_reference\ng0,", outcome.Tables[0].Csv);
        Assert.Equal(4, outcome.Tables[0].Csv.Count(c => c == '\n'));
        Assert.Equal(3, outcome.Report.Count);
        FigureItem figure = ((FigureRowBlock)outcome.Report[2]).Figures[0];
        Assert.Contains("c/d (20 cells) against rest (40 cells): wilcoxon", figure.Caption);
        Assert.Contains("adjusted p 0.05 and fold changes of ±1", figure.Caption);
        Assert.StartsWith("5 genes of X in 3 groups of line against rest, wilcoxon; adjusted p < 0.05: a ", outcome.Said);
    }

    [Fact]
    public void Raw_a_layer_a_reference_and_a_base_of_the_logarithm_are_respected()
    {
        CellsContext context = Context();
        float[] raw = new float[Cells * 2];
        for (int i = 0; i < Cells; i++) (raw[2 * i], raw[2 * i + 1]) = (i % 3 == 0 ? 4 : 1, i % 5);
        context.Cells.Raw = new AnnRaw(new NdArray(raw, Cells, 2), new DataFrame(["r0", "r1"]), []);
        context.Cells.Uns["log1p"] = new AnnDictionary { ["base"] = NdArray.Scalar(2.0) };
        StepOutcome outcome = Run(context, "rank_genes_groups:groupby=line:reference=b:method=mannwhitneyu:corr_method=bonferroni:key_added=x");
        AnnDictionary kept = (AnnDictionary)context.Cells.Uns["x"]!;
        Assert.False(kept.ContainsKey("pts_rest"));
        Assert.Equal(["a", "c_d", "b"], ((DataFrame)kept["pts"]!).Columns.Select(c => c.Name));
        Assert.True(((NdArray)((AnnDictionary)kept["params"]!)["use_raw"]!).As<bool>()[0]);
        Assert.Equal((float)Math.Log2(15), ((RecordArray)kept["logfoldchanges"]!).Fields[0].Values.As<float>()[0], 1e-5f);
        Assert.StartsWith("x_a.csv", outcome.Tables[0].FileName);
        Assert.Contains("2 tests of 2 comparisons were not made", Assert.Single(outcome.Warnings));
        Run(context, "rank_genes_groups:groupby=line:groups=b;a:use_raw=false:key_added=y");
        kept = (AnnDictionary)context.Cells.Uns["y"]!;
        Assert.Equal(["b", "a"], ((RecordArray)kept["names"]!).Fields.Select(f => f.Name));
        Assert.Equal(5, ((RecordArray)kept["names"]!).Fields[0].Values.Length);
        context.Cells.Layers["l"] = context.Cells.X;
        Run(context, "rank_genes_groups:groupby=line:layer=l:key_added=z");
        AnnDictionary parameters = (AnnDictionary)((AnnDictionary)context.Cells.Uns["z"]!)["params"]!;
        Assert.Equal("l", ((NdArray)parameters["layer"]!).As<string>()[0]);
        Assert.False(((NdArray)parameters["use_raw"]!).As<bool>()[0]);
        Assert.Contains("one of the two", Refused(context, "rank_genes_groups:groupby=line:layer=l:use_raw=true"));
        Assert.Contains("the groups are a, b, c/d", Refused(context, "rank_genes_groups:groupby=line:reference=e"));
        context.Cells.Raw = null;
        Assert.Contains("no raw", Refused(context, "rank_genes_groups:groupby=line:use_raw=true"));
        Assert.Contains("'leiden' makes it", Refused(context, "rank_genes_groups"));
    }

    [Fact]
    public void Concepts_follow_the_fold_change_and_the_impurity_alone()
    {
        CellsContext context = Context();
        StepOutcome outcome = Run(context, "select_concepts:groupby=line:control=b:max_gini=0.55");
        // g0 is high in a, g1 in b (the control): by both comparisons lower elsewhere; g2 is the same everywhere; g3 is noise; g4 is 0.
        string[] concepts = context.Cells.Var["concept"].ToColumn("var").Text;
        Assert.Equal(["a", "b", "", "", ""], concepts);
        double[] gini = context.Cells.Var["gini"].Values.As<double>();
        Assert.Equal(2 / 3.0, gini[2], 1e-12);
        Assert.True(double.IsNaN(gini[4]) && gini[0] < 0.55);
        Assert.Equal(["volcano_a.csv", "volcano_c_d.csv", "de_summary.csv", "select_concepts.csv"], outcome.Tables.Select(t => t.FileName));
        string[] lines = outcome.Tables[0].Csv.Split('\n');
        Assert.Equal("concept_id,log2fc_paper,U,p,adj_p,log10_p,log10_adj_p,mean_a,mean_b,significant_by_fold_change", lines[0]);
        Assert.EndsWith(",1", lines[1]);
        Assert.EndsWith(",0", lines[3]);
        Assert.StartsWith("group,control,n_group,n_control,up,down,adj_p_below_0.05,untested,without_fold_change\na,b,20,20,1,1,", outcome.Tables[2].Csv);
        Assert.EndsWith("by their fold change alone. Dashed: fold changes of ±0.58 (log₂). Triangles lie beyond the axis.", ((FigureRowBlock)outcome.Report[0]).Figures[0].Caption);
        Assert.StartsWith("concept_id,b,a,c/d,gini,log2fc_a,log2fc_c/d,concept\n", outcome.Tables[3].Csv);
        // An impurity that no latent reaches leaves none, whatever its fold change.
        Assert.Equal("0 of 5 variables are concepts", Run(context, "select_concepts:groupby=line:control=b:max_gini=0.01").Said);
        Assert.Equal("1 of 5 variables are concepts: b 1", Run(context, "select_concepts:groupby=line:control=b:max_gini=0.66:min_log2fc=3.7").Said);
        context.Cells.X = new NdArray(Enumerable.Range(0, Cells * 5).Select(i => -1f).ToArray(), Cells, 5);
        Assert.Contains("negative mean", Refused(context, "select_concepts:groupby=line:control=b"));
    }

    [Fact]
    public void Values_are_measured_over_the_graph_and_the_representation()
    {
        CellsContext context = Context();
        long[] start = [.. Enumerable.Range(0, Cells + 1).Select(i => 2L * i)];
        int[] columns = [.. Enumerable.Range(0, Cells).SelectMany(i => new[] { (i + 1) % Cells, (i + Cells - 1) % Cells }.Order())];
        context.Cells.Obsp["connectivities"] = new SparseMatrix(Cells, Cells, SparseLayout.Csr, start, columns, NdArray.Vector(Enumerable.Repeat(1f, 2 * Cells).ToArray()));
        context.Cells.Uns["neighbors"] = new AnnDictionary { ["connectivities_key"] = NdArray.Scalar("connectivities") };
        StepOutcome outcome = Run(context, "moran");
        DataFrame table = (DataFrame)context.Cells.Uns["moranI"]!;
        Assert.Equal(["I", "pval_norm", "var_norm", "pval_norm_fdr_bh", "z", "log10_pval_norm", "log10_pval_norm_fdr_bh", "moran_z_paper"], table.Columns.Select(c => c.Name));
        // g4 and g2 hold one value: last.
        Assert.Equal(["g2", "g4"], table.Index[3..].Order());
        Assert.Contains("2 columns", Assert.Single(outcome.Warnings));
        Assert.StartsWith("name,I,", outcome.Tables[0].Csv);
        Run(context, "moran:vals=phase;g3:key_added=two");
        table = (DataFrame)context.Cells.Uns["two"]!;
        Assert.Equal(["phase", "g3"], table.Index);
        Assert.InRange(table["I"].Values.As<double>()[0], 0.9, 1);
        Assert.Contains("a value is missing", Assert.Throws<DataException>(() => Run(context, "moran:vals=death")).Message);
        Assert.Contains("neither a variable", Refused(context, "moran:vals=nothing"));

        outcome = Run(context, "ridge:value=death:groupby=:use_rep=X_line:n_components=2:permutations=19");
        Assert.StartsWith("Config,Seed,Model,Layer,Group,Fold_idx,R2\nbiosup,42,ridge,X,all only,0,", outcome.Tables[0].Csv);
        AnnDictionary all = (AnnDictionary)((AnnDictionary)context.Cells.Uns["ridge"]!)["all"]!;
        double[] folds = ((NdArray)all["r2_folds"]!).As<double>();
        Assert.Equal(5, folds.Length);
        Assert.Equal(folds.Average(), ((NdArray)all["r2_mean"]!).As<double>()[0]);
        Assert.InRange(folds.Min(), 0.99, 1);
        Assert.Equal(0.05, ((NdArray)all["permutation_p"]!).As<double>()[0]);

        outcome = Run(context, "local_sd:value=death:groupby=line:use_rep=X_line:k=3;4");
        string[] lines = outcome.Tables[0].Csv.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.StartsWith("source,mutation,k,n,mean_ratio,median_ratio,global_std,wilcoxon_p,", lines[0]);
        Assert.Equal(["SAE,a,3,20", "SAE,a,4,20", "SAE,b,3,19", "SAE,b,4,19", "SAE,c/d,3,20", "SAE,c/d,4,20"], lines[1..].Select(l => string.Join(',', l.Split(',')[..4])));
        Assert.True(double.Parse(lines[1].Split(',')[4], CultureInfo.InvariantCulture) < 0.4);
        Assert.Contains("k=x", Refused(context, "local_sd:k=3;x"));
        Assert.Contains("k is empty", Refused(context, "local_sd:k="));
        Assert.Contains("no cell of group 'e'", Refused(context, "ridge:value=death:groupby=line:groups=e"));
    }

    [Fact]
    public void Anndata_reads_the_ranked_genes()
    {
        string? python = Python.Find("import anndata, pandas", out string reason);
        Assert.SkipWhen(python is null, reason);
        CellsContext context = Context();
        Run(context, "rank_genes_groups:groupby=line:method=wilcoxon");
        Run(context, "select_concepts:groupby=line:control=b");
        string file = Path.Combine(Path.GetTempPath(), $"biosup-{Guid.NewGuid():N}.h5ad");
        try
        {
            AnnDataFile.Write(file, context.Cells);
            string output = Python.Run(python!, "-c", """
                import sys, warnings
                warnings.simplefilter("ignore")
                import anndata, pandas
                a = anndata.read_h5ad(sys.argv[1])
                r = a.uns["rank_genes_groups"]
                print(*r["names"].dtype.names, r["names"]["a"][0], r["scores"].dtype["a"], r["pvals"].dtype["a"], r["logfoldchanges"]["b"].dtype, r["params"]["method"], r["params"]["use_raw"], list(r["pts"].columns), r["pts_rest"].loc["g0", "a"])
                # as scanpy.get.rank_genes_groups_df forms its table
                print(pandas.concat([pandas.DataFrame(r[k]) for k in ("names", "scores", "logfoldchanges", "pvals", "pvals_adj")], axis=1, names=[None, "group"], keys=["names", "scores", "logfoldchanges", "pvals", "pvals_adj"]).shape)
                """, file);
            Assert.Equal("a b c/d g0 float32 float64 float32 wilcoxon False ['a', 'b', 'c_d'] 1.0\n(5, 15)\n", output);
        }
        finally
        {
            File.Delete(file);
        }
    }

    public void Dispose() => _host.Dispose();

    private static StepOutcome Run(CellsContext context, string steps) => CellsRunner.Run(CellSteps.Parse(steps, CellSteps.All), context, _ => { })[0].Outcome;

    private static string Refused(CellsContext context, string steps) => Assert.Throws<UsageException>(() => Run(context, steps)).Message;

    /// <summary>60 cells in three lines of 20 each, in turns; g0 is high in a, g1 in b, g2 one value, g3 noise, g4 nothing.</summary>
    private CellsContext Context()
    {
        float[] x = new float[Cells * 5], line = new float[Cells * 2];
        double[] death = new double[Cells];
        CounterRandom random = new(1);
        for (int i = 0; i < Cells; i++)
        {
            float noise = (float)random.NextDouble();
            x[5 * i] = (i % 3 == 0 ? 3 : 0.2f) + 0.1f * noise;
            x[5 * i + 1] = (i % 3 == 1 ? 2 : 0.1f) + 0.01f * (i * 7 % 11);
            x[5 * i + 2] = 1.5f;
            x[5 * i + 3] = 1 + 0.2f * noise;
            death[i] = Math.Sin(2 * Math.PI * i / Cells);
            (line[2 * i], line[2 * i + 1]) = ((float)death[i], noise);
        }
        double[] phase = [.. death];
        death[1] = double.NaN;
        DataFrame obs = DataFrame.OfRows(Cells);
        obs.Add(FrameColumn.Categorical("line", [.. Enumerable.Range(0, Cells).Select(i => new[] { "a", "b", "c/d" }[i % 3])])).Add("death", death).Add("phase", phase);
        AnnData data = new(obs, new DataFrame(["g0", "g1", "g2", "g3", "g4"])) { X = new NdArray(x, Cells, 5) };
        data.Obsm["X_line"] = new NdArray(line, Cells, 2);
        return CellsRunnerTests.Context(_host, data);
    }
}
