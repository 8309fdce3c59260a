using System.Numerics;
using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Prediction;

/// <summary>An engine for R² of permuted targets.</summary>
internal interface IRidgeNull : IDisposable
{
    /// <summary>[1 + permutations, targets of the block], the first row without a permutation. A constant target's column is 0.</summary>
    float[] Run(TargetBlock block, int permutations, RidgeProgress progress);
}

internal static class RidgeNull
{
    /// <summary>Columns of a product: enough for its packing to pay, few enough for a fold's targets to stay in the second-level cache.</summary>
    internal const int PieceColumns = 256;

    /// <summary>Up to here R² in single precision is right to about five digits.</summary>
    private const double MostCondition = 50;

    /// <summary>The engine in single precision, or in double precision where there are about as many features as training rows and little regularisation.</summary>
    public static IRidgeNull For(RidgeDesign design, ulong seed) => design.Condition <= MostCondition ? new RidgeNull<float>(design, seed) : new RidgeNull<double>(design, seed);
}

/// <summary>
/// R² of ridge predictions of permuted targets, thousands at a time. What a permutation moves are the sums Z_f = XᵀY over the rows of each fold f, one product of all n rows;
/// training sums are Σ Z − Z_f, and R² is a quadratic form in both, so that no prediction is ever formed:
/// coefficients U = A⁻¹V, V the centred training sums; Σ(y − ŷ)² over the test rows = Σ(y − ȳtr)² + Σ_k U_k (S U − 2 W)_k, W the test sums centred on the training rows.
/// With p features, G targets and F folds that is 2npG + 4Fp²G operations per permutation; the hat matrix [test, train] on permuted targets takes 2n²G(F − 1)/F.
/// </summary>
/// <remarks>
/// A piece of work is one permutation of up to 256 targets, or of several permutations of fewer. Each thread runs whole pieces, with memory of its own, and a piece's
/// result depends on nothing but its number.
/// </remarks>
internal sealed class RidgeNull<T> : IRidgeNull where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int PiecesPerReport = 256;
    private readonly RidgeDesign _design;
    private readonly ulong _seed;
    private readonly RidgeNullFold<T>[] _folds;
    private readonly RidgeNullScratch<T>?[] _scratch;

    public RidgeNull(RidgeDesign design, ulong seed)
    {
        (_design, _seed) = (design, seed);
        _folds = Array.ConvertAll(design.Folds, fold => new RidgeNullFold<T>(fold, design.Rows));
        _scratch = new RidgeNullScratch<T>?[design.Cpu.Pool.Threads];
    }

    /// <summary>[1 + permutations, targets of the block], the first row without a permutation. A constant target's column is 0.</summary>
    public float[] Run(TargetBlock block, int permutations, RidgeProgress progress)
    {
        (int width, int together) = Piece(block.Count);
        int tiles = (block.Count + width - 1) / width, groups = (permutations + together) / together;
        float[] rSquared = new float[(long)(permutations + 1) * block.Count];
        long pieces = (long)tiles * groups;
        for (long start = 0; start < pieces; start += PiecesPerReport)
        {
            progress.Check();
            Job job = new() { Engine = this, Block = block, RSquared = rSquared, Start = start, Tiles = tiles, Width = width, Together = together, Permutations = permutations + 1 };
            long count = Math.Min(PiecesPerReport, pieces - start);
            _design.Cpu.Pool.Run(count, ref job);
            progress.Done((double)count / pieces * block.Count);
        }
        return rSquared;
    }

    /// <summary>Targets of a piece, and permutations of a piece.</summary>
    private static (int Width, int Together) Piece(int targets)
    {
        int width = Math.Min(RidgeNull.PieceColumns, targets);
        return (width, Math.Max(1, RidgeNull.PieceColumns / width));
    }

    public void Dispose()
    {
        foreach (RidgeNullFold<T> fold in _folds) fold.Dispose();
        foreach (RidgeNullScratch<T>? scratch in _scratch) scratch?.Dispose();
    }

    private void Evaluate(in Job job, long piece, RidgeNullScratch<T> scratch)
    {
        int first = (int)(piece % job.Tiles) * job.Width, width = Math.Min(job.Width, job.Block.Count - first);
        int from = (int)(piece / job.Tiles) * job.Together, together = Math.Min(job.Together, job.Permutations - from), columns = together * width;
        for (int b = 0; b < together; b++) RowPermutations.Fill(_seed, from + b, scratch.Order(b));
        scratch.Total.AsSpan(0, (_design.Rank + 1) * columns).Clear();
        for (int f = 0; f < _folds.Length; f++) Accumulate(job.Block.Values, f, scratch, first, width, together);
        Span<double> errors = scratch.Errors.AsSpan(0, columns);
        errors.Clear();
        for (int f = 0; f < _folds.Length; f++) AddErrors(_folds[f], f, scratch, columns, errors);
        for (int b = 0; b < together; b++)
            for (int t = 0; t < width; t++)
            {
                if (job.Block.IsConstant[first + t]) continue;
                double sum = job.Block.SumOfSquares[first + t];
                job.RSquared[(long)(from + b) * job.Block.Count + first + t] = (float)(-errors[b * width + t] / sum);
            }
    }

    /// <summary>Z_f: the features of a fold's rows, with a column of ones, times the targets that the permutations bring there.</summary>
    private void Accumulate(Matrix<float> targets, int f, RidgeNullScratch<T> scratch, int first, int width, int together)
    {
        int[] rows = _design.TestRows[f];
        int columns = together * width;
        MatrixView<T> gathered = scratch.Gathered(rows.Length, columns);
        for (int i = 0; i < rows.Length; i++)
        {
            Span<T> to = gathered.Row(i);
            for (int b = 0; b < together; b++) EitherPrecision.Convert(targets.Row(scratch.Order(b)[rows[i]]).Slice(first, width), to.Slice(b * width, width));
        }
        MatrixView<T> sums = scratch.Sums(f, columns);
        EitherPrecision.Multiply(Transpose.Yes, Transpose.No, T.One, _folds[f].Features.View, gathered, T.Zero, sums);
        for (int k = 0; k <= _design.Rank; k++)
        {
            Span<T> total = scratch.Total.AsSpan(k * columns, columns);
            TensorPrimitives.Add<T>(total, sums.Row(k), total);
        }
    }

    /// <summary>Adds Σ(y − ŷ)² over a fold's test rows, without their Σ y².</summary>
    private void AddErrors(RidgeNullFold<T> fold, int f, RidgeNullScratch<T> scratch, int columns, Span<double> errors)
    {
        int rank = _design.Rank;
        MatrixView<T> test = scratch.Sums(f, columns), train = scratch.Train(columns), coefficients = scratch.Coefficients(columns);
        for (int k = 0; k <= rank; k++) TensorPrimitives.Subtract<T>(scratch.Total.AsSpan(k * columns, columns), test.Row(k), train.Row(k));
        EitherPrecision.Multiply(Transpose.No, Transpose.No, T.One, fold.Solve.View, train, T.Zero, coefficients.RowBlock(0, rank));
        ReadOnlySpan<T> testSums = test.Row(rank), trainSums = train.Row(rank);
        testSums.CopyTo(coefficients.Row(rank));
        trainSums.CopyTo(coefficients.Row(rank + 1));
        EitherPrecision.Multiply(Transpose.No, Transpose.No, T.One, fold.TestForm.View, coefficients, T.CreateChecked(-2), test.RowBlock(0, rank));
        Span<T> form = scratch.Form.AsSpan(0, columns);
        form.Clear();
        for (int k = 0; k < rank; k++) TensorPrimitives.MultiplyAdd(coefficients.Row(k), test.Row(k), form, form);
        for (int c = 0; c < columns; c++)
        {
            double mean = double.CreateChecked(trainSums[c]) / fold.TrainRows;
            errors[c] += double.CreateChecked(form[c]) + mean * (fold.TestRows * mean - 2 * double.CreateChecked(testSums[c]));
        }
    }

    private struct Job : IBlockJob
    {
        public RidgeNull<T> Engine;
        public TargetBlock Block;
        public float[] RSquared;
        public long Start;
        public int Tiles, Width, Together, Permutations;

        public readonly void Execute(long block, int worker)
        {
            RidgeNullScratch<T> scratch = Engine._scratch[worker] ??= new RidgeNullScratch<T>(Engine._design);
            Engine.Evaluate(this, Start + block, scratch);
        }
    }
}
