using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Prediction;

/// <summary>Which model: a run, a permutation (0 for none) and a fold decide every random number of it.</summary>
internal readonly record struct MlpModel(int Run, int Permutation, int Fold)
{
    private const ulong Stream = 0x6D6CUL << 48, DropoutStream = 0x6D64UL << 48;

    private ulong Place => ((ulong)(uint)Run << 36) | ((ulong)(uint)Permutation << 12) | (uint)Fold;

    /// <summary>Rows of the targets by the model's permutation, rows of its fold at the end of the others, and its random numbers; rows are shuffled once, so that those which validate are drawn.</summary>
    public void Prepare(MlpTask task, PredictionFolds folds, MlpOptions options)
    {
        RowPermutations.Fill(options.Seed, Permutation, task.Order);
        int count = 0;
        ReadOnlySpan<int> foldOfRow = folds.FoldOfRow;
        for (int i = 0; i < foldOfRow.Length; i++)
            if (foldOfRow[i] != Fold) task.Rows[count++] = i;
        folds.TestRows[Fold].CopyTo(task.Rows, count);
        task.Seed(new CounterRandom(options.Seed, Stream | Place), DropoutStream | Place);
        task.Shuffle(count);
        (task.Count, task.Fitted) = (count, count - MlpTrainer.ValidationRows(options, count));
    }
}

/// <summary>
/// Trains a list of models in a bank: whenever one is done the next takes its place, so that the bank is full until the list runs out. What becomes of a model depends on neither
/// its place nor its company. An epoch allocates nothing.
/// </summary>
internal sealed class MlpTrainer : IDisposable
{
    private readonly MlpOptions _options;
    private readonly PredictionFolds _folds;
    private readonly MlpBank _bank;
    private readonly WorkerPool _pool;
    private readonly Course[] _courses;
    private readonly List<Course> _running;
    private readonly List<MlpTask> _tasks, _kept;

    /// <param name="x">Features [n, p]; their device does the work.</param>
    /// <param name="y">Targets [n, G] on the same device.</param>
    /// <param name="folds">Folds of the rows.</param>
    /// <param name="options">Protocol.</param>
    /// <param name="models">Most models that <see cref="Run"/> will be asked for.</param>
    public MlpTrainer(Matrix<float> x, Matrix<float> y, PredictionFolds folds, MlpOptions options, int models)
    {
        (_folds, _options, _pool) = (folds, options, x.Device.Host.Pool);
        _bank = MlpBank.Create(x, y, new MlpBankOptions(options.Hidden, options.Dropout, options.Batch, options.WeightDecay, options.GradientClip, options.ClipMargin, options.Seed), models);
        _courses = [.. Enumerable.Range(0, _bank.Slots).Select(slot => new Course(new MlpTask(x.Rows, y.Columns) { Slot = slot }))];
        (_running, _tasks, _kept) = (new(_courses.Length), new(_courses.Length), new(_courses.Length));
    }

    /// <summary>Trains models 0 … count - 1 and hands each to <paramref name="done"/> with its squared errors on its test rows, one sum per target and valid during the call, in the order in which they end.</summary>
    /// <param name="count">Number of models.</param>
    /// <param name="modelOf">A model by its number.</param>
    /// <param name="done">Receives number, squared errors and epochs.</param>
    /// <param name="cancel">Stops between epochs.</param>
    public void Run(int count, Func<int, MlpModel> modelOf, Action<int, double[], int> done, CancellationToken cancel)
    {
        int next = 0;
        _running.Clear();
        foreach (Course course in _courses) course.Number = -1;
        while (true)
        {
            next = Fill(next, count, modelOf);
            if (_running.Count == 0) return;
            cancel.ThrowIfCancellationRequested();
            Epoch();
            Retire(done);
        }
    }

    /// <summary>torch.optim.lr_scheduler.CosineAnnealingLR, a step per epoch.</summary>
    internal static double LearningRate(MlpOptions options, int epoch) =>
        options.FinalLearningRate + (options.LearningRate - options.FinalLearningRate) * (1 + Math.Cos(Math.PI * epoch / options.Epochs)) / 2;

    /// <summary>How many of a fold's training rows choose the epoch: at least one.</summary>
    internal static int ValidationRows(MlpOptions options, int rows) => Math.Max(1, (int)Math.Round(options.ValidationShare * rows));

    public void Dispose() => _bank.Dispose();

    /// <summary>Gives free places to the next models.</summary>
    private int Fill(int next, int count, Func<int, MlpModel> modelOf)
    {
        if (next == count || _running.Count == _courses.Length) return next;
        _tasks.Clear();
        foreach (Course course in _courses)
        {
            if (course.Number >= 0) continue;
            if (next == count) break;
            course.Begin(next, modelOf(next));
            next++;
            _running.Add(course);
            _tasks.Add(course.Task);
        }
        Job job = new() { Owner = this, First = _running.Count - _tasks.Count, Prepare = true };
        _pool.Run(_tasks.Count, ref job);
        _bank.Start(_tasks);
        return next;
    }

    private void Epoch()
    {
        Job job = new() { Owner = this };
        _pool.Run(_running.Count, ref job);
        _tasks.Clear();
        foreach (Course course in _running) _tasks.Add(course.Task);
        _bank.Epoch(_tasks);
        _kept.Clear();
        foreach (Course course in _running)
            if (course.Judge()) _kept.Add(course.Task);
        if (_kept.Count > 0) _bank.Keep(_kept);
    }

    /// <summary>Tests the models that are done and frees their places.</summary>
    private void Retire(Action<int, double[], int> done)
    {
        _tasks.Clear();
        foreach (Course course in _running)
            if (course.IsOver(_options)) _tasks.Add(course.Task);
        if (_tasks.Count == 0) return;
        _bank.Finish(_tasks);
        foreach (Course course in _running)
        {
            if (!course.IsOver(_options)) continue;
            done(course.Number, course.Task.Errors, course.Epochs);
            course.Number = -1;
        }
        _running.RemoveAll(course => course.Number < 0);
    }

    /// <summary>A model on its way through the epochs.</summary>
    private sealed class Course(MlpTask task)
    {
        private double _best;
        private int _bestEpoch;

        public MlpTask Task => task;

        /// <summary>The model's number, -1 for a free place.</summary>
        public int Number { get; set; }

        public MlpModel Model { get; private set; }

        /// <summary>Epochs so far.</summary>
        public int Epochs { get; private set; }

        public void Begin(int number, MlpModel model) => (Number, Model, Epochs, _best, _bestEpoch) = (number, model, 0, double.PositiveInfinity, 0);

        /// <summary>Counts the epoch; true where its validation error is the lowest so far.</summary>
        public bool Judge()
        {
            int epoch = Epochs++;
            if (!(task.ValidationError < _best)) return false;
            (_best, _bestEpoch) = (task.ValidationError, epoch);
            return true;
        }

        public bool IsOver(MlpOptions options) => Epochs >= options.Epochs || Epochs - _bestEpoch > options.Patience;
    }

    private struct Job : IBlockJob
    {
        public MlpTrainer Owner;
        public int First;
        public bool Prepare;

        public readonly void Execute(long block, int worker)
        {
            Course course = Owner._running[First + (int)block];
            if (Prepare)
            {
                course.Model.Prepare(course.Task, Owner._folds, Owner._options);
                return;
            }
            course.Task.LearningRate = LearningRate(Owner._options, course.Epochs);
            course.Task.Shuffle(course.Task.Fitted);
        }
    }
}
