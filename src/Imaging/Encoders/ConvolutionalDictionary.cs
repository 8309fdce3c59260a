using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>
/// A single-layer convolutional encoder learnt without labels (Coates, Lee and Ng 2011): windows of the image are contrast-normalised and
/// ZCA-whitened, their distances z to k-means centroids become the triangle activations max(0, mean(z) - z_k), which are averaged over square cells.
/// Deterministic; needs no network and no download.
/// </summary>
public sealed class ConvolutionalDictionary : IImageEncoder
{
    /// <summary>Patches held while learning take at most this much.</summary>
    private const long LearningBytes = 1L << 30;

    private readonly CpuDevice _device;
    private readonly WindowReader _windows;
    private readonly Matrix<float> _whitening;
    private readonly Matrix<float> _centroids;
    private readonly EncodeWorker?[] _workers;

    internal ConvolutionalDictionary(CpuDevice device, WindowReader windows, int cell, Matrix<float> whitening, Matrix<float> centroids)
    {
        (_device, _windows, Cell, _whitening, _centroids) = (device, windows, cell, whitening, centroids);
        _workers = new EncodeWorker?[device.Pool.Threads];
    }

    public string Name => $"convolutional dictionary, {Atoms} atoms of {_windows.Channels} x {Window} x {Window}";
    public int Channels => _windows.Channels;
    public int? InputSize => null;
    public int Atoms => _centroids.Rows;

    /// <summary>Side of the window in pixels.</summary>
    public int Window => _windows.Side;

    /// <summary>Step of the window in pixels.</summary>
    public int Stride => _windows.Stride;

    /// <summary>Side of a cell in pixels.</summary>
    public int Cell { get; }

    /// <summary>Whitened centroids, [atoms, channels * window * window].</summary>
    public MatrixView<float> Centroids => _centroids.View;

    internal WindowReader Windows => _windows;
    internal MatrixView<float> Whitening => _whitening.View;

    /// <summary>Learns a dictionary from images.</summary>
    /// <param name="images">[n, channels * side * side], scaled as the encoder's input will be.</param>
    /// <param name="channels">Channels of an image.</param>
    /// <param name="side">Side of an image in pixels.</param>
    /// <exception cref="UsageException">An option is out of range for these images.</exception>
    /// <exception cref="DataException">The images are constant.</exception>
    public static ConvolutionalDictionary Learn(
        CpuDevice device, Matrix<float> images, int channels, int side, DictionaryOptions options, IProgressReporter progress, CancellationToken cancellation)
    {
        options.Validate(side);
        if (images.Rows < 1 || images.Columns != channels * side * side) throw new ArgumentException($"Images of {channels} x {side} x {side} expected.", nameof(images));
        WindowReader reader = new(channels, options.Window, options.Stride, options.ContrastEpsilon, new float[channels * options.Window * options.Window]);
        using Matrix<float> samples = reader.Sample(device, images, side, options.Samples, options.Seed);
        progress.Report("learning the dictionary", 0, options.Iterations, "whitening");
        (float[] mean, Matrix<float> whitening) = Whitener.Fit(device, samples, options.WhiteningEpsilon);
        for (int i = 0; i < samples.Rows; i++)
        {
            Span<float> row = samples.Row(i);
            for (int j = 0; j < row.Length; j++) row[j] -= mean[j];
        }
        using Matrix<float> whitened = device.AllocateMatrix<float>(samples.Rows, samples.Columns);
        Gemm.Multiply(Transpose.No, Transpose.No, 1, samples.View, whitening.View, 0, whitened.View);
        Matrix<float> centroids = KMeans.Fit(device, whitened, options.Atoms, options.Iterations, options.Seed, progress, cancellation);
        return new ConvolutionalDictionary(device, reader with { Mean = mean }, options.Cell, whitening, centroids);
    }

    /// <summary>Learns a dictionary from the patches of a plan, at most <paramref name="most"/> of them, evenly spread.</summary>
    public static ConvolutionalDictionary Learn(
        CpuDevice device, PatchPlan plan, InputScaling scaling, int inputSize, DictionaryOptions options, IProgressReporter progress, CancellationToken cancellation, int most = 500)
    {
        PatchPreparation preparation = new(device, plan.Grid.Size, inputSize, plan.Channels, scaling);
        int[] which = plan.Spread((int)Math.Clamp(LearningBytes / (preparation.InputLength * (long)sizeof(float)), 1, most));
        using Matrix<float> images = device.AllocateMatrix<float>(which.Length, preparation.InputLength);
        int at = 0;
        foreach (IReadOnlyList<PatchSource> batch in plan.Batches(which, 64, cancellation))
        {
            preparation.Fill(batch, images.View.RowBlock(at, batch.Count));
            at += batch.Count;
        }
        return Learn(device, images, plan.Channels, inputSize, options, progress, cancellation);
    }

    public FeatureMapShape Shape(int side)
    {
        if (side < Window) throw new DataException(Name, null, $"images of {side} x {side} pixels are smaller than the window");
        int cells = Math.Min(Math.Max(1, side / Cell), _windows.Positions(side));
        return new FeatureMapShape(cells, cells, Atoms);
    }

    public unsafe void Encode(MatrixView<float> images, int side, MatrixView<float> features)
    {
        FeatureMapShape shape = Shape(side);
        if (images.Columns != Channels * side * side) throw new ArgumentException("NCHW images expected.", nameof(images));
        if (features.Rows != images.Rows * shape.Tokens || features.Columns != shape.Channels) throw new ArgumentException($"{images.Rows * shape.Tokens} x {shape.Channels} features expected.", nameof(features));
        EncodeJob job = new(this, shape, side, images.Pointer, images.Stride, features.Pointer, features.Stride);
        _device.Pool.Run(images.Rows, ref job);
    }

    public void Dispose()
    {
        _whitening.Dispose();
        _centroids.Dispose();
        foreach (EncodeWorker? worker in _workers) worker?.Dispose();
    }

    /// <summary>Memory of one thread: the windows of one row of cells.</summary>
    private sealed class EncodeWorker(CpuDevice device, int windows, int length, int atoms) : IDisposable
    {
        public Matrix<float> Raw { get; } = device.AllocateMatrix<float>(windows, length);
        public Matrix<float> Whitened { get; } = device.AllocateMatrix<float>(windows, length);
        public Matrix<float> Distances { get; } = device.AllocateMatrix<float>(windows, atoms);

        public void Dispose()
        {
            Raw.Dispose();
            Whitened.Dispose();
            Distances.Dispose();
        }
    }

    private EncodeWorker Worker(int worker, int windows)
    {
        if (_workers[worker] is { } ready && ready.Raw.Rows >= windows) return ready;
        _workers[worker]?.Dispose();
        return _workers[worker] = new EncodeWorker(_device, windows, _windows.Length, Atoms);
    }

    private readonly unsafe struct EncodeJob(
        ConvolutionalDictionary owner, FeatureMapShape shape, int side, float* images, long imageStride, float* features, long featureStride) : IBlockJob
    {
        public void Execute(long image, int worker)
        {
            WindowReader windows = owner._windows;
            int positions = windows.Positions(side);
            ReadOnlySpan<float> pixels = new(images + image * imageStride, owner.Channels * side * side);
            EncodeWorker memory = owner.Worker(worker, (positions + shape.Height - 1) / shape.Height * positions);
            for (int cellRow = 0; cellRow < shape.Height; cellRow++)
            {
                // Windows are dealt to cells as evenly as whole windows can be.
                int first = cellRow * positions / shape.Height, end = (cellRow + 1) * positions / shape.Height, rows = (end - first) * positions;
                for (int y = first; y < end; y++)
                    for (int x = 0; x < positions; x++)
                        windows.Read(pixels, side, y * windows.Stride, x * windows.Stride, memory.Raw.Row((y - first) * positions + x));
                Gemm.Multiply(Transpose.No, Transpose.No, 1, memory.Raw.View.RowBlock(0, rows), owner._whitening.View, 0, memory.Whitened.View.RowBlock(0, rows));
                PairwiseDistance.Compute(DistanceMetric.Euclidean, memory.Whitened.View.RowBlock(0, rows), owner._centroids.View, memory.Distances.View.RowBlock(0, rows));
                for (int cell = 0; cell < shape.Width; cell++)
                {
                    Span<float> token = new(features + (image * shape.Tokens + cellRow * shape.Width + cell) * featureStride, shape.Channels);
                    Pool(memory.Distances, end - first, positions, cell * positions / shape.Width, (cell + 1) * positions / shape.Width, token);
                }
            }
        }

        /// <summary>Mean triangle activation over the windows of one cell.</summary>
        private static void Pool(Matrix<float> distances, int rows, int positions, int left, int right, Span<float> token)
        {
            token.Clear();
            for (int y = 0; y < rows; y++)
                for (int x = left; x < right; x++)
                {
                    ReadOnlySpan<float> z = distances.Row(y * positions + x);
                    double sum = 0;
                    foreach (float value in z) sum += value;
                    float mean = (float)(sum / z.Length);
                    for (int k = 0; k < token.Length; k++) token[k] += Math.Max(0, mean - z[k]);
                }
            float count = rows * (right - left);
            for (int k = 0; k < token.Length; k++) token[k] /= count;
        }
    }
}
