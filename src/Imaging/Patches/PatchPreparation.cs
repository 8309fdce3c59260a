using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>
/// Turns patches into encoder input: divide by full scale, scale each channel (<see cref="InputScaling"/>), replicate grey when the encoder
/// wants more channels, resample to the encoder's side. Patches are independent, so the result does not depend on the number of threads.
/// </summary>
public sealed class PatchPreparation
{
    private readonly PatchWorker[] _workers;

    /// <param name="device">The host device whose threads do the work.</param>
    /// <param name="patchSize">Side of a patch in pixels.</param>
    /// <param name="inputSize">Side of the encoder's input in pixels.</param>
    /// <param name="channels">Channels of the encoder's input.</param>
    public PatchPreparation(CpuDevice device, int patchSize, int inputSize, int channels, InputScaling scaling)
    {
        scaling.RequireChannels(channels);
        (Device, PatchSize, InputSize, Channels, Scaling) = (device, patchSize, inputSize, channels, scaling);
        _workers = [.. Enumerable.Range(0, device.Pool.Threads).Select(_ => new PatchWorker(patchSize, inputSize))];
    }

    public CpuDevice Device { get; }
    public int PatchSize { get; }
    public int InputSize { get; }
    public int Channels { get; }
    public InputScaling Scaling { get; }

    /// <summary>Values per patch: channels * inputSize * inputSize.</summary>
    public int InputLength => checked(Channels * InputSize * InputSize);

    /// <summary>Fills the rows of <paramref name="input"/> [patches, <see cref="InputLength"/>] with prepared patches, channel after channel.</summary>
    public unsafe void Fill(IReadOnlyList<PatchSource> patches, MatrixView<float> input)
    {
        if (input.Rows < patches.Count || input.Columns != InputLength) throw new ArgumentException($"{patches.Count} x {InputLength} input expected.", nameof(input));
        FillJob job = new(this, patches, input.Pointer, input.Stride);
        Device.Pool.Run(patches.Count, ref job);
    }

    private void FillOne(PatchSource patch, Span<float> row, PatchWorker worker)
    {
        int plane = InputSize * InputSize;
        for (int channel = 0; channel < Channels; channel++)
        {
            bool replica = channel > 0 && patch.Image.Channels == 1;
            if (!replica || Scaling != InputScaling.PerPatch)
            {
                Extract(patch, replica ? 0 : channel, worker.Patch);
                Scaling.Apply(worker.Patch, channel);
                if (worker.Resampler is { } resampler) resampler.Apply(worker.Patch, row.Slice(channel * plane, plane));
                else worker.Patch.CopyTo(row.Slice(channel * plane, plane));
            }
            else row[..plane].CopyTo(row.Slice(channel * plane, plane));
        }
    }

    private void Extract(PatchSource patch, int channel, Span<float> values)
    {
        float factor = (float)(1 / patch.Image.FullScale);
        ReadOnlySpan<float> plane = patch.Image.Channel(channel);
        for (int y = 0; y < PatchSize; y++)
        {
            ReadOnlySpan<float> source = plane.Slice((patch.Y + y) * patch.Image.Width + patch.X, PatchSize);
            Span<float> target = values.Slice(y * PatchSize, PatchSize);
            for (int x = 0; x < source.Length; x++) target[x] = source[x] * factor;
        }
    }

    private sealed class PatchWorker(int patchSize, int inputSize)
    {
        public float[] Patch { get; } = new float[patchSize * patchSize];
        public Resampler? Resampler { get; } = patchSize == inputSize ? null : new Resampler(patchSize, inputSize);
    }

    private readonly unsafe struct FillJob(PatchPreparation owner, IReadOnlyList<PatchSource> patches, float* input, long stride) : IBlockJob
    {
        public void Execute(long block, int worker) =>
            owner.FillOne(patches[(int)block], new Span<float>(input + block * stride, owner.InputLength), owner._workers[worker]);
    }
}

/// <summary>One patch of an image: its upper left corner.</summary>
public readonly record struct PatchSource(ImageStack Image, int X, int Y);
