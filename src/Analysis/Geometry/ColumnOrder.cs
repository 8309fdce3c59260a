namespace BioSup.Analysis.Geometry;

/// <summary>
/// Sorts the values of one column with their labels. A value becomes 32 bits that ascend with it, its label stands below them, and the pairs are sorted by three
/// counting passes of 11, 11 and 10 bits (least significant first). Values that float32 cannot hold are sorted by their upper 32 bits, and runs of equal ones by comparison.
/// </summary>
internal sealed class ColumnOrder(int capacity)
{
    private const int FewerThanPasses = 192, Digits = 1 << 11;

    private readonly int[] _histogram = new int[capacity < FewerThanPasses ? 0 : 3 * Digits];
    private ulong[] _pairs = new ulong[capacity], _other = new ulong[capacity];
    private ulong[] _full = [];

    /// <summary>Sorts ascending: entry k holds its label in the lower half, and in the upper half a number that is equal for equal values alone.</summary>
    /// <param name="values">Finite, none 0.</param>
    /// <param name="labels">A label beside each.</param>
    /// <param name="single">True when every value is a float32.</param>
    /// <param name="negative">How many values are below 0.</param>
    public ReadOnlySpan<ulong> Sort(ReadOnlySpan<double> values, ReadOnlySpan<int> labels, bool single, out int negative)
    {
        negative = 0;
        if (single)
        {
            for (int i = 0; i < values.Length; i++)
            {
                uint key = Key((float)values[i]);
                negative += (int)(~key >> 31);
                _pairs[i] = (ulong)key << 32 | (uint)labels[i];
            }
            SortByUpperHalf(values.Length);
            return _pairs.AsSpan(0, values.Length);
        }
        if (_full.Length == 0) _full = new ulong[capacity];
        for (int i = 0; i < values.Length; i++)
        {
            ulong key = Key(values[i]);
            negative += (int)(~key >> 63);
            _full[i] = key;
            _pairs[i] = key >> 32 << 32 | (uint)i;
        }
        SortByUpperHalf(values.Length);
        NumberValues(labels);
        return _pairs.AsSpan(0, values.Length);
    }

    private static uint Key(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return bits ^ ((uint)((int)bits >> 31) | 0x8000_0000);
    }

    private static ulong Key(double value)
    {
        ulong bits = BitConverter.DoubleToUInt64Bits(value);
        return bits ^ ((ulong)((long)bits >> 63) | 0x8000_0000_0000_0000);
    }

    /// <summary>Orders runs of equal upper halves by the whole key, and puts the number of the distinct value and the label in the place of upper half and position.</summary>
    private void NumberValues(ReadOnlySpan<int> labels)
    {
        int count = labels.Length;
        ulong number = 0;
        for (int start = 0; start < count;)
        {
            int end = start + 1;
            while (end < count && _pairs[end] >> 32 == _pairs[start] >> 32) end++;
            Span<ulong> run = _pairs.AsSpan(start..end), keys = _other.AsSpan(start..end);
            for (int i = 0; i < run.Length; i++) keys[i] = _full[(uint)run[i]];
            if (run.Length > 1) keys.Sort(run);
            for (int i = 0; i < run.Length; i++)
            {
                if (i == 0 || keys[i] != keys[i - 1]) number++;
                run[i] = number << 32 | (uint)labels[(int)(uint)run[i]];
            }
            start = end;
        }
    }

    private void SortByUpperHalf(int count)
    {
        if (count < FewerThanPasses)
        {
            _pairs.AsSpan(0, count).Sort();
            return;
        }
        int[] histogram = _histogram;
        Array.Clear(histogram);
        foreach (ulong pair in _pairs.AsSpan(0, count))
        {
            histogram[(int)(pair >> 32) & (Digits - 1)]++;
            histogram[Digits + ((int)(pair >> 43) & (Digits - 1))]++;
            histogram[2 * Digits + (int)(pair >> 54)]++;
        }
        Pass(count, 32, 0);
        Pass(count, 43, Digits);
        Pass(count, 54, 2 * Digits);
    }

    private void Pass(int count, int shift, int first)
    {
        Span<int> next = _histogram.AsSpan(first, Digits);
        int sum = 0;
        for (int digit = 0; digit < next.Length; digit++)
        {
            // All in one place: nothing to move.
            if (next[digit] == count) return;
            (next[digit], sum) = (sum, sum + next[digit]);
        }
        ulong[] to = _other;
        foreach (ulong pair in _pairs.AsSpan(0, count)) to[next[(int)(pair >> shift) & (Digits - 1)]++] = pair;
        (_pairs, _other) = (_other, _pairs);
    }
}
