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
/// Where one space is not enough, eigenvalues lie close together, and the matrix gives way to a Chebyshev polynomial of it (Saad 1984) that is at most 1 on the unwanted ones
/// and grows beyond them: products with a sparse matrix are cheaper than making long vectors orthogonal.
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

    /// <summary>How much larger the second search's eigenvalue has to be for it to be new.</summary>
    private const double Different = 1e-11;

    /// <summary>A vector of which less than this is left lies in the space it was made orthogonal to.</summary>
    private const double Nothing = 1e-14;

    private const int BlocksBetweenTests = 4;
    private const int RestartLimit = 500, OrthogonalisationLimit = 20, FewestSpare = 40, LargestBasis = 128, Width = VectorBlocks.Width, Square = VectorBlocks.Square;

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
        _spaceBlocks = Math.Min(Blocks(Math.Max(2 * count + FewestSpare, Math.Min((int)Math.Sqrt(map.Length), LargestBasis))), room);
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
            double other = Search(locked, 1, CheckTolerance)[0];
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
    private double[] Search(int locked, int wanted, double tolerance)
    {
        using Matrix<double> projected = _device.AllocateMatrix<double>(_spaceBlocks * Width, _spaceBlocks * Width);
        double[] products = new double[(locked + _spaceBlocks + 1) * Square], coupling = new double[Square];
        Draw(locked, all: true, column: 0);
        Orthonormalise(locked, recent: locked, products, coupling);
        int kept = 0;
        for (int restart = 0; restart < RestartLimit; restart++)
        {
            for (int b = kept; b < _spaceBlocks; b++)
            {
                _cancel.ThrowIfCancellationRequested();
                (_filter ?? ChebyshevFilter.None).Multiply(_map, _basis.Block(locked + b), _basis.Block(locked + b + 1), Spare);
                // By Lanczos' recurrence only two blocks have products with the new one, except where a restart has kept more.
                Orthonormalise(locked + b + 1, b == kept ? locked + b + 1 : 2, products, coupling);
                Enter(projected, b, products.AsSpan(locked * Square));
                if (b + 1 < _spaceBlocks && (b + 1 - kept) % BlocksBetweenTests != 0) continue;
                using RitzPairs ritz = new(projected, (b + 1) * Width, Rank);
                if (ritz.Converged(coupling, tolerance) >= wanted)
                {
                    _basis.Combine(locked, b + 1, Blocks(wanted), ritz.Weights(wanted));
                    return RayleighQuotients(locked, wanted);
                }
                if (b + 1 < _spaceBlocks) continue;
                kept = Restart(locked, wanted, ritz, projected);
                // A new operator has a new space.
                if (kept == 0) Orthonormalise(locked, recent: locked, products, coupling);
                break;
            }
        }
        throw new ConvergenceException($"{wanted} eigenvectors of a graph of {_map.Length} cells were not accurate to {tolerance:0e0} after {RestartLimit} restarts of the Lanczos iteration.");
    }

    /// <returns>Blocks that the space begins with: its best vectors, or none but a mixture of them as the first block of a space with another polynomial.</returns>
    private int Restart(int locked, int wanted, RitzPairs ritz, Matrix<double> projected)
    {
        if (_filter is null)
        {
            // A Ritz value is never beyond the eigenvalue of its rank, so all wanted ones lie beyond this.
            int beyond = Math.Min(wanted + Width, ritz.Count - 1);
            _filter = ChebyshevFilter.Beyond(ritz.Value(beyond), _end);
            if (_filter.Value.Degree > 1)
            {
                _basis.Combine(locked, _spaceBlocks, 1, ritz.Mixture(beyond, ref _random));
                return 0;
            }
        }
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
