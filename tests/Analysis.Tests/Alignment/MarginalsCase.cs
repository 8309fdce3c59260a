using System.Text.Json;
using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>A problem of tests/golden/gromov/marginals.json and its solution.</summary>
internal sealed class MarginalsCase : IDisposable
{
    private static readonly JsonElement s_golden = JsonDocument.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests", "golden", "gromov", "marginals.json"))).RootElement;
    private readonly JsonElement _json;
    private readonly CpuDevice _device = new(2);
    private readonly Matrix<double> _c1, _c2;

    public MarginalsCase(int index)
    {
        _json = s_golden.GetProperty("cases")[index];
        (_c1, _c2, Coupling) = (Read("c1"), Read("c2"), Read("coupling"));
    }

    public static TheoryData<int> Of(string kind) =>
        [.. Enumerable.Range(0, s_golden.GetProperty("cases").GetArrayLength()).Where(i => s_golden.GetProperty("cases")[i].GetProperty("kind").GetString() == kind)];

    public Matrix<double> Coupling { get; }

    public double Number(string name) => _json.GetProperty(name).GetDouble();

    public double[] Numbers(string name) => [.. _json.GetProperty(name).EnumerateArray().Select(e => e.GetDouble())];

    /// <param name="device">Where it is solved; null for the host.</param>
    public GromovResult Solve(GromovOptions options, double epsilonFactor = 1, ComputeDevice? device = null)
    {
        using Matrix<double> c1 = _c1.CopyAt(device ?? _device), c2 = _c2.CopyAt(device ?? _device);
        return EntropicGromovWasserstein.Solve(c1, c2, options with
        {
            Epsilon = epsilonFactor * Number("epsilon"),
            Loss = _json.GetProperty("loss").GetString() == "kl" ? GromovLoss.KullbackLeibler : GromovLoss.Square,
        });
    }

    public void AssertCoupling(GromovResult result, double tolerance)
    {
        double largest = 0;
        for (int i = 0; i < Coupling.Rows; i++)
            for (int j = 0; j < Coupling.Columns; j++) largest = Math.Max(largest, Math.Abs(Coupling.Row(i)[j] - result.Coupling.Row(i)[j]));
        Assert.True(largest < tolerance, $"largest difference of the couplings {largest:e2}");
        Assert.Equal(Number("gw"), result.Loss, 100 * tolerance);
    }

    public double ColumnDeviation()
    {
        double[] sums = new double[Coupling.Columns];
        for (int i = 0; i < Coupling.Rows; i++)
            for (int j = 0; j < sums.Length; j++) sums[j] += Coupling.Row(i)[j];
        return sums.Sum(s => Math.Abs(s - 1.0 / sums.Length));
    }

    public void Dispose()
    {
        _c1.Dispose();
        _c2.Dispose();
        Coupling.Dispose();
        _device.Dispose();
    }

    private Matrix<double> Read(string name)
    {
        JsonElement rows = _json.GetProperty(name);
        Matrix<double> matrix = _device.AllocateMatrix<double>(rows.GetArrayLength(), rows[0].GetArrayLength());
        for (int i = 0; i < matrix.Rows; i++)
            for (int j = 0; j < matrix.Columns; j++) matrix.Row(i)[j] = rows[i][j].GetDouble();
        return matrix;
    }
}
