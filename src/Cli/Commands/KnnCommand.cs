using System.CommandLine;
using System.Diagnostics;
using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup knn`: the exact nearest neighbours of every row.</summary>
internal static class KnnCommand
{
    public static Command Create()
    {
        Option<string> x = new("--x") { Description = "matrix with one point per row (.npy, .npz:member, .h5ad:obsm/NAME, .csv, .safetensors:NAME, token folder)", Required = true };
        Option<int> k = new("--k") { Description = "neighbours per row, the row itself not counted", DefaultValueFactory = _ => 15 };
        Option<string> metric = new("--metric") { Description = string.Join(", ", DistanceMetrics.Names), DefaultValueFactory = _ => "euclidean" };
        Option<string> output = new("--out") { Description = ".npz file: indices int32 [n, k] and distances float32 [n, k], nearest first, ties by index", Required = true };
        return new Command("knn", "The k nearest rows of every row, exactly.") { x, k, metric, output }.Runs((parsed, context) =>
        {
            DistanceMetric chosen = DistanceMetrics.Parse(parsed.GetValue(metric)!);
            int count = parsed.GetValue(k);
            if (count < 1) throw new UsageException($"--k {count}: expected 1 or more.");
            string path = parsed.GetValue(output)!, source = parsed.GetValue(x)!;
            if (!path.EndsWith(".npz", StringComparison.OrdinalIgnoreCase)) throw new UsageException($"--out {path}: expected a name that ends in .npz.");
            using Matrix<float> points = MatrixReader.ReadSingle(context.Device, source);
            if (points.Rows == 0 || points.Columns == 0) throw new DataException(source, null, $"the matrix is empty ({points.Rows} x {points.Columns})");
            if (count > points.Rows - 1) throw new UsageException($"--k {count}: {source} has {points.Rows} rows, so a row has at most {Math.Max(0, points.Rows - 1)} neighbours.");
            using Matrix<int> indices = context.Device.AllocateMatrix<int>(points.Rows, count);
            using Matrix<float> distances = context.Device.AllocateMatrix<float>(points.Rows, count);
            long start = Stopwatch.GetTimestamp();
            KNearestNeighbours.SearchSelf(chosen, points.View, indices.View, distances.View);
            context.Device.Synchronize();
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            context.Cancellation.ThrowIfCancellationRequested();
            using PlacedMatrix<int> foundIndices = indices.OnHost();
            using PlacedMatrix<float> foundDistances = distances.OnHost();
            NpzFile.Write(path, archive =>
            {
                archive.Add("indices", foundIndices.Matrix.View);
                archive.Add("distances", foundDistances.Matrix.View);
            });
            context.Say($"{path}: {count} nearest neighbours of {points.Rows} rows ({DistanceMetrics.NameOf(chosen)}), {seconds:F3} s");
            return new JsonObject
            {
                ["out"] = path,
                ["metric"] = DistanceMetrics.NameOf(chosen),
                ["rows"] = points.Rows,
                ["k"] = count,
                ["seconds"] = seconds,
            };
        });
    }
}
