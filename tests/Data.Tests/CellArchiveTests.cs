using BioSup.Runtime;

namespace BioSup.Data.Tests;

public sealed class CellArchiveTests
{
    private static readonly CpuDevice s_host = new(1);

    [Fact]
    public void A_cache_of_the_published_code_is_read_with_its_pickled_names()
    {
        AnnData data = CellArchive.Read(s_host, Golden.File("cache_stored.npz"));
        data.Validate("cache");
        Assert.Equal("plate/0.tar:0000", data.Obs.Index[0]);
        Assert.Equal(["uid", "line", "superclass", "y"], data.Obs.Columns.Select(c => c.Name));
        Assert.Equal(["a", "b", "a"], data.Obs["line"].ToColumn("t").Text[..3]);
        Assert.Equal(["latent_id", "usage_ema", "alive"], data.Var.Columns.Select(c => c.Name));
        Assert.Equal(["latent_0", "latent_1", "latent_2"], data.Var.Index);
        Assert.Equal([-20.0, -17, -14], AnnDataTests.Dense(data.X)[..3]);
        Assert.Equal("layer3", ((NdArray)data.Uns["which_layer"]!).As<string>()[0]);
    }

    [Fact]
    public void Lines_give_classes_uids_give_plates_and_few_values_stay_sparse()
    {
        using TemporaryFolder folder = new();
        NpzFile.Write(folder["c.npz"], npz =>
        {
            npz.Add("X_all", new NdArray(new[] { 0f, 0, 2, 0, 1, 0, 0, 0 }, 2, 4));
            npz.Add("y", new long[] { 0, 4 });
            npz.Add("lines", new[] { "Control_C18", "GBA_346" });
            npz.Add("uids", new[] { "d/plate=123456/a.tar:x", "d/plate=123457/a.tar:x" });
            npz.Add("usage_ema", new[] { 0f, 1e-5f, 0.5f, 1e-6f });
        });
        AnnData data = CellArchive.Read(s_host, folder["c.npz"]);
        Assert.Equal(["Control", "GBA_346"], data.Obs["superclass"].ToColumn("t").Text);
        Assert.Equal(["123456", "123457"], data.Obs["plate"].ToColumn("t").Text);
        Assert.Equal([false, true, true, false], data.Var["alive"].Values.As<bool>());
        Assert.IsType<SparseMatrix>(data.X);
        NpzFile.Write(folder["cnn.npz"], npz =>
        {
            npz.Add("X_gap", new NdArray(new[] { 1f, 2, 3, 4 }, 2, 2));
            npz.Add("y", new long[] { 1, 5 });
            npz.Add("uids", new[] { "same", "same" });
        });
        AnnData cnn = CellArchive.Read(s_host, folder["cnn.npz"]);
        Assert.Equal(["channel_0", "channel_1"], cnn.Var.Index);
        Assert.Equal(["SNCA", "5"], cnn.Obs["superclass"].ToColumn("t").Text);
        Assert.Equal(["0", "1"], cnn.Obs.Index);
        Assert.Contains("share an id", Assert.Single(cnn.Warnings));
    }

    [Fact]
    public void Sparse_rows_as_scipy_saves_them_are_read()
    {
        using TemporaryFolder folder = new();
        using (CsrSpool spool = new(folder["s.npz"], 3))
        {
            spool.Add([0, 2, 0]);
            spool.Add([1, 0, 3]);
            spool.WriteNpz(["a", "b"]);
        }
        AnnData data = CellArchive.Read(s_host, folder["s.npz"]);
        Assert.Equal([0.0, 2, 0, 1, 0, 3], AnnDataTests.Dense(data.X));
        Assert.Equal(["a", "b"], data.Obs.Index);
    }

    [Theory]
    [InlineData("y", "has 3 entries; the matrix has 2 rows")]
    [InlineData("usage_ema", "one number for each of 2 latents")]
    [InlineData("uids", "has 3 entries")]
    public void Arrays_of_another_length_are_named(string member, string expected)
    {
        using TemporaryFolder folder = new();
        NpzFile.Write(folder["bad.npz"], npz =>
        {
            npz.Add("X_all", new NdArray(new[] { 1f, 2, 3, 4 }, 2, 2));
            if (member == "y") npz.Add(member, new long[3]);
            else if (member == "uids") npz.Add(member, new[] { "a", "b", "c" });
            else npz.Add(member, new float[3]);
        });
        DataException error = Assert.Throws<DataException>(() => CellArchive.Read(s_host, folder["bad.npz"]));
        Assert.Contains(member, error.Message);
        Assert.Contains(expected, error.Message);
    }
}
