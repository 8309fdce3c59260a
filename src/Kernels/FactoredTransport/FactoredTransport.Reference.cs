using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class FactoredTransport
{
    /// <summary>The oracle: one score at a time in double precision.</summary>
    private static double Score<T>(FactoredPlan<T> plan, int i, int j) where T : unmanaged, IFloatingPointIeee754<T>
    {
        FactoredPointers<T> o = plan.Pointers;
        double sum = 0;
        for (int k = 0; k < plan.Rank; k++)
            sum += double.CreateTruncating(o.Left[(long)i * o.Rank + k]) * double.CreateTruncating(o.Panels[FactoredPlan<T>.PanelOffset(j, k, o.Rank)]);
        return sum;
    }

    private static double Entry<T>(FactoredPlan<T> plan, DeviceSpan<double> u, DeviceSpan<double> v, int i, int j) where T : unmanaged, IFloatingPointIeee754<T> =>
        Math.Exp(u.Pointer[i] + v.Pointer[j] + Score(plan, i, j));

    private static void ReferenceBalance<T>(FactoredPlan<T> plan, DeviceSpan<double> mass, DeviceSpan<double> v, DeviceSpan<double> u, DeviceSpan<double> columnSums)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int i = 0; i < plan.Rows; i++)
        {
            double most = double.NegativeInfinity, sum = 0;
            for (int j = 0; j < plan.Columns; j++) most = Math.Max(most, v.Pointer[j] + Score(plan, i, j));
            for (int j = 0; j < plan.Columns; j++) sum += Math.Exp(v.Pointer[j] + Score(plan, i, j) - most);
            u.Pointer[i] = Math.Log(mass.Pointer[i]) - most - Math.Log(sum);
        }
        for (int j = 0; j < columnSums.Length; j++)
        {
            double sum = 0;
            for (int i = 0; i < plan.Rows; i++) sum += Entry(plan, u, v, i, j);
            columnSums.Pointer[j] = sum;
        }
    }

    private static void ReferenceApply<T>(FactoredPlan<T> plan, DeviceSpan<double> u, DeviceSpan<double> v, T* panels, int width, MatrixView<double> result) where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int i = 0; i < plan.Rows; i++)
        {
            result.Row(i).Clear();
            for (int j = 0; j < plan.Columns; j++)
            {
                double t = Entry(plan, u, v, i, j);
                for (int k = 0; k < width; k++) result.Row(i)[k] += t * double.CreateTruncating(panels[FactoredPlan<T>.PanelOffset(j, k, width)]);
            }
        }
    }

    private static void ReferenceEntries<T>(FactoredPlan<T> plan, DeviceSpan<double> u, DeviceSpan<double> v, int firstRow, int firstColumn, MatrixView<double> result)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int i = 0; i < result.Rows; i++)
            for (int j = 0; j < result.Columns; j++) result.Row(i)[j] = Entry(plan, u, v, firstRow + i, firstColumn + j);
    }

    private static void ReferenceBest(FactoredPlan<double> plan, DeviceSpan<double> v, DeviceSpan<int> best)
    {
        for (int i = 0; i < plan.Rows; i++)
        {
            int arg = 0;
            for (int j = 1; j < plan.Columns; j++)
                if (v.Pointer[j] + Score(plan, i, j) > v.Pointer[arg] + Score(plan, i, arg)) arg = j;
            best.Pointer[i] = arg;
        }
    }

    private static void ReferenceChange<T>(FactoredPlan<T> first, DeviceSpan<double> u1, DeviceSpan<double> v1, FactoredPlan<T> second, DeviceSpan<double> u2, DeviceSpan<double> v2, DeviceSpan<double> rowSums)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int i = 0; i < first.Rows; i++)
        {
            rowSums.Pointer[i] = 0;
            for (int j = 0; j < first.Columns; j++)
            {
                double difference = Entry(first, u1, v1, i, j) - Entry(second, u2, v2, i, j);
                rowSums.Pointer[i] += difference * difference;
            }
        }
    }
}
