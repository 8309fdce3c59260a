using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Prediction;

/// <summary>
/// Everything about a cross-validated ridge regression that does not depend on the targets, in double precision. The features are brought once to a basis in which the penalised
/// Gram matrix of all rows is the identity: column k of the rotated features has norm s_k and is divided by √(s_k² + α). Ridge is invariant to rotations, and the scaling goes
/// into the penalty, diag(α / (s_k² + α)). In that basis every training fold's matrix is close to the identity whatever the condition of the features, so that single
/// precision is enough for thousands of permutations.
/// </summary>
internal sealed class RidgeDesign : IDisposable
{
    private const double LeastShare = 1e-13;

    public RidgeDesign(MatrixView<float> x, PredictionFolds folds, double alpha)
    {
        Cpu = x.Device.Host;
        TestRows = folds.TestRows;
        double[] penalty;
        using (Matrix<double> centred = PredictionData.Centred(x, Cpu)) (Features, penalty) = Whiten(centred, alpha);
        Folds = new RidgeDesignFold[folds.Count];
        using Matrix<double> gram = Cpu.AllocateMatrix<double>(Rank, Rank);
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1, Features.View, Features.View, 0, gram.View);
        for (int f = 0; f < folds.Count; f++) Folds[f] = new RidgeDesignFold(Features, gram, TestRows[f], penalty);
    }

    public CpuDevice Cpu { get; }

    /// <summary>[n, rank], columns of mean 0 over all rows.</summary>
    public Matrix<double> Features { get; }

    public RidgeDesignFold[] Folds { get; }
    public int[][] TestRows { get; }

    /// <summary>The largest ratio of eigenvalues of a training fold's penalised matrix: what rounding is multiplied by.</summary>
    public double Condition => Folds.Max(f => f.Condition);

    public int Rank => Features.Columns;
    public int Rows => Features.Rows;

    public void Dispose()
    {
        Features.Dispose();
        foreach (RidgeDesignFold fold in Folds) fold.Dispose();
    }

    private static (Matrix<double> Features, double[] Penalty) Whiten(Matrix<double> centred, double alpha)
    {
        bool wide = centred.Columns > centred.Rows;
        int size = Math.Min(centred.Rows, centred.Columns);
        using Matrix<double> gram = centred.Device.AllocateMatrix<double>(size, size);
        Gemm.Multiply(wide ? Transpose.No : Transpose.Yes, wide ? Transpose.Yes : Transpose.No, 1, centred.View, centred.View, 0, gram.View);
        using SymmetricEigen eigen = SymmetricEigen.Decompose(gram, vectors: true);
        // With more columns than rows the scores are the eigenvectors of X Xᵀ times s; those without variance, one at least, are no features.
        int rank = wide ? Math.Max(1, eigen.Values.Count(v => v > LeastShare * eigen.Values[0])) : size;
        Matrix<double> features = centred.Device.AllocateMatrix<double>(centred.Rows, rank);
        if (!wide) Gemm.Multiply(Transpose.No, Transpose.Yes, 1, centred.View, eigen.Vectors.View, 0, features.View);
        double[] penalty = new double[rank];
        for (int k = 0; k < rank; k++)
        {
            double squared = Math.Max(0, eigen.Values[k]), scale = 1 / Math.Sqrt(squared + alpha);
            penalty[k] = alpha / (squared + alpha);
            for (int i = 0; i < centred.Rows; i++)
            {
                if (wide) features.Row(i)[k] = eigen.Vectors.Row(k)[i] * Math.Sqrt(squared) * scale;
                else features.Row(i)[k] *= scale;
            }
        }
        return (features, penalty);
    }
}

/// <summary>One fold of a <see cref="RidgeDesign"/>.</summary>
internal sealed class RidgeDesignFold : IDisposable
{
    public RidgeDesignFold(Matrix<double> features, Matrix<double> gram, int[] testRows, double[] penalty)
    {
        int rank = features.Columns, test = testRows.Length, train = features.Rows - test;
        Test = Gather.Rows(features, testRows);
        TestSums = new double[rank];
        for (int i = 0; i < test; i++)
            for (int k = 0; k < rank; k++) TestSums[k] += Test.Row(i)[k];
        // All rows sum to zero, so the training rows' sums are those of the test rows with the other sign.
        TrainMeans = Array.ConvertAll(TestSums, s => -s / train);
        TestGram = features.Device.AllocateMatrix<double>(rank, rank);
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1, Test.View, Test.View, 0, TestGram.View);
        Inverse = Invert(gram, penalty, train);
        CentreTestGram(test);
    }

    /// <summary>The test rows' features [test, rank], not centred on the training rows.</summary>
    public Matrix<double> Test { get; }

    /// <summary>Σ of the test rows' features.</summary>
    public double[] TestSums { get; }

    /// <summary>Means of the training rows' features.</summary>
    public double[] TrainMeans { get; }

    /// <summary>(XtrᵀXtr + penalty)⁻¹ [rank, rank], Xtr centred on its own means.</summary>
    public Matrix<double> Inverse { get; }

    /// <summary>Largest over smallest eigenvalue of XtrᵀXtr + penalty.</summary>
    public double Condition { get; private set; }

    /// <summary>XteᵀXte [rank, rank], Xte centred on the training rows' means.</summary>
    public Matrix<double> TestGram { get; }

    public void Dispose()
    {
        Test.Dispose();
        Inverse.Dispose();
        TestGram.Dispose();
    }

    private Matrix<double> Invert(Matrix<double> gram, double[] penalty, int train)
    {
        int rank = penalty.Length;
        using Matrix<double> penalised = gram.Device.AllocateMatrix<double>(rank, rank);
        for (int k = 0; k < rank; k++)
        {
            for (int l = 0; l < rank; l++) penalised.Row(k)[l] = gram.Row(k)[l] - TestGram.Row(k)[l] - train * TrainMeans[k] * TrainMeans[l];
            penalised.Row(k)[k] += penalty[k];
        }
        using SymmetricEigen eigen = SymmetricEigen.Decompose(penalised, vectors: true);
        Condition = eigen.Values[0] / eigen.Values[^1];
        using Matrix<double> scaled = gram.Device.AllocateMatrix<double>(rank, rank);
        for (int k = 0; k < rank; k++)
            for (int l = 0; l < rank; l++) scaled.Row(k)[l] = eigen.Vectors.Row(k)[l] / eigen.Values[k];
        Matrix<double> inverse = gram.Device.AllocateMatrix<double>(rank, rank);
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1, eigen.Vectors.View, scaled.View, 0, inverse.View);
        return inverse;
    }

    private void CentreTestGram(int test)
    {
        for (int k = 0; k < TrainMeans.Length; k++)
            for (int l = 0; l < TrainMeans.Length; l++)
                TestGram.Row(k)[l] += test * TrainMeans[k] * TrainMeans[l] - TrainMeans[k] * TestSums[l] - TestSums[k] * TrainMeans[l];
    }
}
