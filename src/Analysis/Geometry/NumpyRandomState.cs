namespace BioSup.Analysis.Geometry;

/// <summary>
/// NumPy's legacy generator <c>numpy.random.RandomState</c> (MT19937), bit for bit: the same seed gives the same permutations, choices and
/// uniform numbers, so that folds and sub-samples of published results can be repeated. New random decisions use CounterRandom instead.
/// </summary>
internal sealed class NumpyRandomState
{
    private const int Words = 624, Shift = 397;
    private readonly uint[] _state = new uint[Words];
    private int _position = Words;

    /// <param name="seed">As in <c>RandomState(seed)</c>: 0 to 2^32 - 1.</param>
    public NumpyRandomState(uint seed)
    {
        _state[0] = seed;
        for (int i = 1; i < Words; i++) _state[i] = 1812433253u * (_state[i - 1] ^ (_state[i - 1] >> 30)) + (uint)i;
    }

    /// <summary>The next 32 bits.</summary>
    public uint NextUInt32()
    {
        if (_position == Words) Refill();
        uint y = _state[_position++];
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c5680u;
        y ^= (y << 15) & 0xefc60000u;
        return y ^ (y >> 18);
    }

    /// <summary><c>random_sample()</c>: uniform in [0, 1) with 53 bits.</summary>
    public double RandomSample()
    {
        uint high = NextUInt32() >> 5, low = NextUInt32() >> 6;
        return (high * 67108864.0 + low) / 9007199254740992.0;
    }

    /// <summary>Uniform in [0, max], both ends included, by masked rejection.</summary>
    public uint Interval(uint max)
    {
        if (max == 0) return 0;
        uint mask = max;
        for (int shift = 1; shift < 32; shift <<= 1) mask |= mask >> shift;
        uint value;
        do value = NextUInt32() & mask;
        while (value > max);
        return value;
    }

    /// <summary><c>shuffle(items)</c> in place.</summary>
    public void Shuffle<T>(Span<T> items)
    {
        for (int i = items.Length - 1; i > 0; i--)
        {
            int j = (int)Interval((uint)i);
            (items[i], items[j]) = (items[j], items[i]);
        }
    }

    /// <summary><c>permutation(n)</c>.</summary>
    public int[] Permutation(int n)
    {
        int[] order = [.. Enumerable.Range(0, n)];
        Shuffle<int>(order);
        return order;
    }

    /// <summary><c>choice(n, size, replace=False)</c>.</summary>
    public int[] Choice(int n, int size)
    {
        if (size < 0 || size > n) throw new ArgumentOutOfRangeException(nameof(size), $"{size} of {n} cannot be chosen without replacement.");
        return Permutation(n)[..size];
    }

    private void Refill()
    {
        for (int i = 0; i < Words; i++)
        {
            uint y = (_state[i] & 0x80000000u) | (_state[(i + 1) % Words] & 0x7fffffffu);
            _state[i] = _state[(i + Shift) % Words] ^ (y >> 1) ^ ((y & 1) == 0 ? 0 : 0x9908b0dfu);
        }
        _position = 0;
    }
}
