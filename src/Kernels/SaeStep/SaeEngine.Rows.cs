using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace BioSup.Kernels;

/// <summary>Sums over rows that lie anywhere: what visiting single pairs comes down to.</summary>
internal static unsafe partial class SaeEngine<TSimd, TVector>
{
    /// <summary>y += alpha x.</summary>
    private static void AddScaled(int length, float alpha, float* x, float* y)
    {
        int lanes = TSimd.Count, i = 0;
        TVector factor = TSimd.Broadcast(alpha);
        for (; i <= length - 2 * lanes; i += 2 * lanes)
        {
            TVector left = TSimd.MultiplyAdd(factor, TSimd.Load(x + i), TSimd.Load(y + i));
            TVector right = TSimd.MultiplyAdd(factor, TSimd.Load(x + i + lanes), TSimd.Load(y + i + lanes));
            TSimd.Store(y + i, left);
            TSimd.Store(y + i + lanes, right);
        }
        for (; i < length; i++) y[i] = MathF.FusedMultiplyAdd(alpha, x[i], y[i]);
    }

    /// <summary>
    /// y += Σ values[n] rows[indices[n]], four rows at a time so that y is touched a quarter as often; the order of additions stays. The rows lie anywhere, yet
    /// fetching the next ones by instruction costs more than it saves: enough of four rows is on its way at any time.
    /// </summary>
    private static void AddRows(int length, int count, int* indices, float* values, float* rows, long rowStride, float* y)
    {
        int n = 0;
        nint lanes = TSimd.Count, even = length - length % (2 * TSimd.Count);
        for (; n <= count - 4; n += 4)
        {
            float* x0 = rows + indices[n] * rowStride, x1 = rows + indices[n + 1] * rowStride, x2 = rows + indices[n + 2] * rowStride, x3 = rows + indices[n + 3] * rowStride;
            TVector v0 = TSimd.Broadcast(values[n]), v1 = TSimd.Broadcast(values[n + 1]), v2 = TSimd.Broadcast(values[n + 2]), v3 = TSimd.Broadcast(values[n + 3]);
            nint i = 0;
            for (; i < even; i += 2 * lanes)
            {
                TVector left = TSimd.MultiplyAdd(v0, TSimd.Load(x0 + i), TSimd.Load(y + i)), right = TSimd.MultiplyAdd(v0, TSimd.Load(x0 + i + lanes), TSimd.Load(y + i + lanes));
                left = TSimd.MultiplyAdd(v1, TSimd.Load(x1 + i), left);
                right = TSimd.MultiplyAdd(v1, TSimd.Load(x1 + i + lanes), right);
                left = TSimd.MultiplyAdd(v2, TSimd.Load(x2 + i), left);
                right = TSimd.MultiplyAdd(v2, TSimd.Load(x2 + i + lanes), right);
                TSimd.Store(y + i, TSimd.MultiplyAdd(v3, TSimd.Load(x3 + i), left));
                TSimd.Store(y + i + lanes, TSimd.MultiplyAdd(v3, TSimd.Load(x3 + i + lanes), right));
            }
            for (; i < length; i++)
                y[i] = MathF.FusedMultiplyAdd(values[n + 3], x3[i], MathF.FusedMultiplyAdd(values[n + 2], x2[i], MathF.FusedMultiplyAdd(values[n + 1], x1[i], MathF.FusedMultiplyAdd(values[n], x0[i], y[i]))));
        }
        if (n <= count - 2)
        {
            float* x0 = rows + indices[n] * rowStride, x1 = rows + indices[n + 1] * rowStride;
            TVector v0 = TSimd.Broadcast(values[n]), v1 = TSimd.Broadcast(values[n + 1]);
            nint i = 0;
            for (; i < even; i += 2 * lanes)
            {
                TVector left = TSimd.MultiplyAdd(v0, TSimd.Load(x0 + i), TSimd.Load(y + i)), right = TSimd.MultiplyAdd(v0, TSimd.Load(x0 + i + lanes), TSimd.Load(y + i + lanes));
                TSimd.Store(y + i, TSimd.MultiplyAdd(v1, TSimd.Load(x1 + i), left));
                TSimd.Store(y + i + lanes, TSimd.MultiplyAdd(v1, TSimd.Load(x1 + i + lanes), right));
            }
            for (; i < length; i++) y[i] = MathF.FusedMultiplyAdd(values[n + 1], x1[i], MathF.FusedMultiplyAdd(values[n], x0[i], y[i]));
            n += 2;
        }
        if (n < count) AddScaled(length, values[n], rows + indices[n] * rowStride, y);
    }

    internal static float Dot(int length, float* x, float* y)
    {
        int lanes = TSimd.Count, i = 0;
        TVector s0 = TSimd.Zero, s1 = s0, s2 = s0, s3 = s0;
        for (; i <= length - 4 * lanes; i += 4 * lanes)
        {
            s0 = TSimd.MultiplyAdd(TSimd.Load(x + i), TSimd.Load(y + i), s0);
            s1 = TSimd.MultiplyAdd(TSimd.Load(x + i + lanes), TSimd.Load(y + i + lanes), s1);
            s2 = TSimd.MultiplyAdd(TSimd.Load(x + i + 2 * lanes), TSimd.Load(y + i + 2 * lanes), s2);
            s3 = TSimd.MultiplyAdd(TSimd.Load(x + i + 3 * lanes), TSimd.Load(y + i + 3 * lanes), s3);
        }
        float sum = TSimd.Sum(TSimd.Add(TSimd.Add(s0, s1), TSimd.Add(s2, s3)));
        for (; i < length; i++) sum = MathF.FusedMultiplyAdd(x[i], y[i], sum);
        return sum;
    }

    /// <summary>result[n] = scale rows[indices[n]] · w, four rows at a time.</summary>
    private static void Dots(int length, int count, int* indices, float* rows, long rowStride, float* w, float scale, float* result)
    {
        int n = 0;
        nint lanes = TSimd.Count, even = length - length % (2 * TSimd.Count);
        for (; n <= count - 4; n += 4)
        {
            float* x0 = rows + indices[n] * rowStride, x1 = rows + indices[n + 1] * rowStride, x2 = rows + indices[n + 2] * rowStride, x3 = rows + indices[n + 3] * rowStride;
            TVector s0 = TSimd.Zero, s1 = s0, s2 = s0, s3 = s0, u0 = s0, u1 = s0, u2 = s0, u3 = s0;
            for (nint i = 0; i < even; i += 2 * lanes)
            {
                TVector left = TSimd.Load(w + i), right = TSimd.Load(w + i + lanes);
                s0 = TSimd.MultiplyAdd(left, TSimd.Load(x0 + i), s0);
                s1 = TSimd.MultiplyAdd(left, TSimd.Load(x1 + i), s1);
                s2 = TSimd.MultiplyAdd(left, TSimd.Load(x2 + i), s2);
                s3 = TSimd.MultiplyAdd(left, TSimd.Load(x3 + i), s3);
                u0 = TSimd.MultiplyAdd(right, TSimd.Load(x0 + i + lanes), u0);
                u1 = TSimd.MultiplyAdd(right, TSimd.Load(x1 + i + lanes), u1);
                u2 = TSimd.MultiplyAdd(right, TSimd.Load(x2 + i + lanes), u2);
                u3 = TSimd.MultiplyAdd(right, TSimd.Load(x3 + i + lanes), u3);
            }
            int tail = length - (int)even;
            result[n] = scale * (TSimd.Sum(TSimd.Add(s0, u0)) + Tail(tail, x0 + even, w + even));
            result[n + 1] = scale * (TSimd.Sum(TSimd.Add(s1, u1)) + Tail(tail, x1 + even, w + even));
            result[n + 2] = scale * (TSimd.Sum(TSimd.Add(s2, u2)) + Tail(tail, x2 + even, w + even));
            result[n + 3] = scale * (TSimd.Sum(TSimd.Add(s3, u3)) + Tail(tail, x3 + even, w + even));
        }
        for (; n < count; n++) result[n] = scale * Dot(length, rows + indices[n] * rowStride, w);
    }

    /// <summary>Both of one reading, for as many rows as there are whole groups of four: y += Σ values[n] rows[indices[n]] and result[n] = rows[indices[n]] · w. Returns their number.</summary>
    private static int AddRowsWithDots(int length, int count, int* indices, float* values, float* rows, long rowStride, float* y, float* w, float* result)
    {
        int n = 0;
        nint lanes = TSimd.Count, even = length - length % TSimd.Count;
        for (; n <= count - 4; n += 4)
        {
            float* x0 = rows + indices[n] * rowStride, x1 = rows + indices[n + 1] * rowStride, x2 = rows + indices[n + 2] * rowStride, x3 = rows + indices[n + 3] * rowStride;
            TVector v0 = TSimd.Broadcast(values[n]), v1 = TSimd.Broadcast(values[n + 1]), v2 = TSimd.Broadcast(values[n + 2]), v3 = TSimd.Broadcast(values[n + 3]);
            TVector s0 = TSimd.Zero, s1 = s0, s2 = s0, s3 = s0;
            nint i = 0;
            for (; i < even; i += lanes)
            {
                TVector weight = TSimd.Load(w + i), sum = TSimd.Load(y + i), x = TSimd.Load(x0 + i);
                s0 = TSimd.MultiplyAdd(weight, x, s0);
                sum = TSimd.MultiplyAdd(v0, x, sum);
                x = TSimd.Load(x1 + i);
                s1 = TSimd.MultiplyAdd(weight, x, s1);
                sum = TSimd.MultiplyAdd(v1, x, sum);
                x = TSimd.Load(x2 + i);
                s2 = TSimd.MultiplyAdd(weight, x, s2);
                sum = TSimd.MultiplyAdd(v2, x, sum);
                x = TSimd.Load(x3 + i);
                s3 = TSimd.MultiplyAdd(weight, x, s3);
                TSimd.Store(y + i, TSimd.MultiplyAdd(v3, x, sum));
            }
            int tail = length - (int)even;
            result[n] = TSimd.Sum(s0) + Tail(tail, x0 + even, w + even);
            result[n + 1] = TSimd.Sum(s1) + Tail(tail, x1 + even, w + even);
            result[n + 2] = TSimd.Sum(s2) + Tail(tail, x2 + even, w + even);
            result[n + 3] = TSimd.Sum(s3) + Tail(tail, x3 + even, w + even);
            for (; i < length; i++)
                y[i] = MathF.FusedMultiplyAdd(values[n + 3], x3[i], MathF.FusedMultiplyAdd(values[n + 2], x2[i], MathF.FusedMultiplyAdd(values[n + 1], x1[i], MathF.FusedMultiplyAdd(values[n], x0[i], y[i]))));
        }
        return n;
    }

    private static float Tail(int length, float* x, float* y)
    {
        float sum = 0;
        for (int i = 0; i < length; i++) sum = MathF.FusedMultiplyAdd(x[i], y[i], sum);
        return sum;
    }
}
