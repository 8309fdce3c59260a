using System.Numerics;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class GromovProductCudaTests(CudaDeviceFixture fixture)
{
    /// <summary>One point, primes, one either side of a tile of the symmetry test, more elements than a block has threads.</summary>
    public static TheoryData<GromovLoss, bool, int, int> Cases
    {
        get
        {
            TheoryData<GromovLoss, bool, int, int> data = [];
            foreach (GromovLoss loss in Enum.GetValues<GromovLoss>())
                foreach (bool symmetric in new[] { true, false })
                    foreach ((int n, int m) in new[] { (1, 1), (2, 5), (31, 33), (13, 300) }) data.Add(loss, symmetric, n, m);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Double_precision_agrees_with_the_host(GromovLoss loss, bool symmetric, int n, int m)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem<double> there = new(device, n, m, symmetric), here = new(host, n, m, symmetric);
        (double[] cost, double[] general, double objective, bool found) = there.Run(loss);
        (double[] expectedCost, double[] expectedGeneral, double expected, bool expectedFound) = here.Run(loss);
        Assert.Equal((symmetric || (n == 1 && m == 1), expectedFound), (found, found));
        // Two products of at most 300 terms, and logarithms: a few hundred roundings.
        Near(expectedCost, cost, 1e-13);
        Near(expectedGeneral, general, 1e-13);
        Assert.Equal(expected, objective, 1e-13 * Math.Max(1, Math.Abs(expected)));
    }

    [Theory]
    [InlineData(GromovLoss.Square, true)]
    [InlineData(GromovLoss.Square, false)]
    [InlineData(GromovLoss.KullbackLeibler, true)]
    public void Single_precision_is_as_close_to_the_double_result_as_the_host(GromovLoss loss, bool symmetric)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem<double> exact = new(host, 67, 45, symmetric);
        using Problem<float> there = new(device, 67, 45, symmetric), here = new(host, 67, 45, symmetric);
        (double[] expected, _, double objective, _) = exact.Run(loss);
        (double[] plain, _, double plainObjective, _) = here.Run(loss);
        (double[] found, _, double foundObjective, _) = there.Run(loss);
        ErrorRule rule = new();
        rule.Add<double>(expected, plain, found, "cost");
        rule.Verify($"{loss}");
        Assert.True(Math.Abs(foundObjective - objective) <= 2 * Math.Abs(plainObjective - objective) + 1e-6 * Math.Abs(objective), $"{foundObjective} against {objective}");
    }

    [Fact]
    public void Accumulate_inner_product_and_moments_agree_with_the_host()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        const int N = 9, M = 71;
        using Matrix<double> x = TestMatrices.Normal<double>(host, N, M, 1), y = TestMatrices.Normal<double>(host, N, M, 2), xThere = x.To(device), yThere = y.To(device);
        using Matrix<float> z = TestMatrices.Normal<float>(host, N, M, 3), zThere = z.To(device);
        Assert.Equal(GromovProduct.InnerProduct(x.View, y.View), GromovProduct.InnerProduct(xThere.View, yThere.View), 1e-12);
        GromovProduct.Accumulate(z.View, x.View);
        GromovProduct.Accumulate(zThere.View, xThere.View);
        Assert.Equal(x.ToHost(), xThere.ToHost());
        using DeviceBuffer<double> weights = host.Allocate<double>(M), means = host.Allocate<double>(N), squares = host.Allocate<double>(N);
        using DeviceBuffer<double> weightsThere = device.Allocate<double>(M), meansThere = device.Allocate<double>(N), squaresThere = device.Allocate<double>(N);
        double[] weight = [.. Enumerable.Range(0, M).Select(k => Math.Sin(k))];
        weights.CopyFrom(weight);
        weightsThere.CopyFrom(weight);
        GromovProduct.RowMoments(x.View, weights.View, means.View, squares.View);
        GromovProduct.RowMoments(xThere.View, weightsThere.View, meansThere.View, squaresThere.View);
        Near(means.ToHost(), meansThere.ToHost(), 1e-13);
        Near(squares.ToHost(), squaresThere.ToHost(), 1e-13);
    }

    [Fact]
    public void The_same_bytes_every_time_and_a_warm_step_allocates_nothing_on_the_host()
    {
        CudaDevice device = fixture.Require();
        using Problem<double> problem = new(device, 40, 50, symmetric: true);
        (double[] first, _, double objective, _) = problem.Run(GromovLoss.Square);
        (double[] again, _, double objectiveAgain, _) = problem.Run(GromovLoss.Square);
        Assert.Equal(first, again);
        Assert.Equal(objective, objectiveAgain);
        using GromovOperands<double> operands = problem.Prepare(GromovLoss.Square);
        problem.Step(operands);
        WarmAllocation rounds = new();
        while (rounds.Again()) problem.Step(operands);
        Assert.Equal(0, rounds.Least);
    }

    [Theory]
    [InlineData(1, 1, 1, 1)]
    [InlineData(33, 70, 3, 5)]
    [InlineData(65, 20, 9, 4)]
    public void Points_in_place_of_costs_give_the_hosts_products(int n, int m, int d1, int d2)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        (double[] product, double[] row, double[] column) = Points<double>(host, n, m, d1, d2);
        (double[] Product, double[] Row, double[] Column) found = Points<double>(device, n, m, d1, d2);
        (double[] Product, double[] Row, double[] Column) single = Points<float>(device, n, m, d1, d2);
        (double[] Product, double[] Row, double[] Column) plain = Points<float>(host, n, m, d1, d2);
        Near(product, found.Product, 1e-14);
        Assert.Equal(row, found.Row);
        Assert.Equal(column, found.Column);
        ErrorRule rule = new();
        rule.Add<double>(product, plain.Product, single.Product, "product");
        rule.Verify($"{n} x {m}");
    }

    private static (double[] Product, double[] Row, double[] Column) Points<T>(ComputeDevice device, int n, int m, int d1, int d2) where T : unmanaged, IFloatingPointIeee754<T>
    {
        using CpuDevice host = new(1);
        using Matrix<double> xHost = TestMatrices.Normal<double>(host, n, d1, 7), yHost = TestMatrices.Normal<double>(host, m, d2, 8);
        using Matrix<double> x = Matrix<double>.From(device, n, d1, xHost.ToHost()), y = Matrix<double>.From(device, m, d2, yHost.ToHost());
        using DeviceBuffer<double> p = device.Allocate<double>(n), q = device.Allocate<double>(m);
        p.CopyFrom([.. Enumerable.Range(1, n).Select(i => i * 2.0 / n / (n + 1))]);
        q.CopyFrom([.. Enumerable.Range(1, m).Select(j => j * 2.0 / m / (m + 1))]);
        using GromovOperands<T> operands = GromovProduct.PreparePoints<T>(x.View, 2, y.View, 5, p.View, q.View);
        using Matrix<T> coupling = device.AllocateMatrix<T>(n, m), product = device.AllocateMatrix<T>(n, m);
        MatrixElements.OuterProduct(p.View, q.View, coupling.View);
        GromovProduct.Multiply(operands, coupling.View, product.View);
        return ([.. product.ToHost().Select(v => double.CreateTruncating(v))], operands.RowTerm.ToHost(), operands.ColumnTerm.ToHost());
    }

    private static void Near(double[] expected, double[] actual, double tolerance)
    {
        double scale = expected.Max(Math.Abs);
        for (int i = 0; i < expected.Length; i++) Assert.True(Math.Abs(expected[i] - actual[i]) <= tolerance * scale, $"{i}: {actual[i]:R} against {expected[i]:R}");
    }

    /// <summary>The same problem on any device.</summary>
    private sealed class Problem<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
    {
        private readonly Matrix<T> _c1, _c2, _coupling, _between, _product, _cost;
        private readonly DeviceBuffer<double> _p, _q;

        public Problem(ComputeDevice device, int n, int m, bool symmetric)
        {
            CounterRandom random = new(17);
            (_c1, _c2) = (Cost(device, n, symmetric, ref random), Cost(device, m, symmetric, ref random));
            (double[] p, double[] q) = (Masses(n, ref random), Masses(m, ref random));
            T[] coupling = new T[n * m], between = new T[n * m];
            for (int i = 0; i < coupling.Length; i++)
                (coupling[i], between[i]) = (T.CreateTruncating(p[i / m] * q[i % m] * (i % 7 == 0 ? 0 : 0.5 + random.NextDouble())), T.CreateTruncating(random.NextDouble()));
            (_coupling, _between) = (Matrix<T>.From(device, n, m, coupling), Matrix<T>.From(device, n, m, between));
            (_product, _cost) = (device.AllocateMatrix<T>(n, m), device.AllocateMatrix<T>(n, m));
            (_p, _q) = (device.Allocate<double>(n), device.Allocate<double>(m));
            _p.CopyFrom(p);
            _q.CopyFrom(q);
        }

        public GromovOperands<T> Prepare(GromovLoss loss) => GromovProduct.Prepare(loss, _c1.View, _c2.View, _p.View, _q.View);

        public void Step(GromovOperands<T> operands)
        {
            GromovProduct.Multiply(operands, _coupling.View, _product.View);
            GromovProduct.LineariseGeneral(operands, _product.View, 2, _between.View, 0.3, _coupling.View, 0.01, _cost.View);
        }

        /// <summary>The linear cost, that of a fused proximal step, the objective, and whether the costs were found symmetric.</summary>
        public (double[] Cost, double[] General, double Objective, bool Symmetric) Run(GromovLoss loss)
        {
            using GromovOperands<T> operands = Prepare(loss);
            Step(operands);
            double[] general = Read(_cost);
            GromovProduct.Linearise(operands, _product.View, 2, _cost.View);
            return (Read(_cost), general, GromovProduct.Objective(operands, _product.View, _coupling.View), operands.Symmetric);
        }

        public void Dispose()
        {
            foreach (IDisposable owned in new IDisposable[] { _c1, _c2, _coupling, _between, _product, _cost, _p, _q }) owned.Dispose();
        }

        private static double[] Read(Matrix<T> matrix) => [.. matrix.ToHost().Select(v => double.CreateTruncating(v))];

        private static Matrix<T> Cost(ComputeDevice device, int n, bool symmetric, ref CounterRandom random)
        {
            T[] cost = new T[n * n];
            for (int i = 0; i < n; i++)
                for (int j = 0; j < n; j++) cost[i * n + j] = symmetric && j < i ? cost[j * n + i] : T.CreateTruncating(0.1 + random.NextDouble());
            return Matrix<T>.From(device, n, n, cost);
        }

        private static double[] Masses(int count, ref CounterRandom random)
        {
            double[] mass = new double[count];
            for (int i = 0; i < count; i++) mass[i] = 0.5 + random.NextDouble();
            double sum = mass.Sum();
            return [.. mass.Select(m => m / sum)];
        }
    }
}
