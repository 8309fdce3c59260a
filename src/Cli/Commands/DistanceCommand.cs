using System.CommandLine;
using System.Diagnostics;
using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup distance`: all distances between the rows of one or two matrices.</summary>
internal static class DistanceCommand
{
    public static Command Create()
    {
        Option<string> x = new("--x") { Description = "matrix with one point per row (.npy, .npz:member, .h5ad:obsm/NAME, .csv, .safetensors:NAME, token folder)", Required = true };
        Option<string?> y = new("--y") { Description = "second matrix; without it, distances within --x" };
        Option<string> metric = new("--metric") { Description = string.Join(", ", DistanceMetrics.Names), DefaultValueFactory = _ => "euclidean" };
        Option<bool> direct = new("--direct") { Description = "compute every pair from coordinate differences, also where a faster form is as good" };
        Option<string> output = new("--out") { Description = "file for the float32 matrix of distances (.npy, .npz, .csv, .safetensors or .h5ad)", Required = true };
        return new Command("distance", "All distances between the rows of one matrix or of two.") { x, y, metric, direct, output }.Runs((parsed, context) =>
        {
            DistanceMetric chosen = DistanceMetrics.Parse(parsed.GetValue(metric)!);
            DistanceForm form = parsed.GetValue(direct) ? DistanceForm.Direct : DistanceForm.Expanded;
            string path = parsed.GetValue(output)!, pathX = parsed.GetValue(x)!;
            MatrixWriter.RequireWritable(path);
            using Matrix<float> left = MatrixReader.ReadSingle(context.Device, pathX);
            if (left.Rows == 0 || left.Columns == 0) throw new DataException(pathX, null, $"the matrix is empty ({left.Rows} x {left.Columns})");
            using Matrix<float>? right = parsed.GetValue(y) is { } pathY ? ReadSecond(context, pathX, left, pathY) : null;
            using Matrix<float> distances = context.Device.AllocateMatrix<float>(left.Rows, (right ?? left).Rows);
            long start = Stopwatch.GetTimestamp();
            if (right is null) PairwiseDistance.ComputeSelf(chosen, left.View, distances.View, form);
            else PairwiseDistance.Compute(chosen, left.View, right.View, distances.View, form);
            context.Device.Synchronize();
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            context.Cancellation.ThrowIfCancellationRequested();
            using PlacedMatrix<float> readable = distances.OnHost();
            MatrixWriter.Write(path, readable.Matrix.View);
            context.Say($"{path}: {distances.Rows} x {distances.Columns} {DistanceMetrics.NameOf(chosen)} distances, {seconds:F3} s");
            return new JsonObject
            {
                ["out"] = path,
                ["metric"] = DistanceMetrics.NameOf(chosen),
                ["form"] = form == DistanceForm.Direct ? "direct" : "expanded",
                ["rows"] = distances.Rows,
                ["columns"] = distances.Columns,
                ["seconds"] = seconds,
            };
        });
    }

    private static Matrix<float> ReadSecond(CommandContext context, string pathX, Matrix<float> x, string pathY)
    {
        Matrix<float> y = MatrixReader.ReadSingle(context.Device, pathY);
        if (y.Columns == x.Columns && y.Rows > 0) return y;
        (int rows, int columns) = (y.Rows, y.Columns);
        y.Dispose();
        if (rows == 0) throw new DataException(pathY, null, $"the matrix is empty (0 x {columns})");
        throw new DataException(pathY, null, $"has {columns} columns, but {pathX} has {x.Columns}");
    }
}
