using BioSup.Runtime;
using BitMiracle.LibTiff.Classic;

namespace BioSup.Imaging;

/// <summary>The tags of one TIFF page that decide how its samples are laid out, checked against what the reader supports.</summary>
internal readonly record struct TiffHeader(
    int Width, int Height, int Samples, int Channels, int Bits, bool IsFloat, bool IsPlanar, bool IsInverted, bool IsTiled)
{
    private const int MaxSide = 1 << 20;
    private const int MaxChannels = 64;
    private const int MaxTileBytes = 64 << 20;

    /// <summary>Largest sensible expansion of a compressed file (LZW tops out near 2,700 : 1, deflate at 1,032 : 1).</summary>
    private const long MaxExpansion = 4096;

    public double FullScale => IsFloat ? 1 : Bits == 8 ? 255 : 65535;
    public int BytesPerSample => Bits / 8;

    public static TiffHeader Read(Tiff tiff, string path, int page, long fileLength)
    {
        int width = Tag(tiff, TiffTag.IMAGEWIDTH, 0), height = Tag(tiff, TiffTag.IMAGELENGTH, 0);
        int bits = Tag(tiff, TiffTag.BITSPERSAMPLE, 1), samples = Tag(tiff, TiffTag.SAMPLESPERPIXEL, 1);
        int format = Tag(tiff, TiffTag.SAMPLEFORMAT, (int)SampleFormat.UINT);
        int photometric = Tag(tiff, TiffTag.PHOTOMETRIC, (int)Photometric.MINISBLACK);
        string where = $"page {page + 1}";
        if (width is < 1 or > MaxSide || height is < 1 or > MaxSide)
            throw new DataException(path, where, $"the image is {width} x {height} pixels; expected 1 to {MaxSide} on each side");
        if (samples is < 1 or > MaxChannels)
            throw new DataException(path, where, $"{samples} samples per pixel; expected 1 to {MaxChannels}");
        bool isFloat = format == (int)SampleFormat.IEEEFP;
        if (!(isFloat && bits == 32) && !(format is (int)SampleFormat.UINT or (int)SampleFormat.VOID && bits is 8 or 16))
            throw new DataException(path, where, $"{bits}-bit {(SampleFormat)format} samples are not supported; expected unsigned 8 or 16 bits, or 32-bit floating point");
        if (photometric is not ((int)Photometric.MINISBLACK or (int)Photometric.MINISWHITE or (int)Photometric.RGB))
            throw new DataException(path, where, $"photometric interpretation {(Photometric)photometric} is not supported; expected grey or RGB");
        long bytes = (long)width * height * samples * (bits / 8);
        bool compressed = Tag(tiff, TiffTag.COMPRESSION, 1) != (int)Compression.NONE;
        if (bytes > (compressed ? fileLength * MaxExpansion : fileLength) || (long)width * height * samples > Array.MaxLength)
            throw new DataException(path, where, $"the header promises {width} x {height} x {samples} samples of {bits} bits, more than a file of {fileLength} bytes can hold");
        bool tiled = tiff.IsTiled();
        if (tiled) RequireSaneTiles(tiff, path, where, samples * (bits / 8));
        return new TiffHeader(width, height, samples, samples - AlphaSamples(tiff, samples), bits, isFloat,
            samples > 1 && Tag(tiff, TiffTag.PLANARCONFIG, 1) == (int)PlanarConfig.SEPARATE, photometric == (int)Photometric.MINISWHITE, tiled);
    }

    /// <summary>True for thumbnails and pyramid levels, which are not images of their own.</summary>
    public static bool IsReduced(Tiff tiff) => (Tag(tiff, TiffTag.SUBFILETYPE, 0) & (int)FileType.REDUCEDIMAGE) != 0;

    private static void RequireSaneTiles(Tiff tiff, string path, string where, int bytesPerPixel)
    {
        int width = Tag(tiff, TiffTag.TILEWIDTH, 0), height = Tag(tiff, TiffTag.TILELENGTH, 0);
        if (width < 1 || height < 1 || (long)width * height > MaxTileBytes / bytesPerPixel)
            throw new DataException(path, where, $"tiles of {width} x {height} pixels; expected at least 1 x 1 and at most {MaxTileBytes >> 20} MiB each");
    }

    /// <summary>Trailing samples declared as alpha say how to blend, not what was measured.</summary>
    private static int AlphaSamples(Tiff tiff, int samples)
    {
        FieldValue[]? field = tiff.GetField(TiffTag.EXTRASAMPLES);
        if (field is null || field.Length < 2 || field[1].ToShortArray() is not { } kinds) return 0;
        int alpha = kinds.Count(kind => kind is (short)ExtraSample.ASSOCALPHA or (short)ExtraSample.UNASSALPHA);
        return Math.Clamp(alpha, 0, samples - 1);
    }

    private static int Tag(Tiff tiff, TiffTag tag, int fallback) =>
        tiff.GetFieldDefaulted(tag) is { Length: > 0 } field ? field[0].ToInt() : fallback;
}
