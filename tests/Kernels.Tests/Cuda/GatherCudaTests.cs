using System.Numerics;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class GatherCudaTests(CudaDeviceFixture fixture)
{
    [Fact]
    public void Rows_and_columns_are_those_of_the_reference()
    {
        CudaDevice gpu = fixture.Require();
        using CpuDevice cpu = new(1);
        foreach (MatrixShape shape in ProblemShapes.Matrices)
        {
            using CudaOperand<float> single = new(cpu, gpu, shape.Rows, shape.Columns, 5);
            using CudaOperand<double> wide = new(cpu, gpu, shape.Rows, shape.Columns, 6);
            Check(single, shape);
            Check(wide, shape);
        }
    }

    private static void Check<T>(CudaOperand<T> x, MatrixShape shape) where T : unmanaged, IFloatingPointIeee754<T>
    {
        int[] rows = GatherTests.Indices(shape.Rows + 9, shape.Rows, 1), columns = GatherTests.Indices(shape.Columns + 4, shape.Columns, 2);
        using KernelDispatch.ForcedVariant forced = KernelDispatch.Force(KernelVariant.Reference);
        (T[] expectedRows, T[] expectedColumns) = Run(x.Host, rows, columns);
        (T[] byRow, T[] byColumn) = Run(x.Device, rows, columns);
        Assert.Equal(expectedRows, byRow);
        Assert.Equal(expectedColumns, byColumn);
    }

    private static (T[], T[]) Run<T>(MatrixView<T> x, int[] rows, int[] columns) where T : unmanaged
    {
        using DeviceBuffer<int> r = x.Device.Allocate<int>(rows.Length), c = x.Device.Allocate<int>(columns.Length);
        r.CopyFrom(rows);
        c.CopyFrom(columns);
        using Matrix<T> byRow = x.Device.AllocateMatrix<T>(rows.Length, x.Columns), byColumn = x.Device.AllocateMatrix<T>(x.Rows, columns.Length);
        Gather.Rows(x, r.View, byRow.View);
        Gather.Columns(x, c.View, byColumn.View);
        return (byRow.ToArray(), byColumn.ToArray());
    }
}
