using System.Numerics;
using System.Runtime.CompilerServices;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Passes over a plan known by factors. Scores of 16 rows are computed tile by tile as a matrix product whose sums live in registers, turned into exponentials
/// relative to a shift of each row, and used at once. What a row or column gets does not depend on the thread that computes it.
/// </summary>
internal static unsafe class FactoredPasses<TLanes, TVector, T>
    where TLanes : struct, ISimd<TVector, T> where TVector : unmanaged where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int RowsAtOnce = FactoredPlan<float>.RowsAtOnce;
    private static int ChunkWidth => FactoredPlan<T>.PanelWidth * FactoredPlan<T>.PanelsAtOnce;

    /// <summary>base_j + a_i · b_j for four rows from <paramref name="row"/> (the last row again where there are fewer) and columns first to end, whole panels.</summary>
    private static void Scores(in FactoredPointers<T> o, int row, int first, int end, T* scores, long stride, T* most)
    {
        int w = TLanes.Count, width = FactoredPlan<T>.PanelWidth, last = o.Rows - 1, rank = o.Rank;
        T* a0 = o.Left + (long)Math.Min(row, last) * rank, a1 = o.Left + (long)Math.Min(row + 1, last) * rank;
        T* a2 = o.Left + (long)Math.Min(row + 2, last) * rank, a3 = o.Left + (long)Math.Min(row + 3, last) * rank;
        for (int j = first; j < end; j += 3 * w)
        {
            T* b = o.Panels + (long)(j / width) * width * rank + j % width;
            TVector c00 = TLanes.Load(o.Base + j), c01 = TLanes.Load(o.Base + j + w), c02 = TLanes.Load(o.Base + j + 2 * w);
            TVector c10 = c00, c11 = c01, c12 = c02, c20 = c00, c21 = c01, c22 = c02, c30 = c00, c31 = c01, c32 = c02;
            for (int k = 0; k < rank; k++, b += width)
            {
                TVector b0 = TLanes.Load(b), b1 = TLanes.Load(b + w), b2 = TLanes.Load(b + 2 * w), a = TLanes.Broadcast(a0[k]);
                c00 = TLanes.MultiplyAdd(a, b0, c00);
                c01 = TLanes.MultiplyAdd(a, b1, c01);
                c02 = TLanes.MultiplyAdd(a, b2, c02);
                a = TLanes.Broadcast(a1[k]);
                c10 = TLanes.MultiplyAdd(a, b0, c10);
                c11 = TLanes.MultiplyAdd(a, b1, c11);
                c12 = TLanes.MultiplyAdd(a, b2, c12);
                a = TLanes.Broadcast(a2[k]);
                c20 = TLanes.MultiplyAdd(a, b0, c20);
                c21 = TLanes.MultiplyAdd(a, b1, c21);
                c22 = TLanes.MultiplyAdd(a, b2, c22);
                a = TLanes.Broadcast(a3[k]);
                c30 = TLanes.MultiplyAdd(a, b0, c30);
                c31 = TLanes.MultiplyAdd(a, b1, c31);
                c32 = TLanes.MultiplyAdd(a, b2, c32);
            }
            T* z = scores + (j - first);
            Keep(z, c00, c01, c02, most);
            Keep(z + stride, c10, c11, c12, most + w);
            Keep(z + 2 * stride, c20, c21, c22, most + 2 * w);
            Keep(z + 3 * stride, c30, c31, c32, most + 3 * w);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Keep(T* scores, TVector x, TVector y, TVector z, T* most)
    {
        TLanes.Store(scores, x);
        TLanes.Store(scores + TLanes.Count, y);
        TLanes.Store(scores + 2 * TLanes.Count, z);
        TLanes.Store(most, TLanes.MaxOrSecond(TLanes.MaxOrSecond(x, y), TLanes.MaxOrSecond(z, TLanes.Load(most))));
    }

    /// <summary>Scores of a row into factor_j e^(score - shift); returns their sum.</summary>
    private static double Exponentials(T* scores, T* factor, int count, T shift)
    {
        TVector down = TLanes.Broadcast(shift);
        double sum = 0;
        for (int first = 0; first < count; first += ChunkWidth)
        {
            TVector even = TLanes.Zero, odd = TLanes.Zero, third = TLanes.Zero;
            int end = Math.Min(count, first + ChunkWidth), w = TLanes.Count;
            for (int j = first; j < end; j += 3 * w)
            {
                TVector x = TLanes.Multiply(TLanes.Exp(TLanes.Subtract(TLanes.Load(scores + j), down)), TLanes.Load(factor + j));
                TVector y = TLanes.Multiply(TLanes.Exp(TLanes.Subtract(TLanes.Load(scores + j + w), down)), TLanes.Load(factor + j + w));
                TVector z = TLanes.Multiply(TLanes.Exp(TLanes.Subtract(TLanes.Load(scores + j + 2 * w), down)), TLanes.Load(factor + j + 2 * w));
                TLanes.Store(scores + j, x);
                TLanes.Store(scores + j + w, y);
                TLanes.Store(scores + j + 2 * w, z);
                even = TLanes.Add(even, x);
                odd = TLanes.Add(odd, y);
                third = TLanes.Add(third, z);
            }
            sum += double.CreateTruncating(TLanes.Sum(TLanes.Add(TLanes.Add(even, odd), third)));
        }
        return sum;
    }

    /// <summary>Scores of up to 16 rows over all columns and the largest of each row.</summary>
    private static void AllScores(in FactoredPointers<T> o, int row, int rows, T* scores, T* most)
    {
        int w = TLanes.Count;
        for (int l = 0; l < RowsAtOnce * w; l++) most[l] = T.CreateTruncating(-3e38);
        for (int first = 0; first < o.Padded; first += ChunkWidth)
        {
            int end = Math.Min(o.Padded, first + ChunkWidth);
            for (int r = 0; r < rows; r += 4) Scores(o, row + r, first, end, scores + first + (long)r * o.Padded, o.Padded, most + r * w);
        }
    }

    /// <summary>Shares of a row in single precision. Subnormal numbers would slow every reading down and cannot be seen in any sum.</summary>
    private static void Keep(T* row, int count, T share, float* kept)
    {
        TVector factor = TLanes.Broadcast(share), least = TLanes.Broadcast(T.CreateTruncating(1e-37));
        for (int j = 0; j < count; j += TLanes.Count)
        {
            TVector x = TLanes.Multiply(TLanes.Load(row + j), factor);
            TLanes.StoreNarrowed(kept + j, TLanes.And(TLanes.GreaterThan(x, least), x));
        }
    }

    /// <summary>Row potentials that give every row its mass, and, where asked for, the column sums of the plan they make and its entries as shares of their rows.</summary>
    public struct BalanceJob : IBlockJob
    {
        public FactoredPointers<T> Plan;
        public T* Scratch;
        public double* Mass, U, Partials;
        public float* Kept;
        public int Blocks;

        public readonly void Execute(long block, int worker)
        {
            FactoredPointers<T> o = Plan;
            int groups = (o.Rows + RowsAtOnce - 1) / RowsAtOnce, w = TLanes.Count;
            int start = (int)(groups * block / Blocks) * RowsAtOnce, end = Math.Min(o.Rows, (int)(groups * (block + 1) / Blocks) * RowsAtOnce);
            T* scores = Scratch + (long)worker * RowsAtOnce * o.Padded;
            T* most = stackalloc T[RowsAtOnce * w], scale = stackalloc T[RowsAtOnce];
            double* columns = Partials == null ? null : Partials + block * o.Padded;
            if (columns != null) new Span<double>(columns, o.Padded).Clear();
            for (int row = start; row < end; row += RowsAtOnce)
            {
                int rows = Math.Min(RowsAtOnce, end - row);
                AllScores(o, row, rows, scores, most);
                for (int r = 0; r < rows; r++)
                {
                    T shift = TLanes.MaxAcross(TLanes.Load(most + r * w));
                    double sum = Exponentials(scores + (long)r * o.Padded, o.Factor, o.Padded, shift);
                    U[row + r] = Math.Log(Mass[row + r] / sum) - double.CreateTruncating(shift);
                    scale[r] = T.CreateTruncating(Mass[row + r] / sum);
                    if (Kept != null) Keep(scores + (long)r * o.Padded, o.Padded, T.CreateTruncating(1 / sum), Kept + (long)(row + r) * o.Padded);
                }
                if (columns != null) AddColumns(scores, scale, rows, o.Padded, columns);
            }
        }

        private static void AddColumns(T* scores, T* scale, int rows, int padded, double* columns)
        {
            T* sums = stackalloc T[FactoredPlan<T>.PanelWidth];
            int width = FactoredPlan<T>.PanelWidth, w = TLanes.Count;
            for (int first = 0; first < padded; first += width)
            {
                for (int j = 0; j < width; j += w)
                {
                    TVector total = TLanes.Zero;
                    T* z = scores + first + j;
                    for (int r = 0; r < rows; r++, z += padded) total = TLanes.MultiplyAdd(TLanes.Broadcast(scale[r]), TLanes.Load(z), total);
                    TLanes.Store(sums + j, total);
                }
                AddWidened(sums, width, columns + first);
            }
        }

        private static void AddWidened(T* source, int count, double* target)
        {
            int lanes = Vector<double>.Count;
            if (typeof(T) == typeof(double))
                for (int j = 0; j < count; j += lanes) (Vector.Load((double*)source + j) + Vector.Load(target + j)).Store(target + j);
            else
                for (int j = 0; j < count; j += 2 * lanes)
                {
                    Vector.Widen(Vector.Load((float*)source + j), out Vector<double> low, out Vector<double> high);
                    (low + Vector.Load(target + j)).Store(target + j);
                    (high + Vector.Load(target + j + lanes)).Store(target + j + lanes);
                }
        }
    }

    /// <summary>Entries of up to 16 rows in columns first to end (whole panels), up to the factor of each row in <paramref name="scale"/>.</summary>
    private static void Entries(in FactoredPointers<T> o, double* u, int row, int rows, int first, int end, T* entries, long stride, double* scale)
    {
        int w = TLanes.Count;
        T* most = stackalloc T[4 * w];
        for (int l = 0; l < 4 * w; l++) most[l] = T.CreateTruncating(-3e38);
        for (int r = 0; r < rows; r += 4) Scores(o, row + r, first, end, entries + r * stride, stride, most);
        for (int r = 0; r < rows; r++)
        {
            T shift = T.CreateTruncating(-u[row + r]);
            scale[r] = Math.Exp(u[row + r] + double.CreateTruncating(shift));
            Exponentials(entries + r * stride, o.Factor + first, end - first, shift);
        }
    }

    /// <summary>T V for features in panels.</summary>
    public struct ApplyJob : IBlockJob
    {
        public FactoredPointers<T> Plan;
        public T* Scratch, Features;
        public int Width;
        public double* U, Result;
        public long Stride;

        public readonly void Execute(long block, int worker)
        {
            FactoredPointers<T> o = Plan;
            int row = (int)block * RowsAtOnce, rows = Math.Min(RowsAtOnce, o.Rows - row), chunk = ChunkWidth;
            T* entries = Scratch + (long)worker * RowsAtOnce * o.Padded;
            double* scale = stackalloc double[RowsAtOnce];
            for (int r = 0; r < rows; r++) new Span<double>(Result + (row + r) * Stride, Width).Clear();
            for (int first = 0; first < o.Padded; first += chunk)
            {
                int end = Math.Min(o.Padded, first + chunk);
                long stride = end - first;
                Entries(o, U, row, rows, first, end, entries, stride, scale);
                T* features = Features + (long)first * Width;
                for (int r = 0; r < rows; r++)
                    for (int k = 0; k < Width; k += 4) AddDots(entries + r * stride, (int)stride, features, k, Math.Min(4, Width - k), scale[r], Result + (row + r) * Stride + k);
            }
        }

        /// <summary>Dot products of a row of entries with up to four features.</summary>
        private readonly void AddDots(T* entries, int count, T* features, int k, int features4, double scale, double* result)
        {
            int w = TLanes.Count, width = FactoredPlan<T>.PanelWidth;
            int k1 = Math.Min(1, features4 - 1) * width, k2 = Math.Min(2, features4 - 1) * width, k3 = (features4 - 1) * width;
            TVector s0 = TLanes.Zero, s1 = s0, s2 = s0, s3 = s0;
            for (int panel = 0; panel < count; panel += width)
            {
                T* f = features + (long)panel * Width + k * width, t = entries + panel;
                for (int j = 0; j < width; j += w)
                {
                    TVector x = TLanes.Load(t + j);
                    s0 = TLanes.MultiplyAdd(x, TLanes.Load(f + j), s0);
                    s1 = TLanes.MultiplyAdd(x, TLanes.Load(f + k1 + j), s1);
                    s2 = TLanes.MultiplyAdd(x, TLanes.Load(f + k2 + j), s2);
                    s3 = TLanes.MultiplyAdd(x, TLanes.Load(f + k3 + j), s3);
                }
            }
            result[0] += scale * double.CreateTruncating(TLanes.Sum(s0));
            if (features4 > 1) result[1] += scale * double.CreateTruncating(TLanes.Sum(s1));
            if (features4 > 2) result[2] += scale * double.CreateTruncating(TLanes.Sum(s2));
            if (features4 > 3) result[3] += scale * double.CreateTruncating(TLanes.Sum(s3));
        }
    }

    /// <summary>Rows of the plan, from <see cref="First"/> on.</summary>
    public struct RowsJob : IBlockJob
    {
        public FactoredPointers<T> Plan;
        public T* Scratch;
        public int First, Count, FirstColumn, ColumnCount;
        public double* U, Result;
        public long Stride;

        public readonly void Execute(long block, int worker)
        {
            FactoredPointers<T> o = Plan;
            int width = FactoredPlan<T>.PanelWidth, offset = (int)block * RowsAtOnce, rows = Math.Min(RowsAtOnce, Count - offset);
            int first = FirstColumn / width * width, end = (FirstColumn + ColumnCount + width - 1) / width * width;
            T* entries = Scratch + (long)worker * RowsAtOnce * o.Padded;
            double* scale = stackalloc double[RowsAtOnce];
            Entries(o, U, First + offset, rows, first, end, entries, end - first, scale);
            for (int r = 0; r < rows; r++)
            {
                T* row = entries + (long)r * (end - first) + (FirstColumn - first);
                double* result = Result + (offset + r) * Stride;
                for (int j = 0; j < ColumnCount; j++) result[j] = scale[r] * double.CreateTruncating(row[j]);
            }
        }
    }

    /// <summary>The column with the largest entry of each row, the first of equal ones.</summary>
    public struct BestJob : IBlockJob
    {
        public FactoredPointers<T> Plan;
        public T* Scratch;
        public int* Best;

        public readonly void Execute(long block, int worker)
        {
            FactoredPointers<T> o = Plan;
            int row = (int)block * RowsAtOnce, rows = Math.Min(RowsAtOnce, o.Rows - row), w = TLanes.Count;
            T* scores = Scratch + (long)worker * RowsAtOnce * o.Padded;
            T* most = stackalloc T[RowsAtOnce * w];
            AllScores(o, row, rows, scores, most);
            for (int r = 0; r < rows; r++) Best[row + r] = new Span<T>(scores + (long)r * o.Padded, o.Columns).IndexOf(TLanes.MaxAcross(TLanes.Load(most + r * w)));
        }
    }

    /// <summary>Squared differences of two plans of the same shape, summed by row.</summary>
    public struct ChangeJob : IBlockJob
    {
        public FactoredPointers<T> First, Second;
        public T* FirstScratch, SecondScratch;
        public double* FirstU, SecondU, RowSums;

        public readonly void Execute(long block, int worker)
        {
            FactoredPointers<T> o = First;
            int row = (int)block * RowsAtOnce, rows = Math.Min(RowsAtOnce, o.Rows - row), chunk = ChunkWidth, w = TLanes.Count;
            T* one = FirstScratch + (long)worker * RowsAtOnce * o.Padded, two = SecondScratch + (long)worker * RowsAtOnce * o.Padded;
            double* scaleOne = stackalloc double[RowsAtOnce], scaleTwo = stackalloc double[RowsAtOnce];
            for (int r = 0; r < rows; r++) RowSums[row + r] = 0;
            for (int first = 0; first < o.Padded; first += chunk)
            {
                int end = Math.Min(o.Padded, first + chunk), count = end - first;
                Entries(First, FirstU, row, rows, first, end, one, count, scaleOne);
                Entries(Second, SecondU, row, rows, first, end, two, count, scaleTwo);
                for (int r = 0; r < rows; r++)
                {
                    // Relative to the first scale: squares of entries near 1 / (n m) would underflow in single precision.
                    TVector sum = TLanes.Zero, ratio = TLanes.Broadcast(T.CreateTruncating(-scaleTwo[r] / scaleOne[r] * o.Rows)), unit = TLanes.Broadcast(T.CreateTruncating(o.Rows));
                    T* x = one + (long)r * count, y = two + (long)r * count;
                    for (int j = 0; j < count; j += w)
                    {
                        TVector d = TLanes.MultiplyAdd(ratio, TLanes.Load(y + j), TLanes.Multiply(unit, TLanes.Load(x + j)));
                        sum = TLanes.MultiplyAdd(d, d, sum);
                    }
                    double scale = scaleOne[r] / o.Rows;
                    RowSums[row + r] += scale * scale * double.CreateTruncating(TLanes.Sum(sum));
                }
            }
        }
    }
}
