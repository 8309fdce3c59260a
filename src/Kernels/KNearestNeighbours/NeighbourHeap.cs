using System.Numerics;
using System.Runtime.CompilerServices;

namespace BioSup.Kernels;

/// <summary>
/// The k smallest (distance, index) pairs seen so far, as a binary heap with the worst on top, kept in a row of the output itself.
/// Pairs are ordered by distance, then by index, and no two are equal: so the result does not depend on the order of arrival.
/// </summary>
internal static unsafe class NeighbourHeap<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Fills the heap with places that any finite distance displaces.</summary>
    public static void Clear(T* distances, int* indices, int k)
    {
        new Span<T>(distances, k).Fill(T.PositiveInfinity);
        new Span<int>(indices, k).Fill(int.MaxValue);
    }

    /// <summary>Takes the pair in if it precedes the worst. NaN never does.</summary>
    /// <returns>True when the worst has changed.</returns>
    public static bool Offer(T* distances, int* indices, int k, T distance, int index)
    {
        if (!Precedes(distance, index, distances[0], indices[0])) return false;
        SiftDown(distances, indices, k, distance, index);
        return true;
    }

    /// <summary>Turns the heap into an ascending list.</summary>
    public static void Sort(T* distances, int* indices, int k)
    {
        for (int end = k - 1; end > 0; end--)
        {
            T distance = distances[end];
            int index = indices[end];
            distances[end] = distances[0];
            indices[end] = indices[0];
            SiftDown(distances, indices, end, distance, index);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Precedes(T distance, int index, T otherDistance, int otherIndex) =>
        distance < otherDistance || (distance == otherDistance && index < otherIndex);

    /// <summary>Puts the pair in the place of the top and lets it sink.</summary>
    private static void SiftDown(T* distances, int* indices, int count, T distance, int index)
    {
        int place = 0;
        while (true)
        {
            int child = 2 * place + 1;
            if (child >= count) break;
            if (child + 1 < count && Precedes(distances[child], indices[child], distances[child + 1], indices[child + 1])) child++;
            if (!Precedes(distance, index, distances[child], indices[child])) break;
            distances[place] = distances[child];
            indices[place] = indices[child];
            place = child;
        }
        distances[place] = distance;
        indices[place] = index;
    }
}
