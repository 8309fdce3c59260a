using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>Receives the activations of a run of tokens; the view is reused after the call.</summary>
/// <param name="start">Row of the first token in the source.</param>
/// <param name="tokens">The tokens as the model sees them, normalised [rows, d_in].</param>
/// <param name="activations">[rows, d_sae].</param>
public delegate void ActivationSink(long start, MatrixView<float> tokens, MatrixView<float> activations);

/// <summary>Tokens to latents, block by block: tokens × latents never exists unless the caller keeps it.</summary>
public static class SaeEncoder
{
    private const int BlockRows = 4096, EncodeRows = 512;
    private const string Stage = "encoding tokens";

    /// <summary>Mean activation of every latent over the tokens of each image.</summary>
    /// <param name="model">A trained model.</param>
    /// <param name="tokens">Tokens, image after image.</param>
    /// <param name="rowsPerImage">Tokens of each image, in row order; they add up to the rows of the source.</param>
    /// <returns>[images, d_sae]; zero for an image without tokens.</returns>
    public static Matrix<float> EncodePooled(GatedSaeModel model, ITokenSource tokens, IReadOnlyList<int> rowsPerImage, IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        if (rowsPerImage.Sum(r => (long)r) != tokens.Rows) throw new ArgumentException($"The images have {rowsPerImage.Sum(r => (long)r)} tokens, the source {tokens.Rows}.", nameof(rowsPerImage));
        Matrix<float> pooled = model.Device.AllocateMatrix<float>(rowsPerImage.Count, model.Latents);
        try
        {
            double[] sums = new double[model.Latents];
            int image = 0;
            long end = rowsPerImage.Count > 0 ? rowsPerImage[0] : 0;
            Encode(model, tokens, rowsPerImage, (start, _, activations) =>
            {
                for (int t = 0; t < activations.Rows; t++)
                {
                    while (start + t >= end) Next();
                    ReadOnlySpan<float> row = activations.Row(t);
                    for (int j = 0; j < row.Length; j++) sums[j] += row[j];
                }
            }, progress, cancellation);
            while (image < rowsPerImage.Count) Next();
            return pooled;

            void Next()
            {
                Span<float> target = pooled.Row(image);
                if (rowsPerImage[image] > 0) for (int j = 0; j < target.Length; j++) target[j] = (float)(sums[j] / rowsPerImage[image]);
                Array.Clear(sums);
                if (++image < rowsPerImage.Count) end += rowsPerImage[image];
            }
        }
        catch
        {
            pooled.Dispose();
            throw;
        }
    }

    /// <summary>Activations of all tokens [n, d_sae] in memory.</summary>
    public static Matrix<float> EncodeAll(GatedSaeModel model, ITokenSource tokens, IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        if (tokens.Rows > int.MaxValue) throw new UsageException($"{tokens.Rows} tokens are too many for one matrix of latents; pool them per image.");
        Matrix<float> latents = model.Device.AllocateMatrix<float>((int)tokens.Rows, model.Latents);
        try
        {
            Encode(model, tokens, null, (start, _, activations) =>
            {
                for (int t = 0; t < activations.Rows; t++) activations.Row(t).CopyTo(latents.Row((int)start + t));
            }, progress, cancellation);
            return latents;
        }
        catch
        {
            latents.Dispose();
            throw;
        }
    }

    /// <summary>Encodes in row order. A model that centres by batch sees each image as one batch, or blocks of 4,096 tokens when there are no images.</summary>
    public static void Encode(GatedSaeModel model, ITokenSource tokens, IReadOnlyList<int>? rowsPerImage, ActivationSink sink, IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        if (tokens.Columns != model.InputWidth) throw new DataException("tokens", null, $"have {tokens.Columns} dimensions; the model was trained on {model.InputWidth}");
        bool byImage = rowsPerImage is { Count: > 0 } && model.Normaliser is { Normalisation: TokenNormalisation.Paper, Mean: null };
        int capacity = byImage ? Math.Max(1, rowsPerImage!.Max()) : (int)Math.Min(BlockRows, Math.Max(1, tokens.Rows));
        using Matrix<float> block = model.Device.AllocateMatrix<float>(capacity, model.InputWidth);
        using Matrix<float> activations = model.Device.AllocateMatrix<float>(Math.Min(EncodeRows, capacity), model.Latents);
        using GatedSaeWorkspace workspace = new(model.Device, model.InputWidth, model.Latents, model.Tied, 0);
        int image = 0;
        for (long start = 0; start < tokens.Rows;)
        {
            cancellation.ThrowIfCancellationRequested();
            progress?.Report(Stage, start, tokens.Rows);
            int count = byImage ? rowsPerImage![image++] : (int)Math.Min(capacity, tokens.Rows - start);
            if (count == 0) continue;
            MatrixView<float> rows = block.View.RowBlock(0, count);
            tokens.Read(start, rows);
            model.Normaliser.Apply(rows);
            for (int at = 0; at < count; at += activations.Rows)
            {
                int piece = Math.Min(activations.Rows, count - at);
                MatrixView<float> output = activations.View.RowBlock(0, piece);
                GatedSaeStep.Encode(rows.RowBlock(at, piece), model.Parameters, workspace, output);
                sink(start + at, rows.RowBlock(at, piece), output);
            }
            start += count;
        }
        progress?.Report(Stage, tokens.Rows, tokens.Rows);
    }
}
