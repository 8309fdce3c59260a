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
        RuntimeHelpers.EnsureSufficientExecutionStack();
        int count = inner.Read(buffer);
        _bytesLeft -= count;
        if (_bytesLeft < 0 || --_callsLeft < 0) throw new InvalidDataException("its structure runs in circles");
        return count;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override int ReadByte()
    {
        Span<byte> one = stackalloc byte[1];
        return Read(one) == 0 ? -1 : one[0];
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
}
