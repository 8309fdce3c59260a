using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>Reads through to another stream and checks length and CRC-32 once everything has been read.</summary>
internal sealed class CrcStream(Stream inner, long length, uint expected, string source, string member) : Stream
{
    private uint _crc;
    private long _read;

    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => false;
    public override long Length => length;
    public override long Position { get => _read; set => throw new NotSupportedException(); }

    public override int Read(Span<byte> buffer)
    {
        if (buffer.Length > length - _read) buffer = buffer[..(int)(length - _read)];
        int count = buffer.Length == 0 ? 0 : inner.Read(buffer);
        _crc = Crc32.Append(_crc, buffer[..count]);
        _read += count;
        return count;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    /// <summary>Reads what is left and compares.</summary>
    public void Verify()
    {
        byte[] rest = new byte[8192];
        while (Read(rest) > 0) { }
        if (_read != length) throw new DataException(source, member, $"is truncated: {_read} of {length} bytes are there");
        if (_crc != expected) throw new DataException(source, member, "is damaged: its checksum (CRC-32) does not match");
    }

    public override void Flush() { }
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing) inner.Dispose();
        base.Dispose(disposing);
    }
}
