using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>What is subtracted from the tokens.</summary>
public enum TokenCentring
{
    /// <summary>A centre estimated once: a token does not depend on which other images share its batch.</summary>
    Fixed,

    /// <summary>The mean over all tokens of the batch, as the published training does: features then depend on the batch.</summary>
    Batch,

    /// <summary>The mean over the tokens of the image, as the published feature extraction does.</summary>
    Image,

    /// <summary>Nothing.</summary>
    None,
}

/// <summary>
/// The paper's token recipe on a batch of feature maps, in 32-bit floats with 64-bit sums: gap = mean over cells; map /= max(||gap||, 1e-12);
/// tokens minus a centre; l2 = ||token||; token /= max(l2, 1e-12). All images have the same number of cells, so the mean over the tokens of a batch
/// is the mean of its images' scaled gap vectors. The result does not depend on the number of threads.
/// </summary>
/// <remarks>This is the encoder's side, on whole feature maps as token shards are written. Tokens that come from elsewhere are normalised by the
/// autoencoder when it reads them; shards written here are ready for training as they are.</remarks>
public sealed class TokenNormaliser
{
    private const double LeastNorm = 1e-12;
    private readonly CpuDevice _device;
    private readonly float[] _centre;

    /// <param name="shape">Shape of one feature map.</param>
    /// <param name="centre">With <see cref="TokenCentring.Fixed"/>: what is subtracted, one value per channel; otherwise null.</param>
    public TokenNormaliser(CpuDevice device, FeatureMapShape shape, TokenCentring centring, float[]? centre = null)
    {
        if ((centring == TokenCentring.Fixed) != (centre is not null)) throw new ArgumentException("A centre belongs to fixed centring and to nothing else.", nameof(centre));
        if (centre is not null && centre.Length != shape.Channels) throw new ArgumentException($"{shape.Channels} values expected.", nameof(centre));
        (_device, Shape, Centring) = (device, shape, centring);
        _centre = centre ?? new float[shape.Channels];
    }

    public FeatureMapShape Shape { get; }
    public TokenCentring Centring { get; }

    /// <summary>Global average pooling: one row per image.</summary>
    /// <param name="features">[images * Shape.Tokens, Shape.Channels].</param>
    /// <param name="gap">[images, Shape.Channels], overwritten: the mean over the cells of the feature map as the encoder gave it.</param>
    public static void Pool(CpuDevice device, FeatureMapShape shape, Matrix<float> features, Matrix<float> gap, int images)
    {
        PoolJob job = new(shape, features, gap);
        device.Pool.Run(images, ref job);
    }

    /// <summary>The mean over images of gap / max(||gap||, 1e-12): the centre of the scaled tokens of these images.</summary>
    public static double[] MeanScaledGap(Matrix<float> gap, int images)
    {
        double[] mean = new double[gap.Columns];
        AddScaledGaps(gap, images, mean);
        for (int c = 0; c < mean.Length; c++) mean[c] /= Math.Max(images, 1);
        return mean;
    }

    /// <summary>Adds gap / max(||gap||, 1e-12) of each image to <paramref name="sum"/>, in order.</summary>
    internal static void AddScaledGaps(Matrix<float> gap, int images, double[] sum)
    {
        for (int image = 0; image < images; image++)
        {
            double norm = Math.Max(Norm(gap.Row(image)), LeastNorm);
            for (int c = 0; c < sum.Length; c++) sum[c] += gap.Row(image)[c] / norm;
        }
    }

    /// <summary>Normalises the tokens of a batch in place.</summary>
    /// <param name="features">[images * Shape.Tokens, Shape.Channels].</param>
    /// <param name="gap">[images, Shape.Channels] from <see cref="Pool"/>.</param>
    /// <param name="norms">The l2 of each token before the last step, one per token; overwritten.</param>
    public void Apply(Matrix<float> features, Matrix<float> gap, int images, float[] norms)
    {
        if (features.Columns != Shape.Channels || features.Rows < images * Shape.Tokens || norms.Length < images * Shape.Tokens)
            throw new ArgumentException($"{images * Shape.Tokens} tokens of {Shape.Channels} channels and as many norms expected.", nameof(features));
        float[] centre = Centring == TokenCentring.Batch ? [.. MeanScaledGap(gap, images).Select(value => (float)value)] : _centre;
        NormaliseJob job = new(Shape, features, gap, centre, Centring == TokenCentring.Image, norms);
        _device.Pool.Run(images, ref job);
    }

    private static double Norm(ReadOnlySpan<float> vector)
    {
        double squares = 0;
        foreach (float value in vector) squares += (double)value * value;
        return Math.Sqrt(squares);
    }

    private readonly struct PoolJob(FeatureMapShape shape, Matrix<float> features, Matrix<float> gap) : IBlockJob
    {
        public void Execute(long image, int worker)
        {
            Span<double> sums = shape.Channels <= 4096 ? stackalloc double[shape.Channels] : new double[shape.Channels];
            sums.Clear();
            for (int cell = 0; cell < shape.Tokens; cell++)
            {
                ReadOnlySpan<float> token = features.Row((int)image * shape.Tokens + cell);
                for (int c = 0; c < sums.Length; c++) sums[c] += token[c];
            }
            Span<float> row = gap.Row((int)image);
            for (int c = 0; c < sums.Length; c++) row[c] = (float)(sums[c] / shape.Tokens);
        }
    }

    private readonly struct NormaliseJob(FeatureMapShape shape, Matrix<float> features, Matrix<float> gap, float[] centre, bool byImage, float[] norms) : IBlockJob
    {
        public void Execute(long image, int worker)
        {
            ReadOnlySpan<float> mean = gap.Row((int)image);
            float scale = (float)Math.Max(Norm(mean), LeastNorm);
            Span<float> subtract = shape.Channels <= 4096 ? stackalloc float[shape.Channels] : new float[shape.Channels];
            for (int c = 0; c < subtract.Length; c++) subtract[c] = byImage ? mean[c] / scale : centre[c];
            for (int cell = 0; cell < shape.Tokens; cell++)
            {
                int row = (int)image * shape.Tokens + cell;
                Span<float> token = features.Row(row);
                double squares = 0;
                for (int c = 0; c < token.Length; c++)
                {
                    float value = token[c] / scale - subtract[c];
                    token[c] = value;
                    squares += (double)value * value;
                }
                norms[row] = (float)Math.Sqrt(squares);
                float divisor = (float)Math.Max(Math.Sqrt(squares), LeastNorm);
                for (int c = 0; c < token.Length; c++) token[c] /= divisor;
            }
        }
    }
}
