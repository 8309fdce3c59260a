using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>The two passes of <see cref="SaeUpdate"/>: blocks of elements, and blocks of whole decoder rows after them.</summary>
internal static unsafe class SaeUpdateEngine<TSimd, TVector>
    where TSimd : struct, ISimd<TVector, float>
    where TVector : unmanaged
{
    public static double Apply(in SaeTensors tensors, in SaeUpdateOptions o, SaeWorkspace workspace)
    {
        WorkerPool pool = ((CpuDevice)workspace.Device).Pool;
        long decoderBlocks = (tensors.DecoderRows + SaeUpdate.BlockRows - 1) / SaeUpdate.BlockRows, blocks = decoderBlocks;
        for (int s = 0; s < tensors.Count; s++) blocks += Blocks(tensors[s].Length);
        double* sums = workspace.UpdateSums;
        bool unit = o.DecoderNorm == DecoderNorm.Unit;
        NormJob norm = new() { Tensors = tensors, DecoderBlocks = decoderBlocks, Sums = sums, Project = unit };
        pool.Run(blocks, ref norm);
        double squares = 0;
        for (long b = 0; b < blocks; b++) squares += sums[b];
        double total = Math.Sqrt(squares);
        // What is not finite would spread into every parameter; they stay as they are, so that the cause can be named.
        if (!double.IsFinite(total)) return total;
        AdamJob adam = new()
        {
            Tensors = tensors,
            DecoderBlocks = decoderBlocks,
            Unit = unit,
            Muon = o.Optimiser == SaeOptimiser.Muon,
            Clip = (float)SaeUpdate.ClipScale(total, o),
            Beta1 = (float)o.Beta1,
            Rest1 = (float)(1 - o.Beta1),
            Beta2 = (float)o.Beta2,
            Rest2 = (float)(1 - o.Beta2),
            Decay = (float)(1 - o.LearningRate * o.WeightDecay),
            Rate = (float)(o.LearningRate / (1 - Math.Pow(o.Beta1, o.Step))),
            Root = (float)(1 / Math.Sqrt(1 - Math.Pow(o.Beta2, o.Step))),
            Epsilon = (float)o.Epsilon,
        };
        pool.Run(blocks, ref adam);
        return total;
    }

    private static long Blocks(long length) => (length + SaeUpdate.BlockElements - 1) / SaeUpdate.BlockElements;

    /// <summary>Which elements a block after the decoder's owns.</summary>
    private static int Locate(in SaeTensors tensors, long block, out long start, out int count)
    {
        for (int s = 0; ; s++)
        {
            long length = tensors[s].Length, blocks = Blocks(length);
            if (block < blocks || s == tensors.Count - 1)
            {
                start = block * SaeUpdate.BlockElements;
                count = (int)Math.Min(SaeUpdate.BlockElements, length - start);
                return s;
            }
            block -= blocks;
        }
    }

    private struct NormJob : IBlockJob
    {
        private const int Chunk = 1024;

        public SaeTensors Tensors;
        public long DecoderBlocks;
        public double* Sums;
        public bool Project;

        public void Execute(long block, int worker)
        {
            double sum = 0;
            if (block < DecoderBlocks)
            {
                int d = Tensors.DecoderColumns, last = (int)Math.Min((block + 1) * SaeUpdate.BlockRows, Tensors.DecoderRows);
                for (int j = (int)block * SaeUpdate.BlockRows; j < last; j++) sum += Row(d, Tensors.Decoder.Value + (long)j * d, Tensors.Decoder.Gradient + (long)j * d);
            }
            else
            {
                SaeTensors.Segment segment = Tensors[Locate(Tensors, block - DecoderBlocks, out long start, out int count)];
                // Short runs in single precision, their sums in double.
                for (int i = 0; i < count; i += Chunk)
                {
                    float* g = segment.Gradient + start + i;
                    sum += SaeEngine<TSimd, TVector>.Dot(Math.Min(Chunk, count - i), g, g);
                }
            }
            Sums[block] = sum;
        }

        private readonly double Row(int d, float* row, float* gradient)
        {
            float squares = Project ? SaeEngine<TSimd, TVector>.Dot(d, row, row) : 0;
            if (squares > 0)
            {
                float factor = -SaeEngine<TSimd, TVector>.Dot(d, gradient, row) / squares;
                int i = 0, lanes = TSimd.Count;
                for (; i <= d - lanes; i += lanes) TSimd.Store(gradient + i, TSimd.MultiplyAdd(TSimd.Broadcast(factor), TSimd.Load(row + i), TSimd.Load(gradient + i)));
                for (; i < d; i++) gradient[i] = MathF.FusedMultiplyAdd(factor, row[i], gradient[i]);
            }
            return SaeEngine<TSimd, TVector>.Dot(d, gradient, gradient);
        }
    }

    private struct AdamJob : IBlockJob
    {
        public SaeTensors Tensors;
        public long DecoderBlocks;
        public bool Unit, Muon;
        public float Clip, Beta1, Rest1, Beta2, Rest2, Decay, Rate, Root, Epsilon;

        public void Execute(long block, int worker)
        {
            if (block >= DecoderBlocks)
            {
                int index = Locate(Tensors, block - DecoderBlocks, out long start, out int count);
                if (Muon && Tensors.IsMatrix(index)) return;
                SaeTensors.Segment segment = Tensors[index];
                if (index != Tensors.Threshold)
                {
                    Move(segment, start, count, Decay);
                    return;
                }
                Move(segment, start, count, 1);
                for (float* theta = segment.Value + start; theta < segment.Value + start + count; theta++) *theta = Math.Max(*theta, 0);
                return;
            }
            if (Muon) return;
            int d = Tensors.DecoderColumns, last = (int)Math.Min((block + 1) * SaeUpdate.BlockRows, Tensors.DecoderRows);
            for (int j = (int)block * SaeUpdate.BlockRows; j < last; j++)
            {
                Move(Tensors.Decoder, (long)j * d, d, Decay);
                if (!Unit) continue;
                float* row = Tensors.Decoder.Value + (long)j * d;
                float squares = SaeEngine<TSimd, TVector>.Dot(d, row, row);
                if (squares > 0) Scale(d, 1 / MathF.Sqrt(squares), row);
            }
        }

        private readonly void Move(in SaeTensors.Segment s, long start, int count, float keep)
        {
            float* p = s.Value + start, g = s.Gradient + start, m = s.First + start, v = s.Second + start;
            TVector clip = TSimd.Broadcast(Clip), beta1 = TSimd.Broadcast(Beta1), rest1 = TSimd.Broadcast(Rest1), beta2 = TSimd.Broadcast(Beta2), rest2 = TSimd.Broadcast(Rest2);
            TVector decay = TSimd.Broadcast(keep), rate = TSimd.Broadcast(-Rate), root = TSimd.Broadcast(Root), epsilon = TSimd.Broadcast(Epsilon);
            int i = 0, lanes = TSimd.Count;
            for (; i <= count - lanes; i += lanes)
            {
                TVector gradient = TSimd.Multiply(TSimd.Load(g + i), clip);
                TVector first = TSimd.MultiplyAdd(gradient, rest1, TSimd.Multiply(TSimd.Load(m + i), beta1));
                TVector second = TSimd.MultiplyAdd(TSimd.Multiply(gradient, gradient), rest2, TSimd.Multiply(TSimd.Load(v + i), beta2));
                TSimd.Store(m + i, first);
                TSimd.Store(v + i, second);
                TVector denominator = TSimd.MultiplyAdd(TSimd.Sqrt(second), root, epsilon);
                TSimd.Store(p + i, TSimd.MultiplyAdd(rate, TSimd.Divide(first, denominator), TSimd.Multiply(TSimd.Load(p + i), decay)));
            }
            for (; i < count; i++)
            {
                float gradient = g[i] * Clip;
                m[i] = MathF.FusedMultiplyAdd(gradient, Rest1, m[i] * Beta1);
                v[i] = MathF.FusedMultiplyAdd(gradient * gradient, Rest2, v[i] * Beta2);
                p[i] = MathF.FusedMultiplyAdd(-Rate, m[i] / MathF.FusedMultiplyAdd(MathF.Sqrt(v[i]), Root, Epsilon), p[i] * keep);
            }
        }

        private static void Scale(int d, float factor, float* row)
        {
            int i = 0, lanes = TSimd.Count;
            for (; i <= d - lanes; i += lanes) TSimd.Store(row + i, TSimd.Multiply(TSimd.Load(row + i), TSimd.Broadcast(factor)));
            for (; i < d; i++) row[i] *= factor;
        }
    }
}
