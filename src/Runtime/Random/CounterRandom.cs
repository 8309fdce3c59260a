namespace BioSup.Runtime;

/// <summary>
/// Philox4x32-10 (Salmon et al. 2011): a pure function of (seed, stream, position), so any element of any stream can be drawn by any thread
/// in any order. Every random decision of the engine that is not fixed by another tool's generator comes from here.
/// </summary>
public struct CounterRandom
{
    private readonly uint _key0, _key1, _stream0, _stream1;
    private ulong _counter;
    private uint _w0, _w1, _w2, _w3;
    private int _left;
    private double _spareNormal;
    private bool _hasSpare;

    /// <param name="seed">The run's seed.</param>
    /// <param name="stream">A separate sequence for each use (image number, epoch, purpose).</param>
    /// <param name="position">Blocks of four 32-bit words to skip.</param>
    public CounterRandom(ulong seed, ulong stream = 0, ulong position = 0)
    {
        _key0 = (uint)seed;
        _key1 = (uint)(seed >> 32);
        _stream0 = (uint)stream;
        _stream1 = (uint)(stream >> 32);
        _counter = position;
    }

    /// <summary>32 uniform bits.</summary>
    public uint NextUInt32()
    {
        if (_left == 0)
        {
            Block(_counter++, out _w0, out _w1, out _w2, out _w3);
            _left = 4;
        }
        _left--;
        return _left switch { 3 => _w0, 2 => _w1, 1 => _w2, _ => _w3 };
    }

    public ulong NextUInt64() => ((ulong)NextUInt32() << 32) | NextUInt32();

    /// <summary>Uniform in [0, 1) with 53 random bits.</summary>
    public double NextDouble() => (NextUInt64() >> 11) * (1.0 / (1UL << 53));

    /// <summary>Uniform integer in [0, bound), without modulo bias.</summary>
    public int NextInt32(int bound)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bound, 1);
        uint range = (uint)bound;
        ulong product = (ulong)NextUInt32() * range;
        if ((uint)product < range)
        {
            uint threshold = (0u - range) % range;
            while ((uint)product < threshold) product = (ulong)NextUInt32() * range;
        }
        return (int)(product >> 32);
    }

    /// <summary>Standard normal (Box-Muller, polar-free so that the number of draws is fixed).</summary>
    public double NextNormal()
    {
        if (_hasSpare)
        {
            _hasSpare = false;
            return _spareNormal;
        }
        double u = 1.0 - NextDouble();
        double angle = 2 * Math.PI * NextDouble();
        double radius = Math.Sqrt(-2 * Math.Log(u));
        _spareNormal = radius * Math.Sin(angle);
        _hasSpare = true;
        return radius * Math.Cos(angle);
    }

    /// <summary>Gamma with the given shape and scale 1 (Marsaglia and Tsang 2000).</summary>
    /// <exception cref="ArgumentOutOfRangeException">The shape is not positive and finite.</exception>
    public double NextGamma(double shape)
    {
        if (!(shape > 0) || !double.IsFinite(shape)) throw new ArgumentOutOfRangeException(nameof(shape), shape, "A gamma shape is positive and finite.");
        if (shape < 1) return NextGamma(shape + 1) * Math.Pow(1.0 - NextDouble(), 1 / shape);
        double d = shape - 1.0 / 3, c = 1 / Math.Sqrt(9 * d);
        while (true)
        {
            double x = NextNormal(), v = 1 + c * x;
            if (v <= 0) continue;
            v = v * v * v;
            double u = 1.0 - NextDouble();
            if (Math.Log(u) < 0.5 * x * x + d * (1 - v + Math.Log(v))) return d * v;
        }
    }

    /// <summary>Poisson count with the given mean, 0 ≤ mean ≤ 10⁹ (Ahrens and Dieter 1974: a gamma waiting time takes most of a large mean away at once).</summary>
    /// <exception cref="ArgumentOutOfRangeException">The mean is negative, NaN or too large for an integer count.</exception>
    public int NextPoisson(double mean)
    {
        if (!(mean >= 0 && mean <= 1e9)) throw new ArgumentOutOfRangeException(nameof(mean), mean, "A Poisson mean lies between 0 and 1e9.");
        int total = 0;
        while (mean > 30)
        {
            // The time of event number `events` of a unit-rate process is Gamma(events): if it is past the mean, the count is binomial among the earlier ones.
            int events = (int)(mean * 0.875);
            double time = NextGamma(events);
            if (time >= mean) return total + NextBinomial(events - 1, mean / time);
            total += events;
            mean -= time;
        }
        double limit = Math.Exp(-mean), product = 1 - NextDouble();
        int count = 0;
        while (product > limit)
        {
            product *= 1 - NextDouble();
            count++;
        }
        return total + count;
    }

    /// <summary>Number of successes in independent trials, in a time that grows with the logarithm of their number (Relles 1972).</summary>
    /// <exception cref="ArgumentOutOfRangeException">Negative trials, or a probability outside [0, 1].</exception>
    public int NextBinomial(int trials, double probability)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(trials);
        if (!(probability >= 0 && probability <= 1)) throw new ArgumentOutOfRangeException(nameof(probability), probability, "A probability lies between 0 and 1.");
        int successes = 0;
        while (trials > 40)
        {
            // A trial succeeds when its uniform number is below the probability. The middle one of the sorted uniforms is Beta distributed:
            // whichever side of the probability it falls on settles half of the trials.
            int middle = 1 + trials / 2;
            double x = NextGamma(middle), y = NextGamma(trials + 1 - middle), value = x / (x + y);
            if (value >= probability)
            {
                trials = middle - 1;
                probability = Math.Min(1, probability / value);
            }
            else
            {
                successes += middle;
                trials -= middle;
                probability = (probability - value) / (1 - value);
            }
        }
        for (int i = 0; i < trials; i++) if (NextDouble() < probability) successes++;
        return successes;
    }

    /// <summary>Fisher-Yates shuffle in place.</summary>
    public void Shuffle<T>(Span<T> items)
    {
        for (int i = items.Length - 1; i > 0; i--)
        {
            int j = NextInt32(i + 1);
            (items[i], items[j]) = (items[j], items[i]);
        }
    }

    private readonly void Block(ulong position, out uint x0, out uint x1, out uint x2, out uint x3)
    {
        uint c0 = (uint)position, c1 = (uint)(position >> 32), c2 = _stream0, c3 = _stream1, k0 = _key0, k1 = _key1;
        for (int round = 0; round < 10; round++)
        {
            ulong p0 = 0xD2511F53UL * c0, p1 = 0xCD9E8D57UL * c2;
            (c0, c1, c2, c3) = ((uint)(p1 >> 32) ^ c1 ^ k0, (uint)p1, (uint)(p0 >> 32) ^ c3 ^ k1, (uint)p0);
            k0 += 0x9E3779B9;
            k1 += 0xBB67AE85;
        }
        (x0, x1, x2, x3) = (c0, c1, c2, c3);
    }
}
