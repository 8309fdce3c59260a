using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels.Tests;

/// <summary>Every element-wise operation with what it must give, one element at a time.</summary>
/// <param name="Run">The operation: from, to, one number per column, another one, one per row.</param>
/// <param name="Expected">From x, the column's two numbers, the row's number and what stood in the target: before rounding to the element's type.</param>
/// <param name="Units">Units in the last place of the element's type that the result may be off: 0 where IEEE fixes every step.</param>
internal sealed record ElementwiseCase<TIn, TOut>(string Name, ElementwiseCase<TIn, TOut>.Operation Run, Func<double, double, double, double, double, double> Expected, int Units = 0)
    where TIn : unmanaged, IFloatingPointIeee754<TIn> where TOut : unmanaged, IFloatingPointIeee754<TOut>
{
    public delegate void Operation(MatrixView<TIn> x, MatrixView<TOut> y, DeviceSpan<double> shifts, DeviceSpan<double> divisors, DeviceSpan<double> rows);

    /// <summary>Numbers per column or row, some of which are zero.</summary>
    public static double[] Numbers(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(i => i % 7 == 3 ? 0 : random.NextDouble() * 4 - 2)];
    }

    public void Check(MatrixView<TIn> x, TOut[][] before, TOut[][] after, double[] shifts, double[] divisors, double[] rows, string what)
    {
        for (int i = 0; i < x.Rows; i++)
        {
            for (int j = 0; j < x.Columns; j++)
            {
                TOut expected = TOut.CreateTruncating(Expected(double.CreateTruncating(x.Row(i)[j]), shifts[j], divisors[j], rows[i], double.CreateTruncating(before[i][j])));
                TOut below = expected, above = expected;
                for (int unit = 0; unit < Units; unit++) (below, above) = (TOut.BitDecrement(below), TOut.BitIncrement(above));
                bool right = after[i][j] == expected || (TOut.IsNaN(after[i][j]) && TOut.IsNaN(expected)) || (after[i][j] >= below && after[i][j] <= above);
                Assert.True(right, $"{Name} {typeof(TIn).Name} to {typeof(TOut).Name}, {what}: element ({i}, {j}) is {after[i][j]:R}, expected {expected:R}");
            }
        }
    }
}

internal static class ElementwiseCases
{
    /// <summary>Operations whose types may differ.</summary>
    public static ElementwiseCase<TIn, TOut>[] Mixed<TIn, TOut>() where TIn : unmanaged, IFloatingPointIeee754<TIn> where TOut : unmanaged, IFloatingPointIeee754<TOut> =>
    [
        new("copy", (x, y, _, _, _) => Elementwise.Copy(x, y), (x, _, _, _, _) => x),
        new("standardise", (x, y, s, d, _) => Standardise.Columns(x, s, d, y), (x, s, d, _, _) => d == 0 ? 0 : (x - s) / d),
        new("centre", (x, y, s, _, _) => Standardise.Columns(x, s, default, y), (x, s, _, _, _) => x - s),
        new("scale", (x, y, _, d, _) => Standardise.Columns(x, default, d, y), (x, _, d, _, _) => d == 0 ? 0 : x / d),
    ];

    /// <summary>Operations within one type.</summary>
    public static ElementwiseCase<T, T>[] Same<T>() where T : unmanaged, IFloatingPointIeee754<T> =>
    [
        .. Mixed<T, T>(),
        new("square", (x, y, _, _, _) => Elementwise.Square(x, y), (x, _, _, _, _) => x * x),
        new("log one plus", (x, y, _, _, _) => Elementwise.LogOnePlus(x, y), (x, _, _, _, _) => x <= 0 ? 0 : 2 * Math.Atanh(x / (2 + x)), Units: typeof(T) == typeof(float) ? 1 : 4),
        new("add scaled", (x, y, _, _, _) => Elementwise.AddScaled(-0.3, x, y), (x, _, _, _, y) => Math.FusedMultiplyAdd(-0.3, x, y)),
        new("divide rows", (x, y, _, _, r) => Elementwise.DivideRows(x, r, y), (x, _, _, r, _) => r == 0 ? 0 : x / r),
        new("fill", (x, y, _, _, _) => Elementwise.Fill(y, T.CreateTruncating(0.7)), (_, _, _, _, _) => double.CreateTruncating(T.CreateTruncating(0.7))),
    ];
}
