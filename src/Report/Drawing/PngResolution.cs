using System.Buffers.Binary;

namespace BioSup.Report.Drawing;

/// <summary>States the resolution of a PNG in its chunk pHYs (PNG specification 11.3.4.3), so that a figure is placed on paper in the size it was drawn for.</summary>
internal static class PngResolution
{
    // Signature of 8 bytes, then IHDR: length, name, 13 bytes of content, checksum. pHYs has to come before the pixels.
    private const int AfterHeader = 8 + 12 + 13;

    public static byte[] State(byte[] png, int dotsPerInch)
    {
        byte[] stated = new byte[png.Length + 21];
        png.AsSpan(0, AfterHeader).CopyTo(stated);
        Span<byte> chunk = stated.AsSpan(AfterHeader, 21);
        uint perMetre = (uint)Math.Round(dotsPerInch / 0.0254);
        BinaryPrimitives.WriteUInt32BigEndian(chunk, 9);
        "pHYs"u8.CopyTo(chunk[4..]);
        BinaryPrimitives.WriteUInt32BigEndian(chunk[8..], perMetre);
        BinaryPrimitives.WriteUInt32BigEndian(chunk[12..], perMetre);
        chunk[16] = 1;
        BinaryPrimitives.WriteUInt32BigEndian(chunk[17..], Crc32(chunk[4..17]));
        png.AsSpan(AfterHeader).CopyTo(stated.AsSpan(AfterHeader + 21));
        return stated;
    }

    private static uint Crc32(ReadOnlySpan<byte> bytes)
    {
        uint crc = ~0u;
        foreach (byte b in bytes)
        {
            crc ^= b;
            for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) * 0xEDB88320);
        }
        return ~crc;
    }
}
