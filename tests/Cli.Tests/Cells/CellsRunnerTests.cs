using BioSup.Cli.Pipeline.Cells;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Cells;

/// <summary>The list of steps as it is parsed, and what the runner notes, with steps made for the test.</summary>
public sealed class CellsRunnerTests
{
    private static readonly ICellStep[] s_known = [new AddStep(), new NeedsStep()];

    [Fact]
    public void Steps_run_in_order_more_than_once_and_are_noted_with_every_setting()
    {
        using CpuDevice host = new(1);
        CellsContext context = Context(host, Small());
        context.Cells.Uns["biosup"] = new AnnDictionary { ["steps"] = new AnnDictionary { ["001"] = new AnnDictionary() } };
        List<string> finished = [];
        IReadOnlyList<FinishedStep> done = CellsRunner.Run(CellSteps.Parse("add:by=2, add:key=b:twice=true", s_known), context, step => finished.Add(step.Outcome.Said));
        Assert.Equal(["added 2", "added 1"], finished);
        Assert.Equal([2.0, 2, 2], context.Cells.Obs["a"].Values.As<double>());
        Assert.Equal([2.0, 2, 2], context.Cells.Obs["b"].Values.As<double>());
        AnnDictionary steps = (AnnDictionary)((AnnDictionary)context.Cells.Uns["biosup"]!)["steps"]!;
        Assert.Equal(["001", "002", "003"], steps.Keys);
        AnnDictionary last = (AnnDictionary)steps["003"]!;
        Assert.Equal("add:key=b:by=1:twice=true:names=x;y", ((NdArray)last["text"]!).As<string>()[0]);
        Assert.Equal("b", ((NdArray)((AnnDictionary)last["params"]!)["key"]!).As<string>()[0]);
        Assert.Equal(done[1].Text, ((NdArray)last["text"]!).As<string>()[0]);
    }

    [Theory]
    [InlineData("ad", "no step 'ad' (did you mean add?)")]
    [InlineData("add,,needs", "empty step")]
    [InlineData("add:by", "'by' is no setting")]
    [InlineData("add:bye=1", "no setting 'bye'; there are key, by, twice, names")]
    [InlineData("add:by=1:by=2", "'by' is given twice")]
    [InlineData("needs,add:by=100", "by=100; a whole number from 0 to 9 was expected")]
    [InlineData("add:twice=yes", "twice=yes; true or false was expected")]
    public void What_is_wrong_is_found_before_any_step_runs(string text, string expected)
    {
        UsageException error = Assert.Throws<UsageException>(() => CellSteps.Parse(text, s_known));
        Assert.Contains(expected, error.Message);
    }

    [Fact]
    public void A_step_that_comes_too_early_names_the_one_it_needs()
    {
        using CpuDevice host = new(1);
        UsageException error = Assert.Throws<UsageException>(() => CellsRunner.Run(CellSteps.Parse("needs", s_known), Context(host, Small()), _ => { }));
        Assert.StartsWith("--steps needs: there is no neighbour graph", error.Message);
        Assert.Contains("'neighbors' makes it and has to run first", error.Message);
    }

    [Fact]
    public void Matrices_are_read_dense_and_sparse_and_faults_are_named()
    {
        using CpuDevice host = new(1);
        AnnData data = Small();
        CellsContext context = Context(host, data);
        data.Layers["counts"] = new SparseMatrix(3, 2, SparseLayout.Csc, [0, 2, 3], [2, 0, 1], NdArray.Vector(new[] { 5, 1, 3 }));
        using (Matrix<float> dense = CellMatrices.Single(context, host, "counts")) Assert.Equal([1f, 0, 0, 3, 5, 0], dense.Buffer.View.Host.ToArray());
        Assert.Equal([1.0, 3, 5], CellMatrices.Sparse(context, "counts").Values.ToDoubles());
        using (Matrix<double> wide = CellMatrices.Double(context, host)) Assert.Equal(6.0, wide.View.Row(2)[1]);
        data.Obsp["connectivities"] = new SparseMatrix(3, 3, SparseLayout.Csr, [0, 2, 3, 4], [2, 1, 0, 0], NdArray.Vector(new[] { 0.5, 0.25, 0.25, 0.5 }));
        data.Uns["neighbors"] = new AnnDictionary { ["connectivities_key"] = NdArray.Scalar("connectivities") };
        Assert.Equal([0.25f, 0.5f], CellMatrices.Connectivities(context).Values(0).ToArray());
        data.Obs.Add(FrameColumn.Categorical("line", ["b", "a", ""])).Add("score", new[] { 1.0, 2, 3 });
        Assert.Equal([1, 0, -1], CellMatrices.Groups(context, "line").Codes);
        Assert.Contains("columns are line, score", Assert.Throws<UsageException>(() => CellMatrices.Groups(context, "lines")).Message);
        Assert.Contains("numbers", Assert.Throws<DataException>(() => CellMatrices.Numbers(context, "line")).Message);
        Assert.Contains("'pca' makes it", Assert.Throws<UsageException>(() => CellMatrices.Embedding(context, host, "X_pca", "pca")).Message);
        Assert.Contains("layers are counts", Assert.Throws<UsageException>(() => CellMatrices.Stored(context, "raw")).Message);
        data.X = new NdArray(new[] { 1f, 2, float.NaN, 4, 5, 6 }, 3, 2);
        Assert.Contains("row 1, column 0", Assert.Throws<DataException>(() => CellMatrices.Single(context, host)).Message);
        data.X = new SparseMatrix(3, 2, SparseLayout.Csc, [0, 0, 1], [2], NdArray.Vector(new[] { double.NaN }));
        Assert.Contains("row 2, column 1", Assert.Throws<DataException>(() => CellMatrices.Sparse(context)).Message);
    }

    [Fact]
    public void More_memory_than_there_is_is_refused_and_much_is_announced()
    {
        using CpuDevice host = new(1);
        List<string> said = [];
        CellsContext context = new() { Cells = Small(), Source = "t", Device = host, Host = host, Seed = 0, Note = said.Add };
        CellMemory.Require(context, "a small thing", 1 << 20);
        Assert.Empty(said);
        CellMemory.Require(context, "X made dense", CellMemory.AnnouncedBytes);
        Assert.StartsWith("memory: X made dense takes 256 MiB of ", Assert.Single(said));
        Assert.Contains("this machine has", Assert.Throws<UsageException>(() => CellMemory.Require(context, "X", long.MaxValue / 2)).Message);
    }

    internal static CellsContext Context(CpuDevice host, AnnData data) => new() { Cells = data, Source = "test.h5ad", Device = host, Host = host, Seed = 3 };

    private static AnnData Small() => new(DataFrame.OfRows(3), DataFrame.OfRows(2)) { X = new NdArray(new[] { 1f, 2, 3, 4, 5, 6 }, 3, 2) };

    private sealed class AddStep : ICellStep
    {
        public string Name => "add";
        public string Summary => "writes a column";
        public IReadOnlyList<StepParameter> Parameters { get; } = [new("key", "a", "column"), new("by", "1", "0 to 9"), new("twice", "false", "double"), new("names", "x;y", "a list")];

        public void Check(StepSettings settings) => Read(settings);

        public StepOutcome Run(StepSettings settings, CellsContext context)
        {
            (string key, int by, bool twice) = Read(settings);
            double[] values = new double[context.Cells.ObservationCount];
            Array.Fill(values, twice ? 2 * by : by);
            context.Cells.Obs.Set(FrameColumn.Of(key, values));
            return new StepOutcome($"added {by}");
        }

        private static (string Key, int By, bool Twice) Read(StepSettings settings)
        {
            (string key, int by, bool twice) = (settings.Text("key"), settings.Integer("by", 0, 9), settings.Flag("twice"));
            _ = settings.List("names");
            return (key, by, twice);
        }
    }

    private sealed class NeedsStep : ICellStep
    {
        public string Name => "needs";
        public string Summary => "wants neighbours";
        public IReadOnlyList<StepParameter> Parameters { get; } = [];

        public StepOutcome Run(StepSettings settings, CellsContext context) => new($"{CellMatrices.Connectivities(context).Cells}");
    }
}
