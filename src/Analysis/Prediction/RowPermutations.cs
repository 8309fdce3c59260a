using BioSup.Runtime;

namespace BioSup.Analysis.Prediction;

/// <summary>The permutations of a null: number 0 leaves every row in its place, number k ≥ 1 is drawn from stream k, so that any thread can draw any of them at any time.</summary>
internal static class RowPermutations
{
    private const ulong Stream = 0x7065726DUL << 32;

    /// <summary>Row <c>order[i]</c> of the targets goes to row i.</summary>
    public static void Fill(ulong seed, int number, Span<int> order)
    {
        for (int i = 0; i < order.Length; i++) order[i] = i;
        if (number > 0) new CounterRandom(seed, Stream | (uint)number).Shuffle(order);
    }
}
