using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// The rows of a token source in random order with bounded memory. The rows are cut into blocks of neighbouring rows; the blocks are
/// permuted; as many blocks as fit into the memory limit form a window, whose rows are permuted in turn (<see cref="ShuffleMixing"/> says how good that is).
/// The order is a pure function of (rows, columns, seed, epoch, window size): it depends neither on threads nor on how the tokens are cut into
/// shards, and any position can be resumed. Threads read the next window while this one is consumed; what is in memory anyway is not copied.
/// </summary>
/// <remarks>One caller at a time. A failure to read comes out of <see cref="Next"/> when the caller gets to the tokens concerned.</remarks>
public sealed class ShuffledTokens : IDisposable
{
    /// <summary>Memory of the window unless the caller asks for another.</summary>
    public const long DefaultWindowBytes = 256L << 20;
    private readonly ITokenSource _source;
    private readonly IResidentTokens? _resident;
    private readonly WindowReader? _reader;
    private readonly int[] _rowOrder;
    private readonly ulong _epochs;

    // The order of the epoch being read, and one to draw the next epoch's in.
    private ShuffleOrder _order;
    private ShuffleOrder? _spare;
    private int _window = -1, _windowRows;
    private long _firstRow;
    private bool _begun;

    /// <param name="source">Not disposed here.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="epoch">Every epoch has an order of its own.</param>
    /// <param name="windowBytes">Memory limit; part of what defines the order.</param>
    /// <param name="epochs">Epochs before this number follow one another: the first tokens of the next are read while the last of one are consumed.</param>
    public ShuffledTokens(ITokenSource source, ulong seed, ulong epoch = 0, long windowBytes = DefaultWindowBytes, ulong epochs = 0)
    {
        _source = source;
        _resident = source as IResidentTokens;
        _epochs = epochs;
        Plan = ShufflePlan.For(source, windowBytes, epochs);
        _order = new ShuffleOrder(source.Rows, Plan.Mixing.BlockRows, Plan.Mixing.BlocksPerWindow, seed);
        if (epochs > 1 && _resident is null) _spare = new ShuffleOrder(source.Rows, Plan.Mixing.BlockRows, Plan.Mixing.BlocksPerWindow, seed);
        _rowOrder = new int[_order.Capacity];
        if (_resident is null) _reader = new WindowReader(source, Plan);
        Restart(epoch);
    }

    /// <summary>Rows delivered so far in this epoch; set by <see cref="Restart"/>.</summary>
    public long Position { get; private set; }

    /// <summary>Memory held, threads, and how well neighbours are parted.</summary>
    public ShufflePlan Plan { get; }

    /// <summary>Goes to a position of an epoch. The start of the epoch that follows is the one place that has been read ahead.</summary>
    public void Restart(ulong epoch, long position = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(position, _source.Rows);
        if (_begun && position == 0 && _spare is { } next && next.Epoch == epoch && _window == _order.Windows - 1 && epoch == _order.Epoch + 1)
        {
            (_order, _spare, _window) = (next, _order, -1);
        }
        else if (_resident is not null && _window >= 0 && _order.Epoch == epoch && _order.WindowAt(position) == _window)
        {
            // Nothing but the position changes.
        }
        else
        {
            _reader?.Abandon();
            _order.Draw(epoch);
            (_window, _begun) = (-1, false);
        }
        Position = position;
    }

    /// <summary>Fills a host batch with the next rows; fewer, and at the end of the epoch none.</summary>
    /// <param name="batch">Any number of rows, the source's columns.</param>
    /// <param name="rows">Receives the row number in the source of each row delivered; may be empty.</param>
    /// <returns>Rows delivered.</returns>
    public int Next(MatrixView<float> batch, Span<long> rows = default)
    {
        int done = 0;
        while (done < batch.Rows && Position < _source.Rows)
        {
            Enter(_order.WindowAt(Position));
            int at = (int)(Position - _firstRow), count = Math.Min(batch.Rows - done, _windowRows - at);
            if (_resident is { } resident)
                for (int i = 0; i < count; i++) resident.All.RowBlock((int)_order.SourceRow(_window, _rowOrder[at + i]), 1).CopyTo(batch.Row(done + i));
            else
                for (int i = 0; i < count; i++) _reader!.Row(at + i).CopyTo(batch.Row(done + i));
            if (rows.Length > 0)
                for (int i = 0; i < count; i++) rows[done + i] = _order.SourceRow(_window, _rowOrder[at + i]);
            done += count;
            Position += count;
            _reader?.Release(at + count);
        }
        return done;
    }

    /// <summary>The numbers of the next rows alone, where the tokens are in memory; fewer, and at the end of the epoch none.</summary>
    public int NextRows(Span<int> rows)
    {
        if (_resident is null) throw new InvalidOperationException("Rows of tokens that are read have no use for their numbers alone.");
        int done = 0;
        while (done < rows.Length && Position < _source.Rows)
        {
            Enter(_order.WindowAt(Position));
            int at = (int)(Position - _firstRow), count = Math.Min(rows.Length - done, _windowRows - at);
            for (int i = 0; i < count; i++) rows[done + i] = (int)_order.SourceRow(_window, _rowOrder[at + i]);
            done += count;
            Position += count;
        }
        return done;
    }

    public void Dispose() => _reader?.Dispose();

    /// <summary>Makes a window the current one and starts to read the one after it.</summary>
    private void Enter(int window)
    {
        if (window == _window) return;
        if (_reader is not null)
        {
            if (!_begun) _reader.Begin(_order, window);
            _begun = false;
            _window = -1;
            _reader.Adopt();
        }
        (_window, _windowRows, _firstRow) = (window, _order.RowsOf(window), _order.FirstRow(window));
        for (int i = 0; i < _windowRows; i++) _rowOrder[i] = i;
        _order.Permute(window, _rowOrder.AsSpan(0, _windowRows));
        if (_reader is not null) BeginNext();
    }

    private void BeginNext()
    {
        if (_window + 1 < _order.Windows) _reader!.Begin(_order, _window + 1);
        else if (_spare is { } next && _order.Epoch + 1 < _epochs)
        {
            next.Draw(_order.Epoch + 1);
            _reader!.Begin(next, 0);
        }
        else return;
        _begun = true;
    }
}
