using System.Numerics;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests;

public sealed class ElementwiseTests : IDisposable
{
    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    [Fact]
    public void Every_variant_gives_the_bits_of_the_plain_formula()
    {
        foreach (MatrixShape shape in ProblemShapes.Matrices.Append(new MatrixShape(300, 400)))
        {
            CheckAll(ElementwiseCases.Same<float>(), shape);
            CheckAll(ElementwiseCases.Same<double>(), shape);
            CheckAll(ElementwiseCases.Mixed<float, double>(), shape);
            CheckAll(ElementwiseCases.Mixed<double, float>(), shape);
        }
    }

    private void CheckAll<TIn, TOut>(ElementwiseCase<TIn, TOut>[] cases, MatrixShape shape)
        where TIn : unmanaged, IFloatingPointIeee754<TIn> where TOut : unmanaged, IFloatingPointIeee754<TOut>
    {
        using Matrix<TIn> x = TestMatrices.Normal<TIn>(_device, shape.Rows, shape.Columns, 11, 3);
        double[] shifts = ElementwiseCase<TIn, TOut>.Numbers(shape.Columns, 1), divisors = ElementwiseCase<TIn, TOut>.Numbers(shape.Columns, 2), rows = ElementwiseCase<TIn, TOut>.Numbers(shape.Rows, 3);
        using DeviceBuffer<double> s = Upload(shifts), d = Upload(divisors), r = Upload(rows);
        foreach (ElementwiseCase<TIn, TOut> each in cases)
        {
            foreach (KernelVariant variant in KernelDispatch.All)
            {
                using KernelDispatch.ForcedVariant forced = KernelDispatch.Force(variant);
                using Matrix<TOut> y = TestMatrices.Normal<TOut>(_device, shape.Rows, shape.Columns, 12, 2);
                TOut[][] before = Lines(y);
                each.Run(x.Inner(shape.Columns), y.Inner(shape.Columns), s.View, d.View, r.View);
                TOut[][] after = Lines(y);
                each.Check(x.Inner(shape.Columns), before, after, shifts, divisors, rows, $"{variant} {shape}");
                foreach (TOut[] line in after) Assert.All(line[shape.Columns..], pad => Assert.True(TOut.IsNaN(pad), $"{each.Name} {variant} {shape} wrote past the end of a row"));
            }
        }
    }

    private DeviceBuffer<double> Upload(double[] values)
    {
        DeviceBuffer<double> buffer = _device.Allocate<double>(values.Length);
        buffer.CopyFrom(values);
        return buffer;
    }

    private static T[][] Lines<T>(Matrix<T> matrix) where T : unmanaged => [.. Enumerable.Range(0, matrix.Rows).Select(i => matrix.Row(i).ToArray())];

    [Fact]
    public void Rows_get_unit_length_and_rows_of_zeros_stay()
    {
        using Matrix<float> x = Matrix<float>.From(_device, 3, 2, [3, 4, 0, 0, 0, -2e-30f]);
        using DeviceBuffer<double> norms = _device.Allocate<double>(3);
        L2Normalise.Rows(x.View, norms.View, x.View);
        Assert.Equal([0.6f, 0.8f, 0, 0, 0, -1], x.ToArray());
        Assert.Equal([5, 0, (double)2e-30f], norms.View.Host.ToArray());
    }

    [Fact]
    public void The_logarithm_of_one_plus_a_tiny_number_is_that_number()
    {
        using Matrix<double> x = Matrix<double>.From(_device, 1, 6, [1e-20, -5, double.NaN, double.PositiveInfinity, 0, 3e-9]);
        Elementwise.LogOnePlus(x.View, x.View);
        Assert.Equal([1e-20, 0, double.NaN, double.PositiveInfinity, 0], x.ToArray()[..5]);
        Assert.Equal(3e-9 - 4.5e-18, x.ToArray()[5], 1e-24);
    }

    [Fact]
    public void Operands_that_do_not_fit_are_refused()
    {
        using Matrix<float> x = _device.AllocateMatrix<float>(3, 4), y = _device.AllocateMatrix<float>(4, 3);
        using DeviceBuffer<double> three = _device.Allocate<double>(3);
        using CpuDevice other = new(1);
        using Matrix<float> elsewhere = other.AllocateMatrix<float>(3, 4);
        Assert.Throws<ArgumentException>(() => Elementwise.Copy(x.View, y.View));
        Assert.Throws<ArgumentException>(() => Elementwise.Copy(x.View, elsewhere.View));
        Assert.Throws<ArgumentException>(() => Standardise.Columns(x.View, three.View, default, x.View));
        Assert.Throws<ArgumentException>(() => Elementwise.DivideRows(y.View, three.View, y.View));
        Assert.Throws<NotSupportedException>(() => Elementwise.Square(_device.AllocateMatrix<int>(1, 1).View, _device.AllocateMatrix<int>(1, 1).View));
    }

    [Fact]
    public void Nothing_is_allocated_once_warm()
    {
        using CpuDevice one = new(1);
        using Matrix<float> x = TestMatrices.Normal<float>(one, 50, 40, 3);
        using Matrix<double> wide = one.AllocateMatrix<double>(50, 40);
        using DeviceBuffer<double> means = one.Allocate<double>(40), norms = one.Allocate<double>(50);
        void Step()
        {
            Reductions.ColumnMeans(x.View, means.View);
            Standardise.Columns(x.View, means.View, default, wide.View);
            L2Normalise.Rows(wide.View, norms.View, wide.View);
            Elementwise.AddScaled(0.5, wide.View, wide.View);
        }
        Step();
        WarmAllocation rounds = new();
        while (rounds.Again()) Step();
        Assert.Equal(0, rounds.Least);
    }
}
