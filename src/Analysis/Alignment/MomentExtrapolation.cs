using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// Anderson acceleration (type II; Walker and Ni 2011) of the outer iteration on Γ, with a safeguard. For squared Euclidean costs the entropic problem is, in units of epsilon,
/// the minimum over Γ of J(Γ) = 4 L |Γ|² / epsilon + the value of the linear problem at Γ (Rioux, Goldfeld and Kato 2024, theorem 1); one outer iteration is a majorisation step
/// of J, so plain iterations never raise it, and its value falls out of every inner solve. An extrapolation that raises it is taken back.
/// </summary>
internal sealed class MomentExtrapolation(ComputeDevice device, int length, GromovOptions options) : IDisposable
{
    /// <summary>Longest step of the first extrapolation, in plain steps; later ones by how the earlier ones went.</summary>
    private const double FirstRadius = 8;

    /// <summary>Relative rounding of J, a difference of large sums.</summary>
    private const double MeritRounding = 1e-11;

    /// <summary>The same where exponentials are in single precision; a logarithm of their sums does not grow with the potentials.</summary>
    private const double SingleMeritRounding = 1e-6;

    /// <summary>Where J is rounding, an extrapolation that lets the plain step grow by more than this is taken back.</summary>
    private const double WorstGrowth = 4;

    /// <summary>Vectors of the length of Γ that are kept.</summary>
    public const int Vectors = 3 * AndersonMixing.Depth + 2;
    private readonly AndersonMixing _mixing = new(device, length);
    private readonly double[] _step = new double[length];
    private readonly double _normWeight = 4 * options.LinearScale / options.Epsilon;
    private double _plainMerit, _plainLength, _radius = FirstRadius, _stepLength;
    private bool _extrapolated;

    /// <summary>Extrapolations taken back so far.</summary>
    public int TakenBack { get; private set; }

    /// <summary>Replaces the next linearisation point, which holds the image of this one, by the combination of the last images, or by an earlier image where the last combination was bad.</summary>
    /// <param name="point">Γ at which the problem was linearised.</param>
    /// <param name="image">Γ of the plan found there; on return the next point.</param>
    /// <param name="dual">Value of the linear problem in units of epsilon: the sums of the potentials over the masses.</param>
    /// <param name="allowed">False where the next step must be a plain one.</param>
    /// <returns>True where the next point is not the image of this one.</returns>
    public bool Next(ReadOnlySpan<double> point, Span<double> image, double dual, bool allowed)
    {
        double square = _normWeight * TensorPrimitives.SumOfSquares(point), merit = square + dual;
        double noise = MeritRounding * Math.Max(1, square) + (options.Precision == GromovPrecision.Single ? SingleMeritRounding : 0);
        double residual = _mixing.Record(point, image);
        if (_extrapolated && (merit > _plainMerit + noise || (merit > _plainMerit - noise && residual > WorstGrowth * _plainLength)))
        {
            // On from the plain image that the extrapolation had replaced, without the pairs that misled it.
            _mixing.CopyImageBeforeLast(image);
            _mixing.Clear();
            _radius = Math.Max(1, _stepLength / 4);
            _extrapolated = false;
            TakenBack++;
            return true;
        }
        if (_extrapolated && _stepLength >= _radius) _radius *= 4;
        _extrapolated = false;
        if (!allowed || residual == 0 || !_mixing.Extrapolate(_step)) return false;
        TensorPrimitives.Subtract(_step, image, _step);
        double length = TensorPrimitives.Norm<double>(_step) / residual, taken = Math.Min(length, _radius);
        if (!(taken > 0)) return false;
        TensorPrimitives.MultiplyAdd(_step, taken / length, image, image);
        (_extrapolated, _plainMerit, _plainLength, _stepLength) = (true, merit, residual, taken);
        return true;
    }

    public void Dispose() => _mixing.Dispose();
}
