using System.Diagnostics;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>Tokens for any number of runs: read, shuffled, brought to the device and prepared once for all of them.</summary>
internal sealed class SaeTokenStream : IDisposable
{
    private readonly CentredUnitRows? _centring;
    private readonly bool _held;

    public SaeTokenStream(ComputeDevice device, ITokenSource source, int batch, TokenOrder order, ulong seed, long steps, TokenNormaliser normaliser, int models,
        long windowBytes = ShuffledTokens.DefaultWindowBytes)
    {
        Normaliser = normaliser;
        Tokens = source.Rows;
        _centring = normaliser.CreateCentring(device, batch, source.Columns);
        // Tokens that lie on the device already are gathered there: their numbers are all that travels.
        _held = source is IResidentTokens resident && !device.IsHost && ReferenceEquals(resident.All.Device, device);
        Feed = _held
            ? new SaeTokenFeed(((IResidentTokens)source).All, batch, _centring, normaliser.Mean is null, models)
            : new SaeTokenFeed(device, batch, source.Columns, _centring, normaliser.Mean is null, models);
        Batches = new TokenBatches(source, batch, order, seed, steps, windowBytes);
    }

    public TokenNormaliser Normaliser { get; }
    public SaeTokenFeed Feed { get; }
    public TokenBatches Batches { get; }

    /// <summary>Tokens of the source.</summary>
    public long Tokens { get; }

    /// <summary>Puts the tokens of a step where <see cref="SaeTokenFeed.Send"/> takes them from.</summary>
    public void Load(long step)
    {
        if (_held) Batches.LoadRows(step, Feed.NextRows());
        else Batches.Load(step, Feed.Next());
    }

    public void Dispose()
    {
        Batches.Dispose();
        Feed.Dispose();
        _centring?.Dispose();
    }
}

/// <summary>Measures the rate between logged steps.</summary>
internal sealed class SaeStreamClock(int batch, long start)
{
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private double _last;
    private long _lastStep = start;

    public double Seconds { get; private set; }
    public double TokensPerSecond { get; private set; }

    public double Elapsed => _clock.Elapsed.TotalSeconds;

    /// <summary>Takes the time at the end of a step that is logged.</summary>
    public void Lap(long step)
    {
        Seconds = Elapsed;
        TokensPerSecond = (step + 1 - _lastStep) * (double)batch / Math.Max(Seconds - _last, 1e-9);
        (_last, _lastStep) = (Seconds, step + 1);
    }
}
