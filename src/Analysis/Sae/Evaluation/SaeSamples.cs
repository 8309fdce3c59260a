using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>Images (or, where none are known, tokens) as rows: the mean token as the model sees it and the mean of every latent. In host memory.</summary>
public sealed class SaeSamples : IDisposable
{
    private SaeSamples(int[] rows, bool images, Matrix<float> raw, Matrix<float> latents) => (Rows, AreImages, Raw, Latents) = (rows, images, raw, latents);

    /// <summary>Numbers of the images or tokens, ascending; all of them unless they were too many.</summary>
    public int[] Rows { get; }

    public bool AreImages { get; }

    /// <summary>[samples, d_in] mean of the normalised tokens.</summary>
    public Matrix<float> Raw { get; }

    /// <summary>[samples, d_sae] mean activation.</summary>
    public Matrix<float> Latents { get; }

    /// <summary>Reads and encodes all tokens once.</summary>
    /// <param name="model">A model.</param>
    /// <param name="tokens">Any source of its width.</param>
    /// <param name="rowsPerImage">Tokens of each image; null makes every token a sample.</param>
    /// <param name="most">Largest number of samples; of more a random choice is taken.</param>
    /// <param name="seed">Of the choice.</param>
    public static SaeSamples Collect(SaeModel model, ITokenSource tokens, IReadOnlyList<int>? rowsPerImage, int most, ulong seed, IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        bool images = rowsPerImage is { Count: > 0 };
        long all = images ? rowsPerImage!.Count : tokens.Rows;
        if (all > int.MaxValue) throw new UsageException($"{all} tokens without images are too many to choose samples from.");
        int[] rows = Choose((int)all, most, seed);
        CpuDevice host = model.Device.Host;
        Matrix<float> raw = host.AllocateMatrix<float>(rows.Length, model.InputWidth), latents = host.AllocateMatrix<float>(rows.Length, model.Latents);
        try
        {
            Sums sums = new(rows, images ? rowsPerImage! : null, raw, latents);
            float[] copy = [];
            SaeEncoder.Encode(model, tokens, rowsPerImage, (start, block, activations) =>
            {
                if (copy.Length < block.Rows * block.Columns) copy = new float[block.Rows * block.Columns];
                block.CopyTo(copy);
                for (int t = 0; t < block.Rows; t++) sums.Add(start + t, copy.AsSpan(t * block.Columns, block.Columns), activations.Row(t));
            }, progress, cancellation);
            sums.Finish();
            return new SaeSamples(rows, images, raw, latents);
        }
        catch
        {
            raw.Dispose();
            latents.Dispose();
            throw;
        }
    }

    /// <summary>[samples, d_in] what the model makes of the samples' latents: decoding is linear, so the mean reconstruction is the reconstruction of the mean.</summary>
    public Matrix<float> Reconstructions(SaeModel model)
    {
        using PlacedMatrix<float> decoder = model.Decoder.OnHost();
        float[] bias = new float[model.InputWidth];
        model.Arrays.DecoderBias.CopyTo(bias);
        Matrix<float> rebuilt = Raw.Device.AllocateMatrix<float>(Raw.Rows, Raw.Columns);
        Gemm.Multiply(Transpose.No, Transpose.No, 1f, Latents.View, decoder.Matrix.View, 0f, rebuilt.View);
        for (int i = 0; i < rebuilt.Rows; i++)
            for (int k = 0; k < bias.Length; k++) rebuilt.Row(i)[k] += bias[k];
        return rebuilt;
    }

    public void Dispose()
    {
        Raw.Dispose();
        Latents.Dispose();
    }

    private static int[] Choose(int all, int most, ulong seed)
    {
        int[] rows = [.. Enumerable.Range(0, all)];
        if (all <= most) return rows;
        new CounterRandom(seed, stream: 0x5A3B).Shuffle<int>(rows);
        return [.. rows.Take(most).Order()];
    }

    private sealed class Sums(int[] rows, IReadOnlyList<int>? rowsPerImage, Matrix<float> raw, Matrix<float> latents)
    {
        private readonly double[] _raw = new double[raw.Columns], _latents = new double[latents.Columns];
        private int _next, _image;
        private long _left = rowsPerImage is null ? 1 : rowsPerImage[0];

        public void Add(long token, ReadOnlySpan<float> tokenRow, ReadOnlySpan<float> latentRow)
        {
            if (rowsPerImage is null) _image = (int)token;
            else while (_left == 0) Close();
            if (_next < rows.Length && rows[_next] == _image)
            {
                for (int k = 0; k < tokenRow.Length; k++) _raw[k] += tokenRow[k];
                for (int j = latentRow.IndexOfAnyExcept(0f); j >= 0;)
                {
                    _latents[j] += latentRow[j];
                    int next = latentRow[(j + 1)..].IndexOfAnyExcept(0f);
                    j = next < 0 ? -1 : j + 1 + next;
                }
            }
            if (rowsPerImage is null) Close();
            else _left--;
        }

        public void Finish()
        {
            while (rowsPerImage is not null && _image < rowsPerImage.Count) Close();
        }

        private void Close()
        {
            if (_next < rows.Length && rows[_next] == _image)
            {
                double count = Math.Max(1, rowsPerImage?[_image] ?? 1);
                for (int k = 0; k < _raw.Length; k++) raw.Row(_next)[k] = (float)(_raw[k] / count);
                for (int j = 0; j < _latents.Length; j++) latents.Row(_next)[j] = (float)(_latents[j] / count);
                Array.Clear(_raw);
                Array.Clear(_latents);
                _next++;
            }
            if (rowsPerImage is not null && ++_image < rowsPerImage.Count) _left = rowsPerImage[_image];
        }
    }
}
