namespace BioSup.Analysis.Prediction;

/// <summary>
/// Squared errors of models become R² of runs and permutations: models come in any order, sums are formed in the order of folds and runs. First the runs on the targets as they
/// are, then the permutations, each with one model per fold; parts of 32 of them are kept as soon as they are whole.
/// </summary>
internal sealed class MlpTally
{
    private const int RunsOfPart = 32;
    private readonly int _targets, _folds;
    private readonly MlpOptions _options;
    private readonly NullParts? _parts;
    private readonly double[] _squares;
    private readonly bool[] _constant;
    private readonly double[][] _runs;
    private readonly float[] _engine;
    private readonly Dictionary<int, double[]?[]> _errors = [];
    private readonly Dictionary<int, Part> _open = [];
    private readonly List<int> _missing = [];

    /// <param name="squares">Σ(y − ȳ)² of each target.</param>
    /// <param name="constant">Targets that do not vary.</param>
    /// <param name="folds">Models of a run or permutation.</param>
    /// <param name="options">Protocol.</param>
    /// <param name="parts">Keeps parts, and has those that were finished before; null keeps none.</param>
    public MlpTally(double[] squares, bool[] constant, int folds, MlpOptions options, NullParts? parts)
    {
        (_targets, _squares, _constant, _folds, _options, _parts) = (squares.Length, squares, constant, folds, options, parts);
        _runs = new double[options.Runs][];
        _engine = new float[(1L + options.Permutations) * _targets];
        for (int part = 0; part * RunsOfPart < Count; part++)
        {
            int first = part * RunsOfPart, runs = Math.Min(RunsOfPart, Count - first);
            if (parts?.Find(part, runs * _targets) is { } scores) Enter(first, scores);
            else
            {
                _open[part] = new Part(new double[runs * _targets], runs);
                _missing.AddRange(Enumerable.Range(first * folds, runs * folds));
            }
        }
    }

    /// <summary>How many models there are.</summary>
    public int Models => checked(Count * _folds);

    /// <summary>Those that have to be trained, in the order of their numbers.</summary>
    public IReadOnlyList<int> Missing => _missing;

    private int Count => _options.Runs + _options.Permutations;

    /// <summary>A model by its number.</summary>
    public MlpModel Model(int number)
    {
        int run = number / _folds, fold = number % _folds;
        return run < _options.Runs ? new MlpModel(run, 0, fold) : new MlpModel(0, run - _options.Runs + 1, fold);
    }

    /// <summary>Takes a model's squared errors on its test rows, one sum per target.</summary>
    public void Add(int number, ReadOnlySpan<double> errors)
    {
        int run = number / _folds, part = run / RunsOfPart;
        if (!_errors.TryGetValue(run, out double[]?[]? ofFolds)) _errors[run] = ofFolds = new double[]?[_folds];
        ofFolds[number % _folds] = errors.ToArray();
        if (Array.IndexOf(ofFolds, null) >= 0) return;
        _errors.Remove(run);
        Part open = _open[part];
        ToRSquared(ofFolds!, open.Scores.AsSpan(run % RunsOfPart * _targets, _targets));
        if (--open.Left > 0) return;
        _open.Remove(part);
        Enter(part * RunsOfPart, open.Scores);
        _parts?.Keep(part, open.Scores);
    }

    /// <summary>R² averaged over runs, and its null; every model must have come.</summary>
    public PredictabilityResult ToResult()
    {
        NullTally tally = new(_targets, _options.Permutations);
        for (int t = 0; t < _targets; t++)
        {
            double observed = 0;
            foreach (double[] run in _runs) observed += run[t] / _options.Runs;
            _engine[t] = (float)observed;
            if (_constant[t]) tally.AddConstant(t);
            else tally.Add(t, observed, _engine.AsSpan(t), _targets);
        }
        return tally.ToResult();
    }

    /// <summary>Puts R² of consecutive runs and permutations in their places.</summary>
    private void Enter(int first, double[] scores)
    {
        for (int k = 0; k * _targets < scores.Length; k++)
        {
            ReadOnlySpan<double> rSquared = scores.AsSpan(k * _targets, _targets);
            int permutation = first + k - _options.Runs + 1;
            if (permutation <= 0) _runs[first + k] = rSquared.ToArray();
            else
                for (int t = 0; t < _targets; t++) _engine[(long)permutation * _targets + t] = (float)rSquared[t];
        }
    }

    private void ToRSquared(double[][] errorsOfFolds, Span<double> rSquared)
    {
        for (int t = 0; t < _targets; t++)
        {
            double sum = 0;
            foreach (double[] errors in errorsOfFolds) sum += errors[t];
            double value = _constant[t] ? 0 : 1 - sum / _squares[t];
            rSquared[t] = value > _options.Floor ? value : _options.Floor;
        }
    }

    /// <summary>Scores of some consecutive runs, and how many of these are still to come.</summary>
    private sealed class Part(double[] scores, int left)
    {
        public double[] Scores => scores;

        public int Left { get; set; } = left;
    }
}
