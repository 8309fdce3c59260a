using System.Numerics;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests.Factored;

public sealed class FactoredTransportTests
{
    private static readonly KernelVariant[] s_fast = [KernelVariant.Avx512, KernelVariant.Avx2, KernelVariant.Portable];
    private static readonly SinkhornOptions s_accelerated = SinkhornOptions.Pot with { Accelerate = true };

    public static TheoryData<int, int, int> Shapes => new() { { 1, 1, 1 }, { 1, 7, 2 }, { 5, 1, 3 }, { 16, 24, 1 }, { 17, 49, 5 }, { 33, 100, 31 }, { 70, 800, 4 }, { 130, 65, 9 } };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Every_variant_is_held_against_the_double_reference(int n, int m, int rank)
    {
        using CpuDevice device = new(2);
        using Problem<double> problem = new(device, n, m, rank, scale: 3);
        Answers exact = problem.Answer(KernelVariant.Reference);
        // Scores reach about 40; a rounding of them is 1e-14 relative in an entry.
        foreach (KernelVariant variant in s_fast) AssertClose(exact, problem.Answer(variant), 1e-12, $"{variant} double");
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Single_precision_errs_no_more_than_a_plain_implementation(int n, int m, int rank)
    {
        using CpuDevice device = new(2);
        using Problem<float> problem = new(device, n, m, rank, scale: 3);
        Answers exact = problem.Answer(KernelVariant.Reference);
        double[] plain = problem.PlainColumnSums();
        foreach (KernelVariant variant in s_fast)
        {
            ErrorRule rule = new();
            rule.Add<double>(exact.Sums, plain, problem.Answer(variant).Sums, "column sum");
            rule.Verify($"{variant} {n} x {m} x {rank}");
        }
    }

    [Fact]
    public void Threads_do_not_change_a_bit()
    {
        using CpuDevice one = new(1), three = new(3);
        using Problem<float> first = new(one, 150, 210, 6, 5), second = new(three, 150, 210, 6, 5);
        foreach (KernelVariant variant in s_fast)
        {
            Answers a = first.Answer(variant), b = second.Answer(variant);
            Assert.Equal(a.U, b.U);
            Assert.Equal(a.Sums, b.Sums);
            Assert.Equal(a.Product, b.Product);
            Assert.Equal(a.Entries, b.Entries);
            Assert.Equal(first.Solve(variant, s_accelerated).V, second.Solve(variant, s_accelerated).V);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(20)]
    public void Potentials_are_those_of_the_dense_solver(double scale)
    {
        using CpuDevice device = new(2);
        using Problem<double> problem = new(device, 60, 45, 4, scale);
        (SinkhornResult result, double[] u, double[] v) = problem.Solve(KernelVariant.Avx2, s_accelerated with { MaxIterations = 20000, Tolerance = 1e-11 });
        Assert.True(result.Converged);
        (double[] f, double[] g) = problem.SolveDense();
        double shift = g[0] - v[0];
        // In units of epsilon: an error of 1e-6 in a potential is one of 1e-6 in the entries.
        for (int j = 0; j < 45; j++) Assert.Equal(g[j] - shift, v[j], 1e-6);
        for (int i = 0; i < 60; i++) Assert.Equal(f[i] + shift, u[i], 1e-6);
    }

    [Fact]
    public void Mixing_takes_far_fewer_passes_and_ends_at_the_same_plan()
    {
        using CpuDevice device = new(2);
        using Problem<double> plain = new(device, 80, 90, 5, 30), mixed = new(device, 80, 90, 5, 30);
        SinkhornOptions options = SinkhornOptions.Pot with { MaxIterations = 50000 };
        (SinkhornResult slow, _, double[] expected) = plain.Solve(KernelVariant.Avx2, options);
        (SinkhornResult fast, _, double[] v) = mixed.Solve(KernelVariant.Avx2, options with { Accelerate = true });
        Assert.True(slow.Converged && fast.Converged);
        Assert.True(fast.Iterations * 3 < slow.Iterations, $"{fast.Iterations} against {slow.Iterations}");
        for (int j = 0; j < 90; j++) Assert.Equal(expected[j] - expected[0], v[j] - v[0], 1e-4);
    }

    [Fact]
    public void Single_precision_reaches_its_own_tolerance_with_large_scores()
    {
        using CpuDevice device = new(2);
        using Problem<float> problem = new(device, 80, 90, 5, 300);
        (SinkhornResult result, _, double[] v) = problem.Solve(KernelVariant.Avx2, s_accelerated with { MaxIterations = 20000 });
        Assert.True(result.Converged, $"{result.MarginalError:E2} after {result.Iterations}");
        Assert.All(v, value => Assert.True(double.IsFinite(value)));
    }

    [Fact]
    public void Columns_that_get_nothing_at_first_are_found_through_logarithms()
    {
        using CpuDevice device = new(1);
        using Problem<float> problem = new(device, 12, 12, 2, 5000);
        (SinkhornResult result, double[] u, double[] v) = problem.Solve(KernelVariant.Avx2, s_accelerated with { MaxIterations = 50 });
        Assert.True(result.Absorptions > 0);
        Assert.All(u, value => Assert.True(double.IsFinite(value)));
        Assert.All(v, value => Assert.True(double.IsFinite(value)));
    }

    [Fact]
    public void A_plan_with_other_factors_is_solved_as_a_new_one()
    {
        using CpuDevice device = new(1);
        using Problem<float> used = new(device, 12, 12, 2, 5000), fresh = new(device, 12, 12, 2, 5000);
        used.Solve(KernelVariant.Avx2, s_accelerated with { MaxIterations = 50 });
        used.Redraw(4000);
        fresh.Redraw(4000);
        (SinkhornResult result, double[] u, double[] v) = used.Solve(KernelVariant.Avx2, s_accelerated with { MaxIterations = 50 });
        (_, double[] expectedU, double[] expectedV) = fresh.Solve(KernelVariant.Avx2, s_accelerated with { MaxIterations = 50 });
        Assert.True(result.Absorptions > 0);
        Assert.Equal(expectedU, u);
        Assert.Equal(expectedV, v);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    public void Where_the_limit_ends_a_solve_the_potentials_are_those_whose_sums_were_measured(int iterations)
    {
        using CpuDevice device = new(1);
        using Problem<double> problem = new(device, 30, 40, 3, 10);
        (SinkhornResult result, double[] u, _) = problem.Solve(KernelVariant.Avx2, s_accelerated with { MaxIterations = iterations });
        Assert.Equal((iterations, false), (result.Iterations, result.Converged));
        (double[] measured, double[] rebalanced, double[] sums) = problem.Rebalance(KernelVariant.Avx2);
        Assert.Equal(u, rebalanced);
        Assert.Equal(measured, sums);
    }

    /// <summary>Potentials are double: what single precision cannot hold of a large one is not lost.</summary>
    [Fact]
    public void Digits_of_a_row_potential_beyond_single_precision_count()
    {
        using CpuDevice device = new(1);
        using FactoredPlan<float> plan = new(device, 1, 3, 1);
        using Matrix<double> right = Matrix<double>.From(device, 3, 1, [0, 1, 2]), entries = device.AllocateMatrix<double>(1, 3);
        using DeviceBuffer<double> u = device.Allocate<double>(1), v = device.Allocate<double>(3);
        plan.Left.Row(0)[0] = 1;
        plan.SetRight(right.View);
        // A single keeps steps of 1.2e-4 at 1024.
        u.View.Host[0] = 1024 + 3e-5;
        v.View.Host.Fill(-1024);
        foreach (KernelVariant variant in s_fast)
        {
            using KernelDispatch.ForcedVariant forced = KernelDispatch.Force(variant);
            FactoredTransport.Entries(plan, u.View, v.View, 0, 0, entries.View);
            for (int j = 0; j < 3; j++) Assert.Equal(Math.Exp(j + 3e-5), entries.Row(0)[j], 2e-6 * Math.Exp(j));
        }
    }

    [Fact]
    public void Warm_solves_allocate_nothing()
    {
        using CpuDevice device = new(2);
        foreach (bool keeps in new[] { false, true }) AssertWarmSolveAllocatesNothing(device, keeps);
    }

    private static void AssertWarmSolveAllocatesNothing(CpuDevice device, bool keeps)
    {
        using Problem<float> problem = new(device, 64, 80, 5, 10, keeps);
        problem.Solve(KernelVariant.Avx2, s_accelerated);
        problem.Reset();
        Assert.Equal(0, problem.AllocatedBySolve(s_accelerated));
    }

    [Theory]
    [InlineData(1, 5, 2, 3, 1e-12)]
    [InlineData(18, 50, 5, 3, 1e-12)]
    [InlineData(130, 65, 9, 8, 1e-11)]
    [InlineData(130, 65, 9, 30, 1e-8)]
    [InlineData(60, 200, 3, 200, 1e-12)]
    public void Kept_entries_lead_to_the_same_plan(int n, int m, int rank, double scale, double tolerance)
    {
        using CpuDevice device = new(2), other = new(3);
        using Problem<double> anew = new(device, n, m, rank, scale), kept = new(device, n, m, rank, scale, keeps: true), again = new(other, n, m, rank, scale, keeps: true);
        SinkhornOptions options = s_accelerated with { MaxIterations = 20000, Tolerance = tolerance };
        foreach (KernelVariant variant in s_fast)
        {
            (SinkhornResult result, double[] u, double[] v) = kept.Solve(variant, options);
            (SinkhornResult expected, double[] exactU, double[] exactV) = anew.Solve(variant, options);
            Assert.True(expected.Converged && result.Converged, $"{variant}: {expected.MarginalError:E2} after {expected.Iterations}, kept {result.MarginalError:E2} after {result.Iterations}");
            // Measured on the plan itself, not on its kept entries.
            Assert.InRange(anew.ColumnError(variant, v), 0, Math.Max(tolerance, 1e-13 * v.Max(Math.Abs)));
            // Potentials of columns that hang together by little are known badly; the dual objective is off by less than the violation times their distance.
            double dual = anew.Dual(exactU, exactV);
            Assert.Equal(dual, anew.Dual(u, v), m * tolerance + 1e-14 * Math.Abs(dual));
            (SinkhornResult _, double[] sameU, double[] sameV) = again.Solve(variant, options);
            Assert.Equal(u, sameU);
            Assert.Equal(v, sameV);
        }
    }

    /// <summary>Sums at the base are exact; away from it they are off by less than the rounding of an entry to single precision.</summary>
    [Theory]
    [InlineData(0, 1e-14)]
    [InlineData(1e-4, 1e-11)]
    [InlineData(1, 1e-7)]
    [InlineData(25, 2e-7)]
    public void Kept_entries_have_the_sums_of_the_plan(double distance, double tolerance)
    {
        using CpuDevice device = new(2);
        using Problem<double> problem = new(device, 77, 130, 5, 3);
        foreach (KernelVariant variant in s_fast)
        {
            (double[] expectedU, double[] expected, double[] u, double[] sums) = problem.BalanceNear(variant, distance);
            for (int j = 0; j < sums.Length; j++) Assert.InRange(Math.Abs(sums[j] / expected[j] - 1), 0, tolerance);
            for (int i = 0; i < u.Length; i++) Assert.Equal(expectedU[i], u[i], 4 * tolerance);
        }
    }

    [Fact]
    public void Kept_entries_are_bounded_and_asked_for()
    {
        Assert.InRange(FactoredPlan<double>.KeptBytesFor(5000, 5000), 100_000_000, 102_000_000);
        Assert.Equal(0, FactoredPlan<double>.KeptBytesFor(50_000, 50_000));
        using CpuDevice device = new(1);
        using FactoredPlan<double> plan = new(device, 4, 5, 2);
        Assert.Null(plan.Kept);
        using FactoredPlan<double> keeps = new(device, 4, 5, 2) { KeepsEntries = true };
        Assert.NotNull(keeps.Kept);
        using FactoredPlan<double> large = new(device, 50_000, 50_000, 1) { KeepsEntries = true };
        Assert.Null(large.Kept);
    }

    [Fact]
    public void Single_precision_and_columns_that_get_nothing_go_with_kept_entries()
    {
        using CpuDevice device = new(2);
        using Problem<float> single = new(device, 80, 90, 5, 300, keeps: true), starved = new(device, 12, 12, 2, 5000, keeps: true);
        SinkhornResult result = single.Solve(KernelVariant.Avx2, s_accelerated with { MaxIterations = 20000 }).Result;
        Assert.True(result.Converged, $"{result.MarginalError:E2} after {result.Iterations}");
        (result, double[] u, double[] v) = starved.Solve(KernelVariant.Avx2, s_accelerated with { MaxIterations = 50 });
        Assert.True(result.Absorptions > 0);
        Assert.All([.. u, .. v], value => Assert.True(double.IsFinite(value)));
    }

    private static void AssertClose(Answers exact, Answers ours, double tolerance, string name)
    {
        Near(exact.U, ours.U, tolerance * 100, name + " u");
        Near(exact.Sums, ours.Sums, tolerance, name + " column sums");
        Near(exact.Product, ours.Product, tolerance, name + " product");
        Near(exact.Own, ours.Own, tolerance, name + " own product");
        Near(exact.Entries, ours.Entries, tolerance, name + " entries");
        // Two plans of one column are equal: what is left then is rounding of their entries.
        Assert.Equal(exact.Change, ours.Change, tolerance * (exact.Change + exact.Entries.Max(Math.Abs)));
    }

    private static void Near(double[] exact, double[] ours, double tolerance, string name)
    {
        double scale = exact.Max(Math.Abs);
        for (int i = 0; i < exact.Length; i++) Assert.True(Math.Abs(exact[i] - ours[i]) <= tolerance * scale, $"{name}[{i}]: {ours[i]:R} against {exact[i]:R}");
    }

    private sealed record Answers(double[] U, double[] Sums, double[] Product, double[] Own, double[] Entries, double Change);

    private sealed class Problem<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
    {
        private readonly CpuDevice _device;
        private readonly FactoredPlan<T> _plan, _other;
        private readonly Matrix<double> _right, _features;
        private readonly DeviceBuffer<double> _a, _b, _u, _v, _sums, _otherU, _rows;
        private readonly double[] _start;
        private readonly int _n, _m, _rank;

        public Problem(CpuDevice device, int n, int m, int rank, double scale, bool keeps = false)
        {
            (_device, _n, _m, _rank) = (device, n, m, rank);
            CounterRandom random = new(11);
            _plan = new FactoredPlan<T>(device, n, m, rank) { KeepsEntries = keeps };
            for (int i = 0; i < n * rank; i++) _plan.Left.Buffer.View.Host[i] = T.CreateTruncating(scale * random.NextNormal());
            _right = device.AllocateMatrix<double>(m, rank);
            // Representable in single precision, so that both types have the same problem.
            for (int i = 0; i < m * rank; i++) _right.Buffer.View.Host[i] = (float)random.NextNormal();
            _plan.SetRight(_right.View);
            _other = new FactoredPlan<T>(_plan);
            for (int i = 0; i < n * rank; i++) _other.Left.Buffer.View.Host[i] = T.CreateTruncating(scale * random.NextNormal());
            _features = device.AllocateMatrix<double>(m, 6);
            for (int i = 0; i < m * 6; i++) _features.Buffer.View.Host[i] = (float)random.NextNormal();
            (_a, _b) = (device.Allocate<double>(n), device.Allocate<double>(m));
            CounterRandom masses = new(12);
            foreach (DeviceBuffer<double> side in (DeviceBuffer<double>[])[_a, _b])
            {
                foreach (ref double mass in side.View.Host) mass = 0.5 + masses.NextDouble();
                double sum = side.View.Host.ToArray().Sum();
                foreach (ref double mass in side.View.Host) mass /= sum;
            }
            (_u, _v, _sums, _otherU, _rows) = (device.Allocate<double>(n), device.Allocate<double>(m), device.Allocate<double>(m), device.Allocate<double>(n), device.Allocate<double>(n));
            _start = new double[m];
            for (int j = 0; j < m; j++) _start[j] = (float)random.NextNormal();
            Reset();
        }

        public void Reset() => _start.CopyTo(_v.View.Host);

        /// <summary>Other row factors in the same plan.</summary>
        public void Redraw(double scale)
        {
            CounterRandom random = new(13);
            for (int i = 0; i < _n * _rank; i++) _plan.Left.Buffer.View.Host[i] = T.CreateTruncating(scale * random.NextNormal());
        }

        public Answers Answer(KernelVariant variant)
        {
            using KernelDispatch.ForcedVariant forced = KernelDispatch.Force(variant);
            Reset();
            FactoredTransport.Balance(_plan, _a.View, _v.View, _u.View, _sums.View);
            FactoredTransport.Balance(_other, _a.View, _v.View, _otherU.View);
            using Matrix<double> product = _device.AllocateMatrix<double>(_n, 6), own = _device.AllocateMatrix<double>(_n, _rank), entries = _device.AllocateMatrix<double>((_n + 1) / 2, (_m + 1) / 2);
            FactoredTransport.Apply(_plan, _u.View, _v.View, _features.View, product.View);
            FactoredTransport.ApplyRight(_plan, _u.View, _v.View, own.View);
            FactoredTransport.Entries(_plan, _u.View, _v.View, _n / 2, _m / 2, entries.View);
            double change = FactoredTransport.Change(_plan, _u.View, _v.View, _other, _otherU.View, _v.View, _rows.View);
            return new Answers(_u.View.Host.ToArray(), _sums.View.Host.ToArray(), All(product), All(own), All(entries), change);
        }

        /// <summary>Column sums by plain loops in T: scores, largest, exponentials, sums.</summary>
        public double[] PlainColumnSums()
        {
            T[] sums = new T[_m], scores = new T[_m];
            for (int i = 0; i < _n; i++)
            {
                T most = T.NegativeInfinity, total = T.Zero;
                for (int j = 0; j < _m; j++)
                {
                    T score = T.CreateTruncating(_start[j]);
                    for (int k = 0; k < _rank; k++) score += _plan.Left.Row(i)[k] * T.CreateTruncating(_right.Row(j)[k]);
                    scores[j] = score;
                    most = T.Max(most, score);
                }
                for (int j = 0; j < _m; j++) total += T.Exp(scores[j] - most);
                T shift = most + T.Log(total / T.CreateTruncating(_a.View.Host[i]));
                for (int j = 0; j < _m; j++) sums[j] += T.Exp(scores[j] - shift);
            }
            return [.. sums.Select(sum => double.CreateTruncating(sum))];
        }

        public (SinkhornResult Result, double[] U, double[] V) Solve(KernelVariant variant, SinkhornOptions options)
        {
            using KernelDispatch.ForcedVariant forced = KernelDispatch.Force(variant);
            Reset();
            SinkhornResult result = FactoredTransport.Solve(_plan, _a.View, _b.View, _u.View, _v.View, _sums.View, options);
            return (result, _u.View.Host.ToArray(), _v.View.Host.ToArray());
        }

        /// <summary>The sums that the last solve left, and row potentials and sums at its column potentials.</summary>
        public (double[] Left, double[] U, double[] Sums) Rebalance(KernelVariant variant)
        {
            using KernelDispatch.ForcedVariant forced = KernelDispatch.Force(variant);
            double[] left = _sums.View.Host.ToArray();
            FactoredTransport.Balance(_plan, _a.View, _v.View, _u.View, _sums.View);
            return (left, _u.View.Host.ToArray(), _sums.View.Host.ToArray());
        }

        /// <summary>Value of potentials that give every row its mass.</summary>
        public double Dual(double[] u, double[] v) =>
            System.Numerics.Tensors.TensorPrimitives.Dot<double>(_a.View.Host, u) + System.Numerics.Tensors.TensorPrimitives.Dot<double>(_b.View.Host, v);

        /// <summary>Euclidean norm of the violation of the column masses at these potentials.</summary>
        public double ColumnError(KernelVariant variant, double[] v)
        {
            using KernelDispatch.ForcedVariant forced = KernelDispatch.Force(variant);
            v.CopyTo(_v.View.Host);
            FactoredTransport.Balance(_plan, _a.View, _v.View, _u.View, _sums.View);
            return System.Numerics.Tensors.TensorPrimitives.Distance<double>(_sums.View.Host, _b.View.Host);
        }

        /// <summary>Row potentials and column sums at random potentials around the start, from the plan and from the entries kept at the start.</summary>
        public (double[] ExactU, double[] ExactSums, double[] U, double[] Sums) BalanceNear(KernelVariant variant, double distance)
        {
            using KernelDispatch.ForcedVariant forced = KernelDispatch.Force(variant);
            using FactoredPlan<T> keeps = new(_device, _n, _m, _rank) { KeepsEntries = true };
            _plan.Left.Buffer.View.Host.CopyTo(keeps.Left.Buffer.View.Host);
            keeps.SetRight(_right.View);
            Reset();
            FactoredTransport.BalanceAndKeep(keeps, keeps.Kept!, _a.View, _v.View, _u.View, _sums.View);
            CounterRandom random = new(3);
            for (int j = 0; j < _m; j++) _v.View.Host[j] += distance * (2 * random.NextDouble() - 1);
            FactoredTransport.BalanceKept(keeps, keeps.Kept!, _a.View, _v.View, _u.View, _sums.View);
            double[] u = _u.View.Host.ToArray(), sums = _sums.View.Host.ToArray();
            FactoredTransport.Balance(_plan, _a.View, _v.View, _u.View, _sums.View);
            return (_u.View.Host.ToArray(), _sums.View.Host.ToArray(), u, sums);
        }

        public long AllocatedBySolve(SinkhornOptions options)
        {
            using KernelDispatch.ForcedVariant forced = KernelDispatch.Force(KernelVariant.Avx2);
            WarmAllocation rounds = new();
            while (rounds.Again()) FactoredTransport.Solve(_plan, _a.View, _b.View, _u.View, _v.View, _sums.View, options);
            return rounds.Least;
        }

        /// <summary>The potentials of the solver that holds the cost in memory, epsilon 1.</summary>
        public (double[] F, double[] G) SolveDense()
        {
            using Matrix<double> cost = _device.AllocateMatrix<double>(_n, _m);
            for (int i = 0; i < _n; i++)
                for (int j = 0; j < _m; j++)
                    for (int k = 0; k < _rank; k++) cost.Row(i)[j] -= double.CreateTruncating(_plan.Left.Row(i)[k]) * _right.Row(j)[k];
            using SinkhornWorkspace<double> workspace = new(_device, _n, _m);
            using DeviceBuffer<double> f = _device.Allocate<double>(_n), g = _device.Allocate<double>(_m);
            f.Clear();
            SinkhornScaling.Solve(workspace, cost.View, _a.View, _b.View, 1, f.View, g.View, SinkhornOptions.Pot with { MaxIterations = 20000, Tolerance = 1e-11, Accelerate = true, CheckEvery = 1 });
            return (f.View.Host.ToArray(), g.View.Host.ToArray());
        }

        public void Dispose()
        {
            foreach (IDisposable owned in (IDisposable[])[_plan, _other, _right, _features, _a, _b, _u, _v, _sums, _otherU, _rows]) owned.Dispose();
        }

        private static double[] All(Matrix<double> matrix) => matrix.Buffer.View.Host[..(matrix.Rows * matrix.Columns)].ToArray();
    }
}
