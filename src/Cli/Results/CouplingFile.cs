using BioSup.Analysis.Alignment;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli;

/// <summary>
/// A coupling that was never stored, as an npz file. Low-rank: Q [n, r], R [m, r] and g [r], T = Q diag(1 / g) Rᵀ. Implicit: potentials u [n] and v [m], factors left [n, r] and right [m, r] (already divided by epsilon), so that
/// T_ij = exp(u_i + v_j + left_i · right_j), and where points of the first domain lie (x_mean, x_scale, x_mean_norm, x_norm_weight, x_weights).
/// </summary>
internal static class CouplingFile
{
    public const string Name = "coupling.npz";

    /// <summary>True for an archive with the members of a coupling that was not stored; other npz files hold matrices.</summary>
    public static bool IsFactored(string locator)
    {
        if (!locator.EndsWith(".npz", StringComparison.OrdinalIgnoreCase)) return false;
        using NpzFile file = NpzFile.Open(locator);
        return IsLowRank(file) || (file.Contains("left") && file.Contains("right") && file.Contains("u") && file.Contains("v"));
    }

    public static void Write(string path, LowRankCoupling coupling) => NpzFile.Write(path, npz =>
    {
        npz.Add("Q", coupling.First.View);
        npz.Add("R", coupling.Second.View);
        npz.Add("g", coupling.Weights);
    });

    public static void Write(string path, ImplicitCoupling coupling) => NpzFile.Write(path, npz =>
    {
        npz.Add("u", coupling.RowPotentials.ToArray());
        npz.Add("v", coupling.ColumnPotentials.ToArray());
        npz.Add("left", coupling.RowFactors);
        npz.Add("right", coupling.ColumnFactors);
        if (coupling.Placement is not { } placement) return;
        npz.Add("x_mean", placement.Mean);
        npz.Add("x_scale", new[] { placement.Scale });
        npz.Add("x_mean_norm", new[] { placement.MeanNorm });
        npz.Add("x_norm_weight", new[] { placement.NormWeight });
        npz.Add("x_weights", new NdArray(placement.Weights.SelectMany(row => row).ToArray(), placement.Weights.Length, placement.Weights[0].Length));
    });

    public static IFactoredCoupling Read(CpuDevice device, string path)
    {
        using NpzFile file = NpzFile.Open(path);
        return IsLowRank(file) ? ReadLowRank(device, path, file) : ReadImplicit(device, path, file);
    }

    private static bool IsLowRank(NpzFile file) => file.Contains("Q") && file.Contains("R") && file.Contains("g");

    private static LowRankCoupling ReadLowRank(CpuDevice device, string path, NpzFile file)
    {
        Matrix<double> first = file.ReadDouble(device, "Q"), second = file.ReadDouble(device, "R");
        try
        {
            return LowRankCoupling.From(first, second, file.Read("g").ToDoubles(), path);
        }
        catch
        {
            first.Dispose();
            second.Dispose();
            throw;
        }
    }

    private static ImplicitCoupling ReadImplicit(CpuDevice device, string path, NpzFile file)
    {
        using Matrix<double> left = file.ReadDouble(device, "left"), right = file.ReadDouble(device, "right");
        double[] u = file.Read("u").ToDoubles(), v = file.Read("v").ToDoubles();
        RequireFinite(path, "u", u);
        RequireFinite(path, "v", v);
        RequireFinite(path, "left", left.Buffer.View.Host[..(left.Rows * left.Columns)]);
        RequireFinite(path, "right", right.Buffer.View.Host[..(right.Rows * right.Columns)]);
        if (left.Rows == 0 || right.Rows == 0 || left.Columns == 0 || left.Columns != right.Columns || u.Length != left.Rows || v.Length != right.Rows)
            throw new DataException(path, null, $"factors of {left.Rows} x {left.Columns} and {right.Rows} x {right.Columns} with {u.Length} and {v.Length} potentials make no coupling");
        return ImplicitCoupling.From(device, left, right, u, v, Placement(file));
    }

    private static PointPlacement? Placement(NpzFile file)
    {
        if (!file.Contains("x_weights")) return null;
        NdArray weights = file.Read("x_weights");
        double[] all = weights.ToDoubles();
        int rows = (int)weights.Shape[0], columns = all.Length / Math.Max(1, rows);
        double Number(string name) => file.Read(name).ToDoubles()[0];
        return new PointPlacement(file.Read("x_mean").ToDoubles(), Number("x_scale"), Number("x_mean_norm"), Number("x_norm_weight"),
            [.. Enumerable.Range(0, rows).Select(c => all[(c * columns)..((c + 1) * columns)])]);
    }

    private static void RequireFinite(string path, string member, ReadOnlySpan<double> values)
    {
        for (int i = 0; i < values.Length; i++)
            if (!double.IsFinite(values[i])) throw new DataException(path, $"{member}, element {i}, counted from 0", "the value is not finite");
    }
}
