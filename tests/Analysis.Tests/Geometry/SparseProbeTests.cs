using BioSup.Analysis.Geometry;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Geometry;

/// <summary>Probes on compressed rows give the numbers of the same samples as a matrix.</summary>
public sealed class SparseProbeTests
{
    private const int Samples = 400, Features = 60, Classes = 5;
    private static readonly int[] s_labels = [.. Enumerable.Range(0, Samples).Select(t => t * 7 % Classes)];

    [Theory]
    [InlineData(false, 1)]
    [InlineData(true, 0.1)]
    public void Logistic_regression_predicts_what_it_predicts_on_the_matrix(bool commonScale, double c)
    {
        using CpuDevice device = new(2);
        (Matrix<double> dense, SparseRows sparse) = Draw(device);
        using (dense)
        {
            LinearProbeOptions options = new() { CommonScale = commonScale, C = c };
            LinearProbeResult expected = LinearProbe.CrossValidate(dense, s_labels, options), found = LinearProbe.CrossValidate(device, sparse, s_labels, options);
            Assert.InRange(expected.Accuracy, 0.4, 0.99);
            Assert.Equal(expected.Predictions, found.Predictions);
            Assert.Equal((expected.Accuracy, expected.BalancedAccuracy, expected.MacroF1), (found.Accuracy, found.BalancedAccuracy, found.MacroF1));
        }
    }

    [Fact]
    public void Scores_and_gradients_are_those_of_standardised_columns_on_any_number_of_threads()
    {
        using CpuDevice one = new(1), three = new(3);
        (Matrix<double> dense, SparseRows sparse) = Draw(one);
        using (dense)
        {
            Fold fold = KFold.SplitStratified(s_labels, 4, 1)[0];
            int[] truth = [.. fold.Train.Select(i => s_labels[i])];
            using LogisticRegression a = LogisticRegression.Fit(new SparseDesign(one, sparse, fold.Train, null, false, true), truth, Classes, 1, 500, CancellationToken.None);
            using LogisticRegression b = LogisticRegression.Fit(new SparseDesign(three, sparse, fold.Train, null, false, true), truth, Classes, 1, 500, CancellationToken.None);
            Assert.Equal(a.Weights.ToArray(), b.Weights.ToArray());
            using Matrix<double> train = BioSup.Kernels.Gather.Rows(dense, fold.Train);
            (DeviceBuffer<double> means, DeviceBuffer<double> scales) = ColumnStatistics.Scaler(train);
            using (means)
            using (scales)
            {
                using SparseDesign design = new(one, sparse, fold.Train, null, false, true);
                for (int j = 0; j < Features; j++)
                {
                    Assert.Equal(means.ToArray()[j], design.Scaler.Means[j], 1e-14);
                    Assert.Equal(scales.ToArray()[j], design.Scaler.Scales[j], 1e-14);
                }
                BioSup.Kernels.Standardise.Columns(train.View, means.View, scales.View, train.View);
                using LogisticRegression whole = LogisticRegression.Fit(train, truth, Classes, 1, 500, CancellationToken.None);
                Assert.All(whole.Weights.ToArray().Zip(a.Weights.ToArray()), pair => Assert.Equal(pair.First, pair.Second, 1e-6));
            }
        }
    }

    [Fact]
    public void The_published_probe_takes_the_same_steps()
    {
        using CpuDevice device = new(1);
        (Matrix<double> dense, SparseRows sparse) = Draw(device);
        using (dense)
        {
            Fold[] folds = KFold.SplitStratified(s_labels, 3, 5);
            Assert.Equal(PublishedProbe.Evaluate(dense, s_labels, folds).Predictions, PublishedProbe.Evaluate(sparse, s_labels, folds).Predictions);
        }
    }

    [Fact]
    public void Rows_are_kept_up_to_the_limit_and_empty_columns_can_be_dropped()
    {
        SparseRows rows = new(5, 4);
        Assert.True(rows.Add([0, 0, 2, 0, 3]));
        Assert.True(rows.Add([0, 0, 0, 0, 0]));
        Assert.True(rows.Add([1, 0, 0, 0, 4]));
        Assert.False(rows.Add([0, 0, 0, 0, 5]));
        Assert.False(rows.Add([0, 0, 0, 0, 0]));
        Assert.True(rows.IsFull);
        rows.DropEmptyColumns();
        Assert.Equal((3, 3, 4L), (rows.Rows, rows.Columns, rows.Entries));
        rows.Row(2, out ReadOnlySpan<int> columns, out ReadOnlySpan<float> values);
        Assert.Equal([0, 2], columns.ToArray());
        Assert.Equal([1f, 4], values.ToArray());
    }

    /// <summary>A seventh of the features are active; a few lean towards a class, one never is active, one always alike.</summary>
    private static (Matrix<double> Dense, SparseRows Sparse) Draw(CpuDevice device)
    {
        CounterRandom random = new(8);
        Matrix<double> dense = device.AllocateMatrix<double>(Samples, Features);
        SparseRows sparse = new(Features);
        float[] row = new float[Features];
        for (int t = 0; t < Samples; t++)
        {
            for (int j = 0; j < Features; j++)
            {
                bool leans = j % 6 == s_labels[t];
                row[j] = j == 10 ? 0 : j == 11 ? 0.5f : random.NextDouble() < (leans ? 0.4 : 0.1) ? (float)(0.2 + random.NextDouble()) : 0;
                dense.Row(t)[j] = row[j];
            }
            sparse.Add(row);
        }
        return (dense, sparse);
    }
}
