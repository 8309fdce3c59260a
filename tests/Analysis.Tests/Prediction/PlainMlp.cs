using BioSup.Analysis.Prediction;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Prediction;

/// <summary>GW-map's network and the protocol around it without dropout, in double precision and plain loops.</summary>
internal sealed class PlainMlp
{
    private const int Layers = 3;
    private readonly int[] _widths;
    private readonly double[][] _gamma, _beta, _weight, _bias, _mean, _variance;

    private PlainMlp(int inputs, int hidden, int outputs, ref CounterRandom random)
    {
        _widths = [inputs, hidden, hidden, outputs];
        (_gamma, _beta, _weight, _bias, _mean, _variance) = (new double[Layers][], new double[Layers][], new double[Layers][], new double[Layers][], new double[Layers][], new double[Layers][]);
        for (int l = 0; l < Layers; l++)
        {
            double bound = 1 / Math.Sqrt(_widths[l]);
            (_gamma[l], _beta[l], _mean[l], _variance[l]) = (Filled(_widths[l], 1), Filled(_widths[l], 0), Filled(_widths[l], 0), Filled(_widths[l], 1));
            _weight[l] = new double[_widths[l] * _widths[l + 1]];
            foreach (ref double w in _weight[l].AsSpan()) w = bound * (2 * random.NextDouble() - 1);
            _bias[l] = new double[_widths[l + 1]];
            foreach (ref double b in _bias[l].AsSpan()) b = bound * (2 * random.NextDouble() - 1);
        }
    }

    /// <summary>R² of every target of one run, or of one permutation, over all folds.</summary>
    /// <param name="x">[rows][features].</param>
    /// <param name="y">[rows][targets].</param>
    public static double[] RSquared(double[][] x, double[][] y, PredictionFolds folds, MlpOptions options, int permutation, out int clipped)
    {
        int[] order = new int[x.Length];
        RowPermutations.Fill(options.Seed, permutation, order);
        double[][] dealt = [.. order.Select(row => Standardised(y)[row])];
        double[] errors = new double[y[0].Length];
        clipped = 0;
        for (int fold = 0; fold < folds.Count; fold++)
        {
            CounterRandom random = new(options.Seed, (0x6D6CUL << 48) | ((ulong)permutation << 12) | (uint)fold);
            int[] rows = [.. Enumerable.Range(0, x.Length).Where(i => folds.FoldOfRow[i] != fold)];
            random.Shuffle<int>(rows);
            int fitted = rows.Length - Math.Max(1, (int)Math.Round(options.ValidationShare * rows.Length));
            clipped += Fold(x, dealt, rows[..fitted], rows[fitted..], folds.TestRows[fold], options, ref random, errors);
        }
        return [.. errors.Select(e => Math.Max(options.Floor, 1 - e / x.Length))];
    }

    /// <summary>Trains on some rows, chooses the epoch by others, adds squared errors on the third.</summary>
    private static int Fold(double[][] x, double[][] y, int[] fitted, int[] validation, int[] test, MlpOptions options, ref CounterRandom random, double[] errors)
    {
        int targets = y[0].Length, clipped = 0;
        double[] mean = [.. Enumerable.Range(0, targets).Select(t => fitted.Average(i => y[i][t]))];
        double[] deviation = [.. Enumerable.Range(0, targets).Select(t => Math.Sqrt(fitted.Average(i => Math.Pow(y[i][t] - mean[t], 2))))];
        double[][] scaled = [.. y.Select(row => row.Select((value, t) => (value - mean[t]) / deviation[t]).ToArray())];
        PlainMlp network = new(x[0].Length, options.Hidden, targets, ref random);
        double[][] parameters = [.. network._gamma, .. network._beta, .. network._weight, .. network._bias];
        double[][] first = [.. parameters.Select(p => new double[p.Length])], second = [.. parameters.Select(p => new double[p.Length])], best = [];
        double[][] State() => [.. parameters.Concat(network._mean).Concat(network._variance).Select(p => (double[])p.Clone())];
        double least = double.PositiveInfinity;
        int step = 0, bestEpoch = 0;
        for (int epoch = 0; epoch < options.Epochs && epoch - bestEpoch <= options.Patience; epoch++)
        {
            double rate = options.FinalLearningRate + 0.5 * (options.LearningRate - options.FinalLearningRate) * (1 + Math.Cos(Math.PI * epoch / options.Epochs));
            random.Shuffle<int>(fitted);
            foreach (int[] batch in fitted.Chunk(options.Batch).Where(b => b.Length > 1))
            {
                double[][] gradients = network.Gradients([.. batch.Select(i => x[i])], [.. batch.Select(i => scaled[i])]);
                double norm = Math.Sqrt(gradients.Sum(g => g.Sum(v => v * v))), clip = Math.Min(1, options.GradientClip / (norm + 1e-6));
                step++;
                for (int p = 0; p < parameters.Length; p++)
                    for (int k = 0; k < parameters[p].Length; k++)
                    {
                        double g = clip * gradients[p][k] + options.WeightDecay * parameters[p][k];
                        first[p][k] += 0.1 * (g - first[p][k]);
                        second[p][k] += 0.001 * (g * g - second[p][k]);
                        parameters[p][k] -= rate * first[p][k] / (1 - Math.Pow(0.9, step)) / (Math.Sqrt(second[p][k] / (1 - Math.Pow(0.999, step))) + 1e-8);
                    }
            }
            double error = validation.Sum(i => network.Predict(x[i]).Select((value, t) => Math.Pow(value - scaled[i][t], 2)).Sum());
            if (error < least) (least, bestEpoch, best) = (error, epoch, State());
        }
        double[][] now = [.. parameters, .. network._mean, .. network._variance];
        for (int p = 0; p < now.Length; p++) best[p].CopyTo(now[p], 0);
        for (int t = 0; t < targets; t++)
        {
            double low = fitted.Min(i => y[i][t]), high = fitted.Max(i => y[i][t]), margin = options.ClipMargin * (high - low);
            foreach (int i in test)
            {
                double free = mean[t] + deviation[t] * network.Predict(x[i])[t], value = Math.Clamp(free, low - margin, high + margin);
                if (value != free) clipped++;
                errors[t] += Math.Pow(y[i][t] - value, 2);
            }
        }
        return clipped;
    }

    private double[] Predict(double[] input)
    {
        double[] a = input;
        for (int l = 0; l < Layers; l++)
        {
            double[] normalised = [.. a.Select((value, k) => _gamma[l][k] * (value - _mean[l][k]) / Math.Sqrt(_variance[l][k] + 1e-5) + _beta[l][k])];
            a = Affine(l, normalised);
            if (l < Layers - 1) a = [.. a.Select(value => Math.Max(0, value))];
        }
        return a;
    }

    /// <summary>Of the mean squared error of a batch by γ, β, weights and biases of every layer; running statistics follow.</summary>
    private double[][] Gradients(double[][] inputs, double[][] targets)
    {
        int n = inputs.Length;
        double[][][] into = new double[Layers][][], hat = new double[Layers][][], normal = new double[Layers][][];
        double[][] sigma = new double[Layers][], a = inputs;
        for (int l = 0; l < Layers; l++)
        {
            into[l] = a;
            double[] mean = [.. Enumerable.Range(0, _widths[l]).Select(k => into[l].Average(row => row[k]))];
            double[] variance = [.. Enumerable.Range(0, _widths[l]).Select(k => into[l].Average(row => Math.Pow(row[k] - mean[k], 2)))];
            sigma[l] = [.. variance.Select(v => Math.Sqrt(v + 1e-5))];
            for (int k = 0; k < _widths[l]; k++)
            {
                _mean[l][k] += 0.1 * (mean[k] - _mean[l][k]);
                _variance[l][k] += 0.1 * (variance[k] * n / (n - 1) - _variance[l][k]);
            }
            hat[l] = [.. a.Select(row => row.Select((value, k) => (value - mean[k]) / sigma[l][k]).ToArray())];
            normal[l] = [.. hat[l].Select(row => row.Select((value, k) => _gamma[l][k] * value + _beta[l][k]).ToArray())];
            a = [.. normal[l].Select(row => Affine(l, row))];
            if (l < Layers - 1) a = [.. a.Select(row => row.Select(value => Math.Max(0, value)).ToArray())];
        }
        double[][][] gradient = [.. Enumerable.Range(0, 4).Select(kind => Enumerable.Range(0, Layers).Select(l => new double[(kind < 2 ? _gamma : kind == 2 ? _weight : _bias)[l].Length]).ToArray())];
        double[][] above = [.. a.Select((row, i) => row.Select((value, t) => 2 * (value - targets[i][t]) / (n * _widths[Layers])).ToArray())];
        for (int l = Layers - 1; l >= 0; l--)
        {
            double[][] below = [.. above.Select(row => Enumerable.Range(0, _widths[l]).Select(k => row.Select((g, o) => g * _weight[l][k * _widths[l + 1] + o]).Sum()).ToArray())];
            for (int i = 0; i < n; i++)
                for (int o = 0; o < _widths[l + 1]; o++)
                {
                    gradient[3][l][o] += above[i][o];
                    for (int k = 0; k < _widths[l]; k++) gradient[2][l][k * _widths[l + 1] + o] += normal[l][i][k] * above[i][o];
                }
            for (int k = 0; k < _widths[l]; k++)
            {
                double sum = below.Sum(row => row[k]), along = Enumerable.Range(0, n).Sum(i => below[i][k] * hat[l][i][k]);
                (gradient[0][l][k], gradient[1][l][k]) = (along, sum);
                for (int i = 0; i < n; i++)
                {
                    double back = _gamma[l][k] / sigma[l][k] * (below[i][k] - sum / n - hat[l][i][k] * along / n);
                    // Through the rectifier that made this layer's input.
                    below[i][k] = into[l][i][k] > 0 ? back : 0;
                }
            }
            above = below;
        }
        return [.. gradient.SelectMany(kind => kind)];
    }

    private double[] Affine(int l, double[] input) =>
        [.. Enumerable.Range(0, _widths[l + 1]).Select(o => _bias[l][o] + input.Select((value, k) => value * _weight[l][k * _widths[l + 1] + o]).Sum())];

    private static double[][] Standardised(double[][] y)
    {
        int targets = y[0].Length;
        double[] mean = [.. Enumerable.Range(0, targets).Select(t => y.Average(row => row[t]))];
        double[] deviation = [.. Enumerable.Range(0, targets).Select(t => Math.Sqrt(y.Average(row => Math.Pow(row[t] - mean[t], 2))))];
        return [.. y.Select(row => row.Select((value, t) => (value - mean[t]) / deviation[t]).ToArray())];
    }

    private static double[] Filled(int count, double value) => [.. Enumerable.Repeat(value, count)];
}
