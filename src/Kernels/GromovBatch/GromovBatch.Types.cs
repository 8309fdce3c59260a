using System.Runtime.InteropServices;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>One of many Gromov-Wasserstein problems.</summary>
/// <param name="Operands">Its parts that stay, of symmetric costs that are matrices; problems may share them.</param>
/// <param name="P">Masses of the first domain [n].</param>
/// <param name="Q">Masses of the second domain [m].</param>
/// <param name="Coupling">The start [n, m], followed in place.</param>
/// <param name="Between">Cost between the domains [n, m], or null.</param>
public sealed record GromovBatchItem<T>(GromovOperands<T> Operands, DeviceBuffer<double> P, DeviceBuffer<double> Q, Matrix<T> Coupling, Matrix<T>? Between) where T : unmanaged, System.Numerics.IFloatingPointIeee754<T>;

/// <summary>What all problems of a batch have in common.</summary>
/// <param name="Structure">Factor of the tensor product in the linear cost.</param>
/// <param name="Between">Factor of the cost between the domains.</param>
/// <param name="Proximal">Subtracts epsilon log T from the linear cost.</param>
/// <param name="Epsilon">Regularisation, positive.</param>
/// <param name="Tolerance">A transport problem is solved when the Euclidean norm of its column-marginal violation is below this.</param>
/// <param name="MaxIterations">Most iterations of a transport problem.</param>
public readonly record struct GromovBatchSettings(double Structure, double Between, bool Proximal, double Epsilon, double Tolerance, int MaxIterations);

/// <summary>How the last outer iteration of a problem went.</summary>
/// <param name="Change">Frobenius norm of the change of the coupling.</param>
/// <param name="Inner">How its transport problem was solved.</param>
/// <param name="DualObjective">sum f p + sum g q.</param>
public readonly record struct GromovBatchStep(double Change, SinkhornResult Inner, double DualObjective);

/// <summary>bs::BatchProblem of cuda/kernels/gromov_batch/gromov_batch_any.cu.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CudaBatchProblem
{
    public int Rows, Columns;
    public DevicePointer Left, Right, RowTerm, ColumnTerm, P, Q, Between, Coupling, Product, Cost, Scratch;
    public DevicePointer F, Start, G, Largest, Sums, Violations, RowChange, Images, Residuals, Directions;
    public double Tolerance;
    public DevicePointer State;
}

/// <summary>bs::BatchState.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CudaBatchState
{
    /// <summary>The phase from which on a problem has no more inner iterations to do.</summary>
    public const int Solved = 2;

    public double Change, Error, Merit, PlainMerit, PlainResidual, StepLength, Radius;
    public int Phase, Iterations, Converged, Current, Newest, Pairs, SinceMixing, Mixed;
}
