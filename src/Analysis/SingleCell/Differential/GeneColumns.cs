using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// A cells × genes matrix read by columns, zeros left out: dense in rows (float32 or float64) or compressed either way. A dense matrix is read where it lies, in strips of
/// <see cref="GenesPerStrip"/> columns; one compressed by rows is recompressed once. Nothing sparse is ever made dense.
/// </summary>
internal sealed class GeneColumns
{
    /// <summary>Columns that are taken out of a dense matrix at once: a cache line of float32.</summary>
    public const int GenesPerStrip = 16;

    private readonly Matrix<float>? _matrix;
    private readonly float[]? _dense;
    private readonly double[]? _denseDouble;
    private readonly SparseMatrix? _byGene;
    private readonly float[]? _stored;
    private readonly double[]? _storedDouble;
    private readonly string _source;

    /// <param name="x">An <see cref="NdArray"/> [cells, genes] or a <see cref="SparseMatrix"/>; numbers of other types than float32 are converted to float64.</param>
    /// <param name="source">Name for error messages.</param>
    /// <exception cref="DataException">It is no matrix of numbers, or names an entry twice.</exception>
    public GeneColumns(IAnnElement? x, string source)
    {
        _source = source;
        switch (x)
        {
            case NdArray { Rank: 2 } array when array.Type != ElementType.Text:
                (Cells, Genes) = ((int)array.Shape[0], (int)array.Shape[1]);
                _dense = array.Values as float[];
                if (_dense is null) _denseDouble = array.ToDoubles();
                break;
            case SparseMatrix sparse:
                (Cells, Genes) = (sparse.Rows, sparse.Columns);
                _byGene = sparse.Transpose().ToCsr();
                RequireUnique(_byGene);
                _stored = _byGene.Values.Values as float[];
                if (_stored is null) _storedDouble = _byGene.Values.ToDoubles();
                break;
            default: throw new DataException(source, null, "a dense or sparse matrix of numbers, cells x genes, was expected");
        }
    }

    /// <param name="matrix">[cells, genes] in host memory; not owned.</param>
    /// <param name="source">Name for error messages.</param>
    public GeneColumns(Matrix<float> matrix, string source) => (_matrix, _source, Cells, Genes) = (matrix, source, matrix.Rows, matrix.Columns);

    public int Cells { get; }

    public int Genes { get; }

    /// <summary>True when every value is a float32, so that it can be ordered by 32 bits.</summary>
    public bool IsSingle => _matrix is not null || _dense is not null || _stored is not null;

    /// <summary>Strips of the matrix; each may be read by another thread.</summary>
    public int Strips => (Genes + GenesPerStrip - 1) / GenesPerStrip;

    /// <summary>A reader of its own for each thread.</summary>
    public Reader NewReader() => new(this);

    private void RequireUnique(SparseMatrix byGene)
    {
        for (int gene = 0; gene < Genes; gene++)
        {
            ReadOnlySpan<int> cells = byGene.Indices.AsSpan((int)byGene.Pointers[gene]..(int)byGene.Pointers[gene + 1]);
            bool ascends = true;
            for (int k = 1; k < cells.Length && ascends; k++) ascends = cells[k] > cells[k - 1];
            if (ascends) continue;
            int[] sorted = cells.ToArray();
            Array.Sort(sorted);
            for (int k = 1; k < sorted.Length; k++)
                if (sorted[k] == sorted[k - 1]) throw new DataException(_source, $"row {sorted[k]}, column {gene}", "the sparse matrix holds this entry twice; it was expected once");
        }
    }

    /// <summary>Takes columns out of the matrix for one thread.</summary>
    internal sealed class Reader(GeneColumns columns)
    {
        private float[] _strip = [];
        private double[] _stripDouble = [];
        private int _loaded = -1;

        /// <summary>The values of a gene that are not 0, each with the label of its cell; cells with a negative label are left out.</summary>
        /// <param name="gene">Column.</param>
        /// <param name="labelOfCell">[cells]</param>
        /// <param name="labels">[cells + 1] receives the labels.</param>
        /// <param name="values">[cells + 1] receives the values beside them.</param>
        /// <returns>How many there are.</returns>
        /// <exception cref="DataException">A value is not finite.</exception>
        public int Read(int gene, ReadOnlySpan<int> labelOfCell, Span<int> labels, Span<double> values)
        {
            int count;
            if (columns._byGene is { } sparse)
            {
                Range range = (int)sparse.Pointers[gene]..(int)sparse.Pointers[gene + 1];
                ReadOnlySpan<int> cells = sparse.Indices.AsSpan(range);
                count = columns._stored is { } stored ? Take<float>(stored.AsSpan(range), cells, labelOfCell, labels, values) : Take<double>(columns._storedDouble.AsSpan(range), cells, labelOfCell, labels, values);
            }
            else
            {
                int strip = gene / GenesPerStrip, at = gene % GenesPerStrip * columns.Cells;
                if (strip != _loaded) Load(strip);
                count = columns._denseDouble is null ? Take<float>(_strip.AsSpan(at, columns.Cells), [], labelOfCell, labels, values) : Take<double>(_stripDouble.AsSpan(at, columns.Cells), [], labelOfCell, labels, values);
            }
            return count >= 0 ? count : throw new DataException(columns._source, $"column {gene}", "a value is not finite; numbers were expected");
        }

        private void Load(int strip)
        {
            int first = strip * GenesPerStrip, width = Math.Min(GenesPerStrip, columns.Genes - first);
            if (columns._matrix is { } matrix)
            {
                Reserve(ref _strip);
                for (int i = 0; i < columns.Cells; i++) Exchange<float>(matrix.Row(i).Slice(first, width), _strip, i);
            }
            else if (columns._dense is { } dense) Exchange(dense, ref _strip, first, width);
            else Exchange(columns._denseDouble!, ref _stripDouble, first, width);
            _loaded = strip;
        }

        private void Reserve<T>(ref T[] strip)
        {
            if (strip.Length == 0) strip = new T[(long)columns.Cells * Math.Min(GenesPerStrip, columns.Genes)];
        }

        private void Exchange<T>(T[] from, ref T[] to, int first, int width)
        {
            Reserve(ref to);
            for (int i = 0; i < columns.Cells; i++) Exchange(from.AsSpan((int)((long)i * columns.Genes + first), width), to, i);
        }

        private void Exchange<T>(ReadOnlySpan<T> row, T[] to, int cell)
        {
            for (int j = 0; j < row.Length; j++) to[j * columns.Cells + cell] = row[j];
        }

        /// <returns>How many values there are, or −1 when one is not finite.</returns>
        private static int Take<T>(ReadOnlySpan<T> from, ReadOnlySpan<int> cells, ReadOnlySpan<int> labelOfCell, Span<int> labels, Span<double> values) where T : unmanaged, System.Numerics.INumberBase<T>
        {
            int count = 0;
            double wrong = 0;
            for (int i = 0; i < from.Length; i++)
            {
                double value = double.CreateTruncating(from[i]);
                int label = labelOfCell[cells.IsEmpty ? i : cells[i]];
                // 0 × infinity and 0 × NaN are NaN. Written always and kept by counting, because whether a cell expresses a gene cannot be foreseen.
                wrong += value * 0;
                values[count] = value;
                labels[count] = label;
                count += (value != 0 ? 1 : 0) & (label >= 0 ? 1 : 0);
            }
            return wrong == 0 ? count : -1;
        }
    }
}
