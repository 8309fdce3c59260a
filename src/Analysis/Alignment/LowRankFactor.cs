using System.Numerics.Tensors;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// One factor of a low-rank coupling, Q [n, r] with row sums 1 / n, its gradient, the kernel that a projection scales, and the passes over their rows. Every pass is cut into blocks of rows by the
/// shape alone and adds the blocks' sums in order, so that results do not depend on the number of threads. In host memory; passes allocate nothing.
/// </summary>
internal sealed unsafe class LowRankFactor : IDisposable
{
    /// <summary>Elements of one block: the kernel's fit into the second-level cache.</summary>
    private const int BlockElements = 1 << 14;

    /// <summary>What POT adds to every entry after a projection, so that no entry is lost for good.</summary>
    private const double Floor = 1e-16;

    /// <summary>Kernels do not underflow to zero, so that every column can be scaled.</summary>
    private const double Least = 1e-200;
    private readonly CpuDevice _device;
    private readonly int _rowsPerBlock, _blocks;
    private readonly DeviceBuffer<double> _scale, _lastScale, _sums, _numbers, _grams;
    private Matrix<double> _values, _kernel;
    private DeviceBuffer<double> _u, _uBefore;

    public LowRankFactor(CpuDevice device, int rows, int rank)
    {
        (_device, Rows, Rank) = (device, rows, rank);
        _rowsPerBlock = Math.Max(16, BlockElements / rank);
        _blocks = (rows + _rowsPerBlock - 1) / _rowsPerBlock;
        _values = device.AllocateMatrix<double>(rows, rank);
        _kernel = device.AllocateMatrix<double>(rows, rank);
        Gradient = device.AllocateMatrix<double>(rows, rank);
        _u = device.Allocate<double>(rows);
        _uBefore = device.Allocate<double>(rows);
        _scale = device.Allocate<double>(rank);
        _lastScale = device.Allocate<double>(rank);
        _sums = device.Allocate<double>((long)_blocks * rank);
        _numbers = device.Allocate<double>(2L * _blocks);
        _grams = device.Allocate<double>((long)_blocks * rank * rank);
        ColumnSums = new double[rank];
        Reset();
    }

    public int Rows { get; }
    public int Rank { get; }

    /// <summary>Q.</summary>
    public Matrix<double> Values => _values;
    public Matrix<double> Gradient { get; }

    /// <summary>What the last pass summed over the rows.</summary>
    public double[] ColumnSums { get; }

    /// <summary>v of the projection [r].</summary>
    public Span<double> Scale => _scale.View.Host;

    public static long BytesFor(long rows, int rank) => 8 * (3 * rows * rank + 2 * rows + (rows / Math.Max(16, BlockElements / rank) + 1) * rank * rank);

    /// <summary>Largest range of a row of the gradient, and its largest magnitude.</summary>
    public (double Range, double Magnitude) GradientSize()
    {
        Run(PassKind.Size, 0, null);
        double range = 0, magnitude = 0;
        ReadOnlySpan<double> numbers = _numbers.View.Host;
        for (int b = 0; b < _blocks; b++)
        {
            range = Math.Max(range, numbers[2 * b]);
            magnitude = Math.Max(magnitude, numbers[2 * b + 1]);
        }
        return (range, magnitude);
    }

    /// <summary>K_ij = Q_ij exp(-step (G_ij - min_j G_ij)); the row's constant is the projection's to find.</summary>
    public void MakeKernel(double step)
    {
        Run(PassKind.Kernel, step, null);
        Reset();
    }

    /// <summary>
    /// u = (1 / n) / (K v) and <see cref="ColumnSums"/> = Kᵀ u. Returns the L1 error of the row sums that the previous u has with this v.
    /// </summary>
    public double ScaleRows()
    {
        (_u, _uBefore) = (_uBefore, _u);
        Run(PassKind.Scale, 0, null);
        Collect();
        return Numbers();
    }

    /// <summary>sum_i (1 / n) log (K v)_i of the last <see cref="ScaleRows"/>.</summary>
    public double LogSum()
    {
        double total = 0;
        ReadOnlySpan<double> numbers = _numbers.View.Host;
        for (int b = 0; b < _blocks; b++) total += numbers[2 * b + 1];
        return total;
    }

    /// <summary>-n Qᵀ Q of Q = diag(u) K diag(v), its lower triangle, into the diagonal block of a matrix that starts at row and column <paramref name="offset"/>.</summary>
    public void Gram(double[] matrix, int stride, int offset)
    {
        Run(PassKind.Gram, 0, null);
        ReadOnlySpan<double> grams = _grams.View.Host, v = Scale;
        for (int k = 0; k < Rank; k++)
        {
            Span<double> row = matrix.AsSpan((offset + k) * stride + offset, k + 1);
            row.Clear();
            for (int b = 0; b < _blocks; b++) TensorPrimitives.Add(row, grams.Slice((b * Rank + k) * Rank, k + 1), row);
            for (int l = 0; l <= k; l++) row[l] *= -Rows * v[k] * v[l];
        }
    }

    /// <summary>The last v and the u before it: the pair whose error the last <see cref="ScaleRows"/> measured.</summary>
    public void StepBack() => (_u, _uBefore) = (_uBefore, _u);

    /// <summary>K becomes diag(u) K diag(v) and a floor; returns sum (K - Q) (log K - log Q) where asked for. <see cref="ColumnSums"/> are those of K.</summary>
    public double Finish(bool measure)
    {
        Run(measure ? PassKind.FinishMeasured : PassKind.Finish, 0, null);
        Collect();
        return Numbers();
    }

    /// <summary>The finished kernel is the new Q; what was Q is the memory of the next kernel.</summary>
    public void Accept() => (_values, _kernel) = (_kernel, _values);

    /// <summary>sum_i w_i (sum_k K_ik c_k - 1 / n) and sum_i |sum_k K_ik c_k - 1 / n| of the finished kernel.</summary>
    public (double Weighted, double Absolute) RowDeviation(ReadOnlySpan<double> c, DeviceBuffer<double> weights)
    {
        c.CopyTo(_lastScale.View.Host);
        Run(PassKind.Deviation, 0, weights.View.Pointer);
        double weighted = 0, absolute = 0;
        ReadOnlySpan<double> numbers = _numbers.View.Host;
        for (int b = 0; b < _blocks; b++)
        {
            weighted += numbers[2 * b];
            absolute += numbers[2 * b + 1];
        }
        return (weighted, absolute);
    }

    /// <summary>The finished kernel, before it is accepted.</summary>
    public Matrix<double> Kernel => _kernel;

    public void Dispose()
    {
        foreach (IDisposable owned in (ReadOnlySpan<IDisposable>)[_values, _kernel, Gradient, _u, _uBefore, _scale, _lastScale, _sums, _numbers, _grams]) owned.Dispose();
    }

    private void Reset()
    {
        Scale.Fill(1);
        _u.View.Host.Fill(double.PositiveInfinity);
    }

    private void Run(PassKind kind, double step, double* weights)
    {
        FactorPass pass = new()
        {
            Kind = kind, Q = _values.View.Pointer, K = _kernel.View.Pointer, G = Gradient.View.Pointer, U = _u.View.Pointer, UBefore = _uBefore.View.Pointer,
            V = kind == PassKind.Deviation ? _lastScale.View.Pointer : _scale.View.Pointer, Sums = _sums.View.Pointer, Numbers = _numbers.View.Pointer, Grams = _grams.View.Pointer, Weights = weights,
            Rows = Rows, Rank = Rank, RowsPerBlock = _rowsPerBlock, Step = step, Mass = 1.0 / Rows,
        };
        _device.Pool.Run(_blocks, ref pass);
    }

    private void Collect()
    {
        Span<double> total = ColumnSums;
        total.Clear();
        ReadOnlySpan<double> sums = _sums.View.Host;
        for (int b = 0; b < _blocks; b++) TensorPrimitives.Add(total, sums.Slice(b * Rank, Rank), total);
    }

    private double Numbers()
    {
        double total = 0;
        ReadOnlySpan<double> numbers = _numbers.View.Host;
        for (int b = 0; b < _blocks; b++) total += numbers[2 * b];
        return total;
    }

    private enum PassKind
    {
        Size,
        Kernel,
        Scale,
        Finish,
        FinishMeasured,
        Deviation,
        Gram,
    }

    private struct FactorPass : IBlockJob
    {
        public PassKind Kind;
        public double* Q, K, G, U, UBefore, V, Sums, Numbers, Grams, Weights;
        public int Rows, Rank, RowsPerBlock;
        public double Step, Mass;

        public readonly void Execute(long block, int worker)
        {
            int first = (int)block * RowsPerBlock, last = Math.Min(Rows, first + RowsPerBlock);
            Span<double> sums = new(Sums + block * Rank, Rank);
            double* numbers = Numbers + 2 * block;
            sums.Clear();
            (numbers[0], numbers[1]) = (0, 0);
            Span<double> gram = Kind == PassKind.Gram ? new(Grams + block * Rank * Rank, Rank * Rank) : [];
            gram.Clear();
            for (int i = first; i < last; i++)
                switch (Kind)
                {
                    case PassKind.Size: Size(i, numbers); break;
                    case PassKind.Kernel: MakeKernel(i); break;
                    case PassKind.Scale: ScaleRow(i, sums, numbers); break;
                    case PassKind.Gram: Multiply(i, gram); break;
                    case PassKind.Deviation: Deviate(i, numbers); break;
                    default: Finish(i, sums, numbers); break;
                }
        }

        private readonly Span<double> Row(double* matrix, int i) => new(matrix + (long)i * Rank, Rank);

        private readonly void Size(int i, double* numbers)
        {
            ReadOnlySpan<double> g = Row(G, i);
            double least = TensorPrimitives.Min(g), most = TensorPrimitives.Max(g);
            numbers[0] = Math.Max(numbers[0], most - least);
            numbers[1] = Math.Max(numbers[1], Math.Max(Math.Abs(least), Math.Abs(most)));
        }

        private readonly void MakeKernel(int i)
        {
            Span<double> k = Row(K, i);
            if (Step == 0)
            {
                Row(Q, i).CopyTo(k);
                return;
            }
            ReadOnlySpan<double> g = Row(G, i);
            TensorPrimitives.Subtract(g, TensorPrimitives.Min(g), k);
            TensorPrimitives.Multiply(k, -Step, k);
            TensorPrimitives.Exp(k, k);
            TensorPrimitives.Multiply(k, Row(Q, i), k);
            TensorPrimitives.Max(k, Least, k);
        }

        private readonly void ScaleRow(int i, Span<double> sums, double* numbers)
        {
            ReadOnlySpan<double> k = Row(K, i);
            double sum = TensorPrimitives.Dot(k, new ReadOnlySpan<double>(V, Rank)), u = Mass / sum;
            numbers[0] += Math.Abs(UBefore[i] * sum - Mass);
            numbers[1] += Mass * Math.Log(sum);
            U[i] = u;
            TensorPrimitives.MultiplyAdd(k, u, sums, sums);
        }

        private readonly void Multiply(int i, Span<double> gram)
        {
            ReadOnlySpan<double> row = Row(K, i);
            double weight = U[i] * U[i];
            for (int k = 0; k < row.Length; k++)
            {
                Span<double> sums = gram.Slice(k * Rank, k + 1);
                TensorPrimitives.MultiplyAdd(row[..(k + 1)], weight * row[k], sums, sums);
            }
        }

        private readonly void Finish(int i, Span<double> sums, double* numbers)
        {
            Span<double> k = Row(K, i), q = Row(Q, i);
            TensorPrimitives.Multiply(k, new ReadOnlySpan<double>(V, Rank), k);
            TensorPrimitives.Multiply(k, U[i], k);
            if (Kind == PassKind.FinishMeasured)
                for (int j = 0; j < k.Length; j++) numbers[0] += (k[j] - q[j]) * (Math.Log(k[j] + Floor) - Math.Log(q[j] + Floor));
            TensorPrimitives.Add(k, Floor, k);
            TensorPrimitives.Add(sums, k, sums);
        }

        private readonly void Deviate(int i, double* numbers)
        {
            double deviation = TensorPrimitives.Dot<double>(Row(K, i), new ReadOnlySpan<double>(V, Rank)) - Mass;
            numbers[0] += Weights[i] * deviation;
            numbers[1] += Math.Abs(deviation);
        }
    }
}
