using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Kernels.Tests.Gromov;

public sealed class GromovTermsTests
{
    [Theory]
    [InlineData(GromovLoss.Square)]
    [InlineData(GromovLoss.KullbackLeibler)]
    public void With_terms_of_its_own_marginals_the_tensor_of_any_mass_is_the_definition(GromovLoss loss)
    {
        using CpuDevice device = new(2);
        CounterRandom random = new(51);
        using Matrix<double> c1 = Random(6, 6, 0.1), c2 = Random(5, 5, 0.1), coupling = Random(6, 5, 0), product = Random(6, 5, 0), cost = Random(6, 5, 0);
        using Matrix<double> forward = Random(6, 5, 0), backward = Random(6, 5, 0), t1 = Transposed(c1), t2 = Transposed(c2);
        using DeviceBuffer<double> p = device.Allocate<double>(6), q = device.Allocate<double>(5), rows = device.Allocate<double>(6), columns = device.Allocate<double>(5);
        p.View.Host.Fill(1.0 / 6);
        q.View.Host.Fill(1.0 / 5);
        Reductions.RowSums(coupling.View, rows.View);
        Reductions.ColumnSums(coupling.View, columns.View);
        using GromovOperands<double> operands = GromovProduct.Prepare(loss, c1.View, c2.View, p.View, q.View);
        using GromovTermCosts<double> costs = GromovProduct.PrepareTerms(loss, c1.View, c2.View);
        GromovProduct.UpdateTerms(costs, operands, rows.View, columns.View);
        GromovProduct.Multiply(operands, coupling.View, product.View);
        GromovProduct.Linearise(operands, product.View, 1, cost.View);
        GromovProduct.ReferenceTensor(loss, c1.View, c2.View, coupling.View, forward.View);
        GromovProduct.ReferenceTensor(loss, t1.View, t2.View, coupling.View, backward.View);
        for (int i = 0; i < 6; i++)
            for (int j = 0; j < 5; j++) Assert.Equal(0.5 * (forward.Row(i)[j] + backward.Row(i)[j]), cost.Row(i)[j], 1e-12);

        Matrix<double> Random(int n, int m, double least)
        {
            Matrix<double> x = device.AllocateMatrix<double>(n, m);
            for (int i = 0; i < n; i++)
                for (int j = 0; j < m; j++) x.Row(i)[j] = least + random.NextDouble();
            return x;
        }

        Matrix<double> Transposed(Matrix<double> x)
        {
            Matrix<double> y = device.AllocateMatrix<double>(x.Columns, x.Rows);
            for (int i = 0; i < x.Rows; i++)
                for (int j = 0; j < x.Columns; j++) y.Row(j)[i] = x.Row(i)[j];
            return y;
        }
    }
}
