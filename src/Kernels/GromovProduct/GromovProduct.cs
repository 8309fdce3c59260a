using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>The tensor product L ⊗ T of entropic Gromov-Wasserstein: (L ⊗ T)_ij = sum_kl L(C1_ik, C2_jl) T_kl, in two matrix products.</summary>
public static unsafe partial class GromovProduct
{
    private const double SymmetryTolerance = 1e-10;

    /// <summary>Prepares a problem.</summary>
    /// <param name="loss">Loss between the costs.</param>
    /// <param name="c1">Cost within the first domain [n, n].</param>
    /// <param name="c2">Cost within the second domain [m, m].</param>
    /// <param name="p">Masses of the first domain [n].</param>
    /// <param name="q">Masses of the second domain [m].</param>
    /// <exception cref="ArgumentException">A cost is not square, or the masses do not fit it.</exception>
    public static GromovOperands<T> Prepare<T>(GromovLoss loss, MatrixView<T> c1, MatrixView<T> c2, DeviceSpan<double> p, DeviceSpan<double> q)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (c1.Rows != c1.Columns) throw new ArgumentException($"C1 is {c1.Rows} x {c1.Columns}; a cost within a domain is square.", nameof(c1));
        if (c2.Rows != c2.Columns) throw new ArgumentException($"C2 is {c2.Rows} x {c2.Columns}; a cost within a domain is square.", nameof(c2));
        if (p.Length != c1.Rows || q.Length != c2.Rows) throw new ArgumentException($"The masses have {p.Length} and {q.Length} elements; the costs are for {c1.Rows} and {c2.Rows}.");
        CudaDevice? gpu = c1.Device as CudaDevice;
        if (gpu is null) RequireCpu(c1.Device);
        bool symmetric = IsSymmetric(c1) && IsSymmetric(c2);
        if (gpu is not null) DeviceKernels.Report(gpu, nameof(GromovProduct), $"costs {c1.Rows}x{c1.Rows} and {c2.Rows}x{c2.Rows}, {(symmetric ? "symmetric, two products" : "not symmetric, four products")}");
        Matrix<T> left = c1.Device.AllocateMatrix<T>(c1.Rows, c1.Rows), right = c1.Device.AllocateMatrix<T>(c2.Rows, c2.Rows);
        DeviceBuffer<double> rowTerm = c1.Device.Allocate<double>(c1.Rows), columnTerm = c1.Device.Allocate<double>(c2.Rows);
        FillTerm(gpu, loss, first: true, c1, p, symmetric, rowTerm.View, left.View);
        FillTerm(gpu, loss, first: false, c2, q, symmetric, columnTerm.View, right.View);
        return new GromovOperands<T>(left, right, rowTerm, columnTerm, symmetric);
    }

    /// <summary>product = h1 T h2ᵀ (averaged with h1ᵀ T h2 when a cost is not symmetric), [n, m]; two matrix products, four when not symmetric or of thin factors.</summary>
    public static void Multiply<T>(GromovOperands<T> operands, MatrixView<T> coupling, MatrixView<T> product) where T : unmanaged, IFloatingPointIeee754<T>
    {
        CheckShape(operands, coupling, nameof(coupling));
        CheckShape(operands, product, nameof(product));
        if (product.Device.IsHost && KernelDispatch.Select(nameof(GromovProduct)) == KernelVariant.Reference)
        {
            ReferenceProduct(operands, coupling, product);
            return;
        }
        if (operands.Points is { } points)
        {
            MultiplyPoints(points, coupling, product);
            return;
        }
        MatrixView<T> scratch = operands.Scratch.View;
        T whole = T.One, half = T.CreateTruncating(0.5);
        if (operands.Symmetric)
        {
            Gemm(Transpose.No, Transpose.No, whole, operands.Left.View, coupling, T.Zero, scratch);
            Gemm(Transpose.No, Transpose.No, whole, scratch, operands.Right.View, T.Zero, product);
            return;
        }
        Gemm(Transpose.No, Transpose.No, half, operands.Left.View, coupling, T.Zero, scratch);
        Gemm(Transpose.No, Transpose.Yes, whole, scratch, operands.Right.View, T.Zero, product);
        Gemm(Transpose.Yes, Transpose.No, half, operands.Left.View, coupling, T.Zero, scratch);
        Gemm(Transpose.No, Transpose.No, whole, scratch, operands.Right.View, whole, product);
    }

    /// <summary>The product of the coupling p qᵀ, (h1 p) (h2 q)ᵀ, for symmetric costs: from two products with vectors in place of two with matrices.</summary>
    /// <param name="operands">Costs as matrices, symmetric.</param>
    /// <param name="p">[n].</param>
    /// <param name="q">[m].</param>
    /// <param name="product">[n, m].</param>
    public static void MultiplyMasses(GromovOperands<double> operands, DeviceSpan<double> p, DeviceSpan<double> q, MatrixView<double> product)
    {
        CheckShape(operands, product, nameof(product));
        if (operands.Points is not null || !operands.Symmetric) throw new ArgumentException("The product of masses is formed from symmetric costs as matrices.", nameof(operands));
        if (p.Length != operands.Rows || q.Length != operands.Columns) throw new ArgumentException($"Masses of {p.Length} and {q.Length} do not belong to {operands.Rows} and {operands.Columns} cells.", nameof(p));
        using Matrix<double> left = product.Device.AllocateMatrix<double>(operands.Rows, 1), right = product.Device.AllocateMatrix<double>(operands.Columns, 1);
        Gemm(Transpose.No, Transpose.No, 1.0, operands.Left.View, new MatrixView<double>(p.Pointer, operands.Rows, 1, 1, product.Device), 0.0, left.View);
        Gemm(Transpose.No, Transpose.No, 1.0, operands.Right.View, new MatrixView<double>(q.Pointer, operands.Columns, 1, 1, product.Device), 0.0, right.View);
        MatrixElements.OuterProduct(left.Buffer.View, right.Buffer.View, product);
    }

    /// <summary>cost = scale (rowTerm_i + columnTerm_j - product_ij), [n, m]: the linear cost of the next transport problem. POT's scale is 2, OTT's 1.</summary>
    public static void Linearise<T>(GromovOperands<T> operands, MatrixView<T> product, double scale, MatrixView<T> cost) where T : unmanaged, IFloatingPointIeee754<T>
    {
        CheckShape(operands, product, nameof(product));
        CheckShape(operands, cost, nameof(cost));
        if (cost.Device is CudaDevice gpu)
        {
            CudaLinearise(gpu, operands, product, scale, default, 0, default, 0, cost);
            return;
        }
        LineariseJob<T> job = new()
        {
            Product = product.Pointer, ProductStride = product.Stride, Cost = cost.Pointer, CostStride = cost.Stride, Columns = cost.Columns,
            RowTerm = operands.RowTerm.Pointer, ColumnTerm = operands.ColumnTerm.Pointer, Scale = scale, Variant = KernelDispatch.Select(nameof(GromovProduct)),
        };
        RequireCpu(cost.Device).Pool.Run(cost.Rows, ref job);
    }

    /// <summary>
    /// cost = scale (rowTerm_i + columnTerm_j - product_ij) + weight M_ij - epsilon log T_ij: <see cref="Linearise{T}"/> with the terms of a fused
    /// problem (M, when not empty) and of a proximal step (T, when not empty; masses below the smallest normal number count as that).
    /// </summary>
    public static void LineariseGeneral<T>(GromovOperands<T> operands, MatrixView<T> product, double scale, MatrixView<T> between, double weight,
        MatrixView<T> proximal, double epsilon, MatrixView<T> cost) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (cost.Device is CudaDevice gpu)
        {
            CheckShape(operands, product, nameof(product));
            CheckShape(operands, cost, nameof(cost));
            CudaLinearise(gpu, operands, product, scale, between, weight, proximal, epsilon, cost);
            return;
        }
        Linearise(operands, product, scale, cost);
        ExtraTermsJob<T> job = new()
        {
            Between = between.Pointer, BetweenStride = between.Stride, Weight = weight, Coupling = proximal.Pointer, CouplingStride = proximal.Stride,
            Epsilon = epsilon, Cost = cost.Pointer, CostStride = cost.Stride, Columns = cost.Columns,
        };
        RequireCpu(cost.Device).Pool.Run(cost.Rows, ref job);
    }

    /// <summary>target += addend, with the addend in single precision: the product of a small change of the coupling, added to that of the coupling before it.</summary>
    public static void Accumulate(MatrixView<float> addend, MatrixView<double> target)
    {
        if (addend.Rows != target.Rows || addend.Columns != target.Columns) throw new ArgumentException("The matrices differ in shape.", nameof(addend));
        if (target.Device is CudaDevice gpu)
        {
            CudaAccumulate(gpu, addend, target);
            return;
        }
        AccumulateJob job = new() { Addend = addend.Pointer, AddendStride = addend.Stride, Target = target.Pointer, TargetStride = target.Stride, Columns = target.Columns };
        RequireCpu(target.Device).Pool.Run(target.Rows, ref job);
    }

    /// <summary>sum_ij (rowTerm_i + columnTerm_j - product_ij) T_ij: the Gromov-Wasserstein objective without its entropy term.</summary>
    public static double Objective<T>(GromovOperands<T> operands, MatrixView<T> product, MatrixView<T> coupling) where T : unmanaged, IFloatingPointIeee754<T>
    {
        CheckShape(operands, product, nameof(product));
        CheckShape(operands, coupling, nameof(coupling));
        if (product.Device is CudaDevice gpu) return CudaObjective(gpu, operands.RowTerm.View, operands.ColumnTerm.View, product, coupling);
        double* rowTerm = operands.RowTerm.Pointer, columnTerm = operands.ColumnTerm.Pointer;
        double total = 0;
        for (int i = 0; i < product.Rows; i++)
        {
            T* x = product.Pointer + i * product.Stride, t = coupling.Pointer + i * coupling.Stride;
            double sum = 0;
            for (int j = 0; j < product.Columns; j++) sum += (rowTerm[i] + columnTerm[j] - double.CreateTruncating(x[j])) * double.CreateTruncating(t[j]);
            total += sum;
        }
        return total;
    }

    /// <summary>sum_ij product_ij coupling_ij.</summary>
    public static double InnerProduct<T>(MatrixView<T> product, MatrixView<T> coupling) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (product.Rows != coupling.Rows || product.Columns != coupling.Columns) throw new ArgumentException("The matrices differ in shape.", nameof(coupling));
        if (product.Device is CudaDevice gpu) return CudaObjective(gpu, default, default, product, coupling);
        double total = 0;
        for (int i = 0; i < product.Rows; i++)
        {
            ReadOnlySpan<T> x = product.Row(i), t = coupling.Row(i);
            double sum = 0;
            for (int j = 0; j < x.Length; j++) sum += double.CreateTruncating(x[j]) * double.CreateTruncating(t[j]);
            total += sum;
        }
        return total;
    }

    /// <summary>Weighted sums over the rows of a cost and of its squares: means_i = sum_k weights_k c_ik, squares_i = sum_k weights_k c_ik².</summary>
    public static void RowMoments<T>(MatrixView<T> cost, DeviceSpan<double> weights, DeviceSpan<double> means, DeviceSpan<double> squares) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (weights.Length != cost.Columns || means.Length != cost.Rows || squares.Length != cost.Rows)
            throw new ArgumentException($"Vectors of {weights.Length}, {means.Length} and {squares.Length} elements do not fit a cost of {cost.Rows} x {cost.Columns}.", nameof(weights));
        if (cost.Device is CudaDevice gpu)
        {
            CudaMoments(gpu, cost, weights, means, squares);
            return;
        }
        MomentsJob<T> job = new() { Cost = cost.Pointer, Stride = cost.Stride, Columns = cost.Columns, Weights = weights.Pointer, Means = means.Pointer, Squares = squares.Pointer };
        RequireCpu(cost.Device).Pool.Run(cost.Rows, ref job);
    }

    private static void FillTerm<T>(CudaDevice? gpu, GromovLoss loss, bool first, MatrixView<T> cost, DeviceSpan<double> mass, bool symmetric, DeviceSpan<double> terms, MatrixView<T> transformed)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (gpu is not null)
        {
            CudaFillTerm(gpu, loss, first, cost, mass, symmetric, terms, transformed);
            return;
        }
        double* term = terms.Pointer;
        int n = cost.Rows;
        for (int i = 0; i < n; i++)
        {
            double sum = 0, sumTransposed = 0;
            for (int k = 0; k < n; k++)
            {
                double x = double.CreateTruncating(cost.Pointer[i * cost.Stride + k]);
                sum += Separable(loss, first, x) * mass.Pointer[k];
                if (!symmetric) sumTransposed += Separable(loss, first, double.CreateTruncating(cost.Pointer[k * cost.Stride + i])) * mass.Pointer[k];
                transformed.Pointer[i * transformed.Stride + k] = T.CreateTruncating(Coupled(loss, first, x));
            }
            term[i] = symmetric ? sum : 0.5 * (sum + sumTransposed);
        }
    }

    /// <summary>f1 or f2.</summary>
    internal static double Separable(GromovLoss loss, bool first, double x) =>
        loss == GromovLoss.Square ? x * x : first ? x * Math.Log(x + 1e-15) - x : x;

    /// <summary>h1 or h2. The 1e-15 inside the logarithms is POT's guard for zero costs.</summary>
    internal static double Coupled(GromovLoss loss, bool first, double x) =>
        first ? x : loss == GromovLoss.Square ? 2 * x : Math.Log(x + 1e-15);

    private static bool IsSymmetric<T>(MatrixView<T> cost) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (cost.Device is CudaDevice gpu) return CudaIsSymmetric(gpu, cost);
        T tolerance = T.CreateTruncating(SymmetryTolerance);
        for (int i = 0; i < cost.Rows; i++)
            for (int j = 0; j < i; j++)
                if (T.Abs(cost.Pointer[i * cost.Stride + j] - cost.Pointer[j * cost.Stride + i]) > tolerance) return false;
        return true;
    }

    private static void CheckShape<T>(GromovOperands<T> operands, MatrixView<T> matrix, string name) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (matrix.Rows != operands.Rows || matrix.Columns != operands.Columns)
            throw new ArgumentException($"{name} is {matrix.Rows} x {matrix.Columns}; expected {operands.Rows} x {operands.Columns}.", name);
    }

    private static CpuDevice RequireCpu(ComputeDevice device) =>
        device as CpuDevice ?? throw new DeviceException($"The Gromov-Wasserstein product has no implementation for device '{device.Name}'.");

    private static void Gemm<T>(Transpose transposeA, Transpose transposeB, T alpha, MatrixView<T> a, MatrixView<T> b, T beta, MatrixView<T> c)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) == typeof(double))
            Kernels.Gemm.Multiply(transposeA, transposeB, double.CreateTruncating(alpha), As<T, double>(a), As<T, double>(b), double.CreateTruncating(beta), As<T, double>(c));
        else
            Kernels.Gemm.Multiply(transposeA, transposeB, float.CreateTruncating(alpha), As<T, float>(a), As<T, float>(b), float.CreateTruncating(beta), As<T, float>(c));
    }

    private static MatrixView<TOut> As<T, TOut>(MatrixView<T> view) where T : unmanaged where TOut : unmanaged =>
        new((TOut*)view.Pointer, view.Rows, view.Columns, view.Stride, view.Device);
}
