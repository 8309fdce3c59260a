using System.Numerics;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class FactoredTransportCudaTests(CudaDeviceFixture fixture)
{
    private static readonly SinkhornOptions s_accelerated = SinkhornOptions.Pot with { Accelerate = true };

    /// <summary>One row or column, one either side of a tile and of a block, more levels than a slab has, more tiles than parts.</summary>
    public static TheoryData<int, int, int> Shapes => new() { { 1, 1, 1 }, { 1, 7, 2 }, { 5, 1, 3 }, { 128, 64, 1 }, { 129, 65, 5 }, { 33, 100, 31 }, { 70, 2200, 4 }, { 40, 130, 61 } };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Every_answer_in_double_precision_is_that_of_the_reference(int n, int m, int rank)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem<double> there = new(device, n, m, rank, scale: 3), here = new(host, n, m, rank, scale: 3);
        Answers exact = here.Reference(), found = there.Answer();
        // Scores reach about 40; a rounding of them is 1e-14 relative in an entry.
        Near(exact.U, found.U, 1e-10, "u");
        Near(exact.Sums, found.Sums, 1e-12, "column sums");
        Near(exact.Product, found.Product, 1e-12, "product");
        Near(exact.Own, found.Own, 1e-12, "own product");
        Near(exact.Entries, found.Entries, 1e-12, "entries");
        Assert.Equal(exact.Change, found.Change, 1e-12 * (exact.Change + exact.Entries.Max(Math.Abs)));
        Assert.Equal(here.Best(), there.Best());
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Single_precision_errs_no_more_than_a_plain_implementation(int n, int m, int rank)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem<float> there = new(device, n, m, rank, scale: 3), here = new(host, n, m, rank, scale: 3);
        Answers exact = here.Reference(), plain = here.Plain(), found = there.Answer(FactoredScores.Ordinary), tensor = there.Answer(FactoredScores.TensorFloat3);
        foreach ((string name, double[] e, double[] p, double[] f) in new[]
        {
            ("column sum", exact.Sums, plain.Sums, found.Sums), ("column sum of the tensor cores", exact.Sums, plain.Sums, tensor.Sums), ("product", exact.Product, plain.Product, found.Product), ("own product", exact.Own, plain.Own, found.Own),
            ("entry", exact.Entries, plain.Entries, found.Entries),
        })
        {
            ErrorRule rule = new();
            rule.Add<double>(e, p, f, name);
            rule.Verify($"{name} of {n} x {m} x {rank}");
        }
        double scale = exact.Change + exact.Entries.Max(Math.Abs);
        Assert.True(Math.Abs(found.Change - exact.Change) <= 2 * Math.Abs(plain.Change - exact.Change) + 1e-6 * scale, $"{found.Change:R} against {exact.Change:R}");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(20)]
    public void A_solve_finds_the_potentials_of_the_host(double scale)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem<double> there = new(device, 60, 75, 4, scale), here = new(host, 60, 75, 4, scale);
        SinkhornOptions options = s_accelerated with { MaxIterations = 2000, Tolerance = 1e-11 };
        (SinkhornResult expected, double[] u, double[] v, double[] sums) = here.Solve(options);
        (SinkhornResult found, double[] uFound, double[] vFound, double[] sumsFound) = there.Solve(options);
        Assert.True(expected.Converged && found.Converged, $"{found}, the host {expected}");
        Assert.True(found.Iterations <= 1.5 * expected.Iterations + 8, $"{found.Iterations} iterations, the host {expected.Iterations}");
        // In units of epsilon: an error of 1e-6 in a potential is one of 1e-6 in the entries.
        double shift = v[0] - vFound[0];
        for (int j = 0; j < v.Length; j++) Assert.Equal(v[j] - shift, vFound[j], 1e-6);
        for (int i = 0; i < u.Length; i++) Assert.Equal(u[i] + shift, uFound[i], 1e-6);
        for (int j = 0; j < sums.Length; j++) Assert.Equal(sums[j], sumsFound[j], 1e-10);
    }

    [Fact]
    public void Plain_iterations_are_those_of_the_host()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem<double> there = new(device, 37, 70, 5, 10), here = new(host, 37, 70, 5, 10);
        SinkhornOptions options = SinkhornOptions.Pot with { MaxIterations = 7, Tolerance = 0 };
        (SinkhornResult expected, _, double[] v, _) = here.Solve(options);
        (SinkhornResult found, _, double[] vFound, _) = there.Solve(options);
        Assert.Equal((expected.Iterations, expected.Converged), (found.Iterations, found.Converged));
        Assert.Equal(expected.MarginalError, found.MarginalError, 1e-12);
        Near(v, vFound, 1e-12, "v");
    }

    [Theory]
    [InlineData(70, 5, 300, FactoredScores.Ordinary)]
    [InlineData(64, 16, 5, FactoredScores.TensorFloat3)]
    public void Single_precision_reaches_its_own_tolerance(int columns, int rank, double scale, FactoredScores scores)
    {
        CudaDevice device = fixture.Require();
        using Problem<float> problem = new(device, 60, columns, rank, scale);
        problem.Plan.Scores = scores;
        (SinkhornResult result, double[] u, double[] v, _) = problem.Solve(s_accelerated with { MaxIterations = 1000 });
        Assert.True(result.Converged, $"{result.MarginalError:E2} after {result.Iterations}");
        Assert.All(u, value => Assert.True(double.IsFinite(value)));
        Assert.All(v, value => Assert.True(double.IsFinite(value)));
    }

    /// <summary>Exponents of thousands: a column of which every row keeps less than 1e-38 still gets its potential.</summary>
    [Fact]
    public void Columns_that_get_nothing_at_first_are_found()
    {
        CudaDevice device = fixture.Require();
        using Problem<float> problem = new(device, 12, 12, 2, 5000);
        (_, double[] u, double[] v, double[] sums) = problem.Solve(s_accelerated with { MaxIterations = 40 });
        Assert.All(u, value => Assert.True(double.IsFinite(value)));
        Assert.All(v, value => Assert.True(double.IsFinite(value)));
        Assert.All(sums, value => Assert.True(value is >= 0 and <= 1 + 1e-6));
    }

    /// <summary>The second rank is of those for which the tensor cores are chosen.</summary>
    [Theory]
    [InlineData(6)]
    [InlineData(16)]
    public void The_same_bytes_every_time_and_a_warm_solve_allocates_nothing(int rank)
    {
        CudaDevice device = fixture.Require();
        using Problem<float> problem = new(device, 70, 120, rank, 30), again = new(device, 70, 120, rank, 30);
        SinkhornOptions options = s_accelerated with { MaxIterations = 6, Tolerance = 0 };
        (_, double[] u, double[] v, double[] sums) = problem.Solve(options);
        foreach (Problem<float> other in new[] { problem, again })
        {
            (_, double[] uAgain, double[] vAgain, double[] sumsAgain) = other.Solve(options);
            Assert.Equal(u, uAgain);
            Assert.Equal(v, vAgain);
            Assert.Equal(sums, sumsAgain);
        }
        Answers answers = problem.Answer(), answersAgain = again.Answer();
        Assert.Equal(answers.Own, answersAgain.Own);
        Assert.Equal(answers.Change, answersAgain.Change);
        WarmAllocation rounds = new();
        while (rounds.Again()) problem.Run(options);
        Assert.Equal(0, rounds.Least);
    }

    [Fact]
    public void Scores_that_the_tensor_cores_cannot_form_are_refused()
    {
        CudaDevice device = fixture.Require();
        using Problem<double> wide = new(device, 4, 5, 1, 1);
        using Problem<float> deep = new(device, 4, 5, 65, 1);
        (wide.Plan.Scores, deep.Plan.Scores) = (FactoredScores.TensorFloat3, FactoredScores.TensorFloat3);
        Assert.Contains("1 factors of 64 bits", Assert.Throws<ArgumentException>(() => wide.Run(s_accelerated)).Message);
        Assert.Contains("65 factors of 32 bits", Assert.Throws<ArgumentException>(() => deep.Run(s_accelerated)).Message);
    }

    [Fact]
    public void A_cancelled_solve_ends()
    {
        CudaDevice device = fixture.Require();
        using Problem<float> problem = new(device, 4, 5, 1, 1);
        Assert.Throws<OperationCanceledException>(() => problem.Run(s_accelerated, new CancellationToken(true)));
    }

    /// <summary>Blocks fill the device: few blocks are cut into parts, so that the waves are full.</summary>
    [Theory]
    [InlineData(100, 100, 31, 4, 2)]
    [InlineData(12_000, 12_000, 31, 4, 8)]
    [InlineData(100_000, 100_000, 31, 4, 1)]
    [InlineData(12_000, 12_000, 31, 8, 7)]
    public void Launches_follow_from_the_shape(int rows, int columns, int rank, int elementBytes, int parts)
    {
        FactoredCudaConfig config = FactoredCudaConfig.For(rows, columns, rank, elementBytes);
        Assert.Equal(parts, config.RowParts);
        Assert.True((long)config.RowParts * config.RowTiles * 64 >= config.PaddedColumns && (config.RowParts - 1L) * config.RowTiles * 64 < config.PaddedColumns);
        Assert.True(config.Rows.SharedBytes <= 48 << 10 && config.TensorBytes <= 48 << 10 && config.ApplyBytes <= 100 << 10);
    }

    /// <summary>Two plans, and the one in double precision that evaluates the result, are far from two gigabytes at 100,000 points.</summary>
    [Fact]
    public void Device_memory_is_as_planned()
    {
        CudaDevice device = fixture.Require();
        long before = device.Pool.BytesInUse;
        using FactoredPlan<float> plan = new(device, 300, 500, 7);
        long planned = FactoredPlan<float>.DeviceBytesFor(300, 500, 7), taken = device.Pool.BytesInUse - before;
        // The history of the acceleration and the room for factors on their way are planned and not taken yet.
        Assert.InRange(taken, planned / 8, planned);
        Assert.InRange(2 * FactoredPlan<float>.DeviceBytesFor(100_000, 100_000, 31) + FactoredPlan<double>.DeviceBytesFor(100_000, 100_000, 31), 1, 300_000_000);
    }

    private static void Near(double[] exact, double[] ours, double tolerance, string name)
    {
        double scale = exact.Max(Math.Abs);
        for (int i = 0; i < exact.Length; i++) Assert.True(Math.Abs(exact[i] - ours[i]) <= tolerance * scale, $"{name}[{i}]: {ours[i]:R} against {exact[i]:R}");
    }

    private sealed record Answers(double[] U, double[] Sums, double[] Product, double[] Own, double[] Entries, double Change);

    /// <summary>Two plans that share column factors, with what is asked of them; the same for the same numbers, on whatever device.</summary>
    private sealed class Problem<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
    {
        private const int Width = 6;
        private readonly CpuDevice _host;
        private readonly FactoredPlan<T> _plan, _other;
        private readonly Matrix<double> _right, _features;
        private readonly DeviceBuffer<double> _a, _b, _u, _v, _sums, _otherU, _rows;
        private readonly double[] _start;
        private readonly int _n, _m, _rank;

        public Problem(ComputeDevice device, int n, int m, int rank, double scale)
        {
            (_host, _n, _m, _rank) = (device.Host, n, m, rank);
            CounterRandom random = new(11);
            _plan = new FactoredPlan<T>(device, n, m, rank);
            for (int i = 0; i < n * rank; i++) _plan.Left.Buffer.View.Host[i] = T.CreateTruncating((float)(scale / Math.Sqrt(rank) * random.NextNormal()));
            _right = _host.AllocateMatrix<double>(m, rank);
            // Representable in single precision, so that both types have the same problem.
            for (int i = 0; i < m * rank; i++) _right.Buffer.View.Host[i] = (float)random.NextNormal();
            _plan.SetRight(_right.View);
            _other = new FactoredPlan<T>(_plan);
            for (int i = 0; i < n * rank; i++) _other.Left.Buffer.View.Host[i] = T.CreateTruncating((float)(scale / Math.Sqrt(rank) * random.NextNormal()));
            _features = _host.AllocateMatrix<double>(m, Width);
            for (int i = 0; i < m * Width; i++) _features.Buffer.View.Host[i] = (float)random.NextNormal();
            (_a, _b) = (Masses(n, ref random), Masses(m, ref random));
            (_u, _v, _sums) = (_host.Allocate<double>(n), _host.Allocate<double>(m), _host.Allocate<double>(m));
            (_otherU, _rows) = (_host.Allocate<double>(n), _host.Allocate<double>(n));
            _start = new double[m];
            for (int j = 0; j < m; j++) _start[j] = (float)random.NextNormal();
            Reset();
        }

        public FactoredPlan<T> Plan => _plan;

        public void Reset() => _start.CopyTo(_v.View.Host);

        public Answers Reference()
        {
            using KernelDispatch.ForcedVariant forced = KernelDispatch.Force(KernelVariant.Reference);
            return Answer();
        }

        public Answers Answer(FactoredScores scores = FactoredScores.Automatic)
        {
            _plan.Scores = _other.Scores = scores;
            Reset();
            FactoredTransport.Balance(_plan, _a.View, _v.View, _u.View, _sums.View);
            FactoredTransport.Balance(_other, _a.View, _v.View, _otherU.View);
            using Matrix<double> product = _host.AllocateMatrix<double>(_n, Width), own = _host.AllocateMatrix<double>(_n, _rank), entries = _host.AllocateMatrix<double>((_n + 1) / 2, (_m + 1) / 2);
            FactoredTransport.Apply(_plan, _u.View, _v.View, _features.View, product.View);
            FactoredTransport.ApplyRight(_plan, _u.View, _v.View, own.View);
            FactoredTransport.Entries(_plan, _u.View, _v.View, _n / 2, _m / 2, entries.View);
            double change = FactoredTransport.Change(_plan, _u.View, _v.View, _other, _otherU.View, _v.View, _rows.View);
            return new Answers(_u.View.Host.ToArray(), _sums.View.Host.ToArray(), product.ToArray(), own.ToArray(), entries.ToArray(), change);
        }

        public int[] Best()
        {
            using DeviceBuffer<int> best = _host.Allocate<int>(_n);
            Reset();
            FactoredTransport.BestColumns((FactoredPlan<double>)(object)_plan, _v.View, best.View);
            return best.View.Host.ToArray();
        }

        /// <summary>The same by plain loops in T: scores, largest, exponentials, sums; then everything from the entries.</summary>
        public Answers Plain()
        {
            T[] entries = PlainEntries(_plan), others = PlainEntries(_other);
            T[] sums = new T[_m], product = new T[_n * Width], own = new T[_n * _rank];
            double change = 0;
            for (int i = 0; i < _n; i++)
                for (int j = 0; j < _m; j++)
                {
                    T entry = entries[i * _m + j];
                    sums[j] += entry;
                    for (int k = 0; k < Width; k++) product[i * Width + k] += entry * T.CreateTruncating(_features.Row(j)[k]);
                    for (int k = 0; k < _rank; k++) own[i * _rank + k] += entry * T.CreateTruncating(_right.Row(j)[k]);
                    double difference = double.CreateTruncating(entry - others[i * _m + j]);
                    change += difference * difference;
                }
            double[] block = [.. from i in Enumerable.Range(_n / 2, (_n + 1) / 2) from j in Enumerable.Range(_m / 2, (_m + 1) / 2) select double.CreateTruncating(entries[i * _m + j])];
            return new Answers([], Wide(sums), Wide(product), Wide(own), block, Math.Sqrt(change));
        }

        public (SinkhornResult Result, double[] U, double[] V, double[] Sums) Solve(SinkhornOptions options)
        {
            Reset();
            SinkhornResult result = Run(options);
            return (result, _u.View.Host.ToArray(), _v.View.Host.ToArray(), _sums.View.Host.ToArray());
        }

        public SinkhornResult Run(SinkhornOptions options, CancellationToken cancellation = default) =>
            FactoredTransport.Solve(_plan, _a.View, _b.View, _u.View, _v.View, _sums.View, options, cancellation);

        public void Dispose()
        {
            foreach (IDisposable owned in (IDisposable[])[_other, _plan, _right, _features, _a, _b, _u, _v, _sums, _otherU, _rows]) owned.Dispose();
        }

        private T[] PlainEntries(FactoredPlan<T> plan)
        {
            T[] entries = new T[_n * _m], scores = new T[_m];
            for (int i = 0; i < _n; i++)
            {
                T most = T.NegativeInfinity, total = T.Zero;
                for (int j = 0; j < _m; j++)
                {
                    T score = T.CreateTruncating(_start[j]);
                    for (int k = 0; k < _rank; k++) score += plan.Left.Row(i)[k] * T.CreateTruncating(_right.Row(j)[k]);
                    scores[j] = score;
                    most = T.Max(most, score);
                }
                for (int j = 0; j < _m; j++) total += T.Exp(scores[j] - most);
                T shift = most + T.Log(total / T.CreateTruncating(_a.View.Host[i]));
                for (int j = 0; j < _m; j++) entries[i * _m + j] = T.Exp(scores[j] - shift);
            }
            return entries;
        }

        private DeviceBuffer<double> Masses(int count, ref CounterRandom random)
        {
            DeviceBuffer<double> masses = _host.Allocate<double>(count);
            double sum = 0;
            foreach (ref double mass in masses.View.Host) sum += mass = 0.5 + random.NextDouble();
            foreach (ref double mass in masses.View.Host) mass /= sum;
            return masses;
        }

        private static double[] Wide(T[] values) => [.. values.Select(value => double.CreateTruncating(value))];
    }
}
