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
    public double NextGamma(double shape)
    {
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

    /// <summary>Poisson count with the given mean.</summary>
    public int NextPoisson(double mean)
    {
        int total = 0;
        // Halving keeps exp(-mean) far from underflow: a sum of Poisson counts is Poisson.
        while (mean > 30)
        {
            double half = Math.Floor(mean * 0.875);
            double g = NextGamma(half);
            if (g >= mean) return total + NextBinomial((int)half - 1, mean / g);
            total += (int)half;
            mean -= g;
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

    /// <summary>Fisher-Yates shuffle in place.</summary>
    public void Shuffle<T>(Span<T> items)
    {
        for (int i = items.Length - 1; i > 0; i--)
        {
            int j = NextInt32(i + 1);
            (items[i], items[j]) = (items[j], items[i]);
        }
    }

    private int NextBinomial(int trials, double probability)
    {
        int successes = 0;
        for (int i = 0; i < trials; i++) if (NextDouble() < probability) successes++;
        return successes;
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
