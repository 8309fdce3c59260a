using System.Runtime.InteropServices;
using BioSup.Runtime;
using BitMiracle.LibTiff.Classic;

namespace BioSup.Imaging;

/// <summary>What the pages of a multi-page TIFF are.</summary>
public enum TiffPages
{
    /// <summary>Each page holds further channels of the same field.</summary>
    Channels,

    /// <summary>Each page is a field of its own.</summary>
    Images,

    /// <summary>The pages are focal planes: the maximum over pages is taken (maximum intensity projection).</summary>
    Maximum,
}

/// <summary>
/// Reads TIFF (strips or tiles; contiguous or planar; none, LZW, deflate, PackBits; 8- and 16-bit unsigned and 32-bit float; many pages).
/// Alpha samples and reduced-resolution pages are left out, MinIsWhite is turned round. A malformed file gives a <see cref="DataException"/>
/// that names it; dimensions are checked against the length of the file before memory is taken.
/// </summary>
public static class TiffReader
{
    private const int MaxPages = 65536;

    static TiffReader() => Tiff.SetErrorHandler(new QuietHandler());

    /// <summary>Number of full-resolution pages.</summary>
    public static int CountPages(string path) => WithFile(path, (tiff, _) => Pages(tiff, path).Count());

    /// <summary>Reads the whole file as one field: pages are further channels, or focal planes to project.</summary>
    /// <exception cref="DataException">The file is not a TIFF, is damaged, or its pages differ in size or sample type.</exception>
    public static ImageStack Read(string path, TiffPages pages = TiffPages.Channels)
    {
        if (pages == TiffPages.Images) throw new ArgumentException("Pages that are fields of their own are read one by one.", nameof(pages));
        return WithFile(path, (tiff, length) =>
        {
            List<ImageStack> read = [];
            foreach (int page in Pages(tiff, path))
            {
                ImageStack next = ReadPage(tiff, path, page, length);
                if (read.Count > 0) RequireAlike(path, page, read[0], next, sameChannels: pages == TiffPages.Maximum);
                if (pages == TiffPages.Maximum && read.Count > 0) TakeMaximum(read[0].Pixels, next.Pixels);
                else read.Add(next);
            }
            return read.Count == 1 ? read[0] : Join(path, read);
        });
    }

    /// <summary>Reads one full-resolution page as a field.</summary>
    public static ImageStack ReadPage(string path, int page) => WithFile(path, (tiff, length) =>
    {
        foreach (int index in Pages(tiff, path)) if (index == page) return ReadPage(tiff, path, page, length);
        throw new DataException(path, $"page {page + 1}", "there is no such page");
    });

    /// <summary>Puts the channels of several stacks of equal size behind one another.</summary>
    internal static ImageStack Join(string name, IReadOnlyList<ImageStack> parts)
    {
        int channels = parts.Sum(part => part.Channels);
        float[] pixels = new float[checked(channels * parts[0].Height * parts[0].Width)];
        int at = 0;
        foreach (ImageStack part in parts)
        {
            part.Pixels.CopyTo(pixels, at);
            at += part.Pixels.Length;
        }
        return new ImageStack(name, channels, parts[0].Height, parts[0].Width, pixels, parts[0].FullScale);
    }

    private static T WithFile<T>(string path, Func<Tiff, long, T> read)
    {
        QuietHandler.Forget();
        try
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16);
            using Tiff tiff = Tiff.ClientOpen(path, "r", file, new TiffStream()) ?? throw new DataException(path, null, Problem("not a readable TIFF file"));
            return read(tiff, file.Length);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new DataException(path, null, "the file does not exist", e);
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException and not EndOfStreamException)
        {
            throw new DataException(path, null, $"the file cannot be read: {e.Message}", e);
        }
        // The library meets damaged files with whatever exception its indexing happens to raise.
        catch (Exception e) when (e is not (BiosupException or OperationCanceledException))
        {
            throw new DataException(path, null, Problem("the TIFF file is damaged"), e);
        }
    }

    private static IEnumerable<int> Pages(Tiff tiff, string path)
    {
        int page = 0, seen = 0;
        do
        {
            if (++seen > MaxPages) throw new DataException(path, null, $"more than {MaxPages} pages");
            if (!TiffHeader.IsReduced(tiff)) yield return page++;
        }
        while (tiff.ReadDirectory());
        if (page == 0) throw new DataException(path, null, "the file holds reduced-resolution pages only");
    }

    private static ImageStack ReadPage(Tiff tiff, string path, int page, long fileLength)
    {
        TiffHeader header = TiffHeader.Read(tiff, path, page, fileLength);
        float[] pixels = new float[checked(header.Channels * header.Height * header.Width)];
        if (header.IsTiled) ReadTiles(tiff, header, pixels, path, page);
        else ReadStrips(tiff, header, pixels, path, page);
        if (header.IsInverted) for (int i = 0; i < pixels.Length; i++) pixels[i] = (float)header.FullScale - pixels[i];
        if (header.IsFloat) RequireFinite(pixels, header, path, page);
        return new ImageStack(path, header.Channels, header.Height, header.Width, pixels, header.FullScale);
    }

    private static void ReadStrips(Tiff tiff, TiffHeader header, float[] pixels, string path, int page)
    {
        int rowsPerStrip = Math.Min(tiff.GetFieldDefaulted(TiffTag.ROWSPERSTRIP)[0].ToInt() is > 0 and int rows ? rows : header.Height, header.Height);
        int samplesPerRow = header.Width * (header.IsPlanar ? 1 : header.Samples);
        byte[] buffer = new byte[checked((long)samplesPerRow * header.BytesPerSample * rowsPerStrip)];
        for (int plane = 0; plane < (header.IsPlanar ? header.Channels : 1); plane++)
            for (int top = 0; top < header.Height; top += rowsPerStrip)
            {
                int height = Math.Min(rowsPerStrip, header.Height - top), bytes = height * samplesPerRow * header.BytesPerSample;
                if (tiff.ReadEncodedStrip(tiff.ComputeStrip(top, (short)plane), buffer, 0, bytes) < bytes)
                    throw new DataException(path, $"page {page + 1}, row {top}", Problem("the pixel data are truncated or damaged"));
                Scatter(buffer, header, pixels, plane, top, 0, height, header.Width, header.Width);
            }
    }

    private static void ReadTiles(Tiff tiff, TiffHeader header, float[] pixels, string path, int page)
    {
        int tileWidth = tiff.GetField(TiffTag.TILEWIDTH)[0].ToInt(), tileHeight = tiff.GetField(TiffTag.TILELENGTH)[0].ToInt();
        int bytes = tileWidth * tileHeight * header.BytesPerSample * (header.IsPlanar ? 1 : header.Samples);
        byte[] buffer = new byte[bytes];
        for (int plane = 0; plane < (header.IsPlanar ? header.Channels : 1); plane++)
            for (int top = 0; top < header.Height; top += tileHeight)
                for (int left = 0; left < header.Width; left += tileWidth)
                {
                    if (tiff.ReadEncodedTile(tiff.ComputeTile(left, top, 0, (short)plane), buffer, 0, bytes) < bytes)
                        throw new DataException(path, $"page {page + 1}, row {top}, column {left}", Problem("the pixel data are truncated or damaged"));
                    Scatter(buffer, header, pixels, plane, top, left, Math.Min(tileHeight, header.Height - top), Math.Min(tileWidth, header.Width - left), tileWidth);
                }
    }

    /// <summary>Spreads a decoded block (rows of interleaved samples, or of one plane) into the channel planes.</summary>
    private static void Scatter(byte[] block, TiffHeader header, float[] pixels, int plane, int top, int left, int height, int width, int blockWidth)
    {
        int interleaved = header.IsPlanar ? 1 : header.Samples, channels = header.IsPlanar ? 1 : header.Channels;
        for (int channel = 0; channel < channels; channel++)
            for (int y = 0; y < height; y++)
            {
                int target = checked(((plane + channel) * header.Height + top + y) * header.Width) + left;
                Span<float> row = pixels.AsSpan(target, width);
                int from = y * blockWidth * interleaved + channel;
                if (header.IsFloat) Spread(MemoryMarshal.Cast<byte, float>(block), from, interleaved, row);
                else if (header.Bits == 16) Spread(MemoryMarshal.Cast<byte, ushort>(block), from, interleaved, row);
                else Spread<byte>(block, from, interleaved, row);
            }
    }

    private static void Spread<T>(ReadOnlySpan<T> source, int from, int step, Span<float> row) where T : unmanaged, System.Numerics.INumberBase<T>
    {
        for (int x = 0; x < row.Length; x++, from += step) row[x] = float.CreateTruncating(source[from]);
    }

    private static void RequireFinite(float[] pixels, TiffHeader header, string path, int page)
    {
        for (int i = 0; i < pixels.Length; i++)
        {
            if (float.IsFinite(pixels[i])) continue;
            int inPlane = i % (header.Height * header.Width);
            throw new DataException(path, $"page {page + 1}, row {inPlane / header.Width}, column {inPlane % header.Width}", "the pixel is not finite");
        }
    }

    private static void RequireAlike(string path, int page, ImageStack first, ImageStack next, bool sameChannels)
    {
        if (first.Height != next.Height || first.Width != next.Width || first.FullScale != next.FullScale || (sameChannels && first.Channels != next.Channels))
            throw new DataException(path, $"page {page + 1}",
                $"the page is {next.Width} x {next.Height} with full scale {next.FullScale}, the first page {first.Width} x {first.Height} with {first.FullScale}; pages of one field must be alike");
    }

    private static void TakeMaximum(float[] maximum, float[] next)
    {
        for (int i = 0; i < maximum.Length; i++) maximum[i] = Math.Max(maximum[i], next[i]);
    }

    private static string Problem(string what) => QuietHandler.Last is { } detail ? $"{what} ({detail})" : what;

    /// <summary>Keeps the library off stderr and remembers its last word for our own message.</summary>
    private sealed class QuietHandler : TiffErrorHandler
    {
        [ThreadStatic] private static string? t_last;

        public static string? Last => t_last;
        public static void Forget() => t_last = null;

        public override void ErrorHandler(Tiff tif, string method, string format, params object[] args)
        {
            try
            {
                t_last = string.Format(System.Globalization.CultureInfo.InvariantCulture, format, args).Trim();
            }
            catch (FormatException)
            {
                t_last = format;
            }
        }

        public override void WarningHandler(Tiff tif, string method, string format, params object[] args) { }
        public override void ErrorHandlerExt(Tiff tif, object clientData, string method, string format, params object[] args) { }
        public override void WarningHandlerExt(Tiff tif, object clientData, string method, string format, params object[] args) { }
    }
}
