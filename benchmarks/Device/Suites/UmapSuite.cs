using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Benchmarks.Device;

/// <summary>
/// Passes of UMAP's layout, many in a row as a layout makes them. A vertex has 20 edges, as the weights of 15 neighbours have once both directions are joined; the rates are squares of
/// uniform numbers, so that a third of the edges is due, to random vertices: no order of real cells is as bad for the cache. Up to about 200,000 vertices everything stays in the
/// second-level cache, so that memory is no floor; gathers from the cache are counted beside it.
/// </summary>
internal static class UmapSuite
{
    private const string Suite = "umap";
    private const int Edges = 20, Negatives = 5, SectorBytes = 32;

    public static void Run(DeviceBench bench)
    {
        int passes = bench.Size(50, 2);
        foreach ((int vertices, int dimensions) in bench.Tiny ? [(60, 2)] : new[] { (10_000, 2), (100_000, 2), (1_000_000, 2), (1_000_000, 3), (100_000, 10) })
        {
            // Edges; rows, places, positions before and after, both moments before and after. Of what pulls whole sectors, of what pushes neighbours in memory.
            double bytes = 8.0 * vertices * Edges + (8.0 + 24.0 * dimensions) * vertices, due = vertices * Edges / 3.0;
            double gathered = due * (Math.Max(SectorBytes, 4 * dimensions) + 4.0 * Negatives * dimensions);
            bench.Measure(Suite, $"{passes} passes of {vertices} vertices in {dimensions} dimensions", Roofline.Of(new(Unit.Memory, passes * bytes), new(Unit.Gather, passes * gathered)), owned =>
            {
                bench.Gpu.Require(1.2 * bytes);
                UmapLayout layout = Layout(bench.Gpu, vertices, dimensions, owned);
                return () =>
                {
                    for (int pass = 0; pass < passes; pass++) layout.Step();
                };
            });
        }
    }

    internal static UmapLayout Layout(CudaDevice gpu, int vertices, int dimensions, List<IDisposable> owned)
    {
        CounterRandom random = new(6);
        int[] start = new int[vertices + 1], columns = new int[vertices * Edges];
        float[] rates = new float[columns.Length], position = new float[vertices * dimensions];
        for (int v = 0; v <= vertices; v++) start[v] = v * Edges;
        for (int e = 0; e < columns.Length; e++)
        {
            double root = 1 - random.NextDouble();
            (columns[e], rates[e]) = (random.NextInt32(vertices), (float)(root * root));
        }
        for (int i = 0; i < position.Length; i++) position[i] = (float)(10 * random.NextDouble());
        // More passes than any measurement makes, so that steps stay long.
        UmapLayout layout = new(gpu, start, columns, rates, position, new UmapForces(0.583f, 1.334f, Negatives, 1, 1, 1_000_000, 1));
        owned.Add(layout);
        return layout;
    }
}
