using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>A problem of tests/golden/gromov/marginals.json and its solution.</summary>
internal sealed class MarginalsCase : IDisposable
{
    private static readonly GromovGolden s_golden = new("marginals.json");
    private readonly GoldenCase _golden;
    private readonly CpuDevice _device = new(2);
    private readonly Matrix<double> _c1, _c2;

    public MarginalsCase(int index)
    {
        _golden = s_golden[index];
        (_c1, _c2, Coupling) = (_golden.Matrix(_device, "c1"), _golden.Matrix(_device, "c2"), _golden.Matrix(_device, "coupling"));
    }

    public static TheoryData<int> Of(string kind) => s_golden.Indices(kind);

    public Matrix<double> Coupling { get; }

    public double Number(string name) => _golden.Number(name);

    public double[] Numbers(string name) => _golden.Numbers(name);

    /// <param name="device">Where it is solved; null for the host.</param>
    public GromovResult Solve(GromovOptions options, double epsilonFactor = 1, ComputeDevice? device = null)
    {
        using Matrix<double> c1 = _c1.CopyAt(device ?? _device), c2 = _c2.CopyAt(device ?? _device);
        return EntropicGromovWasserstein.Solve(c1, c2, options with
        {
            Epsilon = epsilonFactor * Number("epsilon"),
            Loss = _golden.Text("loss") == "kl" ? GromovLoss.KullbackLeibler : GromovLoss.Square,
        });
    }

    public void AssertCoupling(GromovResult result, double tolerance)
    {
        _golden.AssertClose("coupling", result.Coupling, tolerance);
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
}
