using System.Numerics;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// The one-to-one assignment of rows to columns of least total cost (Kuhn 1955), by shortest augmenting paths over reduced costs
/// (Jonker and Volgenant 1987; rectangular as in Crouse 2016). Exact; O(rows² · columns) at worst, a small part of it where rows have clear favourites.
/// Besides the costs it holds six numbers a column and two a row.
/// </summary>
public static class LinearAssignment
{
    /// <summary>The column of every row. Ties go to the lower column.</summary>
    /// <param name="costs">[rows, columns] row by row, finite.</param>
    /// <param name="rows">At most as many as columns.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="cancellation">Stops between rows.</param>
    /// <exception cref="ArgumentException">More rows than columns, or not rows · columns costs.</exception>
    public static int[] Minimise<T>(ReadOnlySpan<T> costs, int rows, int columns, CancellationToken cancellation = default) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (rows > columns) throw new ArgumentException($"{rows} rows cannot each have one of {columns} columns.", nameof(rows));
        if (costs.Length != (long)rows * columns) throw new ArgumentException($"{rows} x {columns} pairs need {(long)rows * columns} costs, got {costs.Length}.", nameof(costs));
        State state = new(rows, columns);
        List<int> waiting = state.TakeFavourites(costs);
        foreach (int row in waiting)
        {
            cancellation.ThrowIfCancellationRequested();
            state.Augment(costs, row);
        }
        return state.ColumnOfRow;
    }

    /// <summary>Dual prices and the partial assignment. Reduced costs c − u − v are never negative and are zero on assigned pairs.</summary>
    private sealed class State
    {
        private readonly double[] _rowPrices, _columnPrices, _shortest;
        private readonly int[] _rowOfColumn, _predecessor, _open, _visitedColumns;

        public State(int rows, int columns)
        {
            (_rowPrices, ColumnOfRow) = (new double[rows], new int[rows]);
            (_columnPrices, _shortest, _rowOfColumn, _predecessor, _open, _visitedColumns) =
                (new double[columns], new double[columns], new int[columns], new int[columns], new int[columns], new int[columns]);
            Array.Fill(ColumnOfRow, -1);
            Array.Fill(_rowOfColumn, -1);
        }

        public int[] ColumnOfRow { get; }

        /// <summary>Gives every row its cheapest column where nobody took it before; returns the rows that are left.</summary>
        public List<int> TakeFavourites<T>(ReadOnlySpan<T> costs) where T : unmanaged, IBinaryFloatingPointIeee754<T>
        {
            List<int> waiting = [];
            for (int i = 0; i < _rowPrices.Length; i++)
            {
                ReadOnlySpan<T> row = costs.Slice(i * _open.Length, _open.Length);
                int least = 0;
                for (int j = 1; j < row.Length; j++) if (row[j] < row[least]) least = j;
                _rowPrices[i] = double.CreateTruncating(row[least]);
                if (_rowOfColumn[least] >= 0) waiting.Add(i);
                else (_rowOfColumn[least], ColumnOfRow[i]) = (i, least);
            }
            return waiting;
        }

        /// <summary>Dijkstra from a free row to the nearest free column; the pairs along the path change hands.</summary>
        public void Augment<T>(ReadOnlySpan<T> costs, int start) where T : unmanaged, IBinaryFloatingPointIeee754<T>
        {
            int columns = _open.Length, open = columns, closed = 0, row = start, end = -1;
            for (int j = 0; j < open; j++) (_open[j], _shortest[j]) = (j, double.PositiveInfinity);
            double distance = 0;
            while (end < 0)
            {
                (int at, distance) = Relax(costs.Slice(row * columns, columns), row, distance, open);
                int column = _open[at];
                // The last open column takes the place of the one that is closed.
                _open[at] = _open[--open];
                _visitedColumns[closed++] = column;
                if (_rowOfColumn[column] < 0) end = column;
                else row = _rowOfColumn[column];
            }
            _rowPrices[start] += distance;
            for (int k = 0; k < closed; k++)
            {
                int column = _visitedColumns[k];
                double slack = distance - _shortest[column];
                _columnPrices[column] -= slack;
                if (_rowOfColumn[column] >= 0) _rowPrices[_rowOfColumn[column]] += slack;
            }
            for (int column = end; ;)
            {
                int source = _predecessor[column];
                _rowOfColumn[column] = source;
                (ColumnOfRow[source], column) = (column, ColumnOfRow[source]);
                if (source == start) return;
            }
        }

        /// <summary>Lengthens paths through a row; returns the place in the open list and the length of the shortest, free columns and then lower ones first.</summary>
        private (int At, double Distance) Relax<T>(ReadOnlySpan<T> row, int source, double distance, int open) where T : unmanaged, IBinaryFloatingPointIeee754<T>
        {
            double offset = distance - _rowPrices[source], least = double.PositiveInfinity;
            int best = -1;
            for (int k = 0; k < open; k++)
            {
                int j = _open[k];
                double length = offset + double.CreateTruncating(row[j]) - _columnPrices[j];
                if (length < _shortest[j]) (_shortest[j], _predecessor[j]) = (length, source);
                else length = _shortest[j];
                if (length > least) continue;
                if (length < least || Precedes(j, _open[best])) (least, best) = (length, k);
            }
            return (best, least);
        }

        private bool Precedes(int column, int other)
        {
            bool free = _rowOfColumn[column] < 0, otherFree = _rowOfColumn[other] < 0;
            return free == otherFree ? column < other : free;
        }
    }
}
