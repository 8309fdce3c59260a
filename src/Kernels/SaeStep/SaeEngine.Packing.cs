using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

internal static unsafe partial class SaeEngine<TSimd, TVector>
{
    /// <summary>The addresses of a parameter set, storable in a job.</summary>
    private struct Pointers
    {
        public float* Encoder, Gate, EncoderBias, GateBias, MagnitudeScale, Threshold, Decoder;
        public long MagnitudeStride, GateStride, DecoderStride;

        public static Pointers Of(SaeParameters p) => new()
        {
            Encoder = p.Encoder.Pointer,
            MagnitudeStride = p.Encoder.Stride,
            Gate = p.Gate.Pointer,
            GateStride = p.Gate.Stride,
            EncoderBias = p.EncoderBias.Pointer,
            GateBias = p.GateBias.Pointer,
            MagnitudeScale = p.MagnitudeScale.Pointer,
            Threshold = p.Threshold.Pointer,
            Decoder = p.Decoder.Pointer,
            DecoderStride = p.Decoder.Stride,
        };
    }

    /// <summary>One block of latents: encoder columns become panels, biases get closed padding, accumulators are cleared.</summary>
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
            bool gated = space.Shape.HasGateBias, norms = Context.Linear || Context.Pairwise;
            byte* dead = space.Dead.Pointer;
            for (int j = 0; j < BlockLatents; j++)
            {
                int latent = first + j;
                bool exists = j < real;
                // Padding latents have both pre-activations at −1: in none of the sets.
                space.EncoderBias[latent] = exists ? Parameters.EncoderBias[latent] : -1;
                space.GateBias[latent] = !exists ? -1 : gated ? Parameters.GateBias[latent] : Parameters.EncoderBias[latent];
                space.Scale[latent] = exists && space.Shape.HasMagnitudeScale ? MathF.Exp(Parameters.MagnitudeScale[latent]) : 1;
                space.Threshold[latent] = !exists ? float.PositiveInfinity : Context.Thresholded ? Parameters.Threshold[latent] : 0;
                space.Floor[latent] = Math.Max(space.Threshold[latent], 0);
                space.DeadLanes[latent] = BitConverter.Int32BitsToSingle(exists && dead[latent] != 0 ? -1 : 0);
                float* row = Parameters.Decoder + latent * Parameters.DecoderStride;
                space.DecoderNorms[latent] = exists && norms ? MathF.Sqrt(Dot(d, row, row)) : 0;
                if (exists && Context.Backward) new Span<float>(Context.DecoderGradient + latent * Context.DecoderGradientStride, d).Clear();
            }
            new Span<int>(space.Usage + first, BlockLatents).Clear();
            new Span<long>(space.WindowPairs + first, BlockLatents).Clear();
            new Span<double>(space.MagnitudeBiasGradient + first, BlockLatents).Clear();
            new Span<double>(space.GateBiasGradient + first, BlockLatents).Clear();
            new Span<double>(space.LengthGradient + first, BlockLatents).Clear();
            new Span<double>(space.ScaleGradient + first, BlockLatents).Clear();
            new Span<double>(space.ThresholdGradient + first, BlockLatents).Clear();
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

    /// <summary>Decoder rows of one block of latents as panels [d_in][latent], the second operand of r W_decᵀ.</summary>
    private struct DecoderColumnPackJob : IBlockJob
    {
        public Context Context;

        public void Execute(long block, int worker)
        {
            int first = (int)block * BlockLatents, last = Math.Min(first + BlockLatents, Context.Space.Latents), d = Context.Width;
            for (int latent = first; latent < last; latent++)
            {
                float* row = Context.Decoder + latent * Context.DecoderStride, panel = Context.Space.DecoderPanels + (long)(latent / Panel) * Panel * d + latent % Panel;
                for (int k = 0; k < d; k++) panel[(long)k * Panel] = row[k];
            }
        }
    }

    /// <summary>Six tokens, less the decoder bias where the encoder sees them so, as the first operand of the encoder product: [d_in][6].</summary>
    private struct TokenPackJob : IBlockJob
    {
        public Context Context;

        public void Execute(long block, int worker)
        {
            int first = (int)block * Sliver;
            if (Context.Subtract) Subtract(Context, first, Math.Min(first + Sliver, Context.TileTokens));
            PackRows(Context.Input, Context.InputStride, (int)block, Context.TileTokens, Context.Width, Context.Space.TokenSlivers);
        }
    }

    private static void Subtract(in Context context, int first, int last)
    {
        for (int t = first; t < last; t++)
        {
            float* token = context.Tokens + t * context.TokenStride, input = context.Input + t * context.InputStride;
            for (int i = 0; i < context.Width; i++) input[i] = token[i] - context.DecoderBias[i];
        }
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

    /// <summary>Some columns of a tile: their sums, and others of the same place as the first operand of a weight-gradient product, [tokens][6] a sliver.</summary>
    private struct ColumnPackJob : IBlockJob
    {
        private const int SliversPerBlock = 8;

        public Context Context;
        public float* Source, SliverSource;
        public long SourceStride, SliverStride;
        public float* Slivers;
        public double* Sums;

        public static int Blocks(in Context context) => (context.Space.PaddedRows / Sliver + SliversPerBlock - 1) / SliversPerBlock;

        public void Execute(long block, int worker)
        {
            int first = (int)block * SliversPerBlock, last = Math.Min(first + SliversPerBlock, Context.Space.PaddedRows / Sliver), d = Context.Width;
            AddColumns(first * Sliver, Math.Min(last * Sliver, d));
            if (Slivers == null) return;
            for (int t = 0; t < Context.TileTokens; t++)
            {
                float* other = SliverSource + t * SliverStride;
                for (int sliver = first; sliver < last; sliver++)
                {
                    int count = Math.Min(Sliver, d - sliver * Sliver);
                    float* target = Slivers + (long)sliver * Sliver * Context.Space.TileTokens + (long)t * Sliver;
                    for (int i = 0; i < count; i++) target[i] = other[sliver * Sliver + i];
                    for (int i = count; i < Sliver; i++) target[i] = 0;
                }
            }
        }

        private readonly void AddColumns(int first, int last)
        {
            int i = first;
            for (; i <= last - 16; i += 16)
            {
                Vector256<double> s0 = Vector256.Load(Sums + i), s1 = Vector256.Load(Sums + i + 4), s2 = Vector256.Load(Sums + i + 8), s3 = Vector256.Load(Sums + i + 12);
                for (int t = 0; t < Context.TileTokens; t++)
                {
                    float* row = Source + t * SourceStride + i;
                    (Vector256<double> low, Vector256<double> high) = Vector256.Widen(Vector256.Load(row));
                    (s0, s1) = (s0 + low, s1 + high);
                    (low, high) = Vector256.Widen(Vector256.Load(row + 8));
                    (s2, s3) = (s2 + low, s3 + high);
                }
                s0.Store(Sums + i);
                s1.Store(Sums + i + 4);
                s2.Store(Sums + i + 8);
                s3.Store(Sums + i + 12);
            }
            for (; i < last; i++)
                for (int t = 0; t < Context.TileTokens; t++) Sums[i] += Source[t * SourceStride + i];
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
}
