namespace BioSup.Analysis.Geometry;

/// <summary>Exact null distribution of Mann–Whitney's U without ties: coefficients of the Gaussian binomial (m + n over m), of which the lower half is enough.</summary>
internal sealed class ExactRankSum
{
    private readonly double[] _logP;
    private readonly long _pairs;

    /// <param name="m">Cells on the one side.</param>
    /// <param name="n">Cells on the other; memory is 4 · m · n bytes.</param>
    public ExactRankSum(long m, long n)
    {
        _pairs = m * n;
        (long less, long more) = (Math.Min(m, n), Math.Max(m, n));
        double[] ways = new double[_pairs / 2 + 1];
        ways[0] = 1;
        double all = 1;
        for (long i = 1; i <= less; i++)
        {
            // times 1 − q^(more + i), over 1 − q^i: the coefficients stay whole and, in this half, are sums of positive terms.
            for (long k = ways.Length - 1; k >= more + i; k--) ways[k] -= ways[k - more - i];
            for (long k = i; k < ways.Length; k++) ways[k] += ways[k - i];
            all *= (more + i) / (double)i;
        }
        double sum = 0;
        for (long k = 0; k < ways.Length; k++)
        {
            sum += ways[k];
            ways[k] = Math.Min(0, Math.Log(2 * sum / all));
        }
        _logP = ways;
    }

    /// <summary>ln of the two-sided p-value of U, of either side: twice the probability of one at least as far from the middle, at most 1.</summary>
    public double LogP(double u) => _logP[(long)Math.Min(u, _pairs - u)];
}
