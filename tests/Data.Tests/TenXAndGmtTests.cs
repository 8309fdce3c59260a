using System.IO.Compression;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Data.Tests;

public sealed class TenXAndGmtTests
{
    [Theory]
    [InlineData("tenx_v2", 3)]
    [InlineData("tenx_v3", 2)]
    [InlineData("tenx_v2.h5", 3)]
    [InlineData("tenx_v3.h5", 2)]
    public void Every_form_gives_cells_by_genes(string name, int genes)
    {
        AnnData data = TenXFile.Read(Golden.File(name));
        double[] all = [3, 0, 7, 0, 5, 1];
        double[] expected = genes == 3 ? all : [3, 0, 0, 5];
        Assert.Equal(expected, AnnDataTests.Dense(data.X));
        Assert.Equal(["AAAC-1", "AAAG-1"], data.Obs.Index);
        Assert.Equal(genes == 3 ? ["TP53", "TP53-1", "ACTB"] : ["TP53", "TP53-1"], data.Var.Index);
        Assert.Equal("ENSG1", data.Var["gene_ids"].Values.As<string>()[1]);
        // Folders do not say the genome.
        Assert.Equal(name.EndsWith(".h5", StringComparison.Ordinal), data.Var.Contains("genome"));
        if (data.Var.Contains("genome")) Assert.All(data.Var["genome"].ToColumn("t").Text, genome => Assert.Equal("GRCh38", genome));
        Assert.Equal(all, AnnDataTests.Dense(TenXFile.Read(Golden.File(name), geneExpressionOnly: false).X));
    }

    [Fact]
    public void A_real_folder_agrees_with_its_h5ad()
    {
        string? folder = SharedData.Find("pbmc68k_reduced", out string reason);
        Assert.SkipWhen(folder is null, reason);
        AnnData data = TenXFile.Read(Path.Combine(folder!, "mtx")), h5ad = AnnDataFile.Read(Path.Combine(folder!, "pbmc68k_reduced.h5ad"));
        Assert.Equal((700, 765), (data.ObservationCount, data.VariableCount));
        Assert.Equal(h5ad.Obs.Index, data.Obs.Index);
        double[] a = AnnDataTests.Dense(data.X), b = AnnDataTests.Dense(h5ad.X);
        for (int i = 0; i < a.Length; i++) Assert.True(Math.Abs(a[i] - b[i]) <= 1e-5 * Math.Max(1, Math.Abs(b[i])), $"entry {i}: {a[i]} and {b[i]}");
    }

    [Theory]
    [InlineData("%%MatrixMarket matrix array real general\n1 1\n1\n", "line 1")]
    [InlineData("%%MatrixMarket matrix coordinate real general\n2 2 1\n3 1 5\n", "line 3")]
    [InlineData("%%MatrixMarket matrix coordinate real general\n2 2 2\n1 1 5\n", "2 entries")]
    [InlineData("%%MatrixMarket matrix coordinate real general\n2 2 1\n1 1 5\n1 2 5\n", "there are more")]
    [InlineData("%%MatrixMarket matrix coordinate real general\n2 2 1\n1 1 nan\n", "finite")]
    [InlineData("%%MatrixMarket matrix coordinate real general\n9999999999 2 1\n1 1 1\n", "too large")]
    [InlineData("%%MatrixMarket matrix coordinate real general\n% only comments\n", "size line")]
    public void Damaged_matrices_name_the_line(string text, string words)
    {
        using TemporaryFolder folder = new();
        File.WriteAllText(folder["matrix.mtx"], text);
        Assert.Contains(words, Assert.Throws<DataException>(() => TenXFile.Read(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Parts_that_do_not_fit_together()
    {
        using TemporaryFolder folder = new();
        Assert.Contains("matrix.mtx", Assert.Throws<DataException>(() => TenXFile.Read(folder.Path)).Message, StringComparison.Ordinal);
        foreach (string file in Directory.GetFiles(Golden.File("tenx_v2"))) File.Copy(file, folder[Path.GetFileName(file)]);
        File.WriteAllText(folder["barcodes.tsv"], "A\n");
        Assert.Contains("2 cells", Assert.Throws<DataException>(() => TenXFile.Read(folder.Path)).Message, StringComparison.Ordinal);
        File.WriteAllText(folder["barcodes.tsv"], "A\nA\n");
        Assert.Contains("twice", Assert.Throws<DataException>(() => TenXFile.Read(folder.Path)).Message, StringComparison.Ordinal);
        File.Delete(folder["barcodes.tsv"]);
        using (GZipStream gzip = new(File.Create(folder["barcodes.tsv.gz"]), CompressionLevel.Fastest)) gzip.Write("A\nB\n"u8);
        Assert.Equal(["A", "B"], TenXFile.Read(folder.Path).Obs.Index);
    }

    [Fact]
    public void Names_are_made_unique_as_anndata_does() =>
        Assert.Equal(["a", "a-1", "a-2", "b", "b-2", "b-1", "a-3"], TenXFile.MakeUnique(["a", "a", "a-2", "b", "b", "b-1", "a"]));

    [Fact]
    public void Gene_sets_are_read_and_written()
    {
        using TemporaryFolder folder = new();
        File.WriteAllText(folder["a.gmt"], "SET1\thttp://x\tTP53\tACTB\tTP53\t\r\n\nSET2\tna\n");
        IReadOnlyList<GeneSet> sets = GmtFile.Read(folder["a.gmt"]);
        Assert.Equal(["TP53", "ACTB"], sets[0].Genes);
        Assert.Empty(sets[1].Genes);
        GmtFile.Write(folder["b.gmt"], sets);
        Assert.Equal("SET1\thttp://x\tTP53\tACTB\nSET2\tna\n", File.ReadAllText(folder["b.gmt"]));
        File.WriteAllText(folder["a.gmt"], "SET1\tx\tA\nSET1\tx\tB\n");
        Assert.Contains("line 2", Assert.Throws<DataException>(() => GmtFile.Read(folder["a.gmt"])).Message, StringComparison.Ordinal);
        File.WriteAllText(folder["a.gmt"], "no tabs\n");
        Assert.Throws<DataException>(() => GmtFile.Read(folder["a.gmt"]));
    }

    [Fact]
    public void Real_gene_sets()
    {
        string? folder = SharedData.Find("genesets", out string reason);
        Assert.SkipWhen(folder is null, reason);
        IReadOnlyList<GeneSet> hallmark = GmtFile.Read(Path.Combine(folder!, "h.all.v7.0.symbols.gmt"));
        Assert.Equal(50, hallmark.Count);
        Assert.Equal(200, hallmark.Single(set => set.Name == "HALLMARK_TNFA_SIGNALING_VIA_NFKB").Genes.Count);
    }
}
