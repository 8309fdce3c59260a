using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// How far a coupling T is from a first-order optimum: the largest decrease &lt;gradient, T − T'&gt; that any coupling T' of the same (uniform) masses promises.
/// It is never negative, and zero exactly at stationary points (the Frank-Wolfe gap; Jaggi 2013). Gradients are those of POT's convention.
/// </summary>
/// <param name="Objective">Gap of what the solver minimises: with the entropy term for pgd, the loss alone for ppa, whose epsilon is a step size.</param>
/// <param name="Loss">Gap of the (fused) loss alone: at an entropic optimum what the entropy term holds back.</param>
/// <param name="Slack">By how much the two values may exceed the true gaps, because a linear problem was only enclosed; 0 where both were solved exactly.</param>
/// <param name="Scale">Loss of the product coupling, to compare gaps with.</param>
public sealed record StationarityGap(double Objective, double Loss, double Slack, double Scale)
{
    /// <summary>Most points a domain may have: gaps take two dense transport problems.</summary>
    public const int MostPoints = 4000;

    /// <summary><see cref="Objective"/> as a share of <see cref="Scale"/>.</summary>
    public double Relative => Scale > 0 ? Objective / Scale : Objective;

    /// <summary>The gap of a coupling of uniform masses. Masses that are slightly missed are first restored, or the decrease could come from them.</summary>
    /// <param name="c1">Cost within the first domain.</param>
    /// <param name="c2">Cost within the second domain.</param>
    /// <param name="coupling">[n, m], in any memory; not changed.</param>
    /// <param name="options">What was solved.</param>
    /// <param name="fused">Cost between the domains, or null.</param>
    /// <param name="cancellation">Stops between the steps.</param>
    public static StationarityGap Of(DomainCostResult c1, DomainCostResult c2, Matrix<double> coupling, GromovOptions options, Matrix<double>? fused = null,
        CancellationToken cancellation = default)
    {
        int n = c1.Count, m = c2.Count;
        bool points = c1.Points is { } x && c2.Points is { } y && EntropicGromovWasserstein.UsesPoints((x.Rows, x.Columns), (y.Rows, y.Columns), options);
        GromovIterationInput<double> input = points ? new(c1, c2) : new(c1.Cost, c2.Cost);
        ComputeDevice device = input.Device;
        using DeviceBuffer<double> p = device.Allocate<double>(n), q = device.Allocate<double>(m);
        p.CopyFrom(EntropicGromovWasserstein.Uniform(n));
        q.CopyFrom(EntropicGromovWasserstein.Uniform(m));
        using GromovOperands<double> operands = input.Prepare(options.Loss, p.View, q.View);
        using Matrix<double> rounded = coupling.CopyOnHost();
        LinearTransport.Round(rounded);
        using PlacedMatrix<double> there = rounded.At(device), between = (fused ?? rounded).At(device);
        using Matrix<double> product = device.AllocateMatrix<double>(n, m), gradient = device.AllocateMatrix<double>(n, m);
        MatrixElements.OuterProduct(p.View, q.View, gradient.View);
        double scale = Value(gradient);
        GromovProduct.Multiply(operands, there.Matrix.View, product.View);
        double entropyWeight = options.Solver == GromovSolverKind.Ppa ? 0 : options.Convention == EpsilonConvention.Pot ? options.Epsilon : 2 * options.Epsilon;
        (double loss, double lossSlack) = Gap(0);
        (double objective, double objectiveSlack) = entropyWeight == 0 ? (loss, lossSlack) : Gap(entropyWeight);
        return new StationarityGap(objective, loss, Math.Max(lossSlack, objectiveSlack), scale);

        double Value(Matrix<double> at)
        {
            GromovProduct.Multiply(operands, at.View, product.View);
            double structure = GromovProduct.Objective(operands, product.View, at.View);
            return fused is null ? structure : options.Alpha * structure + (1 - options.Alpha) * GromovProduct.InnerProduct(between.Matrix.View, at.View);
        }

        (double Gap, double Slack) Gap(double entropy)
        {
            cancellation.ThrowIfCancellationRequested();
            // A proximal term with a negative weight is the gradient of the entropy term, + epsilon log T.
            GromovProduct.LineariseGeneral(operands, product.View, 2 * options.Alpha, fused is null ? default : between.Matrix.View, 1 - options.Alpha,
                entropy == 0 ? default : there.Matrix.View, -entropy, gradient.View);
            double here = GromovProduct.InnerProduct(gradient.View, there.Matrix.View);
            TransportBounds least = LinearTransport.Minimise(gradient, cancellation);
            return (Math.Max(0, here - least.Lower), least.Upper - least.Lower);
        }
    }
}
