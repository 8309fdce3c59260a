using System.Runtime.ExceptionServices;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>In which order training meets the tokens.</summary>
public enum TokenOrder
{
    /// <summary>Another order every epoch, a pure function of the seed.</summary>
    Shuffled,

    /// <summary>File order, every epoch alike: for comparing with another implementation.</summary>
    Fixed,
}

/// <summary>
/// The batch of any step: a function of (tokens, batch size, order, seed, step), so that a run can be taken up anywhere. A thread prepares the
/// next batch while this one is worked on; the present one is kept, so that any number of models may take it. Tokens in memory are gathered at once.
/// </summary>
/// <remarks>Safe for any number of callers that go forward together; what is asked for out of turn is found again, slowly.</remarks>
internal sealed class TokenBatches : IDisposable
{
    // A second batch of more than this would be memory without a use: it takes long enough to work through the first.
    private const long MostAheadBytes = 128L << 20;
    private readonly ITokenSource _source;
    private readonly IResidentTokens? _resident;
    private readonly int _batch;
    private readonly long _steps;
    private readonly ShuffledTokens? _shuffled;
    private readonly CpuDevice _host = new(1);
    private readonly Slot[] _slots;
    private readonly object _gate = new();
    private Thread? _thread;
    private long _epoch = -1, _next;
    private ExceptionDispatchInfo? _failure;
    private bool _stopping;

    /// <param name="source">Not disposed here.</param>
    /// <param name="batch">Tokens of a step, at most the source's.</param>
    /// <param name="order">Order of the tokens.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="steps">Steps of the run: nothing is read for those after it.</param>
    /// <param name="windowBytes">Memory of the shuffle's window; part of what defines the order.</param>
    public TokenBatches(ITokenSource source, int batch, TokenOrder order, ulong seed, long steps = long.MaxValue, long windowBytes = ShuffledTokens.DefaultWindowBytes)
    {
        (_source, _batch, _steps) = (source, batch, steps);
        _resident = source as IResidentTokens;
        if (order == TokenOrder.Shuffled) _shuffled = new ShuffledTokens(source, seed, 0, windowBytes, (ulong)((steps - 1) / PerEpoch) + 1);
        int slots = _resident is not null ? 0 : sizeof(float) * (long)batch * source.Columns > MostAheadBytes ? 1 : 2;
        _slots = new Slot[slots];
        for (int i = 0; i < slots; i++) _slots[i] = new Slot(_host.AllocateMatrix<float>(batch, source.Columns));
    }

    /// <summary>Whole batches in an epoch; the incomplete one at the end is left out.</summary>
    public long PerEpoch => _source.Rows / _batch;

    /// <summary>Memory for windows, batches prepared ahead, and tables.</summary>
    public long MemoryBytes => (_shuffled?.Plan.MemoryBytes ?? 0) + _slots.Length * sizeof(float) * (long)_batch * _source.Columns;

    /// <summary>How well the order mixes; null for file order.</summary>
    public ShuffleMixing? Mixing => _shuffled?.Plan.Mixing;

    /// <summary>Fills a host view with the tokens of a step.</summary>
    /// <exception cref="DataException">The tokens cannot be read.</exception>
    public void Load(long step, MatrixView<float> destination)
    {
        if (destination.Rows != _batch) throw new ArgumentException($"A batch has {_batch} tokens, there is place for {destination.Rows}.", nameof(destination));
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_stopping, this);
            if (_resident is not null) Fill(step, destination);
            else Copy(Prepared(step), destination);
        }
    }

    /// <summary>The numbers of a step's tokens, where the source holds them in memory.</summary>
    public void LoadRows(long step, Span<int> rows)
    {
        if (rows.Length != _batch) throw new ArgumentException($"A batch has {_batch} tokens, there is place for {rows.Length} numbers.", nameof(rows));
        lock (_gate)
        {
            long position = step % PerEpoch * _batch;
            if (_shuffled is null)
                for (int i = 0; i < rows.Length; i++) rows[i] = (int)(position + i);
            else
            {
                Seek(step);
                _shuffled.NextRows(rows);
            }
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _stopping = true;
            Monitor.PulseAll(_gate);
        }
        // The thread may be waiting inside the shuffle, for a window that takes long to read: its end comes first.
        _thread?.Join();
        _shuffled?.Dispose();
        foreach (Slot slot in _slots) slot.Tokens.Dispose();
        _host.Dispose();
    }

    /// <summary>The batch of a step as the thread prepared it; the ones before it make place.</summary>
    private Matrix<float> Prepared(long step)
    {
        Slot? ready = Find(step);
        if (ready is null && (_failure is not null || !Expected(step)))
        {
            // Out of turn: the thread starts afresh.
            while (Array.Exists(_slots, slot => slot.Filling)) Monitor.Wait(_gate);
            foreach (Slot slot in _slots) slot.Step = -1;
            (_next, _failure) = (step, null);
        }
        foreach (Slot slot in _slots)
            if (slot.Step < step && !slot.Filling) slot.Step = -1;
        Monitor.PulseAll(_gate);
        if (_thread is null)
        {
            _thread = new Thread(Prepare) { IsBackground = true, Name = "batches" };
            _thread.Start();
        }
        while ((ready = Find(step)) is null && _failure is null) Monitor.Wait(_gate);
        if (ready is null) _failure!.Throw();
        return ready!.Tokens;
    }

    private Slot? Find(long step)
    {
        foreach (Slot slot in _slots)
            if (slot.Step == step && !slot.Filling) return slot;
        return null;
    }

    /// <summary>Whether the thread is at this step or comes to it next.</summary>
    private bool Expected(long step)
    {
        if (_thread is null) return false;
        if (step == _next) return true;
        foreach (Slot slot in _slots)
            if (slot.Step == step) return true;
        return false;
    }

    private void Prepare()
    {
        while (Claim() is { } slot)
        {
            ExceptionDispatchInfo? failure = null;
            try
            {
                Fill(slot.Step, slot.Tokens.View);
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }
            lock (_gate)
            {
                slot.Filling = false;
                if (failure is not null) (_failure, slot.Step) = (failure, -1);
                Monitor.PulseAll(_gate);
            }
        }
    }

    private Slot? Claim()
    {
        lock (_gate)
        {
            while (true)
            {
                if (_stopping) return null;
                Slot? free = null;
                foreach (Slot slot in _slots)
                    if (slot.Step < 0) free = slot;
                if (free is not null && _failure is null && _next < _steps)
                {
                    (free.Step, free.Filling) = (_next++, true);
                    return free;
                }
                Monitor.Wait(_gate);
            }
        }
    }

    private void Fill(long step, MatrixView<float> destination)
    {
        if (_shuffled is null)
        {
            _source.Read(step % PerEpoch * _batch, destination);
            return;
        }
        long epoch = Seek(step);
        // After a failure the shuffle has to be restarted, wherever it stands.
        _epoch = -1;
        int rows = _shuffled.Next(destination);
        _epoch = epoch;
        if (rows != destination.Rows) throw new InvalidOperationException($"The shuffled tokens ended in step {step} of {PerEpoch} an epoch.");
    }

    private long Seek(long step)
    {
        long epoch = step / PerEpoch, position = step % PerEpoch * _batch;
        if (epoch != _epoch || _shuffled!.Position != position) _shuffled!.Restart((ulong)epoch, position);
        return _epoch = epoch;
    }

    private static void Copy(Matrix<float> batch, MatrixView<float> destination)
    {
        for (int i = 0; i < batch.Rows; i++) batch.Row(i).CopyTo(destination.Row(i));
    }

    private sealed class Slot(Matrix<float> tokens)
    {
        public Matrix<float> Tokens { get; } = tokens;

        /// <summary>The step whose batch is or will be here, -1 for none.</summary>
        public long Step { get; set; } = -1;

        public bool Filling { get; set; }
    }
}
