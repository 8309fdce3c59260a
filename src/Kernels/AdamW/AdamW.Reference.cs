using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class AdamW
{
    private static void Reference<T>(DeviceSpan<T> parameters, DeviceSpan<T> gradients, DeviceSpan<T> first, DeviceSpan<T> second, in AdamWFactors f)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (long i = 0; i < parameters.Length; i++)
        {
            double g = double.CreateTruncating(gradients.Pointer[i]) * f.GradientScale;
            double p = double.CreateTruncating(parameters.Pointer[i]) * f.Decay;
            double m = f.Beta1 * double.CreateTruncating(first.Pointer[i]) + (1 - f.Beta1) * g;
            double v = f.Beta2 * double.CreateTruncating(second.Pointer[i]) + (1 - f.Beta2) * g * g;
            p -= f.StepSize * m / (Math.Sqrt(v) / f.RootOfCorrection + f.Epsilon);
            parameters.Pointer[i] = T.CreateTruncating(p);
            first.Pointer[i] = T.CreateTruncating(m);
            second.Pointer[i] = T.CreateTruncating(v);
        }
    }

    private static double ReferenceSumOfSquares<T>(DeviceSpan<T> values) where T : unmanaged, IFloatingPointIeee754<T>
    {
        double sum = 0, error = 0;
        for (long i = 0; i < values.Length; i++)
        {
            double x = double.CreateTruncating(values.Pointer[i]), term = x * x, next = sum + term;
            error += sum >= term ? sum - next + term : term - next + sum;
            sum = next;
        }
        return double.IsFinite(error) ? sum + error : sum;
    }
}
