using System.Runtime.InteropServices;
using BioSup.Data;
using BioSup.Runtime;
using BitMiracle.LibTiff.Classic;

namespace BioSup.Imaging;

/// <summary>How a TIFF is written.</summary>
/// <param name="Bits">8 or 16 unsigned bits a sample.</param>
/// <param name="Compression">Adobe deflate by default.</param>
/// <param name="Layout">Where the channels go: interleaved, one plane after the other in the same page, or one page each.</param>
/// <param name="TileSize">0 for strips; else a multiple of 16.</param>
public sealed record TiffOptions(
    int Bits = 16, TiffCompression Compression = TiffCompression.Deflate, TiffLayout Layout = TiffLayout.Contiguous, int TileSize = 0);

public enum TiffCompression { None, Lzw, Deflate }

public enum TiffLayout { Contiguous, Planar, Pages }

/// <summary>Writes an <see cref="ImageStack"/> as TIFF: values are rounded to the nearest integer and clamped to the sample range.</summary>
public static class TiffWriter
{
    /// <summary>Writes a file, which is complete or absent.</summary>
    public static void Write(string path, ImageStack image, TiffOptions? options = null) => AtomicFile.Write(path, stream => Write(stream, image, options));

    /// <param name="stream">Seekable; left open.</param>
    public static void Write(Stream stream, ImageStack image, TiffOptions? options = null)
    {
        options ??= new TiffOptions();
        if (options.Bits is not (8 or 16)) throw new ArgumentException("8 or 16 bits.", nameof(options));
        using Tiff tiff = Tiff.ClientOpen(image.Name, "w", stream, new KeepOpenStream())
            ?? throw new DataException(image.Name, null, "the TIFF file cannot be created");
        int pages = options.Layout == TiffLayout.Pages ? image.Channels : 1;
        for (int page = 0; page < pages; page++)
            WritePage(tiff, image, options, page, pages == 1 ? image.Channels : 1);
    }

    private static void WritePage(Tiff tiff, ImageStack image, TiffOptions options, int firstChannel, int channels)
    {
        bool planar = options.Layout == TiffLayout.Planar && channels > 1;
        tiff.SetField(TiffTag.IMAGEWIDTH, image.Width);
        tiff.SetField(TiffTag.IMAGELENGTH, image.Height);
        tiff.SetField(TiffTag.BITSPERSAMPLE, options.Bits);
        tiff.SetField(TiffTag.SAMPLESPERPIXEL, channels);
        tiff.SetField(TiffTag.SAMPLEFORMAT, SampleFormat.UINT);
        tiff.SetField(TiffTag.PHOTOMETRIC, channels == 3 ? Photometric.RGB : Photometric.MINISBLACK);
        tiff.SetField(TiffTag.PLANARCONFIG, planar ? PlanarConfig.SEPARATE : PlanarConfig.CONTIG);
        tiff.SetField(TiffTag.ORIENTATION, Orientation.TOPLEFT);
        if (channels is 2 or > 3) tiff.SetField(TiffTag.EXTRASAMPLES, channels - 1, new short[channels - 1]);
        tiff.SetField(TiffTag.COMPRESSION, options.Compression switch
        {
            TiffCompression.None => Compression.NONE,
            TiffCompression.Lzw => Compression.LZW,
            _ => Compression.ADOBE_DEFLATE,
        });
        if (options.Compression != TiffCompression.None) tiff.SetField(TiffTag.PREDICTOR, Predictor.HORIZONTAL);
        if (options.TileSize > 0) WriteTiles(tiff, image, options, firstChannel, channels, planar);
        else WriteRows(tiff, image, options, firstChannel, channels, planar);
        tiff.WriteDirectory();
    }

    private static void WriteRows(Tiff tiff, ImageStack image, TiffOptions options, int firstChannel, int channels, bool planar)
    {
        int interleaved = planar ? 1 : channels, bytes = options.Bits / 8;
        tiff.SetField(TiffTag.ROWSPERSTRIP, Math.Clamp(65536 / (image.Width * interleaved * bytes), 1, image.Height));
        byte[] row = new byte[image.Width * interleaved * bytes];
        for (int plane = 0; plane < (planar ? channels : 1); plane++)
            for (int y = 0; y < image.Height; y++)
            {
                Gather(image, firstChannel + plane, interleaved, y, 0, image.Width, row, options.Bits);
                tiff.WriteScanline(row, 0, y, (short)plane);
            }
    }

    private static void WriteTiles(Tiff tiff, ImageStack image, TiffOptions options, int firstChannel, int channels, bool planar)
    {
        int interleaved = planar ? 1 : channels, size = options.TileSize, rowBytes = size * interleaved * (options.Bits / 8);
        tiff.SetField(TiffTag.TILEWIDTH, size);
        tiff.SetField(TiffTag.TILELENGTH, size);
        for (int plane = 0; plane < (planar ? channels : 1); plane++)
            for (int top = 0; top < image.Height; top += size)
                for (int left = 0; left < image.Width; left += size)
                {
                    byte[] tile = new byte[rowBytes * size];
                    for (int y = 0; y < Math.Min(size, image.Height - top); y++)
                        Gather(image, firstChannel + plane, interleaved, top + y, left, Math.Min(size, image.Width - left), tile.AsSpan(y * rowBytes, rowBytes), options.Bits);
                    tiff.WriteEncodedTile(tiff.ComputeTile(left, top, 0, (short)plane), tile, tile.Length);
                }
    }

    private static void Gather(ImageStack image, int firstChannel, int interleaved, int y, int left, int width, Span<byte> target, int bits)
    {
        float maximum = bits == 8 ? 255 : 65535;
        Span<ushort> wide = MemoryMarshal.Cast<byte, ushort>(target);
        for (int channel = 0; channel < interleaved; channel++)
        {
            ReadOnlySpan<float> row = image.Channel(firstChannel + channel).Slice(y * image.Width + left, width);
            for (int x = 0; x < width; x++)
            {
                float value = MathF.Round(Math.Clamp(row[x], 0, maximum));
                if (bits == 8) target[x * interleaved + channel] = (byte)value;
                else wide[x * interleaved + channel] = (ushort)value;
            }
        }
    }

    /// <summary>The stream belongs to the caller.</summary>
    private sealed class KeepOpenStream : TiffStream
    {
        public override void Close(object clientData) { }
    }
}
