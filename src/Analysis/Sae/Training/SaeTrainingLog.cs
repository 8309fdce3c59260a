using System.Globalization;
using System.Text;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>One logged step: what the forward pass of that step found, before its update.</summary>
/// <param name="Step">From 0.</param>
/// <param name="LearningRate">Of this step; 0 at step 0.</param>
/// <param name="SparsityCoefficient">λ of this step.</param>
/// <param name="Loss">Weighted sum of the three.</param>
/// <param name="Reconstruction">Squared error per token.</param>
/// <param name="Sparsity">Penalty before λ.</param>
/// <param name="Auxiliary">Auxiliary loss before its weight.</param>
/// <param name="Fvu">Fraction of variance unexplained of the batch, from double-precision sums.</param>
/// <param name="L0">Active latents per token.</param>
/// <param name="ConditionalL0">Active latents per token that has any: the paper's figure.</param>
/// <param name="Dead">Latents whose usage average is below 5e-4.</param>
/// <param name="GradientNorm">Of all gradients, decoder projected, before clipping.</param>
/// <param name="Active">Set A, pairs.</param>
/// <param name="ClosedGate">Set B, pairs.</param>
/// <param name="NoMagnitude">Set C, pairs.</param>
/// <param name="Pairs">Tokens × latents.</param>
/// <param name="DeadByThreshold">Latents below each of <see cref="SaeTrainingLog.DeadThresholds"/>.</param>
public sealed record SaeLogRow(long Step, double LearningRate, double SparsityCoefficient, double Loss, double Reconstruction, double Sparsity, double Auxiliary, double Fvu, double L0,
    double ConditionalL0, int Dead, double GradientNorm, long Active, long ClosedGate, long NoMagnitude, long Pairs, IReadOnlyList<int> DeadByThreshold)
{
    /// <summary>Latents without an active token among the last dead_after_tokens.</summary>
    public int DeadByTokens { get; init; }

    /// <summary>p of the penalty Σ aᵖ.</summary>
    public double SparsityExponent { get; init; } = 1;

    /// <summary>Share of the penalty in the gradient it competes in (<see cref="GradientWatch"/>); NaN at steps where it was not looked at.</summary>
    public double PenaltyShare { get; init; } = double.NaN;

    /// <summary>Spikes of the gradient norm since the start.</summary>
    public int GradientSpikes { get; init; }

    /// <summary>Latents resampled since the start.</summary>
    public long Resampled { get; init; }

    /// <summary>P(mag_pre &gt; 0): the share of pairs the straight-through gradient reaches.</summary>
    public double MagnitudePositive => Pairs > 0 ? (double)(Active + ClosedGate) / Pairs : 0;
}

/// <summary>
/// train_log.csv, whose bytes are a function of tokens, configuration and seed, and telemetry.csv beside it, which holds the same steps with more
/// figures and the measured rate. Both are kept as text, so that a checkpoint carries them and a resumed run continues exactly there.
/// </summary>
internal sealed class SaeTrainingLog
{
    public const string LogFile = "train_log.csv", TelemetryFile = "telemetry.csv";
    private const int NoSpaceLeft = 28, Added = 17;
    private const string Header = "step,lr,sparsity_coeff,loss,recon,sparsity,aux,fvu,l0,dead,grad_norm,tokens_per_s\n";
    private const string TelemetryHeader = "step,fvu,l0,l0_conditional,set_a,set_b,set_c,p_mag_positive,dead_1e-6,dead_1e-5,dead_5e-5,dead_1e-4,dead_5e-4,dead_1e-3,dead_1e-2,tokens_per_s,seconds,dead_by_tokens,sparsity_exponent,penalty_share,grad_spikes,resampled\n";

    /// <summary>Usage averages below which a latent counts as dead, as columns of telemetry.csv.</summary>
    public static IReadOnlyList<double> DeadThresholds { get; } = [1e-6, 1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 1e-2];

    /// <summary>The threshold of the training log.</summary>
    public const double DeadThreshold = 5e-4;

    private readonly string? _folder;
    private readonly bool _logRate;
    private readonly StringBuilder _log = new(), _telemetry = new();
    private FileStream? _logStream, _telemetryStream;

    public SaeTrainingLog(string? folder, bool logRate, string? log = null, string? telemetry = null)
    {
        _folder = folder;
        _logRate = logRate;
        _log.Append(log ?? Header);
        _telemetry.Append(telemetry ?? TelemetryHeader);
    }

    public string LogText => _log.ToString();
    public string TelemetryText => _telemetry.ToString();

    /// <summary>Puts the text so far on disk and appends from there on.</summary>
    public void Open()
    {
        if (_folder is null) return;
        AtomicFile.WriteAllText(Path.Combine(_folder, LogFile), LogText);
        AtomicFile.WriteAllText(Path.Combine(_folder, TelemetryFile), TelemetryText);
        _logStream = new FileStream(Path.Combine(_folder, LogFile), FileMode.Append, FileAccess.Write, FileShare.ReadWrite);
        _telemetryStream = new FileStream(Path.Combine(_folder, TelemetryFile), FileMode.Append, FileAccess.Write, FileShare.ReadWrite);
    }

    public void Add(SaeLogRow row, double tokensPerSecond, double seconds)
    {
        string rate = _logRate ? N(tokensPerSecond) : "nan";
        Append(_log, _logStream, string.Join(',', N(row.Step), N(row.LearningRate), N(row.SparsityCoefficient), N(row.Loss), N(row.Reconstruction), N(row.Sparsity), N(row.Auxiliary),
            N(row.Fvu), N(row.L0), N(row.Dead), N(row.GradientNorm), rate));
        Append(_telemetry, _telemetryStream, string.Join(',', N(row.Step), N(row.Fvu), N(row.L0), N(row.ConditionalL0), N(row.Active), N(row.ClosedGate), N(row.NoMagnitude),
            N(row.MagnitudePositive), string.Join(',', row.DeadByThreshold), tokensPerSecond.ToString("F1", CultureInfo.InvariantCulture), seconds.ToString("F3", CultureInfo.InvariantCulture),
            N(row.DeadByTokens), N(row.SparsityExponent), N(row.PenaltyShare), N(row.GradientSpikes), N(row.Resampled)));
    }

    public void Close()
    {
        _logStream?.Dispose();
        _telemetryStream?.Dispose();
        (_logStream, _telemetryStream) = (null, null);
    }

    /// <summary>The rows written so far, read back from the two texts.</summary>
    public IEnumerable<SaeLogRow> Rows(long pairs)
    {
        string[] log = Lines(_log), telemetry = Lines(_telemetry);
        for (int i = 0; i < Math.Min(log.Length, telemetry.Length); i++)
        {
            double[] a = Cells(log[i]), b = Cells(telemetry[i]);
            yield return new SaeLogRow((long)a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], b[3], (int)a[9], a[10], (long)b[4], (long)b[5], (long)b[6], pairs,
                [.. b.Skip(8).Take(DeadThresholds.Count).Select(v => (int)v)])
            {
                DeadByTokens = (int)b.ElementAtOrDefault(Added),
                SparsityExponent = b.Length > Added ? b[Added + 1] : 1,
                PenaltyShare = b.Length > Added ? b[Added + 2] : double.NaN,
                GradientSpikes = (int)b.ElementAtOrDefault(Added + 3),
                Resampled = (long)b.ElementAtOrDefault(Added + 4),
            };
        }

        static string[] Lines(StringBuilder text) => text.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries)[1..];

        static double[] Cells(string line) => [.. line.Split(',').Select(cell => double.Parse(cell, CultureInfo.InvariantCulture))];
    }

    public static SaeLogRow Row(long step, double learningRate, double sparsity, SaeStatistics s, double gradientNorm, ReadOnlySpan<float> usage, int latents)
    {
        int[] dead = new int[DeadThresholds.Count];
        foreach (float u in usage)
            for (int i = 0; i < dead.Length; i++) if (u < DeadThresholds[i]) dead[i]++;
        int atThreshold = 0;
        foreach (float u in usage) if (u < DeadThreshold) atThreshold++;
        return new SaeLogRow(step, learningRate, sparsity, s.Loss, s.Reconstruction, s.Sparsity, s.Auxiliary, s.Fvu, s.L0, s.ConditionalL0, atThreshold, gradientNorm,
            s.Active, s.ClosedGate, s.NoMagnitude, s.Tokens * latents, dead);
    }

    private void Append(StringBuilder text, FileStream? stream, string line)
    {
        text.Append(line).Append('\n');
        if (stream is null) return;
        long end = stream.Position;
        try
        {
            stream.Write(Encoding.UTF8.GetBytes(line + "\n"));
            stream.Flush();
        }
        catch (IOException e)
        {
            CutBack(stream, end);
            throw new DataException(stream.Name, null, (e.HResult & 0xFFFF) == NoSpaceLeft ? "the disk is full; the log ends with the row before" : $"the row could not be written: {e.Message}", e);
        }
    }

    /// <summary>Removes the part of a row that did fit, so that the file ends with a whole one. What the stream still holds cannot be written either.</summary>
    private static void CutBack(FileStream stream, long end)
    {
        try
        {
            stream.Dispose();
        }
        catch (IOException)
        {
            // The error of the row is the one to report.
        }
        using FileStream file = new(stream.Name, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        if (file.Length > end) file.SetLength(end);
    }

    private static string N(double value) => double.IsNaN(value) ? "nan" : value.ToString("G9", CultureInfo.InvariantCulture);

    private static string N(long value) => value.ToString(CultureInfo.InvariantCulture);
}
