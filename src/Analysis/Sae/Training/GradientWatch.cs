namespace BioSup.Analysis.Sae;

/// <summary>
/// Two rules that tell a person when training is not what it seems. A spike is a gradient norm above ten times the median of the 64 norms before it (at
/// least 16 of them). The penalty is saturated when it makes up more than nine tenths of the gradient it competes in, for the median latent and at three
/// looks in a row: Adam divides by the size of the gradient, so a larger λ then changes neither direction nor length of the step.
/// </summary>
internal sealed class GradientWatch
{
    public const double SpikeFactor = 10, SaturatedShare = 0.9;
    private const int Window = 64, FewestNorms = 16, LooksInARow = 3;

    private readonly double[] _norms = new double[Window], _sorted = new double[Window];
    private long _seen;
    private int _saturatedLooks;

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

    /// <summary>Takes the penalty's share of the gradient; true when saturation is to be reported, once in a run.</summary>
    public bool AddShare(double share)
    {
        _saturatedLooks = share > SaturatedShare ? _saturatedLooks + 1 : 0;
        if (Saturated || _saturatedLooks < LooksInARow) return false;
        return Saturated = true;
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
    public double[] Save() => [_seen, Spikes, _saturatedLooks, Saturated ? 1 : 0, .. _norms];

    public void Load(ReadOnlySpan<double> state)
    {
        if (state.Length != 4 + Window) return;
        (_seen, Spikes, _saturatedLooks, Saturated) = ((long)state[0], (int)state[1], (int)state[2], state[3] != 0);
        state[4..].CopyTo(_norms);
    }
}
