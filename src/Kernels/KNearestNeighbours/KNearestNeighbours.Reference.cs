using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static partial class KNearestNeighbours
{
    /// <summary>The oracle: all distances of one row, computed in double precision and rounded as <see cref="PairwiseDistance"/> stores them, sorted.</summary>
    private static void SearchReference<T>(DistanceMetric metric, MatrixView<T> queries, MatrixView<T> points, MatrixView<int> indices, MatrixView<T> distances, bool self)
        where T : unmanaged, INumber<T>
    {
        List<(T Distance, int Index)> candidates = new(points.Rows);
        for (int i = 0; i < queries.Rows; i++)
        {
            candidates.Clear();
            for (int j = 0; j < points.Rows; j++)
                if (!self || i != j) candidates.Add((T.CreateChecked(PairwiseDistance.ReferenceDistance<T>(metric, queries.Row(i), points.Row(j))), j));
            candidates.Sort();
            for (int rank = 0; rank < indices.Columns; rank++)
            {
                indices.Row(i)[rank] = candidates[rank].Index;
                distances.Row(i)[rank] = candidates[rank].Distance;
            }
        }
    }
}
