using BioSup.Runtime;

namespace BioSup.Kernels;

internal static unsafe partial class SaeEngine<TSimd, TVector>
{
    /// <summary>Gradients of one block of latents from panels and rows to the layout of the parameters.</summary>
    private struct UnpackJob : IBlockJob
    {
        public Context Context;
        public Pointers Gradients;

        /// <summary>Which kinds of tiles there were.</summary>
        public bool DenseDecode, DenseProducts, Pairs;

        public void Execute(long block, int worker)
        {
            SaeWorkspace space = Context.Space;
            int first = (int)block * BlockLatents, last = Math.Min(first + BlockLatents, space.Latents);
            Unpack(space.MagnitudeGradient, space.EncoderGradientRows, Gradients.Encoder, Gradients.MagnitudeStride, first, last);
            if (!Context.Tied) Unpack(space.GateGradient, space.GateGradientRows, Gradients.Gate, Gradients.GateStride, first, last);
            bool gated = space.Shape.HasGateBias;
            for (int latent = first; latent < last; latent++)
            {
                double magnitude = space.MagnitudeBiasGradient[latent], gate = space.GateBiasGradient[latent];
                Gradients.EncoderBias[latent] = (float)(gated ? magnitude : magnitude + gate);
                if (gated) Gradients.GateBias[latent] = (float)gate;
                if (space.Shape.HasMagnitudeScale) Gradients.MagnitudeScale[latent] = (float)space.ScaleGradient[latent];
                if (space.Shape.HasThreshold)
                    Gradients.Threshold[latent] = Context.Jump ? (float)(space.ThresholdGradient[latent] - space.WindowPairs[latent] * (double)Context.StepGradient / Context.Bandwidth) : 0;
                float* row = Gradients.Decoder + latent * Gradients.DecoderStride;
                if (DenseDecode)
                {
                    float* panel = space.DecoderGradientPanels + (long)(latent / Panel) * Panel * space.PaddedRows + latent % Panel;
                    for (int k = 0; k < space.InputWidth; k++) row[k] += panel[(long)k * Panel];
                }
                float norm = space.DecoderNorms[latent];
                if (Context.Free && norm > 0) AddScaled(Context.Width, (float)(space.LengthGradient[latent] / norm), Context.Decoder + latent * Context.DecoderStride, row);
            }
        }

        /// <summary>From panels, from rows (transposed, 16 latents at a time so that whole lines are written), or their sum.</summary>
        private readonly void Unpack(float* panels, float* rows, float* target, long stride, int first, int last)
        {
            const int width = 16, depth = 64;
            float* columns = stackalloc float[width * depth];
            long rowStride = Context.Space.PaddedColumns;
            for (int j = first; j < last; j += width)
                for (int k0 = 0; k0 < Context.Width; k0 += depth)
                {
                    int count = Math.Min(width, last - j), k1 = Math.Min(k0 + depth, Context.Width);
                    if (Pairs)
                        for (int i = 0; i < count; i++)
                            for (int k = k0; k < k1; k++) columns[(k - k0) * width + i] = rows[(j + i) * rowStride + k];
                    for (int k = k0; k < k1; k++)
                    {
                        float* output = target + k * stride + j, column = columns + (k - k0) * width;
                        if (!DenseProducts)
                        {
                            new ReadOnlySpan<float>(column, count).CopyTo(new Span<float>(output, count));
                            continue;
                        }
                        for (int i = 0, chunk = Math.Min(width, Panel); i < count; i += chunk)
                        {
                            float* dense = panels + (long)((j + i) / Panel) * Panel * Context.Space.PaddedRows + (long)k * Panel + (j + i) % Panel;
                            int length = Math.Min(chunk, count - i);
                            if (Pairs) for (int lane = 0; lane < length; lane++) output[i + lane] = dense[lane] + column[i + lane];
                            else new ReadOnlySpan<float>(dense, length).CopyTo(new Span<float>(output + i, length));
                        }
                    }
                }
        }
    }

    /// <summary>The decoder bias takes the residuals' sum; where the encoder sees tokens less the bias, also what comes through the encoder.</summary>
    private struct DecoderBiasJob : IBlockJob
    {
        private const int RowsPerBlock = 16;

        public Context Context;
        public float* Output;

        public static int Blocks(in Context context) => (context.Width + RowsPerBlock - 1) / RowsPerBlock;

        public void Execute(long block, int worker)
        {
            SaeWorkspace space = Context.Space;
            int last = Math.Min((int)(block + 1) * RowsPerBlock, Context.Width);
            for (int i = (int)block * RowsPerBlock; i < last; i++)
            {
                double sum = space.DecoderBiasGradient[i];
                float* row = Context.Encoder + i * Context.MagnitudeStride, gate = Context.Gate + i * Context.GateStride;
                for (int j = 0; Context.Subtract && j < space.Latents; j++)
                {
                    double magnitude = space.MagnitudeBiasGradient[j] * space.Scale[j], own = space.GateBiasGradient[j];
                    sum -= Context.Tied ? row[j] * (magnitude + own) : row[j] * magnitude + gate[j] * own;
                }
                Output[i] = (float)sum;
            }
        }
    }
}
