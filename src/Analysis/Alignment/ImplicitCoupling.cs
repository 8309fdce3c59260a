using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// A coupling T [n, m] known by the points and its potentials, T_ij = exp(u_i + v_j + a_i · b_j), in double precision. Every question is answered by a pass over the
/// points; nothing of the size n m is stored. Not for use by several threads at once.
/// </summary>
public sealed class ImplicitCoupling : IFactoredCoupling
{
    /// <summary>Classes whose masses are summed in one pass: bounds the memory that any number of labels needs.</summary>
    private const int ClassesAtOnce = 16;
    private readonly FactoredPlan<double> _plan;
    private readonly Matrix<double> _right;
    private readonly DeviceBuffer<double> _u, _v;
    private readonly double[] _columnMasses;
    private FactoredPlan<double>? _exchanged;

    /// <param name="plan">The plan with both factors; passes to this object.</param>
    /// <param name="right">The column factors again [m, r], in host memory; passes to this object.</param>
    /// <param name="u">[n].</param>
    /// <param name="v">[m].</param>
    /// <param name="columnMasses">Column sums [m].</param>
    /// <param name="placement">Where points of the first domain lie; null where that is not known.</param>
    internal ImplicitCoupling(FactoredPlan<double> plan, Matrix<double> right, DeviceBuffer<double> u, DeviceBuffer<double> v, double[] columnMasses, PointPlacement? placement) =>
        (_plan, _right, _u, _v, _columnMasses, Placement) = (plan, right, u, v, columnMasses, placement);

    /// <summary>A coupling from its factors and potentials, as they were saved.</summary>
    /// <param name="device">A host device.</param>
    /// <param name="left">Row factors a [n, r], in any memory.</param>
    /// <param name="right">Column factors b [m, r].</param>
    /// <param name="u">Row potentials [n], finite.</param>
    /// <param name="v">Column potentials [m].</param>
    /// <param name="placement">Where points of the first domain lie, or null: then none can be added.</param>
    /// <exception cref="DataException">The shapes do not fit.</exception>
    public static ImplicitCoupling From(CpuDevice device, Matrix<double> left, Matrix<double> right, ReadOnlySpan<double> u, ReadOnlySpan<double> v, PointPlacement? placement = null)
    {
        if (left.Rows == 0 || right.Rows == 0 || left.Columns == 0 || left.Columns != right.Columns || u.Length != left.Rows || v.Length != right.Rows)
            throw new DataException("coupling", null, $"factors of {left.Rows} x {left.Columns} and {right.Rows} x {right.Columns} with {u.Length} and {v.Length} potentials make no coupling.");
        FactoredPlan<double> plan = new(device, left.Rows, right.Rows, left.Columns);
        using PlacedMatrix<double> rows = left.OnHost();
        rows.Matrix.Buffer.View.Host[..(left.Rows * left.Columns)].CopyTo(plan.Left.Buffer.View.Host);
        Matrix<double> columns = right.CopyAt(device);
        plan.SetRight(columns.View);
        DeviceBuffer<double> first = device.Allocate<double>(left.Rows), second = device.Allocate<double>(right.Rows);
        first.CopyFrom(u);
        second.CopyFrom(v);
        using Matrix<double> ones = device.AllocateMatrix<double>(left.Rows, 1);
        ones.Buffer.View.Host.Fill(1);
        ImplicitCoupling coupling = new(plan, columns, first, second, new double[right.Rows], placement);
        using Matrix<double> sums = coupling.MultiplyTransposed(ones.View);
        for (int j = 0; j < right.Rows; j++) coupling._columnMasses[j] = sums.Row(j)[0];
        return coupling;
    }

    /// <summary>a [n, r], divided by epsilon.</summary>
    public MatrixView<double> RowFactors => _plan.Left.View;

    /// <summary>b [m, r].</summary>
    public MatrixView<double> ColumnFactors => _right.View;

    /// <summary>How the row factors of a point follow from its coordinates; null where that is not known.</summary>
    public PointPlacement? Placement { get; }

    public int Rows => _plan.Rows;
    public int Columns => _plan.Columns;
    public int RowStep => 1;

    /// <summary>u [n] and v [m] in units of epsilon, for the scores without terms of a row or column alone.</summary>
    public ReadOnlySpan<double> RowPotentials => _u.View.Host;
    public ReadOnlySpan<double> ColumnPotentials => _v.View.Host;

    /// <summary>1 / n each: rows are balanced last.</summary>
    public double RowMass => 1.0 / Rows;

    /// <summary>Column sums [m].</summary>
    public ReadOnlySpan<double> ColumnMasses => _columnMasses;

    /// <summary>Row i of T [m].</summary>
    public void Row(int i, Span<double> row)
    {
        using Matrix<double> block = Block(i, 1);
        block.Row(0).CopyTo(row);
    }

    /// <summary>Column j of T [n].</summary>
    public void Column(int j, Span<double> column)
    {
        using Matrix<double> block = _plan.Left.Device.AllocateMatrix<double>(1, Rows);
        FactoredTransport.Entries(Exchanged, _v.View, _u.View, j, 0, block.View);
        block.Row(0).CopyTo(column);
    }

    /// <summary>A block of T.</summary>
    public Matrix<double> Block(int firstRow, int rows, int firstColumn, int columns)
    {
        Matrix<double> block = _plan.Left.Device.AllocateMatrix<double>(rows, columns);
        FactoredTransport.Entries(_plan, _u.View, _v.View, firstRow, firstColumn, block.View);
        return block;
    }

    public Matrix<double> Block(int first, int count) => Block(first, count, 0, Columns);

    /// <summary>T V [n, k] for features V [m, k] in host memory.</summary>
    public Matrix<double> Multiply(MatrixView<double> features)
    {
        Matrix<double> result = _plan.Left.Device.AllocateMatrix<double>(Rows, features.Columns);
        FactoredTransport.Apply(_plan, _u.View, _v.View, features, result.View);
        return result;
    }

    /// <summary>Tᵀ V [m, k] for features V [n, k] in host memory.</summary>
    public Matrix<double> MultiplyTransposed(MatrixView<double> features)
    {
        Matrix<double> result = _plan.Left.Device.AllocateMatrix<double>(Columns, features.Columns);
        FactoredTransport.Apply(Exchanged, _v.View, _u.View, features, result.View);
        return result;
    }

    /// <summary>The first domain in the second one's features: row i is sum_j T_ij V_j / sum_j T_ij (barycentric projection, soft targets).</summary>
    public Matrix<double> Project(MatrixView<double> features)
    {
        Matrix<double> result = Multiply(features);
        Span<double> all = result.Buffer.View.Host[..(Rows * features.Columns)];
        TensorPrimitives.Multiply(all, Rows, all);
        return result;
    }

    /// <summary>Points that were not aligned, coupled by the same column potentials, in the second domain's features [k, w].</summary>
    /// <param name="points">New points of the first domain [k, d1] in the coordinates of the data, in host memory.</param>
    /// <param name="features">Features of the second domain [m, w] in host memory.</param>
    public Matrix<double> ProjectNew(MatrixView<double> points, MatrixView<double> features)
    {
        PointPlacement placement = Placement ?? throw new UsageException("This coupling does not know the coordinates of its points, so that none can be added.");
        if (points.Columns != placement.Mean.Length) throw new ArgumentException($"The points have {points.Columns} coordinates; those aligned have {placement.Mean.Length}.", nameof(points));
        ComputeDevice device = _plan.Left.Device;
        using FactoredPlan<double> plan = new(_plan.Device, points.Rows, Columns, _plan.Rank);
        using DeviceBuffer<double> u = device.Allocate<double>(points.Rows), mass = device.Allocate<double>(points.Rows);
        plan.SetRight(_right.View);
        for (int i = 0; i < points.Rows; i++) placement.Place(points.Row(i), plan.Left.Row(i));
        mass.View.Host.Fill(1);
        FactoredTransport.Balance(plan, mass.View, _v.View, u.View);
        Matrix<double> result = device.AllocateMatrix<double>(points.Rows, features.Columns);
        FactoredTransport.Apply(plan, u.View, _v.View, features, result.View);
        return result;
    }

    /// <summary>Mass that every row gives each class of the second domain [n, classes].</summary>
    /// <param name="classes">Class of every column, from 0.</param>
    /// <param name="count">Number of classes.</param>
    public Matrix<double> LabelSums(ReadOnlySpan<int> classes, int count)
    {
        if (classes.Length != Columns) throw new ArgumentException($"There are {classes.Length} labels for {Columns} columns.", nameof(classes));
        Matrix<double> sums = _plan.Left.Device.AllocateMatrix<double>(Rows, count);
        for (int start = 0; start < count; start += ClassesAtOnce)
        {
            int width = Math.Min(ClassesAtOnce, count - start);
            using Matrix<double> members = _plan.Left.Device.AllocateMatrix<double>(Columns, width);
            members.Buffer.Clear();
            for (int j = 0; j < Columns; j++)
                if (classes[j] >= start && classes[j] < start + width) members.Row(j)[classes[j] - start] = 1;
            using Matrix<double> part = Multiply(members.View);
            for (int i = 0; i < Rows; i++) part.Row(i).CopyTo(sums.Row(i)[start..]);
        }
        return sums;
    }

    /// <summary>-sum_j w_ij log w_ij of each row's weights w_ij = T_ij / sum_j T_ij, in nats.</summary>
    public double[] RowEntropies()
    {
        // log T is a sum of factors, so one product with the factors and v holds all of it.
        int rank = _plan.Rank;
        using Matrix<double> features = _plan.Left.Device.AllocateMatrix<double>(Columns, rank + 1);
        for (int j = 0; j < Columns; j++)
        {
            _right.Row(j).CopyTo(features.Row(j));
            features.Row(j)[rank] = _v.View.Host[j];
        }
        using Matrix<double> sums = Multiply(features.View);
        double[] entropies = new double[Rows];
        for (int i = 0; i < Rows; i++)
        {
            double logs = TensorPrimitives.Dot<double>(_plan.Left.Row(i), sums.Row(i)[..rank]) + sums.Row(i)[rank];
            entropies[i] = Math.Max(0, -(_u.View.Host[i] + logs * Rows) - Math.Log(Rows));
        }
        return entropies;
    }

    /// <summary>exp of the mean entropy of the rows.</summary>
    public double MeanPartners() => Math.Exp(TensorPrimitives.Sum<double>(RowEntropies()) / Rows);

    /// <summary>The column with the largest entry of every row.</summary>
    public int[] BestColumns() => Best(_plan, _v);

    /// <summary>The row with the largest entry of every column.</summary>
    public int[] BestRows() => Best(Exchanged, _u);

    /// <summary>All of T [n, m]: for couplings that fit.</summary>
    public Matrix<double> ToMatrix() => Block(0, Rows, 0, Columns);

    public void Dispose()
    {
        _exchanged?.Dispose();
        _plan.Dispose();
        _u.Dispose();
        _v.Dispose();
        _right.Dispose();
    }

    private FactoredPlan<double> Exchanged
    {
        get
        {
            if (_exchanged is not null) return _exchanged;
            FactoredPlan<double> plan = new(_plan.Device, Columns, Rows, _plan.Rank);
            _right.Buffer.View.Host.CopyTo(plan.Left.Buffer.View.Host);
            plan.SetRight(_plan.Left.View);
            return _exchanged = plan;
        }
    }

    private static int[] Best(FactoredPlan<double> plan, DeviceBuffer<double> potentials)
    {
        using DeviceBuffer<int> best = plan.Left.Device.Allocate<int>(plan.Rows);
        FactoredTransport.BestColumns(plan, potentials.View, best.View);
        return best.View.Host.ToArray();
    }
}

/// <summary>How the row factors of a point follow from its coordinates: with z = (point - Mean) Scale they are (NormWeight (|z|² - MeanNorm), z Weights).</summary>
/// <param name="Mean">[d1].</param>
/// <param name="Scale">One over the square root of what squared distances are divided by.</param>
/// <param name="MeanNorm">Mean of |z|² over the aligned points.</param>
/// <param name="NormWeight">Weight of the squared norm, divided by epsilon.</param>
/// <param name="Weights">[d1][d2]: 8 L Γ / epsilon, with L = 2 in POT's convention and 1 in OTT's.</param>
public sealed record PointPlacement(double[] Mean, double Scale, double MeanNorm, double NormWeight, double[][] Weights)
{
    /// <summary>Writes the factors [d2 + 1] of a point [d1].</summary>
    internal void Place(ReadOnlySpan<double> point, Span<double> factors)
    {
        factors.Clear();
        double norm = 0;
        for (int c = 0; c < point.Length; c++)
        {
            double z = (point[c] - Mean[c]) * Scale;
            norm += z * z;
            TensorPrimitives.MultiplyAdd(Weights[c], z, factors[1..], factors[1..]);
        }
        factors[0] = NormWeight * (norm - MeanNorm);
    }
}
