using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

public static partial class PublishedProbe
{
    /// <summary>The same probe on samples that are mostly zeros: same draws, same steps, and the same numbers to rounding.</summary>
    /// <inheritdoc cref="Evaluate(Matrix{double}, ReadOnlySpan{int}, IReadOnlyList{Fold}, ulong, CancellationToken)"/>
    public static LinearProbeResult Evaluate(SparseRows x, ReadOnlySpan<int> labels, IReadOnlyList<Fold> splits, ulong seed = 42, CancellationToken cancellation = default)
    {
        int classes = 0;
        foreach (int label in labels) classes = Math.Max(classes, label + 1);
        int[] codes = labels.ToArray(), predictions = new int[codes.Length];
        Array.Fill(predictions, -1);
        foreach (Fold split in splits)
        {
            CounterRandom random = new(seed, stream: 0x9B0B);
            int[] chosen = Balanced(codes, split.Train, ref random);
            SparseDescent descent = new(x, split.Train, classes);
            if (descent.Columns == 0) continue;
            descent.Start(ref random);
            for (int epoch = 0; epoch < Epochs; epoch++)
            {
                cancellation.ThrowIfCancellationRequested();
                int[] order = (int[])chosen.Clone();
                random.Shuffle<int>(order);
                foreach (int[] batch in order.Chunk(BatchRows)) descent.Step(batch, codes);
            }
            foreach (int row in split.Test) predictions[row] = descent.Predict(row);
        }
        return LinearProbe.Score(codes, predictions, classes);
    }

    /// <summary>Weights, momentum and gradient by column, all classes of a column side by side.</summary>
    private sealed class SparseDescent
    {
        private readonly SparseRows _x;
        private readonly int _classes;

        // Place of a column among those that vary in the training rows; -1 for the others.
        private readonly int[] _place;
        private readonly double[] _norms;
        private double[] _weights = [], _velocity = [], _gradient = [];

        public SparseDescent(SparseRows x, int[] train, int classes)
        {
            (_x, _classes) = (x, classes);
            double[] sums = new double[x.Columns], squares = new double[x.Columns];
            int[] counts = new int[x.Columns];
            Visit(train, (j, value) => (sums[j], counts[j]) = (sums[j] + value, counts[j] + 1));
            Visit(train, (j, value) => squares[j] += (value - sums[j] / train.Length) * (value - sums[j] / train.Length));
            _place = new int[x.Columns];
            for (int j = 0; j < _place.Length; j++)
            {
                double mean = sums[j] / train.Length, variance = (squares[j] + (train.Length - counts[j]) * mean * mean) / train.Length;
                _place[j] = Math.Sqrt(variance) >= SmallestDeviation ? Columns++ : -1;
            }
            _norms = new double[x.Rows];
            for (int t = 0; t < x.Rows; t++)
            {
                x.Row(t, out ReadOnlySpan<int> columns, out ReadOnlySpan<float> values);
                for (int k = 0; k < columns.Length; k++)
                    if (_place[columns[k]] >= 0) _norms[t] += (double)values[k] * values[k];
                _norms[t] = Math.Max(Math.Sqrt(_norms[t]), double.Epsilon);
            }
        }

        public int Columns { get; }

        /// <summary>Draws in the order of a matrix [classes, columns].</summary>
        public void Start(ref CounterRandom random)
        {
            double bound = 1 / Math.Sqrt(Columns);
            (_weights, _velocity, _gradient) = (new double[Columns * _classes], new double[Columns * _classes], new double[Columns * _classes]);
            for (int c = 0; c < _classes; c++)
                for (int j = 0; j < Columns; j++) _weights[j * _classes + c] = bound * (2 * random.NextDouble() - 1);
        }

        /// <summary>v ← 0.9 v + g, W ← W − 0.1 v.</summary>
        public void Step(int[] batch, int[] codes)
        {
            double[] scores = new double[_classes];
            Array.Clear(_gradient);
            foreach (int row in batch)
            {
                Score(row, scores);
                double largest = scores.Max(), sum = 0;
                for (int c = 0; c < scores.Length; c++) sum += scores[c] = Math.Exp(scores[c] - largest);
                for (int c = 0; c < scores.Length; c++) scores[c] = scores[c] / sum - (c == codes[row] ? 1 : 0);
                _x.Row(row, out ReadOnlySpan<int> columns, out ReadOnlySpan<float> values);
                for (int k = 0; k < columns.Length; k++)
                    if (_place[columns[k]] is >= 0 and int at) HostVectors.AddScaled(_gradient.AsSpan(at * _classes, _classes), scores, values[k] / _norms[row] / batch.Length);
            }
            HostVectors.Scale(_velocity, Momentum);
            HostVectors.AddScaled(_velocity, _gradient, 1);
            HostVectors.AddScaled(_weights, _velocity, -Rate);
        }

        public int Predict(int row)
        {
            double[] scores = new double[_classes];
            Score(row, scores);
            return Array.IndexOf(scores, scores.Max());
        }

        private void Score(int row, double[] scores)
        {
            Array.Clear(scores);
            _x.Row(row, out ReadOnlySpan<int> columns, out ReadOnlySpan<float> values);
            for (int k = 0; k < columns.Length; k++)
                if (_place[columns[k]] is >= 0 and int at) HostVectors.AddScaled(scores, _weights.AsSpan(at * _classes, _classes), values[k] / _norms[row]);
        }

        private void Visit(int[] rows, Action<int, double> visit)
        {
            foreach (int row in rows)
            {
                _x.Row(row, out ReadOnlySpan<int> columns, out ReadOnlySpan<float> values);
                for (int k = 0; k < columns.Length; k++) visit(columns[k], values[k]);
            }
        }
    }
}
