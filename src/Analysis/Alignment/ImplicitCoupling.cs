using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// A coupling T [n, m] known by the points and its potentials, T_ij = exp(u_i + v_j + a_i · b_j), in double precision. Every question is answered by a pass over the
/// points; nothing of the size n m is stored. Not for use by several threads at once.
/// </summary>
public sealed class ImplicitCoupling : IDisposable
{
    private readonly SquaredDistanceDomain _x, _y;
    private readonly FactoredPlan<double> _plan;
    private readonly DeviceBuffer<double> _u, _v;
    private readonly double[] _columnMasses;
    private readonly GromovOptions _options;
    private readonly Matrix<double> _gamma;
    private readonly double _normWeight;
    private FactoredPlan<double>? _exchanged;

    internal ImplicitCoupling(SquaredDistanceDomain x, SquaredDistanceDomain y, FactoredPlan<double> plan, DeviceBuffer<double> u, DeviceBuffer<double> v, double[] columnMasses,
        GromovOptions options, Matrix<double> gamma, double normWeight)
    {
        (_x, _y, _plan, _u, _v, _columnMasses, _options, _gamma, _normWeight) = (x, y, plan, u, v, columnMasses, options, gamma, normWeight);
    }

    public int Rows => _plan.Rows;
    public int Columns => _plan.Columns;

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
        using Matrix<double> block = Block(i, 1, 0, Columns);
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
        if (points.Columns != _x.Dimensions) throw new ArgumentException($"The points have {points.Columns} coordinates; those aligned have {_x.Dimensions}.", nameof(points));
        ComputeDevice device = _plan.Left.Device;
        using FactoredPlan<double> plan = new(device, points.Rows, Columns, _plan.Rank);
        using Matrix<double> placed = device.AllocateMatrix<double>(points.Rows, points.Columns), right = RightFactors();
        using DeviceBuffer<double> u = device.Allocate<double>(points.Rows), mass = device.Allocate<double>(points.Rows);
        plan.SetRight(right.View);
        double scale = _options.LinearScale / _options.Epsilon;
        for (int i = 0; i < points.Rows; i++) plan.Left.Row(i)[0] = 2 * scale * _normWeight * _x.Place(points.Row(i), placed.Row(i));
        Gemm.Multiply(Transpose.No, Transpose.No, 8 * scale, placed.View, _gamma.View, 0, OnlineGromovEvaluation.WithoutFirst(plan.Left.View));
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
        using Matrix<double> members = _plan.Left.Device.AllocateMatrix<double>(Columns, count);
        members.Buffer.Clear();
        for (int j = 0; j < Columns; j++) members.Row(j)[classes[j]] = 1;
        return Multiply(members.View);
    }

    /// <summary>-sum_j w_ij log w_ij of each row's weights w_ij = T_ij / sum_j T_ij, in nats.</summary>
    public double[] RowEntropies()
    {
        // log T is a sum of factors, so one product with the factors and v holds all of it.
        int rank = _plan.Rank;
        using Matrix<double> features = _plan.Left.Device.AllocateMatrix<double>(Columns, rank + 1);
        using Matrix<double> right = RightFactors();
        for (int j = 0; j < Columns; j++)
        {
            right.Row(j).CopyTo(features.Row(j));
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
        _gamma.Dispose();
        _x.Dispose();
        _y.Dispose();
    }

    private FactoredPlan<double> Exchanged
    {
        get
        {
            if (_exchanged is not null) return _exchanged;
            FactoredPlan<double> plan = new(_plan.Left.Device, Columns, Rows, _plan.Rank);
            using Matrix<double> right = RightFactors();
            right.Buffer.View.Host.CopyTo(plan.Left.Buffer.View.Host);
            plan.SetRight(_plan.Left.View);
            return _exchanged = plan;
        }
    }

    /// <summary>(|y|², y), norms less their mean [m, r].</summary>
    private Matrix<double> RightFactors() => OnlineGromovEvaluation.RightFactors(_y);

    private static int[] Best(FactoredPlan<double> plan, DeviceBuffer<double> potentials)
    {
        using DeviceBuffer<int> best = plan.Left.Device.Allocate<int>(plan.Rows);
        FactoredTransport.BestColumns(plan, potentials.View, best.View);
        return best.View.Host.ToArray();
    }
}
