using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Coefficients of one Muon update.</summary>
public readonly record struct MuonOptions
{
    public MuonOptions() { }

    public double LearningRate { get; init; }

    /// <summary>Decoupled weight decay.</summary>
    public double WeightDecay { get; init; } = 1e-4;

    public double Momentum { get; init; } = 0.95;
}

/// <summary>
/// Muon (Jordan et al. 2024): the update of a weight matrix is its Nesterov momentum, made nearly orthogonal by five quintic Newton-Schulz iterations,
/// scaled by 0.2 √max(rows, columns) so that its entries are as large as AdamW's (Liu et al. 2025, arXiv 2502.16982):
/// M ← μM + G;  X = (G + μM) / ‖G + μM‖_F;  five times X ← aX + (bA + cA²)X with A = XXᵀ;  W ← (1 − ηw)W − 0.2η √max(rows, columns) X.
/// Products are in single precision and on the smaller side: with more rows than columns A = XᵀX stands on the right.
/// </summary>
/// <remarks>Made of operations that run on every device. On a GPU each update waits once, for the norm. On the host a warm update allocates nothing.</remarks>
public sealed unsafe partial class Muon : IDisposable
{
    private const int Iterations = 5;
    private const double Epsilon = 1e-7, MatchAdam = 0.2;
    private const double A = 3.4445, B = -4.7750, C = 2.0315;

    private readonly DeviceBuffer<float> _direction, _next, _gram, _polynomial;
    private readonly DeviceBuffer<double> _rowNorms;
    private readonly ComputeDevice _device;

    /// <summary>Scratch for matrices of up to <paramref name="rows"/> × <paramref name="columns"/>, either way round.</summary>
    public Muon(ComputeDevice device, int rows, int columns)
    {
        _device = device;
        long elements = (long)rows * columns, side = Math.Min(rows, columns);
        _direction = device.Allocate<float>(elements);
        _next = device.Allocate<float>(elements);
        _gram = device.Allocate<float>(side * side);
        _polynomial = device.Allocate<float>(side * side);
        _rowNorms = device.Allocate<double>(Math.Max(rows, columns));
    }

    /// <summary>Bytes of the scratch for a matrix.</summary>
    public static long Bytes(long rows, long columns) => sizeof(float) * (2 * rows * columns + 2 * Math.Min(rows, columns) * Math.Min(rows, columns)) + sizeof(double) * Math.Max(rows, columns);

    /// <summary>One update.</summary>
    /// <param name="parameters">W [rows, columns], contiguous; updated.</param>
    /// <param name="gradients">G, read.</param>
    /// <param name="momentum">M, zero before the first update; updated.</param>
    /// <param name="options">Coefficients.</param>
    /// <param name="gradientScale">Multiplies the gradient first, as clipping does.</param>
    public void Step(MatrixView<float> parameters, MatrixView<float> gradients, MatrixView<float> momentum, in MuonOptions options, double gradientScale = 1)
    {
        int rows = parameters.Rows, columns = parameters.Columns, side = Math.Min(rows, columns);
        if (gradients.Rows != rows || gradients.Columns != columns || momentum.Rows != rows || momentum.Columns != columns)
            throw new ArgumentException("Parameters, gradients and momentum must be of one shape.");
        if ((long)rows * columns > _direction.Length || (long)side * side > _gram.Length)
            throw new ArgumentException($"The scratch was made for smaller matrices than {rows} x {columns}.", nameof(parameters));
        MatrixView<float> x = View(_direction, rows, columns), next = View(_next, rows, columns), gram = View(_gram, side, side), polynomial = View(_polynomial, side, side);
        AdamW.Scale(Flat(momentum), options.Momentum);
        Elementwise.AddScaled(gradientScale, gradients, momentum);
        Elementwise.Copy(gradients, x);
        AdamW.Scale(Flat(x), gradientScale);
        Elementwise.AddScaled(options.Momentum, momentum, x);
        AdamW.Scale(Flat(x), 1 / (Math.Sqrt(AdamW.SumOfSquares(Flat(x))) + Epsilon));
        bool tall = rows > columns;
        for (int i = 0; i < Iterations; i++)
        {
            Gemm.Multiply(tall ? Transpose.Yes : Transpose.No, tall ? Transpose.No : Transpose.Yes, 1, x, x, 0, gram);
            Elementwise.Copy(gram, polynomial);
            Gemm.Multiply(Transpose.No, Transpose.No, (float)C, gram, gram, (float)B, polynomial);
            Elementwise.Copy(x, next);
            if (tall) Gemm.Multiply(Transpose.No, Transpose.No, 1, x, polynomial, (float)A, next);
            else Gemm.Multiply(Transpose.No, Transpose.No, 1, polynomial, x, (float)A, next);
            MatrixView<float> swap = x;
            x = next;
            next = swap;
        }
        AdamW.Scale(Flat(parameters), 1 - options.LearningRate * options.WeightDecay);
        Elementwise.AddScaled(-options.LearningRate * UpdateScale(rows, columns), x, parameters);
    }

    /// <summary>0.2 √max(rows, columns).</summary>
    public static double UpdateScale(int rows, int columns) => MatchAdam * Math.Sqrt(Math.Max(rows, columns));

    /// <summary>Rows to unit length.</summary>
    internal void NormaliseRows(MatrixView<float> matrix) => L2Normalise.Rows(matrix, _rowNorms.View.Slice(0, matrix.Rows), matrix);

    public void Dispose()
    {
        _direction.Dispose();
        _next.Dispose();
        _gram.Dispose();
        _polynomial.Dispose();
        _rowNorms.Dispose();
    }

    private MatrixView<float> View(DeviceBuffer<float> buffer, int rows, int columns) => new(buffer.View.Pointer, rows, columns, columns, _device);

    private static DeviceSpan<float> Flat(MatrixView<float> matrix)
    {
        if (matrix.Stride != matrix.Columns) throw new ArgumentException("Matrices of an update must be contiguous.");
        return new DeviceSpan<float>(matrix.Pointer, (long)matrix.Rows * matrix.Columns, matrix.Device);
    }
}
