using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json;
using BioSup.Data;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells;

/// <summary>
/// <c>OUT.partial.h5ad</c>: the matrix as the last finished step left it, and under <c>uns/biosup/partial</c> what the finished steps said and drew. A run that was stopped
/// goes on from it with --resume and ends with the bytes of one that was not. It is written when a run is interrupted and, against worse, once a minute of work has gathered.
/// </summary>
internal sealed class CellsCheckpoint
{
    private const string Key = "partial";
    private readonly CommandContext _context;
    private readonly Origin _origin;
    private readonly IReadOnlyList<PlannedStep> _plan;
    private int _saved;
    private double _unsaved;

    /// <param name="context">Says what is kept.</param>
    /// <param name="output">The file of the finished run.</param>
    /// <param name="inputs">SHA-256 of everything that is read.</param>
    /// <param name="plan">All steps of the run.</param>
    public CellsCheckpoint(CommandContext context, string output, IEnumerable<string> inputs, IReadOnlyList<PlannedStep> plan)
    {
        _context = context;
        _plan = plan;
        _origin = new Origin(ProductVersion.Text, context.Seed, string.Join(' ', inputs));
        Path = System.IO.Path.ChangeExtension(output, ".partial.h5ad");
    }

    public string Path { get; }

    /// <summary>Seconds of work that are not risked; less is done again sooner than it is written.</summary>
    public double Interval { get; init; } = 60;

    /// <summary>Takes up what an interrupted run finished.</summary>
    /// <param name="cells">Gets its matrix.</param>
    /// <returns>The finished steps; none where there is no file.</returns>
    /// <exception cref="UsageException">The file is of another input, seed or version, or its steps are not the first of this run.</exception>
    /// <exception cref="DataException">The file is damaged or none of an interrupted run.</exception>
    public IReadOnlyList<FinishedStep> Resume(CellsContext cells)
    {
        if (!File.Exists(Path))
        {
            _context.Warn($"--resume: {Path} is not there; the run begins with the first step.");
            return [];
        }
        AnnData data = AnnDataFile.Read(Path);
        Content content = Take(data);
        Require("program version", content.Origin.Version, _origin.Version);
        Require("seed", $"{content.Origin.Seed}", $"{_origin.Seed}");
        Require("input (by its SHA-256)", content.Origin.Inputs, _origin.Inputs);
        for (int i = 0; i < content.Steps.Length; i++) Require($"step {i + 1}", content.Steps[i].Planned, i < _plan.Count ? Typed(_plan[i]) : "none");
        cells.Cells = data;
        _saved = content.Steps.Length;
        _context.Say($"resumed: {_saved} of {_plan.Count} steps from {Path}");
        return [.. content.Steps.Select(s => s.ToFinished())];
    }

    /// <summary>Called after each step.</summary>
    public void Finished(AnnData cells, IReadOnlyList<FinishedStep> done)
    {
        _unsaved += done[^1].Seconds;
        if (_unsaved >= Interval && done.Count < _plan.Count) Save(cells, done);
    }

    /// <summary>Writes what is finished, unless it is written already.</summary>
    public void Save(AnnData cells, IReadOnlyList<FinishedStep> done)
    {
        if (done.Count == _saved) return;
        long start = Stopwatch.GetTimestamp();
        AnnData kept = cells.Snapshot();
        Content content = new(_origin, [.. done.Select((step, i) => KeptStep.Of(Typed(_plan[i]), step))]);
        ((AnnDictionary)kept.Uns["biosup"]!)[Key] = NdArray.Vector(JsonSerializer.SerializeToUtf8Bytes(content, JsonText.OneLine));
        AnnDataFile.Write(Path, kept);
        (_saved, _unsaved) = (done.Count, 0);
        _context.Note($"kept: {done.Count} of {_plan.Count} steps in {Path} ({Numbers.Duration(Stopwatch.GetElapsedTime(start))})");
    }

    /// <summary>Says how to go on after an interruption or an error.</summary>
    public void SayHowToGoOn()
    {
        if (_saved > 0) _context.Note($"to go on: biosup {_context.CommandLine}{(_context.CommandLine.Split(' ').Contains("--resume") ? "" : " --resume")}");
    }

    /// <summary>The run is finished: nothing has to be kept.</summary>
    /// <param name="source">The input, which stays even if it is this file.</param>
    public void Remove(string source)
    {
        if (System.IO.Path.GetFullPath(source) != System.IO.Path.GetFullPath(Path)) File.Delete(Path);
    }

    /// <summary>Takes the notes of an interrupted run out of a matrix, so that no result carries them.</summary>
    public static void Strip(AnnData data) => (data.Uns.GetValueOrDefault("biosup") as AnnDictionary)?.Remove(Key);

    private Content Take(AnnData data)
    {
        NdArray? kept = (data.Uns.GetValueOrDefault("biosup") as AnnDictionary)?.GetValueOrDefault(Key) as NdArray;
        Strip(data);
        try
        {
            if (kept is { Type: ElementType.UInt8 } && JsonSerializer.Deserialize<Content>(kept.As<byte>(), JsonText.OneLine) is { Origin: not null, Steps: not null } content) return content;
        }
        catch (JsonException)
        {
            // What cannot be read is no content.
        }
        throw new DataException(Path, $"uns/biosup/{Key}", "the notes of an interrupted run were expected; remove the file to begin anew");
    }

    private void Require(string what, string kept, string wanted)
    {
        if (kept != wanted) throw new UsageException($"--resume: {Path} was left by another run: its {what} is {Short(kept)}, that of this one {Short(wanted)}; without --resume the run begins anew.");
    }

    private static string Short(string text) => text.Length <= 200 ? text : text[..200] + "…";

    /// <summary>A step as it is planned, with the default of every setting that is not given; what it is in the end depends on the data, which are the same.</summary>
    private static string Typed(PlannedStep planned) => string.Join(':', planned.Step.Parameters.Select(p => $"{p.Name}={planned.Settings.Typed(p.Name)}").Prepend(planned.Step.Name));

    /// <summary>What has to be the same for the steps to be the same.</summary>
    private sealed record Origin(string Version, ulong Seed, string Inputs);

    private sealed record Content(Origin Origin, KeptStep[] Steps);
}
