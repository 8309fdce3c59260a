namespace BioSup.Analysis.Sae;

/// <summary>
/// Steers λ until a wanted number of latents is active: a proportional-integral rule in its velocity form, on logarithms. At every tenth step after the warm-up
/// of λ, with e = ln(L0 / target), L0 smoothed over such steps and e held within ±2: ln λ ← ln λ + 1.5 (Δe + e · 10 / T), T = 3 % of the run, at least 40 steps.
/// λ stays while e falls to 0 with the time constant T; it rises while L0 comes down more slowly than that and falls while L0 comes down faster, so an L0 that is
/// still on its way winds nothing up. While the ramp of λ lasts it remains an upper bound; after it the factor on λ stays within 1,000 either way.
/// </summary>
internal sealed class SparsityController(double target, long total)
{
    public const int Period = 10;
    private const double Gain = 1.5, TimeShare = 0.03, Smoothing = 0.5, LargestError = 2, SmallestL0 = 1e-3;
    private const int FewestPeriods = 4;
    private static readonly double s_widest = Math.Log(1000);

    private readonly double _pull = Period / Math.Max(TimeShare * total, FewestPeriods * Period);
    private double _smoothed = double.NaN, _error = double.NaN;

    /// <summary>ln of the factor on λ.</summary>
    public double LogFactor { get; private set; }

    /// <summary>Takes the L0 of a step.</summary>
    /// <param name="l0">Active latents per token.</param>
    /// <param name="ramping">λ is still held down by its ramp.</param>
    public void Add(double l0, bool ramping)
    {
        double log = Math.Log(Math.Max(l0, SmallestL0) / target);
        _smoothed = double.IsNaN(_smoothed) ? log : _smoothed + Smoothing * (log - _smoothed);
        double error = Math.Clamp(_smoothed, -LargestError, LargestError), change = double.IsNaN(_error) ? 0 : error - _error;
        _error = error;
        LogFactor = Math.Clamp(LogFactor + Gain * (change + error * _pull), -s_widest, ramping ? 0 : s_widest);
    }

    /// <summary>Everything a resumed run needs, as numbers.</summary>
    public double[] Save() => [LogFactor, _smoothed, _error];

    public void Load(ReadOnlySpan<double> state) => (LogFactor, _smoothed, _error) = (state[0], state[1], state[2]);
}
