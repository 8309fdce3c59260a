using System.Runtime.ExceptionServices;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// Holds the window that is being consumed and reads the next one ahead into the places that have become free: memory is one window and a little,
/// whatever the speed of either side. What is read where is settled by the order, never by which thread came first.
/// </summary>
/// <remarks>
/// The places form a permutation: the rows of the current window in the order of their consumption, then the free ones. Row r of the next
/// window goes to the r-th of (free places, then consumed ones), so a window is complete soon after its predecessor is used up.
/// </remarks>
internal sealed class WindowReader : IDisposable
{
    private readonly ITokenSource _source;
    private readonly CpuDevice _host = new(1);
    private readonly Matrix<float> _slots;
    private readonly Matrix<float>[] _scratch;
    private readonly Thread?[] _threads;
    private readonly int[] _place;
    private readonly int _blocksPerGroup;
    private readonly object _gate = new();
    private ShuffleOrder? _target;
    private int _targetWindow, _groups, _nextGroup, _doneGroups, _inFlight;
    private int _rows, _consumed;
    private ExceptionDispatchInfo? _failure;
    private int _failedGroup;
    private bool _stopping;

    public WindowReader(ITokenSource source, ShufflePlan plan)
    {
        _source = source;
        _threads = new Thread[plan.Threads];
        _blocksPerGroup = plan.BlocksPerGroup;
        _place = [.. Enumerable.Range(0, plan.Places)];
        _slots = _host.AllocateMatrix<float>(plan.Places, source.Columns);
        _scratch = [.. _threads.Select(_ => _host.AllocateMatrix<float>(plan.ScratchRows, source.Columns))];
    }

    /// <summary>Row of the current window by the position of its consumption.</summary>
    public ReadOnlySpan<float> Row(int position) => _slots.Row(_place[position]);

    /// <summary>Starts to read a window; the one before must have been adopted.</summary>
    public void Begin(ShuffleOrder order, int window)
    {
        lock (_gate)
        {
            int blocks = order.Blocks(window).Length;
            (_target, _targetWindow, _nextGroup, _doneGroups) = (order, window, 0, 0);
            _groups = (blocks + _blocksPerGroup - 1) / _blocksPerGroup;
            for (int i = 0; i < _threads.Length && _threads[i] is null; i++)
            {
                int worker = i;
                _threads[i] = new Thread(() => Work(worker)) { IsBackground = true, Name = $"tokens-{worker}" };
                _threads[i]!.Start();
            }
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Waits for the window that was begun and makes it the current one; whatever is left of the current one is given up.</summary>
    /// <exception cref="DataException">It could not be read.</exception>
    public void Adopt()
    {
        lock (_gate)
        {
            if (_target is not { } order) throw new InvalidOperationException("No window is being read.");
            _consumed = _rows;
            Monitor.PulseAll(_gate);
            while (_failure is null ? _doneGroups < _groups : _inFlight > 0) Monitor.Wait(_gate);
            _failure?.Throw();
            // Free places come first now, the consumed ones after them: exactly where the rows were put.
            Span<int> place = _place;
            place[.._rows].Reverse();
            place[_rows..].Reverse();
            place.Reverse();
            (_rows, _consumed, _target) = (order.RowsOf(_targetWindow), 0, null);
            order.Permute(_targetWindow, place[.._rows]);
        }
    }

    /// <summary>Says that rows of the current window have been used, in order, and their places may be taken.</summary>
    public void Release(int consumed)
    {
        lock (_gate)
        {
            _consumed = consumed;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Forgets windows and failure; returns when no thread is reading any more.</summary>
    public void Abandon()
    {
        lock (_gate)
        {
            _target = null;
            while (_inFlight > 0) Monitor.Wait(_gate);
            (_rows, _consumed, _failure) = (0, 0, null);
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _stopping = true;
            Monitor.PulseAll(_gate);
        }
        foreach (Thread? thread in _threads) thread?.Join();
        foreach (Matrix<float> scratch in _scratch) scratch.Dispose();
        _slots.Dispose();
        _host.Dispose();
    }

    private void Work(int worker)
    {
        while (Take(out ShuffleOrder order, out int window, out int group))
        {
            ExceptionDispatchInfo? failure = null;
            try
            {
                Read(order, window, group, _scratch[worker]);
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }
            lock (_gate)
            {
                _inFlight--;
                _doneGroups++;
                // Of several failures the first in the order is told, as a single thread would.
                if (failure is not null && (_failure is null || group < _failedGroup)) (_failure, _failedGroup) = (failure, group);
                Monitor.PulseAll(_gate);
            }
        }
    }

    private bool Take(out ShuffleOrder order, out int window, out int group)
    {
        lock (_gate)
        {
            while (!_stopping && !CanTake()) Monitor.Wait(_gate);
            (order, window, group) = (_target!, _targetWindow, _nextGroup);
            if (_stopping) return false;
            _nextGroup++;
            _inFlight++;
            return true;
        }
    }

    private bool CanTake()
    {
        if (_target is not { } order || _failure is not null || _nextGroup == _groups) return false;
        int last = Math.Min((_nextGroup + 1) * _blocksPerGroup, order.Blocks(_targetWindow).Length);
        int end = last == order.Blocks(_targetWindow).Length ? order.RowsOf(_targetWindow) : order.RowOffset(_targetWindow, last);
        return end <= _place.Length - _rows + _consumed;
    }

    private void Read(ShuffleOrder order, int window, int group, Matrix<float> scratch)
    {
        int first = group * _blocksPerGroup;
        ReadOnlySpan<int> blocks = order.Blocks(window);
        blocks = blocks[first..Math.Min(first + _blocksPerGroup, blocks.Length)];
        int row = order.RowOffset(window, first);
        if (_source is IBlockTokens made)
        {
            MatrixView<float> rows = scratch.View.RowBlock(0, blocks.Length * order.BlockRows);
            made.ReadBlocks(blocks, rows);
            Scatter(rows, row);
            return;
        }
        foreach (int block in blocks)
        {
            MatrixView<float> rows = scratch.View.RowBlock(0, order.RowsOfBlock(block));
            _source.Read((long)block * order.BlockRows, rows);
            Scatter(rows, row);
            row += rows.Rows;
        }
    }

    private void Scatter(MatrixView<float> rows, int first)
    {
        int free = _place.Length - _rows;
        for (int i = 0; i < rows.Rows; i++)
        {
            int row = first + i;
            rows.Row(i).CopyTo(_slots.Row(_place[row < free ? _rows + row : row - free]));
        }
    }
}
