using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>A symmetric matrix known by its products with vectors; no eigenvalue is above 1 in magnitude.</summary>
internal unsafe interface ISymmetricMap
{
    /// <summary>Length of the vectors.</summary>
    int Length { get; }

    /// <summary>[length] which entry of a vector each line of a block holds.</summary>
    int[] Order { get; }

    /// <summary>Y = factor A X + shift X − Z for the eight vectors of a block of <see cref="VectorBlocks"/>. The bytes of Y must not depend on the number of threads.</summary>
    /// <param name="x">[length × 8].</param>
    /// <param name="y">[length × 8], another block.</param>
    /// <param name="factor">Of A.</param>
    /// <param name="shift">Of the identity.</param>
    /// <param name="minus">[length × 8] Z, which may be Y; null for zero.</param>
    void Multiply(double* x, double* y, double factor, double shift, double* minus);
}

/// <summary>Which end of the spectrum is wanted.</summary>
internal enum SpectrumEnd
{
    /// <summary>Largest absolute values (ARPACK's LM).</summary>
    Magnitude,

    /// <summary>Largest values (ARPACK's LA).</summary>
    Algebraic,
}

/// <summary>
/// A few eigenpairs of a large symmetric matrix by thick-restart Lanczos (Wu and Simon 2000) on blocks of eight vectors (Golub and Underwood 1977), every new block made orthogonal to all
/// others twice. A Krylov space of eight vectors holds eight of a repeated eigenvalue, and rounding brings in no more. So the result is held against a second search, from new random
/// vectors, among the vectors orthogonal to it: while that finds an eigenvalue that should have been in the result, it takes its place there.
/// When a first small space is not enough, the matrix gives way to a Chebyshev polynomial of low degree of it (Saad 1984) that is at most 1 on most of the unwanted eigenvalues
/// and grows beyond them: products with a sparse matrix are cheaper than making long vectors orthogonal. Where eigenvalues lie so close together that a whole space brings hardly
/// anything, the degree rises.
/// The result has the same bytes on any number of threads.
/// </summary>
internal sealed unsafe class LanczosEigen : IDisposable
{
    /// <summary>Up to this length, and where every third pair is wanted, the whole spectrum is computed densely, which is exact whatever its gaps.</summary>
    private const int DenseLength = 256;

    /// <summary>Residual of an accepted pair: what ARPACK asks when it is given no tolerance is machine precision; rounding of the products allows about this.</summary>
    private const double Tolerance = 1e-13;

    /// <summary>Residual at which the second search stops: the error of an eigenvalue is its square over the gap.</summary>
    private const double CheckTolerance = 1e-7;

    /// <summary>Its residual, as a share of the distance to the last eigenvalue, at which no larger one is left.</summary>
    private const double Clear = 0.1;

    /// <summary>How much larger the second search's eigenvalue has to be for it to be new.</summary>
    private const double Different = 1e-11;

    /// <summary>A vector of which less than this is left lies in the space it was made orthogonal to.</summary>
    private const double Nothing = 1e-14;

    /// <summary>Residual of a whole space above which the degree rises.</summary>
    private const double Stalled = 1e-3;

    /// <summary>Digits that a block brings at most, and blocks after which pairs are looked at in any case.</summary>
    private const int DigitsOfBlock = 2, BlocksBetweenTests = 4;

    /// <summary>Blocks of the first space beside the wanted ones: enough to see where the spectrum becomes dense.</summary>
    private const int FirstSpare = 8;

    private const int RestartLimit = 500, OrthogonalisationLimit = 20, FewestSpare = 40, UsualBasis = 128, Width = VectorBlocks.Width, Square = VectorBlocks.Square;

    private readonly CpuDevice _device;
    private readonly ISymmetricMap _map;
    private readonly SpectrumEnd _end;
    private readonly int _count, _knownBlocks, _spaceBlocks;
    private readonly VectorBlocks _basis;
    private readonly double _tolerance;
    private readonly CancellationToken _cancel;
    private CounterRandom _random;
    private ChebyshevFilter? _filter;

    private LanczosEigen(CpuDevice device, ISymmetricMap map, int count, SpectrumEnd end, Matrix<double>? known, ulong seed, CancellationToken cancel, double tolerance)
    {
        (_device, _map, _count, _end, _cancel, _tolerance) = (device, map, count, end, cancel, tolerance);
        _random = new CounterRandom(seed, stream: 0x4C616E63UL);
        _knownBlocks = Blocks(known?.Rows ?? 0);
        int room = map.Length / Width - _knownBlocks - Blocks(count) - 2;
        _spaceBlocks = Math.Min(Blocks(Math.Max(2 * count + FewestSpare, UsualBasis)), room);
        _basis = new VectorBlocks(device, map.Length, _knownBlocks + Blocks(count) + _spaceBlocks + 2);
        for (int c = 0; c < (known?.Rows ?? 0); c++)
            for (int i = 0; i < map.Length; i++) _basis[c, i] = known!.Row(c)[map.Order[i]];
    }

    /// <param name="device">Whose threads multiply.</param>
    /// <param name="map">The matrix A.</param>
    /// <param name="count">How many pairs besides the known ones, at least 1 and at most what is left.</param>
    /// <param name="end">Which.</param>
    /// <param name="known">[c, n] orthonormal eigenvectors of A that are left out; null for none.</param>
    /// <param name="seed">Decides the first vectors.</param>
    /// <param name="cancel">Ends the search.</param>
    /// <param name="tolerance">Residual of an accepted pair. Whoever asks for less than the default wants directions and not eigenvalues, and gets them without the second search.</param>
    /// <returns>Eigenvalues, wanted ones first, and [count, n] unit eigenvectors.</returns>
    /// <exception cref="ConvergenceException">The pairs were not accurate after 500 restarts.</exception>
    public static (double[] Values, Matrix<double> Vectors) Find(CpuDevice device, ISymmetricMap map, int count, SpectrumEnd end, Matrix<double>? known, ulong seed, CancellationToken cancel,
        double tolerance = Tolerance)
    {
        int left = map.Length - (known?.Rows ?? 0);
        if (count < 1 || count > left) throw new ArgumentOutOfRangeException(nameof(count), $"{count} eigenvectors of {left}.");
        if (map.Length <= DenseLength || 3L * (count + map.Length - left) > map.Length) return DenseSpectrum.Find(device, map, count, end, known);
        using LanczosEigen search = new(device, map, count, end, known, seed, cancel, tolerance);
        return search.Run();
    }

    public void Dispose() => _basis.Dispose();

    private static int Blocks(int vectors) => (vectors + Width - 1) / Width;

    private (double[] Values, Matrix<double> Vectors) Run()
    {
        double[] values = Search(_knownBlocks, _count, _tolerance);
        int locked = _knownBlocks + Blocks(_count), first = _knownBlocks * Width;
        while (_tolerance <= Tolerance)
        {
            int last = Enumerable.Range(0, _count).MinBy(i => Rank(values[i]));
            double other = Search(locked, 1, CheckTolerance, Rank(values[last]))[0];
            if (Rank(other) <= Rank(values[last]) + Different) break;
            values[last] = Search(locked, 1, Tolerance)[0];
            for (int i = 0; i < _map.Length; i++) _basis[first + last, i] = _basis[locked * Width, i];
        }
        int[] order = [.. Enumerable.Range(0, _count).OrderByDescending(i => Rank(values[i]))];
        Matrix<double> vectors = _device.AllocateMatrix<double>(_count, _map.Length);
        for (int c = 0; c < _count; c++)
        {
            Span<double> row = vectors.Row(c);
            for (int i = 0; i < row.Length; i++) row[_map.Order[i]] = _basis[first + order[c], i];
        }
        return ([.. order.Select(i => values[i])], vectors);
    }

    private double Rank(double value) => _end == SpectrumEnd.Magnitude ? Math.Abs(value) : value;

    /// <summary>The wanted pairs among the vectors orthogonal to the first blocks; their vectors are left in the blocks after these, filled up with zeros.</summary>
    /// <param name="locked">How many blocks come first.</param>
    /// <param name="wanted">How many pairs.</param>
    /// <param name="tolerance">Their largest residual.</param>
    /// <param name="rival">Rank of an eigenvalue that only a larger one would replace: a residual that is small beside the distance to it will do.</param>
    private double[] Search(int locked, int wanted, double tolerance, double rival = double.NegativeInfinity)
    {
        using Matrix<double> projected = _device.AllocateMatrix<double>(_spaceBlocks * Width, _spaceBlocks * Width);
        double[] products = new double[(locked + _spaceBlocks + 1) * Square], coupling = new double[Square];
        Draw(locked, all: true, column: 0);
        Orthonormalise(locked, recent: locked, products, coupling);
        int kept = 0, untested = BlocksBetweenTests;
        for (int restart = 0; restart < RestartLimit; restart++)
        {
            for (int b = kept, end = _filter is null ? Math.Min(Blocks(wanted) + FirstSpare, _spaceBlocks) : _spaceBlocks; b < end; b++)
            {
                _cancel.ThrowIfCancellationRequested();
                (_filter ?? ChebyshevFilter.None).Multiply(_map, _basis.Block(locked + b), _basis.Block(locked + b + 1), Spare);
                // By Lanczos' recurrence only two blocks have products with the new one, except where a restart has kept more.
                Orthonormalise(locked + b + 1, b == kept ? locked + b + 1 : 2, products, coupling);
                Enter(projected, b, products.AsSpan(locked * Square));
                if (b + 1 < end && --untested > 0) continue;
                using RitzPairs ritz = new(projected, (b + 1) * Width, Rank);
                double residual = ritz.Residual(wanted, coupling);
                double enough = Math.Max(tolerance, Clear * Lead(rival, ritz));
                untested = Math.Clamp((int)(Math.Log10(residual / enough) / DigitsOfBlock), 1, BlocksBetweenTests);
                if (residual <= enough)
                {
                    _basis.Combine(locked, b + 1, Blocks(wanted), ritz.Weights(wanted));
                    double[] values = RayleighQuotients(locked, wanted);
                    if (_end != SpectrumEnd.Magnitude || _filter is not { Lopsided: true } lopsided || values.All(v => v > 0)) return values;
                    // The first space had not shown how far down the eigenvalues reach: negative ones count for too much.
                    _filter = lopsided.Centred;
                    return Search(locked, wanted, tolerance, rival);
                }
                if (b + 1 < end) continue;
                bool first = _filter is null;
                if (Raise(wanted, residual, ritz))
                {
                    // A new operator has a new space, which begins with a mixture of the best vectors of the old one.
                    _basis.Combine(locked, b + 1, 1, ritz.Mixture(Beyond(wanted, ritz), ref _random));
                    Orthonormalise(locked, recent: locked, products, coupling);
                    kept = 0;
                    break;
                }
                if (first && end < _spaceBlocks)
                {
                    end = _spaceBlocks;
                    continue;
                }
                kept = Restart(locked, wanted, ritz, projected);
                break;
            }
        }
        throw new ConvergenceException($"{wanted} eigenvectors of a graph of {_map.Length} cells were not accurate to {tolerance:0e0} after {RestartLimit} restarts of the Lanczos iteration.");
    }

    /// <summary>How far the largest eigenvalue of a space lies below one of another space, in the values of the polynomial and relative to those beyond 1.</summary>
    private double Lead(double rival, RitzPairs ritz)
    {
        if (double.IsInfinity(rival)) return 0;
        double value = Rank(ritz.Value(0));
        return ((_filter ?? ChebyshevFilter.None).At(rival) - value) / Math.Max(1, value);
    }

    /// <summary>Decides on a polynomial when there is none, and on a higher one when a space has brought hardly anything.</summary>
    /// <returns>Whether there is a new one.</returns>
    private bool Raise(int wanted, double residual, RitzPairs ritz)
    {
        ChebyshevFilter now = _filter ?? ChebyshevFilter.None;
        if (_filter is not null && residual < Stalled) return false;
        // A Ritz value is never beyond the eigenvalue of its rank, so all wanted ones lie beyond this.
        ChebyshevFilter next = ChebyshevFilter.Beyond(now.Inverse(ritz.Value(Beyond(wanted, ritz))), now.Inverse(ritz.Least), _end);
        bool raised = next.Degree >= 2 * now.Degree;
        if (raised || _filter is null) _filter = next;
        return raised;
    }

    /// <summary>Place of the first value that may lie among the unwanted ones.</summary>
    private static int Beyond(int wanted, RitzPairs ritz) => Math.Min(wanted + 1, ritz.Count - 1);

    /// <returns>Blocks that the space begins with: its best vectors.</returns>
    private int Restart(int locked, int wanted, RitzPairs ritz, Matrix<double> projected)
    {
        // Some vectors beyond the wanted ones keep the gap wide.
        int kept = Math.Min(Blocks(wanted + (_spaceBlocks * Width - wanted) / 3), _spaceBlocks - 2);
        _basis.Combine(locked, _spaceBlocks, kept, ritz.Weights(kept * Width));
        _basis.Copy(locked + _spaceBlocks, locked + kept);
        for (int i = 0; i < kept * Width; i++)
        {
            projected.Row(i)[..(kept * Width)].Clear();
            projected.Row(i)[i] = ritz.Value(i);
        }
        return kept;
    }

    /// <summary>The last block, between products.</summary>
    private double* Spare => _basis.Block(_knownBlocks + Blocks(_count) + _spaceBlocks + 1);

    private double[] RayleighQuotients(int locked, int wanted)
    {
        double[] values = new double[wanted], products = new double[Square];
        int target = _knownBlocks + Blocks(_count) + _spaceBlocks + 1;
        for (int o = 0; o < Blocks(wanted); o++)
        {
            _map.Multiply(_basis.Block(locked + o), Spare, 1, 0, null);
            _basis.Project(locked + o, 1, target, products);
            for (int c = 0; c < Width && o * Width + c < wanted; c++) values[o * Width + c] = products[c * (Width + 1)];
        }
        return values;
    }

    /// <summary>Products of the blocks with A times block b, as rows and columns of the projected matrix.</summary>
    private static void Enter(Matrix<double> projected, int b, ReadOnlySpan<double> products)
    {
        for (int i = 0; i < (b + 1) * Width; i++)
            for (int c = 0; c < Width; c++)
            {
                int column = b * Width + c;
                // On the diagonal both halves are there and differ by rounding: the upper one counts.
                if (i <= column) projected.Row(i)[column] = projected.Row(column)[i] = products[i * Width + c];
            }
    }

    /// <summary>
    /// Makes a block W orthonormal and orthogonal to all blocks V before it: W = V C + Q R with the new block Q. A vector of which nothing is left gives way to a random one, and its row of R is 0.
    /// Cholesky factors of Wᵀ W lose half the digits, so what they cannot separate goes through once more, until a pass changes nothing (the criterion of Kahan, "twice is enough").
    /// </summary>
    /// <param name="target">Number of the block.</param>
    /// <param name="recent">How many blocks before it are known to be the only ones that W has more than rounding in common with.</param>
    /// <param name="products">[target × 8 × 8] receives C.</param>
    /// <param name="coupling">[8 × 8] receives R.</param>
    private void Orthonormalise(int target, int recent, double[] products, double[] coupling)
    {
        double[] gram = new double[Square], factor = new double[Square], inverse = new double[Square], part = new double[target * Square];
        bool[] drawn = new bool[Width];
        Array.Clear(products);
        Array.Clear(coupling);
        for (int i = 0; i < Width; i++) coupling[i * Width + i] = 1;
        int first = target - recent;
        for (int pass = 0; pass < OrthogonalisationLimit; pass++, first = 0)
        {
            Span<double> found = part.AsSpan(first * Square);
            _basis.Project(first, target - first, target, found);
            SmallFactor.AddProduct(found, coupling, products.AsSpan(first * Square));
            _basis.Subtract(first, target - first, target, found, gram);
            bool settled = SmallFactor.Cholesky(gram, factor, inverse) && pass > 0;
            _basis.Transform(target, inverse);
            SmallFactor.Multiply(factor, coupling);
            for (int column = 0; column < Width; column++)
            {
                if (drawn[column] || Math.Abs(coupling[column * Width + column]) > Nothing) continue;
                (drawn[column], settled) = (true, false);
                coupling.AsSpan(column * Width, Width).Clear();
                Draw(target, all: false, column);
            }
            if (settled) return;
        }
        throw new ConvergenceException($"A block of vectors of a graph of {_map.Length} cells could not be made orthogonal; its weights span too many orders of magnitude.");
    }

    private void Draw(int block, bool all, int column)
    {
        double scale = 1 / Math.Sqrt(_map.Length);
        for (int i = 0; i < _map.Length; i++)
            for (int c = all ? 0 : column; c <= (all ? Width - 1 : column); c++) _basis[block * Width + c, i] = scale * _random.NextNormal();
    }
}
