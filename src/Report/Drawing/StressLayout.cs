namespace BioSup.Report.Drawing;

/// <summary>
/// Places for the nodes of a weighted graph such that their distances follow the lengths of the shortest paths, by majorising the stress (Gansner, Koren and North 2004, "Graph drawing by
/// stress majorization", equation 8 with weights d⁻²). The start is a circle, so equal graphs have equal layouts.
/// </summary>
public static class StressLayout
{
    private const int Rounds = 300;

    /// <param name="weights">[n, n], symmetric, not negative; 0 where there is no edge. A stronger edge is shorter: its length is 1 / (0.15 + weight).</param>
    /// <param name="lying">The longer way of the graph runs along x; otherwise along y.</param>
    /// <returns>n places in a plane, in no particular unit.</returns>
    public static (double X, double Y)[] Place(double[,] weights, bool lying)
    {
        int n = weights.GetLength(0);
        double[,] distance = ShortestPaths(weights);
        double radius = 0;
        foreach (double d in distance) radius = Math.Max(radius, d / 2);
        (double X, double Y)[] place = [.. Enumerable.Range(0, n).Select(i => (radius * Math.Cos(2 * Math.PI * i / n), radius * Math.Sin(2 * Math.PI * i / n)))];
        // One node after another moves to where its own stress is least while the others stand still.
        for (int round = 0; round < Rounds; round++)
        {
            for (int i = 0; i < n; i++)
            {
                double x = 0, y = 0, total = 0;
                for (int j = 0; j < n; j++)
                {
                    if (i == j) continue;
                    double dx = place[i].X - place[j].X, dy = place[i].Y - place[j].Y, now = Math.Max(1e-9, Math.Sqrt(dx * dx + dy * dy)), weight = 1 / (distance[i, j] * distance[i, j]);
                    x += weight * (place[j].X + distance[i, j] * dx / now);
                    y += weight * (place[j].Y + distance[i, j] * dy / now);
                    total += weight;
                }
                if (total > 0) place[i] = (x / total, y / total);
            }
        }
        return Turn(place, lying);
    }

    /// <summary>Turned about the middle so that the direction of greatest spread lies, or stands.</summary>
    private static (double X, double Y)[] Turn((double X, double Y)[] place, bool lying)
    {
        if (place.Length == 0) return place;
        double mx = place.Average(p => p.X), my = place.Average(p => p.Y);
        double xx = place.Sum(p => (p.X - mx) * (p.X - mx)), yy = place.Sum(p => (p.Y - my) * (p.Y - my)), xy = place.Sum(p => (p.X - mx) * (p.Y - my));
        double angle = 0.5 * Math.Atan2(2 * xy, xx - yy) + (lying ? 0 : Math.PI / 2), cos = Math.Cos(angle), sin = Math.Sin(angle);
        return [.. place.Select(p => ((p.X - mx) * cos + (p.Y - my) * sin, (p.Y - my) * cos - (p.X - mx) * sin))];
    }

    /// <summary>Floyd and Warshall; parts that are not joined stand as far apart as the longest path, and half.</summary>
    private static double[,] ShortestPaths(double[,] weights)
    {
        int n = weights.GetLength(0);
        double[,] distance = new double[n, n];
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) distance[i, j] = i == j ? 0 : weights[i, j] > 0 ? 1 / (0.15 + weights[i, j]) : double.PositiveInfinity;
        for (int k = 0; k < n; k++)
            for (int i = 0; i < n; i++)
                for (int j = 0; j < n; j++) distance[i, j] = Math.Min(distance[i, j], distance[i, k] + distance[k, j]);
        double longest = 1;
        foreach (double d in distance) if (double.IsFinite(d)) longest = Math.Max(longest, d);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) if (!double.IsFinite(distance[i, j])) distance[i, j] = 1.5 * longest;
        return distance;
    }
}
