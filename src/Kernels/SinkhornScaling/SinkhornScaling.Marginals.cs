using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// What a constraint on a marginal makes of the softmin of a half iteration (the proximal operators of Chizat et al. 2018, table 1): the potential becomes
/// min(<see cref="Bound"/>, <see cref="Damping"/> (softmin + <see cref="Shift"/>) + epsilon log mass).
/// </summary>
/// <param name="Damping">1 where the marginal is given, rho / (rho + epsilon) where departures from it have a price.</param>
/// <param name="Shift">A constant of the cost, in its units.</param>
/// <param name="Bound">The largest potential: ∞, or 0 where the marginal may fall short of the masses.</param>
public readonly record struct MarginalStep(double Damping, double Shift, double Bound)
{
    /// <summary>The marginal is the masses.</summary>
    public static MarginalStep Fixed { get; } = new(1, 0, double.PositiveInfinity);

    /// <summary>The potential is 0 whatever the cost: the marginal is free.</summary>
    public static MarginalStep Free { get; } = new(1, double.PositiveInfinity, 0);

    /// <summary>Departures cost rho times their Kullback-Leibler divergence.</summary>
    public static MarginalStep Priced(double rho, double epsilon, double shift) => new(rho / (rho + epsilon), shift, double.PositiveInfinity);

    /// <summary>The marginal is at most the masses; a potential of its own holds the whole mass.</summary>
    public static MarginalStep AtMost(double massPotential) => new(1, -massPotential, 0);
}

/// <summary>How an iteration went, after <see cref="SinkhornScaling.Settle"/>.</summary>
/// <param name="Change">Largest change of a potential, in units of the cost.</param>
/// <param name="LogMass">Logarithm of the sum of the plan exp((f + g - C) / epsilon).</param>
public readonly record struct MarginalProgress(double Change, double LogMass);

/// <summary>Memory between the halves of an iteration whose marginals are not both given.</summary>
public sealed class MarginalWorkspace : IDisposable
{
    internal const int StateLength = 3;

    public MarginalWorkspace(ComputeDevice device, int rows, int columns)
    {
        (Rows, Columns) = (rows, columns);
        Changes = device.Allocate<double>((long)rows + columns);
        Exponents = device.Allocate<double>((long)rows + columns);
        State = device.Allocate<double>(StateLength);
    }

    internal int Rows { get; }
    internal int Columns { get; }

    /// <summary>Sizes of the last changes of the potentials, rows first.</summary>
    internal DeviceBuffer<double> Changes { get; }

    /// <summary>epsilon log of the plan's marginals after the last half iteration on their side, rows first.</summary>
    internal DeviceBuffer<double> Exponents { get; }
    internal DeviceBuffer<double> State { get; }

    public void Dispose()
    {
        Changes.Dispose();
        Exponents.Dispose();
        State.Dispose();
    }

    internal DeviceSpan<double> Part(DeviceBuffer<double> buffer, bool rows) => rows ? buffer.View.Slice(0, Rows) : buffer.View.Slice(Rows, Columns);
}

public static unsafe partial class SinkhornScaling
{
    /// <summary>Half an iteration: f from g. Both halves and <see cref="Settle"/> are an iteration of a problem whose marginals need not be given.</summary>
    /// <param name="workspace">Memory for this shape.</param>
    /// <param name="memory">Memory of the same shape.</param>
    /// <param name="cost">Cost [n, m], finite.</param>
    /// <param name="a">Row masses [n], positive.</param>
    /// <param name="g">Column potentials [m] in units of the cost.</param>
    /// <param name="epsilon">Regularisation in units of the cost, positive.</param>
    /// <param name="step">The constraint on the rows.</param>
    /// <param name="f">Row potentials [n].</param>
    public static void UpdateRows<T>(SinkhornWorkspace<T> workspace, MarginalWorkspace memory, MatrixView<T> cost, DeviceSpan<double> a, DeviceSpan<double> g, double epsilon, in MarginalStep step,
        DeviceSpan<double> f) where T : unmanaged, IFloatingPointIeee754<T> => Update(workspace, memory, cost, rows: true, a, g, epsilon, step, f);

    /// <summary>The other half: g from f, with the column masses b and the constraint on the columns.</summary>
    /// <inheritdoc cref="UpdateRows{T}"/>
    public static void UpdateColumns<T>(SinkhornWorkspace<T> workspace, MarginalWorkspace memory, MatrixView<T> cost, DeviceSpan<double> b, DeviceSpan<double> f, double epsilon, in MarginalStep step,
        DeviceSpan<double> g) where T : unmanaged, IFloatingPointIeee754<T> => Update(workspace, memory, cost, rows: false, b, f, epsilon, step, g);

    /// <summary>
    /// Ends an iteration after <see cref="UpdateColumns{T}"/>: what changed and the mass of the plan. Where both marginals are priced, the best shift of f by a number and of g by its
    /// opposite, which leaves the plan as it is, is made as well (Séjourné, Vialard and Peyré 2022).
    /// </summary>
    /// <param name="memory">That of the two halves.</param>
    /// <param name="rho">Price of both marginals; 0 where they have none.</param>
    public static MarginalProgress Settle(MarginalWorkspace memory, DeviceSpan<double> a, DeviceSpan<double> b, double epsilon, double rho, DeviceSpan<double> f, DeviceSpan<double> g)
    {
        Span<double> state = stackalloc double[MarginalWorkspace.StateLength];
        if (f.Device is CudaDevice gpu) SettleCuda(gpu, memory, a, b, epsilon, rho, f, g, state);
        else
        {
            double change = 0;
            foreach (double c in memory.Changes.View.Host) change = Math.Max(change, c);
            (state[0], state[1]) = (change, LogSum(memory.Part(memory.Exponents, rows: false), default, 1 / epsilon, 0));
            if (rho > 0)
            {
                // Of the potentials without the masses' part: f - epsilon log a.
                double shift = 0.5 * rho * (LogSum(f, a, -1 / rho, 1 + epsilon / rho) - LogSum(g, b, -1 / rho, 1 + epsilon / rho));
                foreach (ref double potential in f.Host) potential += shift;
                foreach (ref double potential in g.Host) potential -= shift;
                state[2] = shift;
            }
        }
        return new MarginalProgress(Math.Max(state[0], Math.Abs(state[2])), state[1]);
    }

    /// <summary>potential_i += scale log mass_i + shift.</summary>
    public static void AddMasses(DeviceSpan<double> potentials, DeviceSpan<double> masses, double scale, double shift)
    {
        if (potentials.Length != masses.Length) throw new ArgumentException("The masses do not fit the potentials.", nameof(masses));
        if (potentials.Device is CudaDevice gpu)
        {
            AddMassesCuda(gpu, potentials, masses, scale, shift);
            return;
        }
        for (long i = 0; i < potentials.Length; i++) potentials.Pointer[i] += scale * Math.Log(masses.Pointer[i]) + shift;
    }

    private static void Update<T>(SinkhornWorkspace<T> workspace, MarginalWorkspace memory, MatrixView<T> cost, bool rows, DeviceSpan<double> masses, DeviceSpan<double> other, double epsilon,
        in MarginalStep step, DeviceSpan<double> potentials) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (!workspace.IsOn(cost.Device) || cost.Rows != workspace.Rows || cost.Columns != workspace.Columns || memory.Rows != workspace.Rows || memory.Columns != workspace.Columns)
            throw new ArgumentException($"The workspaces are for another device or shape than the cost of {cost.Rows} x {cost.Columns}.", nameof(workspace));
        int count = rows ? cost.Rows : cost.Columns;
        if (potentials.Length != count || masses.Length != count || other.Length != cost.Rows + cost.Columns - count) throw new ArgumentException("The potentials do not fit the cost.", nameof(potentials));
        if (!(epsilon > 0) || !double.IsFinite(epsilon)) throw new ArgumentOutOfRangeException(nameof(epsilon), "Epsilon must be positive and finite.");
        DeviceSpan<double> changes = memory.Part(memory.Changes, rows), exponents = memory.Part(memory.Exponents, rows);
        if (workspace.Cuda is { } state)
        {
            state.Update(cost.Address, cost.Stride, rows, masses.Address, other.Address, epsilon, step, potentials.Address, changes.Address, exponents.Address);
            return;
        }
        Softmin(workspace, cost, rows, other, epsilon, exponents);
        for (int i = 0; i < count; i++)
        {
            double softmin = exponents.Pointer[i], value = Math.Min(step.Bound, step.Damping * (softmin + step.Shift) + epsilon * Math.Log(masses.Pointer[i]));
            changes.Pointer[i] = Math.Abs(value - potentials.Pointer[i]);
            exponents.Pointer[i] = value - softmin;
            potentials.Pointer[i] = value;
        }
    }

    /// <summary>log sum_i exp(scale x_i + power log mass_i).</summary>
    private static double LogSum(DeviceSpan<double> x, DeviceSpan<double> masses, double scale, double power)
    {
        double most = double.NegativeInfinity, sum = 0;
        for (long i = 0; i < x.Length; i++) most = Math.Max(most, Term(x, masses, i));
        for (long i = 0; i < x.Length; i++) sum += Math.Exp(Term(x, masses, i) - most);
        return most + Math.Log(sum);

        double Term(DeviceSpan<double> x, DeviceSpan<double> masses, long i) => scale * x.Pointer[i] + (power == 0 ? 0 : power * Math.Log(masses.Pointer[i]));
    }
}
