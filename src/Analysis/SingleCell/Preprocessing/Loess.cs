using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// Local quadratic regression on one variable as Cleveland, Grosse and Shyu's program fits it (R's <c>loess</c> and skmisc's, with their defaults: tricube weights,
/// gaussian family, surface "interpolate", cell 0.2). The range is halved at medians until no cell holds more than span · cell · n points; the regression is solved at the
/// ends of the cells, and a cubic with its values and slopes there gives the fit between them.
/// </summary>
internal static class Loess
{
    private const double Cell = 0.2, Margin = 0.005;
    private const int Terms = 3;

    /// <param name="x">[n] places, finite.</param>
    /// <param name="y">[n] values, finite.</param>
    /// <param name="span">Share of the points in a neighbourhood, above 0 and at most 1.</param>
    /// <returns>[n] fitted values.</returns>
    /// <exception cref="DataException">A neighbourhood holds too few different places for a regression.</exception>
    public static double[] Fit(double[] x, double[] y, double span)
    {
        int n = x.Length;
        if (n < 4) throw new DataException("loess", null, $"{n} points are too few for a local regression");
        int[] order = [.. Enumerable.Range(0, n)];
        double[] places = [.. x], values = new double[n];
        Array.Sort(places, order);
        for (int i = 0; i < n; i++) values[i] = y[order[i]];
        double[] knots = Knots(places, (int)Math.Floor(n * span * Cell));
        int neighbours = Math.Min(n, (int)Math.Floor(n * span + 1e-5));
        if (neighbours < Terms) throw new DataException("loess", null, $"a span of {span} holds {neighbours} of {n} points; a local quadratic needs {Terms}: a larger span is needed");
        (double Value, double Slope)[] at = Array.ConvertAll(knots, knot => Regress(places, values, knot, neighbours));
        double[] fitted = new double[n];
        int cell = 0;
        for (int i = 0; i < n; i++)
        {
            while (cell + 2 < knots.Length && places[i] > knots[cell + 1]) cell++;
            fitted[order[i]] = Blend(places[i], knots[cell], knots[cell + 1], at[cell], at[cell + 1]);
        }
        return fitted;
    }

    /// <summary>Ends of the cells, ascending. A cut lies on a point; of equal points all go to one side.</summary>
    private static double[] Knots(double[] x, int mostPoints)
    {
        double low = x[0], high = x[^1], margin = Margin * Math.Max(high - low, 1e-10 * Math.Max(Math.Abs(low), Math.Abs(high)) + 1e-30);
        SortedSet<double> knots = [low - margin, high + margin];
        Queue<(int First, int Last, double Low, double High)> cells = new([(0, x.Length - 1, low - margin, high + margin)]);
        while (cells.TryDequeue(out (int First, int Last, double Low, double High) cell))
        {
            if (cell.Last - cell.First + 1 <= mostPoints) continue;
            int cut = Cut(x, cell.First, cell.Last);
            if (x[cut] == cell.Low || x[cut] == cell.High) continue;
            knots.Add(x[cut]);
            cells.Enqueue((cell.First, cut, cell.Low, x[cut]));
            cells.Enqueue((cut + 1, cell.Last, x[cut], cell.High));
        }
        return [.. knots];
    }

    /// <summary>The place next to the middle (0, 1, -1, 2, -2, … steps away) whose successor is different; the middle itself once the steps leave the cell.</summary>
    private static int Cut(double[] x, int first, int last)
    {
        // Of places numbered from 1 the middle is ⌊(first + last) / 2⌋, hence the shift by one on either side.
        int middle = (first + last + 2) / 2 - 1;
        for (int offset = 0; ; offset = offset > 0 ? -offset : 1 - offset)
        {
            int at = middle + offset;
            if (at >= last || at < first) return middle;
            if (x[at] != x[at + 1]) return at;
        }
    }

    /// <summary>Value and slope at <paramref name="knot"/> of the weighted quadratic through its nearest points.</summary>
    private static (double Value, double Slope) Regress(double[] x, double[] y, double knot, int neighbours)
    {
        // The nearest points stand side by side in the sorted list. Which of several at the edge are among them does not matter: their weight is 0.
        int first = 0, highest = x.Length - neighbours;
        while (first < highest)
        {
            int middle = (first + highest) / 2;
            if (knot - x[middle] > x[middle + neighbours] - knot) first = middle + 1;
            else highest = middle;
        }
        double radius = Math.Max(Math.Abs(knot - x[first]), Math.Abs(x[first + neighbours - 1] - knot));
        double[][] columns = [new double[neighbours], new double[neighbours], new double[neighbours]];
        double[] target = new double[neighbours];
        bool any = false;
        for (int i = 0; i < neighbours; i++)
        {
            double step = x[first + i] - knot, share = radius > 0 ? Math.Abs(step) / radius : 1, cube = 1 - share * share * share;
            double weight = Math.Sqrt(Math.Max(cube * cube * cube, 0));
            any |= weight > 0;
            (columns[0][i], columns[1][i], columns[2][i], target[i]) = (weight, weight * step, weight * step * step, weight * y[first + i]);
        }
        if (!any) throw new DataException("loess", null, $"all {neighbours} points next to {knot:g6} lie at one place; there are too many equal points for this span: a larger span, or fewer genes that hardly any cell has, are needed");
        return Solve(columns, target);
    }

    /// <summary>The first two coefficients of least squares, by one-sided Jacobi rotations of the equilibrated columns; directions that the data do not determine are left out.</summary>
    private static (double, double) Solve(double[][] columns, double[] target)
    {
        double[] norms = new double[Terms];
        double[,] rotation = new double[Terms, Terms];
        for (int j = 0; j < Terms; j++)
        {
            rotation[j, j] = 1;
            norms[j] = Math.Sqrt(Dot(columns[j], columns[j]));
            if (norms[j] == 0) norms[j] = 1;
            for (int i = 0; i < target.Length; i++) columns[j][i] /= norms[j];
        }
        const int MostSweeps = 40;
        for (int sweep = 0, turned = 1; sweep < MostSweeps && turned > 0; sweep++)
        {
            turned = 0;
            for (int p = 0; p < Terms - 1; p++)
                for (int q = p + 1; q < Terms; q++) turned += Rotate(columns, rotation, p, q);
        }
        double[] squares = Array.ConvertAll(columns, c => Dot(c, c));
        double largest = Math.Sqrt(squares.Max());
        double value = 0, slope = 0;
        for (int j = 0; j < Terms; j++)
        {
            if (Math.Sqrt(squares[j]) <= largest * 100 * 2.220446049250313e-16) continue;
            double coordinate = Dot(columns[j], target) / squares[j];
            value += rotation[0, j] * coordinate / norms[0];
            slope += rotation[1, j] * coordinate / norms[1];
        }
        return (value, slope);
    }

    private static int Rotate(double[][] columns, double[,] rotation, int p, int q)
    {
        double alpha = Dot(columns[p], columns[p]), beta = Dot(columns[q], columns[q]), gamma = Dot(columns[p], columns[q]);
        if (Math.Abs(gamma) <= 1e-17 * Math.Sqrt(alpha * beta) || gamma == 0) return 0;
        double zeta = (beta - alpha) / (2 * gamma), t = Math.CopySign(1, zeta) / (Math.Abs(zeta) + Math.Sqrt(1 + zeta * zeta));
        double cosine = 1 / Math.Sqrt(1 + t * t), sine = cosine * t;
        for (int i = 0; i < columns[p].Length; i++)
            (columns[p][i], columns[q][i]) = (cosine * columns[p][i] - sine * columns[q][i], sine * columns[p][i] + cosine * columns[q][i]);
        for (int i = 0; i < Terms; i++)
            (rotation[i, p], rotation[i, q]) = (cosine * rotation[i, p] - sine * rotation[i, q], sine * rotation[i, p] + cosine * rotation[i, q]);
        return 1;
    }

    private static double Dot(double[] a, double[] b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++) sum += a[i] * b[i];
        return sum;
    }

    /// <summary>The cubic between two ends that has their values and slopes.</summary>
    private static double Blend(double z, double low, double high, (double Value, double Slope) left, (double Value, double Slope) right)
    {
        double width = high - low, u = (z - low) / width, v = 1 - u;
        return v * v * (1 + 2 * u) * left.Value + u * u * (1 + 2 * v) * right.Value + (u * v * v * left.Slope - u * u * v * right.Slope) * width;
    }
}
