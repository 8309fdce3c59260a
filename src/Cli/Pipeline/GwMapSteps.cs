using System.Diagnostics;
using System.Text.Json.Nodes;
using BioSup.Analysis.Prediction;
using BioSup.Data;

namespace BioSup.Cli.Pipeline;

/// <summary>
/// The long steps of a `gw map` and what they leave in the result folder: steps/spaces.npz, coupling.npy with alignment.json, and steps/predictability with every finished
/// prediction and the finished parts of the nulls under way. Later steps read these files whether or not an earlier call wrote them, so that resuming changes no byte.
/// </summary>
internal sealed class GwMapSteps : IPartStore
{
    private const string Predictability = "predictability";
    private readonly StageLedger _ledger;
    private readonly CommandContext _context;
    private readonly string _folder;
    private readonly List<string> _keys = [];
    private readonly List<KeyValuePair<string, double>> _times = [];

    /// <param name="resume">Keeps what an earlier call in this folder finished.</param>
    public GwMapSteps(CommandContext context, ResultFolder folder, bool resume)
    {
        _context = context;
        _ledger = StageLedger.Open(folder.Path, resume);
        _folder = folder.Locate("steps");
    }

    /// <summary>Steps and the seconds they took, in order; for a step that was kept, what it took when it ran.</summary>
    public IReadOnlyList<KeyValuePair<string, double>> Times => _times;

    public string Spaces => Path.Combine(_folder, "spaces.npz");

    /// <summary>Runs a step that leaves files, unless these are there already.</summary>
    /// <param name="settings">All that determines the step besides the steps before it, the seed and <paramref name="inputs"/>.</param>
    /// <param name="run">Leaves the files.</param>
    public void Run(string name, JsonNode settings, IEnumerable<string> inputs, Action run)
    {
        string key = StageLedger.Key(settings, _context.Seed, _keys, inputs);
        _keys.Add(key);
        if (_ledger.IsFinished(name, key))
        {
            _context.Say($"{name,-16} finished before, kept");
            _times.Add(_ledger.Times.Single(t => t.Key == name));
            return;
        }
        _context.Cancellation.ThrowIfCancellationRequested();
        bool begun = _ledger.Start(name, key);
        if (name == Predictability && !begun) Drop("");
        Stopwatch clock = Stopwatch.StartNew();
        Directory.CreateDirectory(_folder);
        run();
        _ledger.Finish(name, key, clock.Elapsed);
        _times.Add(new(name, clock.Elapsed.TotalSeconds));
    }

    /// <summary>Times what is done in every call.</summary>
    public T Timed<T>(string name, Func<T> run)
    {
        _context.Cancellation.ThrowIfCancellationRequested();
        Stopwatch clock = Stopwatch.StartNew();
        T result = run();
        _times.Add(new(name, clock.Elapsed.TotalSeconds));
        return result;
    }

    /// <summary>The step whose parts are kept one by one: <paramref name="run"/> finds here what an earlier call finished, and keeps the rest.</summary>
    public T Parts<T>(JsonNode settings, Func<IPartStore, T> run)
    {
        T? result = default;
        bool ran = false;
        Run(Predictability, settings, [], () => (result, ran) = (run(this), true));
        return ran ? result! : run(this);
    }

    public double[]? Find(string name)
    {
        string path = Part(name);
        if (!File.Exists(path)) return null;
        try
        {
            return NpyFile.Read(path).ToDoubles();
        }
        catch (BioSup.Runtime.DataException)
        {
            // What cannot be read is made again.
            return null;
        }
    }

    public void Keep(string name, double[] values)
    {
        Directory.CreateDirectory(Path.Combine(_folder, Predictability));
        NpyFile.Write(Part(name), NdArray.Vector(values));
    }

    public void Drop(string prefix)
    {
        string folder = Path.Combine(_folder, Predictability);
        if (!Directory.Exists(folder)) return;
        foreach (string file in Directory.EnumerateFiles(folder, $"{prefix}*.npy")) File.Delete(file);
    }

    private string Part(string name) => Path.Combine(_folder, Predictability, $"{name}.npy");
}
