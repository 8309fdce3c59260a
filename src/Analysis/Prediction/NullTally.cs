namespace BioSup.Analysis.Prediction;

/// <summary>Collects R² and its null by blocks of targets and makes the result of them. All sums are double and run in the order of permutations and of targets.</summary>
internal sealed class NullTally
{
    private const double LeastDeviation = 1e-6;
    private readonly int _permutations;
    private readonly double[] _observed;
    private readonly bool[] _constant;
    private readonly double[]? _mean, _deviation, _z, _p, _permutationSums;

    public NullTally(int targets, int permutations)
    {
        _permutations = permutations;
        _observed = new double[targets];
        _constant = new bool[targets];
        if (permutations == 0) return;
        _mean = new double[targets];
        _deviation = new double[targets];
        _z = new double[targets];
        _p = new double[targets];
        _permutationSums = new double[permutations];
    }

    /// <summary>A target that varies: its R², and the R² of permutations by one engine, the first of which left every row in its place.</summary>
    /// <param name="target">Which target.</param>
    /// <param name="observed">Its R².</param>
    /// <param name="engine">1 + permutations values, a stride apart: those of the identity and of the permutations in the engine's own arithmetic, so that ties are ties.</param>
    /// <param name="stride">Distance of one permutation's value from the next.</param>
    public void Add(int target, double observed, ReadOnlySpan<float> engine, int stride)
    {
        _observed[target] = observed;
        if (_permutations == 0) return;
        double sum = 0, squares = 0;
        int atLeast = 0;
        for (int k = 1; k <= _permutations; k++)
        {
            float value = engine[k * stride];
            sum += value;
            _permutationSums![k - 1] += value;
            if (value >= engine[0]) atLeast++;
        }
        double mean = sum / _permutations;
        for (int k = 1; k <= _permutations; k++) squares += (engine[k * stride] - mean) * (engine[k * stride] - mean);
        _mean![target] = mean;
        _deviation![target] = Math.Sqrt(squares / _permutations);
        _z![target] = (observed - mean) / Math.Max(_deviation[target], LeastDeviation);
        _p![target] = (atLeast + 1.0) / (_permutations + 1.0);
    }

    /// <summary>A target that does not vary.</summary>
    public void AddConstant(int target)
    {
        _constant[target] = true;
        if (_p is not null) _p[target] = 1;
    }

    public PredictabilityResult ToResult()
    {
        int constant = _constant.Count(c => c), varying = Math.Max(1, _observed.Length - constant);
        double sum = 0;
        foreach (double value in _observed) sum += value;
        double[]? nullMeans = _permutationSums is null ? null : Array.ConvertAll(_permutationSums, s => s / varying);
        return new PredictabilityResult(_observed, sum / varying, _permutations, _mean, _deviation, _z, _p, nullMeans) { ConstantTargets = constant };
    }
}
