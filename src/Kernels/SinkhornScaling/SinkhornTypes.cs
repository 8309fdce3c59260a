namespace BioSup.Kernels;

/// <summary>How the Sinkhorn iterates are computed. Both forms produce the same iterates up to rounding.</summary>
public enum SinkhornForm
{
    /// <summary>Scaling vectors on an absorbed kernel: one pass over the kernel per iteration and no exponentials.</summary>
    Scaling,

    /// <summary>Potentials by log-sum-exp over rows and columns: slower, and the form the other one falls back on.</summary>
    LogDomain,
}

/// <summary>How often an iteration on a GPU reads the cost. The iterates are the same up to rounding.</summary>
public enum SinkhornPasses
{
    /// <summary>Chosen by the shape of the cost and the device's shared memory.</summary>
    Automatic,

    /// <summary>Once: rows of the cost stay in shared memory between the two halves of the iteration.</summary>
    One,

    /// <summary>Twice: once for the row potentials, once for the column potentials.</summary>
    Two,
}

/// <summary>Stopping rule and form of a Sinkhorn solve.</summary>
/// <param name="MaxIterations">Most iterations (one iteration updates both potentials).</param>
/// <param name="Tolerance">Stop when the Euclidean norm of the column-marginal violation falls below this (POT's stopThr).</param>
/// <param name="CheckEvery">Iterations between two evaluations of the violation, the first at iteration 0 (POT: 10).</param>
/// <param name="Form">How the iterates are computed.</param>
/// <param name="CompactKernel">Scaling form in double precision only: stores the kernel in single precision, with row and column sums corrected to double
/// precision at the base potentials. Vectors and sums stay double; iterates agree with the full kernel to about 1e-8, at half the memory traffic.
/// Not used below a tolerance of 1e-10, which that rounding would not let be reached.</param>
/// <param name="Accelerate">Scaling form, and every solve on a GPU: Anderson acceleration with a safeguard. The solution is the same and is reached in far fewer
/// iterations; a solve that stops at the iteration limit is elsewhere than POT's.</param>
/// <param name="Passes">On a GPU only: readings of the cost per iteration.</param>
/// <remarks>A GPU computes the log-domain form whichever is asked for: there the scaling form would read as much memory and save only exponentials.</remarks>
public readonly record struct SinkhornOptions(int MaxIterations, double Tolerance, int CheckEvery, SinkhornForm Form, bool CompactKernel = false, bool Accelerate = false,
    SinkhornPasses Passes = SinkhornPasses.Automatic)
{
    /// <summary>The defaults of ot.sinkhorn: 1000 iterations, 1e-9, checked every 10.</summary>
    public static SinkhornOptions Pot { get; } = new(1000, 1e-9, 10, SinkhornForm.Scaling);
}

/// <summary>How a Sinkhorn solve ended.</summary>
/// <param name="Iterations">Iterations done.</param>
/// <param name="MarginalError">Euclidean norm of (column sums - b) at the last check.</param>
/// <param name="Converged">True when the tolerance was reached.</param>
/// <param name="Absorptions">How often the scaling vectors were folded into the kernel because they had drifted too far.</param>
public readonly record struct SinkhornResult(int Iterations, double MarginalError, bool Converged, int Absorptions);
