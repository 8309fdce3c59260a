using System.Globalization;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Cells;

/// <summary>Small generated inputs of four classes: counts as h5ad with gene names, and latents as the published code caches them.</summary>
public sealed class CellsFiles : IDisposable
{
    public const int Cells = 120, Genes = 60, Latents = 40;
    private static readonly string[] s_lines = ["Control_C4", "SNCA", "GBA", "LRRK2"];
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-cells-").FullName;

    public CellsFiles()
    {
        AnnDataFile.Write(this["counts.h5ad"], Counts());
        File.WriteAllText(this["deaths.csv"], "filename,intensity_rate\n" + string.Concat(Death.Select((d, i) => string.Create(CultureInfo.InvariantCulture, $"cell{i:D3}_mask.tif,{d}\n"))));
        float[] x = Values(Latents, (i, j, u) => u < 0.2 ? 0 : Signal(i, j) * (0.5 + u));
        NpzFile.Write(this["latents.npz"], npz =>
        {
            npz.Add("X_all", new NdArray(x, Cells, Latents));
            npz.Add("y", Array.ConvertAll(Classes, c => (long)c));
            npz.Add("lines", Array.ConvertAll(Classes, c => s_lines[c]));
            npz.Add("uids", Enumerable.Range(0, Cells).Select(i => $"plate={123456 + i % 3}/a.tar:cell{i:D3}").ToArray());
            npz.Add("usage_ema", Enumerable.Range(0, Latents).Select(j => j == 7 ? 0f : 0.01f).ToArray());
        });
    }

    /// <summary>Class of each cell: as many of each, one after the other.</summary>
    public static int[] Classes { get; } = [.. Enumerable.Range(0, Cells).Select(i => 4 * i / Cells)];

    public string this[string name] => Path.Combine(_folder, name);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>Sparse counts; the first genes are mitochondrial by name; obs has superclass and cell_death, which rises along an axis inside each class.</summary>
    public static AnnData Counts()
    {
        float[] x = Values(Genes, (i, j, u) => Math.Floor(Signal(i, j) * 6 * u));
        using CpuDevice host = new(1);
        using Matrix<float> matrix = Matrix<float>.From(host, Cells, Genes, x);
        DataFrame obs = new([.. Enumerable.Range(0, Cells).Select(i => $"cell{i}")]), var = new([.. Enumerable.Range(0, Genes).Select(j => j < 3 ? $"MT-{j}" : $"gene{j}")]);
        obs.Add(FrameColumn.Categorical("superclass", Array.ConvertAll(Classes, c => s_lines[c].Split('_')[0]))).Add("cell_death", Death);
        return new AnnData(obs, var) { X = SparseMatrix.FromDense(matrix.View) };
    }

    public static double[] Death { get; } = [.. Enumerable.Range(0, Cells).Select(i => Position(i) * 0.5 + (Classes[i] > 0 ? 0.2 : 0))];

    // Cells lie along a line inside their class; each feature answers to one class and to the place on the line.
    private static double Signal(int cell, int feature) => 0.4 + (feature % 4 == Classes[cell] ? 0.6 : 0) + Math.Max(0, Math.Sin(3 * Position(cell) + feature));

    private static double Position(int cell) => cell % (Cells / 4) / (Cells / 4.0);

    private static float[] Values(int columns, Func<int, int, double, double> value)
    {
        CounterRandom random = new(1);
        float[] x = new float[Cells * columns];
        for (int i = 0; i < Cells; i++)
            for (int j = 0; j < columns; j++) x[i * columns + j] = (float)value(i, j, random.NextDouble());
        return x;
    }
}
