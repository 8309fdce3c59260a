using System.Diagnostics;
using BioSup.Data;
using BioSup.Report.Figures;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells;

/// <summary>Runs steps one after the other and notes each, with every setting it used, under <c>uns/biosup/steps</c>.</summary>
internal static class CellsRunner
{
    /// <param name="plan">Steps in order; one may come more than once.</param>
    /// <param name="context">Holds the matrix; afterwards the one with all results.</param>
    /// <param name="finished">Called after each step.</param>
    /// <param name="checkpoint">Keeps what is finished when the run is interrupted; null for nowhere.</param>
    /// <param name="earlier">The first steps of the plan, which an interrupted run finished and the matrix holds.</param>
    /// <exception cref="UsageException">A step cannot run on this matrix; the sentence begins with its name.</exception>
    public static IReadOnlyList<FinishedStep> Run(IReadOnlyList<PlannedStep> plan, CellsContext context, Action<FinishedStep> finished, CellsCheckpoint? checkpoint = null, IReadOnlyList<FinishedStep>? earlier = null)
    {
        List<FinishedStep> done = [.. earlier ?? []];
        AnnData before = context.Cells;
        try
        {
            foreach (PlannedStep planned in plan.Skip(done.Count))
            {
                context.Cancellation.ThrowIfCancellationRequested();
                // A step that is stopped may have set some of its keys: what is kept is the matrix as it was before.
                before = context.Cells.Snapshot();
                FinishedStep step = RunAndNote(planned, context);
                before = context.Cells;
                done.Add(step);
                finished(step);
                checkpoint?.Finished(context.Cells, done);
            }
            context.Cancellation.ThrowIfCancellationRequested();
            return done;
        }
        catch
        {
            // A cancelled worker may throw anything.
            if (context.Cancellation.IsCancellationRequested) checkpoint?.Save(before, done);
            checkpoint?.SayHowToGoOn();
            throw;
        }
    }

    private static FinishedStep RunAndNote(PlannedStep planned, CellsContext context)
    {
        long start = Stopwatch.GetTimestamp();
        FrameColumn[] before = [.. context.Cells.Obs.Columns];
        StepOutcome outcome = Run(planned, context);
        RequireFinite(planned, context);
        Colour(context.Cells, before);
        FinishedStep step = new(planned.Step.Name, Describe(planned), outcome, Stopwatch.GetElapsedTime(start).TotalSeconds);
        Note(context, planned, step);
        return step;
    }

    /// <summary>A step as it would be typed, with every setting it read.</summary>
    public static string Describe(PlannedStep planned) => string.Join(':', planned.Settings.Used
        .Select(used => $"{used.Key}={string.Join(';', ((NdArray)used.Value!).ToText().Select(v => ((NdArray)used.Value).Type == ElementType.Boolean ? v.ToLowerInvariant() : v))}")
        .Prepend(planned.Step.Name));

    /// <summary>Every step that the matrix notes, as it would be typed, in order.</summary>
    public static IEnumerable<string> Noted(AnnData cells) =>
        (cells.Uns.GetValueOrDefault("biosup") as AnnDictionary)?.GetValueOrDefault("steps") is AnnDictionary steps
            ? steps.OrderBy(s => s.Key, StringComparer.Ordinal).Select(s => (s.Value as AnnDictionary)?.GetValueOrDefault("text") is NdArray { Type: ElementType.Text, Length: 1 } text ? text.As<string>()[0] : s.Key)
            : [];

    /// <summary>Runs something of a step; an error that speaks of a setting says of which step it is.</summary>
    public static void Named(ICellStep step, Action action)
    {
        try
        {
            action();
        }
        catch (UsageException e) when (!e.Message.StartsWith("--steps", StringComparison.Ordinal))
        {
            throw new UsageException($"--steps {step.Name}: {e.Message}", e);
        }
    }

    private static StepOutcome Run(PlannedStep planned, CellsContext context)
    {
        StepOutcome? outcome = null;
        try
        {
            Named(planned.Step, () => outcome = planned.Step.Run(planned.Settings, context));
        }
        catch (DataException e) when (!e.Source.StartsWith(context.Source, StringComparison.Ordinal) && !File.Exists(e.Source))
        {
            // A method that knows no file says what was wrong; where it was is said here.
            throw new DataException(context.Source, $"step {planned.Step.Name}", e.Message, e);
        }
        return outcome!;
    }

    // Settings far from sense can carry a method beyond what numbers hold; no file shall have coordinates that are none.
    private static void RequireFinite(PlannedStep planned, CellsContext context)
    {
        foreach ((string key, IAnnElement? value) in context.Cells.Obsm.Where(o => CellOrder.IsMadeBy(planned, "obsm", o.Key)))
            if (value is NdArray { Values: float[] or double[] } array && (array.Values is float[] single ? !single.All(float.IsFinite) : !((double[])array.Values).All(double.IsFinite)))
                throw new DataException(context.Source, $"step {planned.Step.Name}", $"obsm/{key} came out with values that are not finite; settings nearer to the defaults are needed");
    }

    // Scanpy looks for the colours of groups in uns; without them, or with another number of them, it would choose its own and figures would differ.
    private static void Colour(AnnData cells, FrameColumn[] before)
    {
        foreach (FrameColumn column in cells.Obs.Columns.Where(c => c.IsCategorical && c.Values.Length <= 3 * Palette.Count && !before.Contains(c)))
            if (cells.Uns.GetValueOrDefault($"{column.Name}_colors") is not NdArray colours || colours.Length != column.Values.Length)
                cells.Uns[$"{column.Name}_colors"] = NdArray.Vector(Enumerable.Range(0, column.Values.Length).Select(Palette.Hex).ToArray());
    }

    // Keys are numbers with leading zeros because HDF5 hands the members of a group back in the order of their names.
    private static void Note(CellsContext context, PlannedStep planned, FinishedStep step)
    {
        AnnDictionary steps = Branch(Branch(context.Cells.Uns, "biosup"), "steps");
        steps[(steps.Count + 1).ToString("D3")] = new AnnDictionary
        {
            ["step"] = NdArray.Scalar(step.Name),
            ["text"] = NdArray.Scalar(step.Text),
            ["params"] = planned.Settings.Used,
            ["seed"] = NdArray.Scalar((long)context.Seed),
            ["version"] = NdArray.Scalar(ProductVersion.Text),
        };
    }

    private static AnnDictionary Branch(AnnDictionary parent, string key)
    {
        if (parent.GetValueOrDefault(key) is AnnDictionary branch) return branch;
        AnnDictionary made = [];
        parent[key] = made;
        return made;
    }
}

/// <summary>A step that has run.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Text">As it would be typed, with every setting it read.</param>
/// <param name="Outcome">What it left besides its keys.</param>
/// <param name="Seconds">Wall time.</param>
internal sealed record FinishedStep(string Name, string Text, StepOutcome Outcome, double Seconds);
