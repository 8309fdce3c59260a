using BioSup.Runtime;

namespace BioSup.Kernels;

internal static unsafe partial class SaeEngine<TSimd, TVector>
{
    /// <summary>The addresses of a parameter set, storable in a job.</summary>
    private struct Pointers
    {
        public float* Encoder, Gate, EncoderBias, GateBias, Decoder;
        public long MagnitudeStride, GateStride, DecoderStride;

        public static Pointers Of(SaeParameters p) => new()
        {
            Encoder = p.Encoder.Pointer,
            MagnitudeStride = p.Encoder.Stride,
            Gate = p.Gate.Pointer,
            GateStride = p.Gate.Stride,
            EncoderBias = p.EncoderBias.Pointer,
            GateBias = p.GateBias.Pointer,
            Decoder = p.Decoder.Pointer,
            DecoderStride = p.Decoder.Stride,
        };
    }

    /// <summary>One block of latents: encoder columns and decoder rows become panels, biases get closed padding, accumulators are cleared.</summary>
    private struct PackJob : IBlockJob
    {
        public Context Context;
        public Pointers Parameters;

        public void Execute(long block, int worker)
        {
            SaeWorkspace space = Context.Space;
            int first = (int)block * BlockLatents, d = space.InputWidth, real = Math.Clamp(space.Latents - first, 0, BlockLatents);
            PackColumns(Parameters.Encoder, Parameters.MagnitudeStride, space.MagnitudePanels, first, real, d);
            if (!Context.Tied) PackColumns(Parameters.Gate, Parameters.GateStride, space.GatePanels, first, real, d);
            for (int j = 0; j < BlockLatents; j++)
            {
                int latent = first + j;
                bool exists = j < real;
                // Padding latents have both pre-activations at −1: in none of the sets.
                space.EncoderBias[latent] = exists ? Parameters.EncoderBias[latent] : -1;
                space.GateBias[latent] = exists ? Parameters.GateBias[latent] : -1;
                float* row = Parameters.Decoder + latent * Parameters.DecoderStride;
                float* panel = space.DecoderPanels + (long)(latent / Panel) * Panel * d + latent % Panel;
                if (exists) for (int k = 0; k < d; k++) panel[(long)k * Panel] = row[k];
                space.DecoderNorms[latent] = exists ? MathF.Sqrt(Dot(d, row, row)) : 0;
                if (exists && Context.Backward) new Span<float>(Context.DecoderGradient + latent * Context.DecoderGradientStride, d).Clear();
            }
            new Span<int>(space.Usage + first, BlockLatents).Clear();
            new Span<double>(space.MagnitudeBiasGradient + first, BlockLatents).Clear();
            new Span<double>(space.GateBiasGradient + first, BlockLatents).Clear();
        }

        private static void PackColumns(float* source, long stride, float* panels, int first, int real, int d)
        {
            for (int k = 0; k < d; k++)
            {
                float* row = source + k * stride + first;
                for (int j = 0; j < real; j += Panel)
                {
                    float* target = panels + (long)(first + j) * d + (long)k * Panel;
                    int count = Math.Min(Panel, real - j);
                    if (count == Panel)
                    {
                        TSimd.Store(target, TSimd.Load(row + j));
                        TSimd.Store(target + TSimd.Count, TSimd.Load(row + j + TSimd.Count));
                    }
                    else for (int i = 0; i < count; i++) target[i] = row[j + i];
                }
            }
        }
    }

    /// <summary>Six tokens as the first operand of the encoder product: [d_in][6].</summary>
    private struct TokenPackJob : IBlockJob
    {
        public Context Context;

        public void Execute(long block, int worker) =>
            PackRows(Context.Tokens, Context.TokenStride, (int)block, Context.TileTokens, Context.Width, Context.Space.TokenSlivers);
    }

    private static void PackRows(float* source, long stride, int sliver, int rows, int d, float* slivers)
    {
        float* target = slivers + (long)sliver * Sliver * d;
        for (int i = 0; i < Sliver; i++)
        {
            int row = sliver * Sliver + i;
            float* values = source + row * stride;
            if (row < rows) for (int k = 0; k < d; k++) target[(long)k * Sliver + i] = values[k];
            else for (int k = 0; k < d; k++) target[(long)k * Sliver + i] = 0;
        }
    }

    /// <summary>Some input dimensions of a tile as the first operand of a weight-gradient product, [tokens][6] a sliver, and their sums over the tile.</summary>
    private struct ColumnPackJob : IBlockJob
    {
        private const int SliversPerBlock = 8;

        public Context Context;
        public float* Source;
        public long SourceStride;
        public float* Slivers;
        public double* Sums;

        public static int Blocks(in Context context) => (context.Space.PaddedRows / Sliver + SliversPerBlock - 1) / SliversPerBlock;

        public void Execute(long block, int worker)
        {
            int first = (int)block * SliversPerBlock, last = Math.Min(first + SliversPerBlock, Context.Space.PaddedRows / Sliver), d = Context.Width;
            for (int t = 0; t < Context.TileTokens; t++)
            {
                float* row = Source + t * SourceStride;
                for (int sliver = first; sliver < last; sliver++)
                {
                    int count = Math.Min(Sliver, d - sliver * Sliver);
                    for (int i = 0; i < count; i++) Sums[sliver * Sliver + i] += row[sliver * Sliver + i];
                    if (Slivers == null) continue;
                    float* target = Slivers + (long)sliver * Sliver * Context.Space.TileTokens + (long)t * Sliver;
                    for (int i = 0; i < count; i++) target[i] = row[sliver * Sliver + i];
                    for (int i = count; i < Sliver; i++) target[i] = 0;
                }
            }
        }
    }

    /// <summary>Decoder rows as panels of input dimensions, the second operand of a dense decode.</summary>
    private struct DecoderRowPackJob : IBlockJob
    {
        public Context Context;

        public static int Blocks(in Context context) => (context.Width + Panel - 1) / Panel;

        public void Execute(long block, int worker)
        {
            int first = (int)block * Panel, count = Math.Min(Panel, Context.Width - first);
            float* target = Context.Space.DecoderRowPanels + block * Panel * Context.Space.PaddedLatents;
            for (int latent = 0; latent < Context.Space.Latents; latent++)
            {
                float* row = Context.Decoder + latent * Context.DecoderStride + first;
                for (int i = 0; i < count; i++) target[(long)latent * Panel + i] = row[i];
            }
        }
    }

    /// <summary>Gradient panels of one block of latents back to the layout of the parameters.</summary>
    private struct UnpackJob : IBlockJob
    {
        public Context Context;
        public Pointers Gradients;
        public bool AddDense;

        public void Execute(long block, int worker)
        {
            SaeWorkspace space = Context.Space;
            int first = (int)block * BlockLatents, last = Math.Min(first + BlockLatents, space.Latents);
            Unpack(space.MagnitudeGradient, Gradients.Encoder, Gradients.MagnitudeStride, first, last);
            if (!Context.Tied) Unpack(space.GateGradient, Gradients.Gate, Gradients.GateStride, first, last);
            for (int latent = first; latent < last; latent++)
            {
                Gradients.EncoderBias[latent] = (float)space.MagnitudeBiasGradient[latent];
                Gradients.GateBias[latent] = (float)space.GateBiasGradient[latent];
                if (!AddDense) continue;
                float* panel = space.DecoderGradientPanels + (long)(latent / Panel) * Panel * space.PaddedRows + latent % Panel;
                float* row = Gradients.Decoder + latent * Gradients.DecoderStride;
                for (int k = 0; k < space.InputWidth; k++) row[k] += panel[(long)k * Panel];
            }
        }

        private readonly void Unpack(float* panels, float* target, long stride, int first, int last)
        {
            for (int k = 0; k < Context.Width; k++)
                for (int j = first; j < last; j += Panel)
                {
                    int count = Math.Min(Panel, last - j);
                    float* source = panels + (long)j * Context.Space.PaddedRows + (long)k * Panel;
                    new ReadOnlySpan<float>(source, count).CopyTo(new Span<float>(target + k * stride + j, count));
                }
        }
    }
}
