using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests.Gromov;

public sealed class GromovProductTests
{
    public static TheoryData<GromovLoss, bool, int, int> Cases
    {
        get
        {
            TheoryData<GromovLoss, bool, int, int> data = [];
            foreach (GromovLoss loss in Enum.GetValues<GromovLoss>())
                foreach (bool symmetric in new[] { true, false })
                    foreach ((int n, int m) in new[] { (1, 1), (2, 5), (7, 4), (8, 8) }) data.Add(loss, symmetric, n, m);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Tensor_and_objective_equal_the_four_nested_loops(GromovLoss loss, bool symmetric, int n, int m)
    {
        using CpuDevice device = new(2);
        using Setup s = new(device, n, m, symmetric, seed: 1);
        foreach (KernelVariant variant in KernelDispatch.All)
        {
            using KernelDispatch.ForcedVariant scope = KernelDispatch.Force(variant);
            using GromovOperands<double> operands = GromovProduct.Prepare(loss, s.C1.View, s.C2.View, s.P.View, s.Q.View);
            Assert.Equal(symmetric || (n == 1 && m == 1), operands.Symmetric);
            using Matrix<double> product = device.AllocateMatrix<double>(n, m), cost = device.AllocateMatrix<double>(n, m);
            GromovProduct.Multiply(operands, s.Coupling.View, product.View);
            GromovProduct.Linearise(operands, product.View, 2, cost.View);
            double[] expected = s.Expected(loss);
            for (int i = 0; i < n; i++)
                for (int j = 0; j < m; j++) Assert.Equal(2 * expected[i * m + j], cost.Row(i)[j], 1e-12);
            double objective = 0;
            for (int i = 0; i < n; i++)
                for (int j = 0; j < m; j++) objective += expected[i * m + j] * s.Coupling.Row(i)[j];
            Assert.Equal(objective, GromovProduct.Objective(operands, product.View, s.Coupling.View), 1e-12);
        }
    }

    [Theory]
    [InlineData(GromovLoss.Square)]
    [InlineData(GromovLoss.KullbackLeibler)]
    public void The_product_of_the_masses_needs_no_product_of_matrices(GromovLoss loss)
    {
        using CpuDevice device = new(2);
        const int n = 23, m = 31;
        using Setup s = new(device, n, m, symmetric: true, seed: 5);
        using GromovOperands<double> operands = GromovProduct.Prepare(loss, s.C1.View, s.C2.View, s.P.View, s.Q.View);
        using Matrix<double> coupling = device.AllocateMatrix<double>(n, m), expected = device.AllocateMatrix<double>(n, m), found = device.AllocateMatrix<double>(n, m);
        MatrixElements.OuterProduct(s.P.View, s.Q.View, coupling.View);
        GromovProduct.Multiply(operands, coupling.View, expected.View);
        GromovProduct.MultiplyMasses(operands, s.P.View, s.Q.View, found.View);
        double largest = expected.ToArray().Max(Math.Abs);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < m; j++) Assert.Equal(expected.Row(i)[j], found.Row(i)[j], 1e-14 * largest);
        using Setup other = new(device, n, m, symmetric: false, seed: 5);
        using GromovOperands<double> lopsided = GromovProduct.Prepare(loss, other.C1.View, other.C2.View, other.P.View, other.Q.View);
        Assert.Throws<ArgumentException>(() => GromovProduct.MultiplyMasses(lopsided, s.P.View, s.Q.View, found.View));
    }

    [Fact]
    public void Single_precision_is_as_good_as_single_precision_can_be()
    {
        using CpuDevice device = new(2);
        const int n = 67, m = 45;
        using Setup s = new(device, n, m, symmetric: true, seed: 2);
        using GromovOperands<double> exact = GromovProduct.Prepare(GromovLoss.Square, s.C1.View, s.C2.View, s.P.View, s.Q.View);
        using Matrix<double> expected = device.AllocateMatrix<double>(n, m);
        using (KernelDispatch.Force(KernelVariant.Reference)) GromovProduct.Multiply(exact, s.Coupling.View, expected.View);
        using Matrix<float> c1 = Single(s.C1), c2 = Single(s.C2), coupling = Single(s.Coupling), product = device.AllocateMatrix<float>(n, m);
        foreach (KernelVariant variant in KernelDispatch.All)
        {
            using KernelDispatch.ForcedVariant scope = KernelDispatch.Force(variant);
            using GromovOperands<float> operands = GromovProduct.Prepare(GromovLoss.Square, c1.View, c2.View, s.P.View, s.Q.View);
            GromovProduct.Multiply(operands, coupling.View, product.View);
            for (int i = 0; i < n; i++)
                for (int j = 0; j < m; j++) Assert.InRange(product.Row(i)[j], expected.Row(i)[j] * (1 - 2e-6), expected.Row(i)[j] * (1 + 2e-6));
        }
    }

    [Fact]
    public void Fused_and_proximal_terms_are_added()
    {
        using CpuDevice device = new(1);
        using Setup s = new(device, 5, 6, symmetric: true, seed: 3);
        using GromovOperands<double> operands = GromovProduct.Prepare(GromovLoss.Square, s.C1.View, s.C2.View, s.P.View, s.Q.View);
        using Matrix<double> product = device.AllocateMatrix<double>(5, 6), plain = device.AllocateMatrix<double>(5, 6), full = device.AllocateMatrix<double>(5, 6), between = device.AllocateMatrix<double>(5, 6);
        for (int e = 0; e < 30; e++) between.Row(e / 6)[e % 6] = e;
        GromovProduct.Multiply(operands, s.Coupling.View, product.View);
        GromovProduct.Linearise(operands, product.View, 2, plain.View);
        GromovProduct.LineariseGeneral(operands, product.View, 2, between.View, 0.25, s.Coupling.View, 0.1, full.View);
        for (int e = 0; e < 30; e++)
            Assert.Equal(plain.Row(e / 6)[e % 6] + 0.25 * e - 0.1 * Math.Log(s.Coupling.Row(e / 6)[e % 6]), full.Row(e / 6)[e % 6], 1e-12);
    }

    [Fact]
    public void A_warm_step_allocates_nothing()
    {
        using CpuDevice device = new(1);
        using Setup s = new(device, 60, 50, symmetric: true, seed: 4);
        using GromovOperands<double> operands = GromovProduct.Prepare(GromovLoss.Square, s.C1.View, s.C2.View, s.P.View, s.Q.View);
        using Matrix<double> product = device.AllocateMatrix<double>(60, 50);
        GromovProduct.Multiply(operands, s.Coupling.View, product.View);
        WarmAllocation rounds = new();
        while (rounds.Again())
        {
            GromovProduct.Multiply(operands, s.Coupling.View, product.View);
            GromovProduct.Linearise(operands, product.View, 2, product.View);
        }
        Assert.Equal(0, rounds.Least);
    }

    /// <summary>Either domain has fewer coordinates; the coupling meets its masses only roughly, and the points lie far from the origin.</summary>
    [Theory]
    [InlineData(1, 1, 1, 1)]
    [InlineData(23, 31, 3, 7)]
    [InlineData(40, 17, 6, 2)]
    public void Squared_distances_of_points_give_what_their_costs_give(int n, int m, int d1, int d2)
    {
        using CpuDevice device = new(2);
        using Setup s = new(device, n, m, symmetric: true, seed: 6);
        using Matrix<double> x = TestMatrices.Normal<double>(device, n, d1, 7), y = TestMatrices.Normal<double>(device, m, d2, 8);
        foreach (ref double value in x.Buffer.View.Host) value += 100;
        using Matrix<double> c1 = device.AllocateMatrix<double>(n, n), c2 = device.AllocateMatrix<double>(m, m), product = device.AllocateMatrix<double>(n, m), expected = device.AllocateMatrix<double>(n, m);
        PairwiseDistance.ComputeSelf(DistanceMetric.SquaredEuclidean, x.View, c1.View, DistanceForm.Direct);
        PairwiseDistance.ComputeSelf(DistanceMetric.SquaredEuclidean, y.View, c2.View, DistanceForm.Direct);
        Elementwise.Divide(c1.View, 3, c1.View);
        Elementwise.Divide(c2.View, 0.5, c2.View);
        using GromovOperands<double> dense = GromovProduct.Prepare(GromovLoss.Square, c1.View, c2.View, s.P.View, s.Q.View);
        using (KernelDispatch.Force(KernelVariant.Reference)) GromovProduct.Multiply(dense, s.Coupling.View, expected.View);
        double largest = Math.Max(1e-300, expected.Buffer.View.Host.ToArray().Max(Math.Abs));
        foreach (KernelVariant variant in KernelDispatch.All)
        {
            using KernelDispatch.ForcedVariant scope = KernelDispatch.Force(variant);
            using GromovOperands<double> points = GromovProduct.PreparePoints<double>(x.View, 3, y.View, 0.5, s.P.View, s.Q.View);
            GromovProduct.Multiply(points, s.Coupling.View, product.View);
            // Factors hold squared norms, up to a few times as large as the distances: their rounding is all that differs.
            for (int i = 0; i < n; i++)
                for (int j = 0; j < m; j++) Assert.Equal(expected.Row(i)[j], product.Row(i)[j], 2e-14 * Math.Max(largest, 1e-3));
            for (int i = 0; i < n; i++) Assert.Equal(dense.RowTerm.View.Host[i], points.RowTerm.View.Host[i], 2e-14 * dense.RowTerm.View.Host.ToArray().Max() + 1e-24);
            for (int j = 0; j < m; j++) Assert.Equal(dense.ColumnTerm.View.Host[j], points.ColumnTerm.View.Host[j], 2e-14 * dense.ColumnTerm.View.Host.ToArray().Max() + 1e-24);
            Assert.Equal(GromovProduct.Objective(dense, expected.View, s.Coupling.View), GromovProduct.Objective(points, product.View, s.Coupling.View), 1e-13 * Math.Max(1, largest));
            WarmAllocation rounds = new();
            while (rounds.Again()) GromovProduct.Multiply(points, s.Coupling.View, product.View);
            if (variant != KernelVariant.Reference) Assert.Equal(0, rounds.Least);
        }
    }

    [Fact]
    public void Wrong_shapes_are_refused()
    {
        using CpuDevice device = new(1);
        using Setup s = new(device, 4, 3, symmetric: true, seed: 5);
        Assert.Throws<ArgumentException>(() => GromovProduct.Prepare(GromovLoss.Square, s.Coupling.View, s.C2.View, s.P.View, s.Q.View));
        Assert.Throws<ArgumentException>(() => GromovProduct.Prepare(GromovLoss.Square, s.C1.View, s.C2.View, s.Q.View, s.P.View));
    }

    private static Matrix<float> Single(Matrix<double> source)
    {
        Matrix<float> result = source.Device.AllocateMatrix<float>(source.Rows, source.Columns);
        for (int i = 0; i < source.Rows; i++)
            for (int j = 0; j < source.Columns; j++) result.Row(i)[j] = (float)source.Row(i)[j];
        return result;
    }

    private sealed class Setup : IDisposable
    {
        private readonly CpuDevice _device;

        public Setup(CpuDevice device, int n, int m, bool symmetric, ulong seed)
        {
            _device = device;
            CounterRandom random = new(seed);
            C1 = Cost(n, symmetric, ref random);
            C2 = Cost(m, symmetric, ref random);
            Coupling = device.AllocateMatrix<double>(n, m);
            P = device.Allocate<double>(n);
            Q = device.Allocate<double>(m);
            double total = 0;
            for (int i = 0; i < n; i++)
                for (int j = 0; j < m; j++) total += Coupling.Row(i)[j] = 0.1 + random.NextDouble();
            for (int i = 0; i < n; i++)
                for (int j = 0; j < m; j++)
                {
                    Coupling.Row(i)[j] /= total;
                    P.View.Host[i] += Coupling.Row(i)[j];
                    Q.View.Host[j] += Coupling.Row(i)[j];
                }
        }

        public Matrix<double> C1 { get; }
        public Matrix<double> C2 { get; }
        public Matrix<double> Coupling { get; }
        public DeviceBuffer<double> P { get; }
        public DeviceBuffer<double> Q { get; }

        /// <summary>The tensor by definition; averaged over both orientations, which is the same thing when the costs are symmetric.</summary>
        public double[] Expected(GromovLoss loss)
        {
            double[] sum = new double[Coupling.Rows * Coupling.Columns];
            using Matrix<double> t1 = Transposed(C1), t2 = Transposed(C2), tensor = _device.AllocateMatrix<double>(Coupling.Rows, Coupling.Columns);
            foreach ((Matrix<double> a, Matrix<double> b) in new[] { (C1, C2), (t1, t2) })
            {
                GromovProduct.ReferenceTensor(loss, a.View, b.View, Coupling.View, tensor.View);
                for (int e = 0; e < sum.Length; e++) sum[e] += 0.5 * tensor.Row(e / Coupling.Columns)[e % Coupling.Columns];
            }
            return sum;
        }

        public void Dispose()
        {
            foreach (IDisposable owned in new IDisposable[] { C1, C2, Coupling, P, Q }) owned.Dispose();
        }

        private Matrix<double> Cost(int n, bool symmetric, ref CounterRandom random)
        {
            Matrix<double> cost = _device.AllocateMatrix<double>(n, n);
            for (int i = 0; i < n; i++)
                for (int j = 0; j < n; j++) cost.Row(i)[j] = symmetric && j < i ? cost.Row(j)[i] : 0.1 + random.NextDouble();
            return cost;
        }

        private Matrix<double> Transposed(Matrix<double> source)
        {
            Matrix<double> result = _device.AllocateMatrix<double>(source.Columns, source.Rows);
            for (int i = 0; i < source.Rows; i++)
                for (int j = 0; j < source.Columns; j++) result.Row(j)[i] = source.Row(i)[j];
            return result;
        }
    }
}
