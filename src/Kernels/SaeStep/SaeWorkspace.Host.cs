using BioSup.Runtime;

namespace BioSup.Kernels;

public sealed unsafe partial class SaeWorkspace
{
    // Per latent: e^r_mag; θ, max(θ, 0), and all bits set where dead.
    internal float* Scale, Threshold, Floor, DeadLanes;
    internal double* LengthGradient, ScaleGradient, ThresholdGradient;

    // Pairs within the window of a threshold.
    internal long* WindowPairs;

    // One tile: tokens less the decoder bias, residuals of every prefix [prefix][token], pairs the sparse backward pass visits.
    internal float* InputRows, ResidualRows, AuxRows, AuxSlivers, AuxMaxima;
    internal ulong* ReachMask;

    // Sparse backward pass: gradients of encoder columns as rows [d_sae][d_in], lists of tokens by latent per worker.
    internal float* EncoderGradientRows, GateGradientRows;
    internal int* TokenLists, AuxLists;
    internal float* AuxListValues;

    // The choice among all pairs of a batch.
    internal int* CandidateLatent;
    internal float* CandidatePre, CandidateValue, BatchAuxPre;
    internal long* CandidateStart, CandidateCount;
    internal int* BatchAuxIndex, BatchAuxCount;

    /// <summary>Widths of the nested dictionaries of the last step.</summary>
    internal int* PrefixEnds;

    private int _prefixRoom;
    private int _batchRoom;

    /// <summary>A value somewhat below which nothing was chosen in the last batch: where the next one starts to look. Results do not depend on it.</summary>
    internal float BatchBound { get; set; }

    internal long CandidateRoom { get; private set; }

    internal int Prefixes { get; private set; }

    private void AllocateShape()
    {
        Scale = New<float>(PaddedLatents);
        Threshold = New<float>(PaddedLatents);
        Floor = New<float>(PaddedLatents);
        DeadLanes = New<float>(PaddedLatents);
        LengthGradient = New<double>(PaddedLatents);
        ScaleGradient = New<double>(PaddedLatents);
        ThresholdGradient = New<double>(PaddedLatents);
        WindowPairs = New<long>(PaddedLatents);
        bool reach = Shape.Architecture is SaeArchitecture.Gated or SaeArchitecture.GatedOriginal or SaeArchitecture.JumpRelu;
        ReachMask = reach ? New<ulong>((long)TileTokens * MaskWords) : ActiveMask;
        AuxMaxima = Shape.HasActiveLatents ? New<float>((long)TileTokens * PaddedLatents / 8) : PanelMaxima;
        if (Shape.SubtractDecoderBias) InputRows = New<float>((long)TileTokens * PaddedColumns);
        RequirePrefixes(1);
    }

    /// <summary>Room for residuals of so many nested dictionaries.</summary>
    internal void RequirePrefixes(int count)
    {
        Prefixes = count;
        if (count <= _prefixRoom) return;
        _prefixRoom = count;
        Replace(ref ResidualRows, (long)count * TileTokens * PaddedColumns);
        Replace(ref PrefixEnds, count);
    }

    /// <summary>Buffers for backward passes that visit single pairs; made when the first such tile is met.</summary>
    internal void RequireSparseBuffers()
    {
        if (EncoderGradientRows != null) return;
        EncoderGradientRows = New<float>((long)PaddedLatents * PaddedColumns);
        GateGradientRows = Tied ? EncoderGradientRows : New<float>((long)PaddedLatents * PaddedColumns);
    }

    /// <summary>Lists of tokens by latent; made when the first tile needs them.</summary>
    internal void RequireLists()
    {
        if (TokenLists != null) return;
        long lists = (long)_device.Pool.Threads * BlockLatents * TileTokens;
        TokenLists = New<int>(lists + (long)_device.Pool.Threads * ListScratch * TileTokens);
        AuxLists = New<int>(lists);
        AuxListValues = New<float>((long)_device.Pool.Threads * ListScratchValues * TileTokens);
    }

    /// <summary>Tiles' worth of integers and of numbers for the lists of one latent at hand.</summary>
    internal const int ListScratch = 3, ListScratchValues = 7;

    /// <summary>Errors of the auxiliary reconstruction as rows, and as operand of a dense product.</summary>
    internal void RequireAuxiliaryRows()
    {
        if (AuxRows != null) return;
        AuxRows = New<float>((long)TileTokens * PaddedColumns);
        AuxSlivers = New<float>((long)TileTokens * InputWidth);
    }

    /// <summary>Room for the choice of so many tokens.</summary>
    internal void RequireBatch(int tokens, long candidates)
    {
        if (tokens > _batchRoom)
        {
            _batchRoom = tokens;
            Replace(ref CandidateStart, tokens + 1L);
            Replace(ref CandidateCount, TileTokens);
            Replace(ref BatchAuxCount, tokens);
            if (AuxLatents > 0)
            {
                Replace(ref BatchAuxIndex, (long)tokens * AuxLatents);
                Replace(ref BatchAuxPre, (long)tokens * AuxLatents);
            }
        }
        if (candidates <= CandidateRoom) return;
        CandidateRoom = candidates;
        Replace(ref CandidateLatent, candidates);
        Replace(ref CandidatePre, candidates);
        Replace(ref CandidateValue, candidates);
    }

    /// <summary>Makes more room for candidates and keeps those there are.</summary>
    internal void GrowCandidates(long used, long candidates)
    {
        int* latents = CandidateLatent;
        float* pre = CandidatePre, values = CandidateValue;
        IDisposable[] old = [.. _buffers.Where(b => Owns(b, latents) || Owns(b, pre) || Owns(b, values))];
        CandidateLatent = null;
        CandidatePre = CandidateValue = null;
        RequireBatch(0, candidates);
        new ReadOnlySpan<int>(latents, (int)used).CopyTo(new Span<int>(CandidateLatent, (int)used));
        new ReadOnlySpan<float>(pre, (int)used).CopyTo(new Span<float>(CandidatePre, (int)used));
        new ReadOnlySpan<float>(values, (int)used).CopyTo(new Span<float>(CandidateValue, (int)used));
        foreach (IDisposable buffer in old)
        {
            _buffers.Remove(buffer);
            buffer.Dispose();
        }
    }

    private void Replace<T>(ref T* pointer, long length) where T : unmanaged
    {
        void* old = pointer;
        if (old != null)
        {
            IDisposable buffer = _buffers.Single(b => Owns(b, old));
            _buffers.Remove(buffer);
            buffer.Dispose();
        }
        pointer = New<T>(length);
    }

    private static bool Owns(IDisposable buffer, void* pointer) => buffer switch
    {
        DeviceBuffer<float> b => b.Pointer == pointer,
        DeviceBuffer<int> b => b.Pointer == pointer,
        DeviceBuffer<long> b => b.Pointer == pointer,
        _ => false,
    };
}
