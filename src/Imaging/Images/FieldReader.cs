using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>
/// Reads fields in a given order and ahead of their use, so that files are decoded while the fields before them are measured or encoded. What is handed
/// out, and the error that comes first, are those of reading one field after the other; only with one thread is nothing read ahead.
/// </summary>
internal sealed class FieldReader(ImageSet images, IReadOnlyList<int> fields, int threads) : IDisposable
{
    /// <summary>Fields that wait for their use take at most about this much memory, whatever the number of threads.</summary>
    private const long AheadBytes = 512L << 20;
    private const int MostAhead = 8;
    private readonly Queue<Task<ImageStack>> _ahead = new();
    private int _started;
    private int _taken;

    /// <summary>The next field of the order.</summary>
    /// <exception cref="DataException">It cannot be read.</exception>
    public ImageStack Next(CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        if (threads == 1) return Read(fields[_taken++]);
        // Until a field has been seen its size is not known, so the first comes alone.
        if (_ahead.Count == 0) Start();
        ImageStack image = _ahead.Dequeue().GetAwaiter().GetResult();
        _taken++;
        long bytes = Math.Max(1, (long)image.Channels * image.Height * image.Width * sizeof(float));
        int depth = (int)Math.Clamp(AheadBytes / bytes, 1, Math.Min(threads, MostAhead));
        while (_started < fields.Count && _started - _taken < depth) Start();
        return image;
    }

    /// <summary>Waits for the reads in progress; what they found no longer matters.</summary>
    public void Dispose()
    {
        while (_ahead.TryDequeue(out Task<ImageStack>? read)) ((IAsyncResult)read).AsyncWaitHandle.WaitOne();
    }

    private void Start()
    {
        int field = fields[_started++];
        _ahead.Enqueue(Task.Run(() => Read(field)));
    }

    private ImageStack Read(int field) => images.Fields[field].Read(images.Pages);
}
