using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>Receives the activations of a run of tokens; the views are reused after the call.</summary>
/// <param name="start">Row of the first token in the source.</param>
/// <param name="tokens">The tokens as the model sees them, normalised, on the model's device [rows, d_in].</param>
/// <param name="activations">In host memory [rows, d_sae].</param>
public delegate void ActivationSink(long start, MatrixView<float> tokens, MatrixView<float> activations);

/// <summary>Receives the mean activation of every latent over the tokens of an image, in host memory; the row is reused after the call.</summary>
public delegate void PooledSink(int image, ReadOnlySpan<float> means);

/// <summary>Tokens to latents, block by block: tokens × latents never exists unless the caller keeps it. A block is read while the device works on the one before.</summary>
public static class SaeEncoder
{
    private const int BlockRows = 4096, EncodeRows = 512;
    private const string Stage = "encoding tokens";

    /// <summary>Receives normalised tokens on the model's device.</summary>
    private delegate void BlockSink(long start, MatrixView<float> tokens);

    /// <summary>Mean activation of every latent over the tokens of each image.</summary>
    /// <param name="model">A trained model.</param>
    /// <param name="tokens">Tokens, image after image.</param>
    /// <param name="rowsPerImage">Tokens of each image, in row order; they add up to the rows of the source.</param>
    /// <returns>[images, d_sae] on the model's device; zero for an image without tokens.</returns>
    public static Matrix<float> EncodePooled(SaeModel model, ITokenSource tokens, IReadOnlyList<int> rowsPerImage, IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        Matrix<float> pooled = model.Device.AllocateMatrix<float>(rowsPerImage.Count, model.Latents);
        try
        {
            Pool(model, tokens, rowsPerImage, (pool, image) => pool.Take(rowsPerImage[image], pooled.Buffer.View.Slice((long)image * model.Latents, model.Latents)), progress, cancellation);
            return pooled;
        }
        catch
        {
            pooled.Dispose();
            throw;
        }
    }

    /// <summary>The same, image after image, without holding more than one of them.</summary>
    public static void EncodePooled(SaeModel model, ITokenSource tokens, IReadOnlyList<int> rowsPerImage, PooledSink sink, IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        using DeviceBuffer<float> means = model.Device.Allocate<float>(model.Latents);
        float[] row = new float[model.Latents];
        Pool(model, tokens, rowsPerImage, (pool, image) =>
        {
            pool.Take(rowsPerImage[image], means.View);
            means.CopyTo(row);
            sink(image, row);
        }, progress, cancellation);
    }

    /// <param name="take">Receives the sums of an image and its number.</param>
    private static void Pool(SaeModel model, ITokenSource tokens, IReadOnlyList<int> rowsPerImage, Action<ActivationPool, int> take, IProgressReporter? progress, CancellationToken cancellation)
    {
        if (rowsPerImage.Sum(r => (long)r) != tokens.Rows) throw new ArgumentException($"The images have {rowsPerImage.Sum(r => (long)r)} tokens, the source {tokens.Rows}.", nameof(rowsPerImage));
        using SaeWorkspace workspace = new(model.Device, model.Shape, 0);
        using ActivationPool pool = new(workspace);
        int image = 0, left = rowsPerImage.Count > 0 ? rowsPerImage[0] : 0;
        Read(model, tokens, rowsPerImage, (_, rows) =>
        {
            for (int at = 0; at < rows.Rows;)
            {
                while (left == 0) Next();
                int count = Math.Min(left, rows.Rows - at);
                pool.Add(rows.RowBlock(at, count), model.Parameters);
                at += count;
                left -= count;
            }
        }, progress, cancellation);
        while (image < rowsPerImage.Count) Next();

        void Next()
        {
            take(pool, image);
            if (++image < rowsPerImage.Count) left = rowsPerImage[image];
        }
    }

    /// <summary>Activations of all tokens [n, d_sae], on the model's device.</summary>
    public static Matrix<float> EncodeAll(SaeModel model, ITokenSource tokens, IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        if (tokens.Rows > int.MaxValue) throw new UsageException($"{tokens.Rows} tokens are too many for one matrix of latents; pool them per image.");
        Matrix<float> latents = model.Device.AllocateMatrix<float>((int)tokens.Rows, model.Latents);
        try
        {
            using SaeWorkspace workspace = new(model.Device, model.Shape, 0);
            Read(model, tokens, null, (start, rows) => SaeStep.Encode(rows, model.Parameters, workspace, latents.View.RowBlock((int)start, rows.Rows)), progress, cancellation);
            return latents;
        }
        catch
        {
            latents.Dispose();
            throw;
        }
    }

    /// <summary>Activations of all tokens as compressed sparse rows: what is not zero goes to <paramref name="spool"/> 512 tokens at a time.</summary>
    public static void EncodeSparse(SaeModel model, ITokenSource tokens, IReadOnlyList<int>? rowsPerImage, CsrSpool spool, IProgressReporter? progress = null, CancellationToken cancellation = default) =>
        Encode(model, tokens, rowsPerImage, (_, _, activations) =>
        {
            for (int t = 0; t < activations.Rows; t++) spool.Add(activations.Row(t));
        }, progress, cancellation);

    /// <summary>Encodes in row order. A model that centres by batch sees each image as one batch, or blocks of 4,096 tokens when there are no images.</summary>
    public static void Encode(SaeModel model, ITokenSource tokens, IReadOnlyList<int>? rowsPerImage, ActivationSink sink, IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        int capacity = (int)Math.Min(EncodeRows, Math.Max(1, tokens.Rows));
        using SaeWorkspace workspace = new(model.Device, model.Shape, 0);
        using Matrix<float> activations = model.Device.AllocateMatrix<float>(capacity, model.Latents);
        using HostCopy copy = new(activations);
        Read(model, tokens, rowsPerImage, (start, rows) =>
        {
            for (int at = 0; at < rows.Rows; at += capacity)
            {
                int count = Math.Min(capacity, rows.Rows - at);
                SaeStep.Encode(rows.RowBlock(at, count), model.Parameters, workspace, activations.View.RowBlock(0, count));
                sink(start + at, rows.RowBlock(at, count), copy.Refresh(count));
            }
        }, progress, cancellation);
    }

    private static void Read(SaeModel model, ITokenSource tokens, IReadOnlyList<int>? rowsPerImage, BlockSink sink, IProgressReporter? progress, CancellationToken cancellation)
    {
        if (tokens.Columns != model.InputWidth) throw new DataException("tokens", null, $"have {tokens.Columns} dimensions; the model was trained on {model.InputWidth}");
        bool byImage = rowsPerImage is { Count: > 0 } && model.Normaliser is { Normalisation: TokenNormalisation.Paper, Mean: null };
        int capacity = byImage ? Math.Max(1, rowsPerImage!.Max()) : (int)Math.Min(BlockRows, Math.Max(1, tokens.Rows));
        using TokenTransfer transfer = new(model.Device, capacity, model.InputWidth);
        using CentredUnitRows? centring = model.Normaliser.CreateCentring(model.Device, capacity, model.InputWidth);
        int image = 0;
        for (long start = 0; start < tokens.Rows;)
        {
            cancellation.ThrowIfCancellationRequested();
            progress?.Report(Stage, start, tokens.Rows);
            int count = byImage ? rowsPerImage![image++] : (int)Math.Min(capacity, tokens.Rows - start);
            if (count == 0) continue;
            tokens.Read(start, transfer.Next(count));
            MatrixView<float> rows = transfer.Send(count);
            model.Normaliser.Apply(centring, rows);
            sink(start, rows);
            transfer.Release();
            start += count;
        }
        progress?.Report(Stage, tokens.Rows, tokens.Rows);
    }

    /// <summary>A matrix as the host can read it: itself, or a copy.</summary>
    private sealed class HostCopy : IDisposable
    {
        private readonly Matrix<float> _matrix;
        private readonly Matrix<float>? _copy;

        public HostCopy(Matrix<float> matrix)
        {
            _matrix = matrix;
            if (matrix.Device.IsHost) return;
            _copy = matrix.Device.Host.AllocateMatrix<float>(matrix.Rows, matrix.Columns);
        }

        public MatrixView<float> Refresh(int rows)
        {
            if (_copy is null) return _matrix.View.RowBlock(0, rows);
            int length = rows * _matrix.Columns;
            _matrix.Buffer.CopyTo(_copy.Buffer.View.Slice(0, length).Host);
            return _copy.View.RowBlock(0, rows);
        }

        public void Dispose() => _copy?.Dispose();
    }
}
