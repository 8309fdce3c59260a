namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Low-rank Gromov-Wasserstein as the papers write it, with every matrix formed: costs, coupling, gradients, kernels.</summary>
internal static class LowRankReference
{
    public static double[,] Multiply(double[,] a, double[,] b)
    {
        double[,] c = new double[a.GetLength(0), b.GetLength(1)];
        for (int i = 0; i < c.GetLength(0); i++)
            for (int j = 0; j < c.GetLength(1); j++)
                for (int k = 0; k < b.GetLength(0); k++) c[i, j] += a[i, k] * b[k, j];
        return c;
    }

    public static double[,] Transposed(double[,] a)
    {
        double[,] t = new double[a.GetLength(1), a.GetLength(0)];
        for (int i = 0; i < a.GetLength(0); i++)
            for (int j = 0; j < a.GetLength(1); j++) t[j, i] = a[i, j];
        return t;
    }

    public static double[,] Coupling(double[,] q, double[,] r, double[] g) => Multiply(Map(q, (_, k, v) => v / g[k]), Transposed(r));

    /// <summary>sum (C1_ik - C2_jl)² T_ij T_kl, term by term.</summary>
    public static double Loss(double[,] c1, double[,] c2, double[,] t)
    {
        double loss = 0;
        for (int i = 0; i < t.GetLength(0); i++)
            for (int k = 0; k < t.GetLength(0); k++)
                for (int j = 0; j < t.GetLength(1); j++)
                    for (int l = 0; l < t.GetLength(1); l++) loss += Math.Pow(c1[i, k] - c2[j, l], 2) * t[i, j] * t[k, l];
        return loss;
    }

    /// <summary>A step with the largest exponent 10 over the largest range of a gradient (of a row, or of the weights'), and its projection.</summary>
    public static (double[,] Q, double[,] R, double[] G) Step(double[,] c1, double[,] c2, double[,] q, double[,] r, double[] g, double share, double tolerance)
    {
        double[,] full = Map(Multiply(Multiply(c1, Coupling(q, r, g)), c2), (_, _, v) => -4 * v);
        double[,] gradientQ = Map(Multiply(full, r), (_, k, v) => v / g[k]), gradientR = Map(Multiply(Transposed(full), q), (_, k, v) => v / g[k]), product = Multiply(Multiply(Transposed(q), full), r);
        double[] gradientG = new double[g.Length];
        for (int k = 0; k < g.Length; k++) gradientG[k] = -product[k, k] / (g[k] * g[k]);
        double range = Math.Max(Math.Max(Range(gradientQ), Range(gradientR)), gradientG.Max() - gradientG.Min()), gamma = 10 * share / range;
        double[] k3 = new double[g.Length];
        for (int k = 0; k < g.Length; k++) k3[k] = g[k] * Math.Exp(-gamma * gradientG[k]);
        return Project(Map(q, (i, k, v) => v * Math.Exp(-gamma * gradientQ[i, k])), Map(r, (j, k, v) => v * Math.Exp(-gamma * gradientR[j, k])), k3, tolerance);
    }

    /// <summary>LR-Dykstra, as written.</summary>
    public static (double[,] Q, double[,] R, double[] G) Project(double[,] k1, double[,] k2, double[] k3, double tolerance, double alpha = 1e-10)
    {
        int rank = k3.Length;
        double a = 1.0 / k1.GetLength(0), b = 1.0 / k2.GetLength(0);
        double[] tilde = (double[])k3.Clone(), q31 = Ones(rank), q32 = Ones(rank), q1 = Ones(rank), q2 = Ones(rank), v1 = Ones(rank), v2 = Ones(rank), g = new double[rank], u1 = [], u2 = [];
        for (int iteration = 0; iteration < 10_000; iteration++)
        {
            (u1, u2) = (Scales(k1, v1, a), Scales(k2, v2, b));
            for (int k = 0; k < rank; k++)
            {
                double bounded = Math.Max(alpha, tilde[k] * q31[k]), s1 = Column(k1, u1, k), s2 = Column(k2, u2, k);
                q31[k] = tilde[k] * q31[k] / bounded;
                g[k] = Math.Pow(bounded * q32[k] * (v1[k] * q1[k] * s1) * (v2[k] * q2[k] * s2), 1.0 / 3);
                (double last1, double last2) = (v1[k], v2[k]);
                (v1[k], v2[k]) = (g[k] / s1, g[k] / s2);
                q1[k] *= last1 / v1[k];
                q2[k] *= last2 / v2[k];
                q32[k] = bounded * q32[k] / g[k];
                tilde[k] = g[k];
            }
            if (Error(k1, u1, v1, a) + Error(k2, u2, v2, b) <= tolerance) break;
        }
        double[] gNew = [.. g.Select(w => w + 1e-16)];
        return (Map(k1, (i, k, v) => u1[i] * v * v1[k] + 1e-16), Map(k2, (j, k, v) => u2[j] * v * v2[k] + 1e-16), gNew);
    }

    public static double[,] Map(double[,] a, Func<int, int, double, double> of)
    {
        double[,] b = new double[a.GetLength(0), a.GetLength(1)];
        for (int i = 0; i < a.GetLength(0); i++)
            for (int j = 0; j < a.GetLength(1); j++) b[i, j] = of(i, j, a[i, j]);
        return b;
    }

    private static double[] Ones(int count) => [.. Enumerable.Repeat(1.0, count)];

    private static double[] Scales(double[,] k, double[] v, double mass) => [.. Enumerable.Range(0, k.GetLength(0)).Select(i => mass / Enumerable.Range(0, v.Length).Sum(j => k[i, j] * v[j]))];

    private static double Column(double[,] k, double[] u, int column) => Enumerable.Range(0, u.Length).Sum(i => u[i] * k[i, column]);

    private static double Error(double[,] k, double[] u, double[] v, double mass) => Enumerable.Range(0, u.Length).Sum(i => Math.Abs(u[i] * Enumerable.Range(0, v.Length).Sum(j => k[i, j] * v[j]) - mass));

    private static double Range(double[,] gradient) => Enumerable.Range(0, gradient.GetLength(0)).Max(i =>
    {
        double[] row = [.. Enumerable.Range(0, gradient.GetLength(1)).Select(k => gradient[i, k])];
        return row.Max() - row.Min();
    });
}
