namespace BioSup.Kernels;

public sealed unsafe partial class Muon
{
    /// <summary>The same in double precision, A = XXᵀ whatever the shape.</summary>
    internal static void Reference(double[,] parameters, double[,] gradients, double[,] momentum, in MuonOptions options, double gradientScale)
    {
        int rows = parameters.GetLength(0), columns = parameters.GetLength(1);
        double[,] x = new double[rows, columns];
        double squares = 0;
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++)
            {
                momentum[i, j] = options.Momentum * momentum[i, j] + gradientScale * gradients[i, j];
                x[i, j] = gradientScale * gradients[i, j] + options.Momentum * momentum[i, j];
                squares += x[i, j] * x[i, j];
            }
        double norm = Math.Sqrt(squares) + Epsilon;
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++) x[i, j] /= norm;
        for (int iteration = 0; iteration < Iterations; iteration++)
        {
            double[,] gram = Product(x, x, transposed: true), square = Product(gram, gram, transposed: false);
            for (int i = 0; i < rows; i++)
                for (int j = 0; j < rows; j++) gram[i, j] = B * gram[i, j] + C * square[i, j];
            double[,] moved = Product(gram, x, transposed: false);
            for (int i = 0; i < rows; i++)
                for (int j = 0; j < columns; j++) x[i, j] = A * x[i, j] + moved[i, j];
        }
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++)
                parameters[i, j] = parameters[i, j] * (1 - options.LearningRate * options.WeightDecay) - options.LearningRate * UpdateScale(rows, columns) * x[i, j];
    }

    private static double[,] Product(double[,] a, double[,] b, bool transposed)
    {
        int rows = a.GetLength(0), inner = a.GetLength(1), columns = transposed ? b.GetLength(0) : b.GetLength(1);
        double[,] c = new double[rows, columns];
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++)
            {
                double sum = 0;
                for (int k = 0; k < inner; k++) sum += a[i, k] * (transposed ? b[j, k] : b[k, j]);
                c[i, j] = sum;
            }
        return c;
    }
}
