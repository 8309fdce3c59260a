using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using BioSup.Data;

namespace BioSup.Benchmarks;

/// <summary>Reading of whole h5ad files, written by anndata, against anndata and h5py, from the page cache, the peer's process between two runs of ours.</summary>
internal static class CellFilesSuite
{
    private const int Rounds = 3;

    public static void Run(SuiteOptions options)
    {
        int cells = options.Quick ? 5000 : 50_000;
        ResultTable table = new("Reading h5ad",
            $"{cells} × 512, float32, one value in ten is not zero; files written by anndata, from the page cache; ours: AnnDataFile.Read, best of {Rounds} before and {Rounds} after the peer.",
            "Peer: benchmarks/peers/cells_h5ad.py; anndata.read_h5ad reads the whole file as ours does, h5py the arrays of X alone.");
        table.Header("file", "MB on disk", "ours s", "anndata s", "h5py s", "ratio to anndata", "to h5py", "relative difference of the sums");
        DirectoryInfo folder = Directory.CreateTempSubdirectory("biosup-h5ad-");
        string versions = "";
        try
        {
            using (PythonPeer.Run("cells_h5ad.py", "write", folder.FullName, $"{cells}", "512"))
                foreach (string name in (string[])["dense_gzip", "dense", "csr"]) versions = Compare(table, Path.Combine(folder.FullName, name + ".h5ad"));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
        table.Line("");
        table.Line($"Peer: {versions}.");
        table.Write(options.Output);
    }

    private static string Compare(ResultTable table, string path)
    {
        (double ours, double sum) = Own(path);
        using JsonDocument peer = PythonPeer.Run("cells_h5ad.py", "read", path, $"{Rounds}");
        ours = Math.Min(ours, Own(path).Best);
        JsonElement found = peer.RootElement;
        double whole = found.GetProperty("anndata_seconds").GetDouble(), plain = found.GetProperty("h5py_seconds").GetDouble();
        string F(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
        table.Row(Path.GetFileNameWithoutExtension(path), F(new FileInfo(path).Length / 1e6, "F0"), F(ours, "F3"), F(whole, "F3"), F(plain, "F3"), F(whole / ours, "F2"), F(plain / ours, "F2"),
            F(Math.Abs(sum / found.GetProperty("sum").GetDouble() - 1), "e1"));
        return $"anndata {found.GetProperty("anndata").GetString()}, h5py {found.GetProperty("h5py").GetString()}";
    }

    private static (double Best, double Sum) Own(string path)
    {
        double best = double.MaxValue, sum = 0;
        for (int round = 0; round < Rounds; round++)
        {
            long start = Stopwatch.GetTimestamp();
            AnnData data = AnnDataFile.Read(path);
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
            float[] values = data.X is SparseMatrix sparse ? sparse.Values.As<float>() : ((NdArray)data.X!).As<float>();
            sum = values.Sum(v => (double)v);
        }
        return (best, sum);
    }
}
