using System.Globalization;
using BioSup.Data;
using BioSup.Imaging;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Cli.Tests.Robustness;

/// <summary>One folder of small files, sound and broken in every way that a laboratory's disk produces.</summary>
public sealed class BrokenInputs : IDisposable
{
    public BrokenInputs()
    {
        Folder = Directory.CreateTempSubdirectory("biosup-broken-").FullName;
        Matrix("x.npy", 30, 6);
        Matrix("y.npy", 24, 5);
        Matrix("nan.npy", 30, 6, x => x.Row(7)[3] = float.NaN);
        Matrix("inf.npy", 30, 6, x => x.Row(9)[2] = float.NegativeInfinity);
        Matrix("norows.npy", 0, 6);
        Matrix("onerow.npy", 1, 6);
        Matrix("zeros.npy", 30, 24, x => x.Buffer.View.Host.Clear());
        Matrix("x.npz", 30, 6);
        Matrix("x.h5ad", 30, 6);
        Matrix("x.safetensors", 30, 6);
        foreach (string name in (string[])["x.npy", "x.npz", "x.h5ad", "x.safetensors"]) Cut(name);
        RenameCell();
        foreach (string name in (string[])["empty.npy", "empty.npz", "empty.h5ad", "empty.csv", "empty.safetensors", "empty.json", "empty.onnx", "empty.tif"]) Text(name, "");
        Text("junk.onnx", "this is no model");
        Labels("lx.csv", 30, "AB");
        Labels("ly.csv", 24, "AB");
        Text("head.csv", "id,lab\n");
        Text("ragged.csv", "a,b\n1,2\n3\n");
        Text("num.csv", "v\n" + string.Concat(Enumerable.Range(0, 30).Select(i => string.Create(CultureInfo.InvariantCulture, $"{i * 0.5}\n"))));
        Text("hole.csv", "v\n" + string.Concat(Enumerable.Range(0, 30).Select(i => i == 4 ? "nan\n" : $"{i}\n")));
        Text("short.csv", "v\n" + string.Concat(Enumerable.Range(0, 24).Select(i => $"{i}\n")));
        Text("sae.json", """{ "d_sae": 12, "batch": 10, "log_every": 1 }""");
        Directory.CreateDirectory(At("nothing"));
        CounterRandom noise = new(2);
        float[] pixels = new float[64 * 64];
        for (int i = 0; i < pixels.Length; i++) pixels[i] = noise.NextInt32(60000);
        TiffWriter.Write(At("images/a.tif"), new ImageStack("a", 1, 64, 64, pixels, 65535));
        Directory.CreateDirectory(At("cut"));
        File.WriteAllBytes(At("cut/a.tif"), File.ReadAllBytes(At("images/a.tif"))[..2000]);
    }

    public string Folder { get; }

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    public string At(string name) => Path.Combine(Folder, name);

    public void Text(string name, string text) => File.WriteAllText(At(name), text);

    private void Matrix(string name, int rows, int columns, Action<Matrix<float>>? change = null)
    {
        using CpuDevice device = new(1);
        using Matrix<float> matrix = device.AllocateMatrix<float>(rows, columns);
        CounterRandom random = new(5);
        foreach (ref float value in matrix.Buffer.View.Host) value = (float)random.NextNormal();
        change?.Invoke(matrix);
        MatrixWriter.Write(At(name), matrix.View);
    }

    private void Cut(string name)
    {
        byte[] bytes = File.ReadAllBytes(At(name));
        File.WriteAllBytes(At("cut-" + name), bytes[..(bytes.Length * 2 / 3)]);
    }

    /// <summary>A copy of an AnnData file of six cells whose fourth is called as its second.</summary>
    private void RenameCell()
    {
        byte[] bytes = File.ReadAllBytes(Path.Combine(RepositoryRoot.Path, "tests", "golden", "data", "anndata08.h5ad"));
        for (int at; (at = bytes.AsSpan().IndexOf("cell3"u8)) >= 0;) "cell1"u8.CopyTo(bytes.AsSpan(at));
        File.WriteAllBytes(At("twice.h5ad"), bytes);
    }

    private void Labels(string name, int rows, string classes) =>
        Text(name, "id,lab\n" + string.Concat(Enumerable.Range(0, rows).Select(i => $"c{i},{classes[i % classes.Length]}\n")));
}
