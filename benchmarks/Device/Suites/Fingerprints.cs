using System.Runtime.InteropServices;
using System.Security.Cryptography;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Benchmarks.Device;

/// <summary>
/// Hashes of what operations answer to fixed inputs, one line each. The engine promises the same bytes for the same input: run it ten times, in ten processes,
/// and compare the outputs.
/// </summary>
internal static class Fingerprints
{
    /// <returns>Lines "operation hash", or "operation: not available: reason".</returns>
    public static IEnumerable<string> Take(CudaDevice gpu, bool tiny)
    {
        int n = tiny ? 40 : 1500, d = tiny ? 24 : 300, k = 7;
        yield return One("gemm", owned =>
        {
            Matrix<float> a = gpu.Random(n, d, 1, owned), b = gpu.Random(d, n, 2, owned), c = gpu.Output<float>(n, n, owned);
            Gemm.Multiply(Transpose.No, Transpose.No, 1, a.View, b.View, 0, c.View);
            return Hash(c);
        });
        yield return One("distances", owned =>
        {
            Matrix<float> x = gpu.Random(n, d, 1, owned), distances = gpu.Output<float>(n, n, owned);
            PairwiseDistance.ComputeSelf(DistanceMetric.Euclidean, x.View, distances.View);
            return Hash(distances);
        });
        yield return One("neighbours", owned =>
        {
            Matrix<float> x = gpu.Random(n, d, 1, owned), distances = gpu.Output<float>(n, k, owned);
            Matrix<int> indices = gpu.Output<int>(n, k, owned);
            KNearestNeighbours.SearchSelf(DistanceMetric.Euclidean, x.View, indices.View, distances.View);
            return Hash(distances) + Hash(indices);
        });
        yield return One("reductions", owned =>
        {
            Matrix<float> x = gpu.Random(n, d, 1, owned);
            DeviceBuffer<double> rows = gpu.Array<double>(n, owned), columns = gpu.Array<double>(d, owned);
            Reductions.RowSquaredNorms(x.View, rows.View);
            Reductions.ColumnSums(x.View, columns.View);
            return Hash(rows) + Hash(columns);
        });
        yield return One("softmax", owned =>
        {
            Matrix<float> x = gpu.Random(n, d, 1, owned), y = gpu.Output<float>(n, d, owned);
            DeviceBuffer<float> logs = gpu.Array<float>(d, owned);
            Softmax.Rows(x.View, y.View);
            Softmax.LogSumExpColumns(x.View, logs.View);
            return Hash(y) + Hash(logs);
        });
        yield return One("top-k", owned =>
        {
            Matrix<float> x = gpu.Random(n, d, 1, owned), values = gpu.Output<float>(n, k, owned);
            Matrix<int> indices = gpu.Output<int>(n, k, owned);
            TopK.Rows(x.View, indices.View, values.View);
            return Hash(values) + Hash(indices);
        });
        yield return One("sinkhorn", owned => Sinkhorn(gpu, n, tiny ? 3 : 50, owned));
        yield return One("online-sinkhorn", owned =>
        {
            FactoredPlan<float> plan = OnlineSuite.Plan<float>(gpu, n, owned);
            DeviceBuffer<double> mass = OnlineSuite.Vector(gpu.Host, n, 1.0 / n, owned), u = OnlineSuite.Vector(gpu.Host, n, 0, owned), v = OnlineSuite.Vector(gpu.Host, n, 0, owned);
            DeviceBuffer<double> sums = OnlineSuite.Vector(gpu.Host, n, 0, owned);
            FactoredTransport.Solve(plan, mass.View, mass.View, u.View, v.View, sums.View, SinkhornOptions.Pot with { MaxIterations = tiny ? 4 : 50, Tolerance = 0, Accelerate = true });
            return Hash(u) + Hash(v) + Hash(sums);
        });
        yield return One("adam-w", owned =>
        {
            DeviceBuffer<float> p = gpu.Random(n, d, 1, owned).Buffer, g = gpu.Random(n, d, 2, owned).Buffer, m = gpu.Array<float>(p.Length, owned), v = gpu.Array<float>(p.Length, owned);
            double norm = Math.Sqrt(AdamW.SumOfSquares(g.View));
            AdamW.Step(p.View, g.View, m.View, v.View, new AdamWOptions(), 1, AdamW.ClipScale(norm, 1));
            return Hash(p) + Hash(m) + Hash(v);
        });
        yield return One("umap", owned =>
        {
            UmapLayout layout = UmapSuite.Layout(gpu, n, 2, owned);
            for (int pass = 0; pass < (tiny ? 3 : 40); pass++) layout.Step();
            float[] positions = new float[2 * n];
            layout.CopyPositions(positions);
            return Hash(positions);
        });
        yield return One("sae-step", owned => SaeSuite.Fingerprint(gpu, tiny, owned));
    }

    private static string Sinkhorn(CudaDevice gpu, int n, int iterations, List<IDisposable> owned)
    {
        Matrix<float> cost = gpu.Random(n, n, 1, owned);
        double[] uniform = new double[n];
        Array.Fill(uniform, 1.0 / n);
        DeviceBuffer<double> mass = gpu.Array<double>(n, owned), f = gpu.Array<double>(n, owned), g = gpu.Array<double>(n, owned);
        mass.CopyFrom(uniform);
        SinkhornWorkspace<float> workspace = new(gpu, n, n);
        owned.Add(workspace);
        SinkhornScaling.Solve(workspace, cost.View, mass.View, mass.View, 0.05, f.View, g.View, new SinkhornOptions(iterations, 0, 10, SinkhornForm.LogDomain));
        return Hash(f) + Hash(g);
    }

    internal static string Hash<T>(Matrix<T> matrix) where T : unmanaged => Hash(matrix.Buffer);

    internal static string Hash<T>(DeviceBuffer<T> buffer) where T : unmanaged
    {
        T[] values = new T[buffer.Length];
        buffer.CopyTo(values);
        return Hash(values);
    }

    private static string Hash<T>(T[] values) where T : unmanaged => Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(values.AsSpan())))[..16];

    private static string One(string operation, Func<List<IDisposable>, string> run)
    {
        List<IDisposable> owned = [];
        try
        {
            return $"{operation} {run(owned)}";
        }
        catch (DeviceException e)
        {
            return $"{operation}: not available: {e.Message.Split('\n')[0]}";
        }
        finally
        {
            for (int i = owned.Count - 1; i >= 0; i--) owned[i].Dispose();
        }
    }
}
