using System.Globalization;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Benchmarks;

/// <summary>Matrix products against OpenBLAS: rate, ratio, and the fraction of the processor's ceiling.</summary>
internal static unsafe class GemmSuite
{
    /// <summary>Square products and the paper's encoder product.</summary>
    public static void Run(SuiteOptions options)
    {
        ResultTable table = Begin("Matrix product against OpenBLAS", out double peak);
        foreach (int threads in (int[])[1, 2])
        {
            using CpuDevice device = new(threads);
            OpenBlas.SetThreads(threads);
            foreach (ProductShape shape in Shapes(options)) Compare<float>(table, device, shape, Transpose.No, peak * threads);
        }
        table.Write(options.Output);
    }

    /// <summary>A transposed operand, double precision, and products with few rows or columns.</summary>
    public static void RunOther(SuiteOptions options)
    {
        ResultTable table = Begin("Transposed, double-precision and thin matrix products against OpenBLAS", out double peak);
        foreach (int threads in (int[])[1, 2])
        {
            using CpuDevice device = new(threads);
            OpenBlas.SetThreads(threads);
            Compare<float>(table, device, new(1024, 1024, 1024), Transpose.Yes, peak * threads);
            Compare<double>(table, device, new(1024, 1024, 1024), Transpose.No, peak * threads / 2);
            foreach (ProductShape thin in (ProductShape[])[new(1, 4096, 4096), new(4, 4096, 4096), new(4096, 1, 4096), new(4096, 8, 4096), new(64, 4096, 512)])
                Compare<float>(table, device, thin, Transpose.No, peak * threads);
        }
        table.Write(options.Output);
    }

    private static ResultTable Begin(string title, out double peak)
    {
        string core = OpenBlas.Load();
        peak = PeakRate.SingleThread();
        ResultTable table = new(title,
            $"Peer: OpenBLAS, {core} kernels ({OpenBlas.Configuration}). Both in one process, alternating; GFLOP/s of the best and the median round.",
            $"Ceiling of one thread: {Rate(peak)} GFLOP/s (twelve chains of fused multiply-adds on registers, single precision).");
        table.Header("product m×n×k", "type", "threads", "ours best", "peer best", "ratio best", "ours median", "peer median", "ratio median", "of ceiling");
        return table;
    }

    private static IEnumerable<ProductShape> Shapes(SuiteOptions options)
    {
        if (options.Rest.Count > 0)
            return options.Rest.Select(text => text.Split('x')).Select(p => new ProductShape(int.Parse(p[0], CultureInfo.InvariantCulture), int.Parse(p[1], CultureInfo.InvariantCulture), int.Parse(p[2], CultureInfo.InvariantCulture)));
        return options.Quick ? ProblemShapes.TimedProducts.Where(s => s.M < 2048) : ProblemShapes.TimedProducts;
    }

    private static void Compare<T>(ResultTable table, CpuDevice device, ProductShape shape, Transpose transposeB, double peak) where T : unmanaged, System.Numerics.IFloatingPointIeee754<T>
    {
        (int m, int n, int k) = (shape.M, shape.N, shape.K);
        using Matrix<T> a = Random<T>(device, m, k, 1), b = transposeB == Transpose.No ? Random<T>(device, k, n, 2) : Random<T>(device, n, k, 2);
        using Matrix<T> ours = device.AllocateMatrix<T>(m, n), theirs = device.AllocateMatrix<T>(m, n);
        double operations = 2.0 * m * n * k;
        // About a second for each contender, and enough repetitions inside a round for the clock to be exact.
        int inner = Math.Max(1, (int)(0.02 * peak / operations)), rounds = Math.Clamp((int)(peak / operations / inner), 5, 9);
        bool transposed = transposeB == Transpose.Yes;
        Action own, peer;
        if (typeof(T) == typeof(float))
        {
            own = () => { for (int i = 0; i < inner; i++) Gemm.Multiply(Transpose.No, transposeB, 1, As<T, float>(a), As<T, float>(b), 0, As<T, float>(ours)); };
            peer = () => { for (int i = 0; i < inner; i++) OpenBlas.Multiply(m, n, k, As<T, float>(a).Pointer, false, As<T, float>(b).Pointer, transposed, As<T, float>(theirs).Pointer); };
        }
        else
        {
            own = () => { for (int i = 0; i < inner; i++) Gemm.Multiply(Transpose.No, transposeB, 1, As<T, double>(a), As<T, double>(b), 0, As<T, double>(ours)); };
            peer = () => { for (int i = 0; i < inner; i++) OpenBlas.Multiply(m, n, k, As<T, double>(a).Pointer, false, As<T, double>(b).Pointer, transposed, As<T, double>(theirs).Pointer); };
        }
        Timing[] t = Interleaved.Measure(rounds, own, peer);
        RequireAgreement(shape, ours.View, theirs.View);
        operations *= inner;
        table.Row($"{m}×{n}×{k}{(transposed ? " NT" : "")}", typeof(T) == typeof(float) ? "fp32" : "fp64", $"{device.Pool.Threads}",
            Rate(operations / t[0].Best), Rate(operations / t[1].Best), Percent(t[1].Best / t[0].Best),
            Rate(operations / t[0].Median), Rate(operations / t[1].Median), Percent(t[1].Median / t[0].Median), Percent(operations / t[0].Best / peak));
    }

    private static void RequireAgreement<T>(ProductShape shape, MatrixView<T> ours, MatrixView<T> theirs) where T : unmanaged, System.Numerics.IFloatingPointIeee754<T>
    {
        double bound = 1e-5 * Math.Sqrt(shape.K) * 10;
        for (int i = 0; i < ours.Rows; i += 17)
            for (int j = 0; j < ours.Columns; j++)
                if (!(Math.Abs(double.CreateTruncating(ours.Row(i)[j] - theirs.Row(i)[j])) <= bound))
                    throw new InvalidOperationException($"{shape}: element ({i}, {j}) is {ours.Row(i)[j]}, OpenBLAS has {theirs.Row(i)[j]}.");
    }

    private static Matrix<T> Random<T>(ComputeDevice device, int rows, int columns, ulong seed) where T : unmanaged, System.Numerics.IFloatingPointIeee754<T>
    {
        Matrix<T> matrix = device.AllocateMatrix<T>(rows, columns);
        CounterRandom random = new(seed);
        for (int i = 0; i < rows; i++)
            foreach (ref T value in matrix.Row(i)) value = T.CreateTruncating(2 * random.NextDouble() - 1);
        return matrix;
    }

    private static MatrixView<TTo> As<TFrom, TTo>(Matrix<TFrom> m) where TFrom : unmanaged where TTo : unmanaged => new((TTo*)m.View.Pointer, m.Rows, m.Columns, m.Columns, m.Device);

    private static string Rate(double operationsPerSecond) => (operationsPerSecond * 1e-9).ToString("F1", CultureInfo.InvariantCulture);

    private static string Percent(double ratio) => (100 * ratio).ToString("F0", CultureInfo.InvariantCulture) + " %";
}
