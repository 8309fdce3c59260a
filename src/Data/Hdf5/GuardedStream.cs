using System.Runtime.CompilerServices;

namespace BioSup.Data;

/// <summary>
/// The file under an HDF5 reader. A damaged file can send a reader in circles or down an endless recursion; both go through here, so both
/// end here: with a limit on the number of reads between two calls of <see cref="Reset"/> and a check of the stack.
/// </summary>
internal sealed class GuardedStream(FileStream inner) : Stream
{
    private readonly long _length = inner.Length;
    private long _bytesLeft;
    private long _callsLeft;

    public override bool CanRead => true;
    public override bool CanSeek => true;
    public override bool CanWrite => false;
    public override long Length => _length;

    public override long Position
    {
        get => inner.Position;
        set => inner.Position = value >= 0 && value <= _length ? value : throw new InvalidDataException($"the address {value} lies outside the file of {_length} bytes");
    }

    /// <summary>Grants a new allowance: every byte of the file eight times and a few million small reads.</summary>
    public void Reset()
    {
        _bytesLeft = 8 * _length + (64L << 20);
        _callsLeft = 2 * _length + 1_000_000;
    }

    public override int Read(Span<byte> buffer)
    {
        ReadWhole(buffer);
        return buffer.Length;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override int ReadByte()
    {
        Span<byte> one = stackalloc byte[1];
        ReadWhole(one);
        return one[0];
    }

    public override long Seek(long offset, SeekOrigin origin) => Position = origin switch
    {
        SeekOrigin.Begin => offset,
        SeekOrigin.Current => inner.Position + offset,
        _ => _length + offset,
    };

    public override void Flush() { }
    public override void SetLength(long value) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing) inner.Dispose();
        base.Dispose(disposing);
    }

    private void ReadWhole(Span<byte> buffer)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        // Checked before the buffer is touched: a size taken from damaged bytes costs address space but no memory.
        if (buffer.Length > _length - inner.Position) throw new EndOfStreamException($"{buffer.Length} bytes were expected at {inner.Position}, the file has {_length}");
        _bytesLeft -= buffer.Length;
        if (_bytesLeft < 0 || --_callsLeft < 0) throw new InvalidDataException("its structure runs in circles");
        inner.ReadExactly(buffer);
    }
}
