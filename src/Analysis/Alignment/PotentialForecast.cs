using System.Numerics.Tensors;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// Where the potentials of the next transport problem will be. Near a fixed point the outer iteration shrinks one direction by one factor, and with it the steps of the potentials:
/// the next step is about the last one times the ratio of the last two (Aitken). A solve that starts there has less left to do, and is solved to the same tolerance.
/// </summary>
/// <param name="count">Potentials of one domain.</param>
internal sealed class PotentialForecast(int count)
{
    /// <summary>Cosine of the last two steps from which they are steps along one direction. Below it they turn, or are what the inner tolerance leaves, and nothing is foreseen.</summary>
    private const double SameDirection = 0.9;

    private readonly double[] _last = new double[count];
    private double[] _step = new double[count], _stepBefore = new double[count];
    private int _solutions;

    /// <summary>Forgets what was recorded.</summary>
    public void Clear() => _solutions = 0;

    /// <summary>Takes the solution of a problem.</summary>
    /// <param name="solution">Potentials [count]; constants added to all of them are of no account.</param>
    public void Record(ReadOnlySpan<double> solution)
    {
        if (_solutions > 0)
        {
            (_step, _stepBefore) = (_stepBefore, _step);
            TensorPrimitives.Subtract(solution, _last, _step);
            // Potentials are known up to a constant.
            TensorPrimitives.Subtract(_step, TensorPrimitives.Sum<double>(_step) / _step.Length, _step);
        }
        solution.CopyTo(_last);
        _solutions = Math.Min(_solutions + 1, 3);
    }

    /// <summary>Moves the last solution to where the next one is expected.</summary>
    /// <param name="potentials">The last solution; the start of the next problem on return.</param>
    /// <returns>False, with nothing changed, where the last steps do not tell.</returns>
    public bool Apply(Span<double> potentials)
    {
        if (_solutions < 3) return false;
        double before = TensorPrimitives.Norm<double>(_stepBefore), now = TensorPrimitives.Norm<double>(_step), along = TensorPrimitives.Dot<double>(_step, _stepBefore);
        if (!(along > SameDirection * before * now)) return false;
        TensorPrimitives.MultiplyAdd(_step, Math.Min(1, along / (before * before)), potentials, potentials);
        return true;
    }
}
