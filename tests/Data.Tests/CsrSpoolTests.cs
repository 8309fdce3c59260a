using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Data.Tests;

/// <summary>Sparse files made row by row: more entries than one block and one chunk hold, rows without entries, no rows at all.</summary>
public sealed class CsrSpoolTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-csr-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(0, 5)]
    [InlineData(3, 1)]
    [InlineData(3000, 97)]
    public void What_went_in_is_read_back(int rows, int columns)
    {
        CounterRandom random = new(5);
        float[] dense = new float[rows * columns];
        for (int i = 0; i < dense.Length; i++) if (i / columns % 7 != 3 && random.NextDouble() < 0.4) dense[i] = (float)random.NextNormal();
        string npz = Path.Combine(_folder, "x.npz"), h5ad = Path.Combine(_folder, "x.h5ad");
        foreach (string path in new[] { npz, h5ad })
        {
            using CsrSpool spool = new(path, columns);
            for (int i = 0; i < rows; i++) spool.Add(dense.AsSpan(i * columns, columns));
            Assert.Equal((rows, dense.Count(v => v != 0)), (spool.Rows, spool.Stored));
            if (path == npz) spool.WriteNpz();
            else spool.WriteH5ad();
        }
        using CpuDevice device = new(1);
        using (NpzFile file = NpzFile.Open(npz))
        {
            long[] pointers = [.. file.Read("indptr").As<int>().Select(p => (long)p)];
            SparseMatrix matrix = new(rows, columns, SparseLayout.Csr, pointers, file.Read("indices").As<int>(), file.Read("data"));
            using Matrix<float> read = matrix.ToSingle(device);
            Assert.Equal(dense, read.ToArray());
            Assert.Equal([rows, columns], file.Read("shape").As<long>());
        }
        if (rows == 0) return;
        using Matrix<float> x = AnnDataFile.ReadSingle(device, h5ad, "X");
        Assert.Equal(dense, x.ToArray());
        Assert.Equal(2, Directory.GetFiles(_folder, "*", new EnumerationOptions { AttributesToSkip = 0 }).Length);
    }
}
