namespace BioSup.Analysis.Sae;

/// <summary>What a look at the penalty finds.</summary>
/// <param name="Coefficient">λ of the step.</param>
/// <param name="L0">Active latents per token.</param>
/// <param name="Penalty">Before λ.</param>
/// <param name="LossShare">λ · penalty / loss.</param>
/// <param name="GradientShare">Of the penalty in the gradient it competes in; NaN where it reaches no latent.</param>
internal readonly record struct PenaltyLook(double Coefficient, double L0, double Penalty, double LossShare, double GradientShare);

/// <summary>
/// Two rules that tell a person when training is not what it seems. A spike is a gradient norm above ten times the median of the 64 norms before it (at
/// least 16 of them). The penalty no longer acts when at four looks in a row, under a λ that did not fall, L0 stands still and so does the penalty (or it is
/// below a hundredth of the loss), and each time the penalty makes up more than nine tenths of the gradient it competes in, for the median latent, or reaches
/// no latent at all. What still falls, however one-sided its gradients, is on its way and not at its end.
/// </summary>
internal sealed class GradientWatch
{
    public const double SpikeFactor = 10, SaturatedShare = 0.9;
    private const double StillShare = 0.1, StillLatents = 0.05, SmallLossShare = 0.01;
    private const int Window = 64, FewestNorms = 16, Looks = 4, LookNumbers = 5;

    private readonly double[] _norms = new double[Window], _sorted = new double[Window];
    private readonly List<PenaltyLook> _looks = [];
    private long _seen;

    /// <summary>Spikes so far.</summary>
    public int Spikes { get; private set; }

    /// <summary>Whether saturation has been reported.</summary>
    public bool Saturated { get; private set; }

    /// <summary>Takes the norm of a step; true when it is a spike.</summary>
    public bool AddNorm(double norm)
    {
        int count = (int)Math.Min(_seen, Window);
        bool spike = false;
        if (count >= FewestNorms)
        {
            _norms.AsSpan(0, count).CopyTo(_sorted);
            Array.Sort(_sorted, 0, count);
            spike = norm > SpikeFactor * _sorted[count / 2];
        }
        _norms[_seen++ % Window] = norm;
        if (spike) Spikes++;
        return spike;
    }

    /// <summary>Takes a look; true when the penalty is to be reported as one that no longer acts, once in a run.</summary>
    public bool AddLook(in PenaltyLook look)
    {
        _looks.Add(look);
        if (_looks.Count > Looks) _looks.RemoveAt(0);
        if (Saturated || _looks.Count < Looks || look.Coefficient < _looks.Max(l => l.Coefficient)) return false;
        bool still = Spread(l => l.L0) <= StillShare * _looks.Max(l => l.L0) + StillLatents
            && (Spread(l => l.Penalty) <= StillShare * _looks.Max(l => l.Penalty) || _looks.TrueForAll(l => l.LossShare < SmallLossShare));
        return Saturated = still && _looks.TrueForAll(l => !(l.GradientShare <= SaturatedShare));

        double Spread(Func<PenaltyLook, double> value) => _looks.Max(value) - _looks.Min(value);
    }

    /// <summary>
    /// The median over latents of |p| / (|p| + |rest|), where the gradient of a latent is p + rest and p what the penalty adds; NaN where the penalty reaches none.
    /// </summary>
    /// <param name="with">Gradients with the penalty.</param>
    /// <param name="without">The same without it.</param>
    public static double Share(ReadOnlySpan<float> with, ReadOnlySpan<float> without)
    {
        List<double> shares = [];
        for (int j = 0; j < with.Length; j++)
        {
            double penalty = Math.Abs((double)with[j] - without[j]), rest = Math.Abs((double)without[j]);
            // Equal up to rounding: the penalty does not reach this latent.
            if (penalty > 1e-6 * rest && penalty > 0) shares.Add(penalty / (penalty + rest));
        }
        if (shares.Count == 0) return double.NaN;
        shares.Sort();
        return shares[shares.Count / 2];
    }

    /// <summary>Everything a resumed run needs, as numbers.</summary>
    public double[] Save() => [_seen, Spikes, Saturated ? 1 : 0, _looks.Count, .. _norms, .. _looks.SelectMany(l => new[] { l.Coefficient, l.L0, l.Penalty, l.LossShare, l.GradientShare })];

    public void Load(ReadOnlySpan<double> state)
    {
        if (state.Length < 4 + Window || state.Length != 4 + Window + LookNumbers * (int)state[3]) return;
        (_seen, Spikes, Saturated) = ((long)state[0], (int)state[1], state[2] != 0);
        state.Slice(4, Window).CopyTo(_norms);
        _looks.Clear();
        for (ReadOnlySpan<double> rest = state[(4 + Window)..]; rest.Length > 0; rest = rest[LookNumbers..]) _looks.Add(new PenaltyLook(rest[0], rest[1], rest[2], rest[3], rest[4]));
    }
}
