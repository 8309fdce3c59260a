using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>Reads one image file of any supported format; the first bytes decide, not the name.</summary>
public static class ImageReader
{
    private static readonly string[] s_extensions = [".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".webp"];

    /// <summary>True when the name looks like an image: used to pick files out of a folder.</summary>
    public static bool HasImageName(string path) => s_extensions.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase);

    /// <summary>Reads a field: all pages of a TIFF, or a picture.</summary>
    /// <exception cref="DataException">The file is missing, unreadable, damaged or of an unknown format.</exception>
    public static ImageStack Read(string path, TiffPages pages = TiffPages.Channels) =>
        IsTiff(path) ? TiffReader.Read(path, pages) : PictureReader.Read(path);

    /// <summary>True when the file starts as a classic or a big TIFF of either byte order.</summary>
    public static bool IsTiff(string path)
    {
        Span<byte> head = stackalloc byte[4];
        return ReadHead(path, head) == 4 && (head.SequenceEqual("II*\0"u8) || head.SequenceEqual("MM\0*"u8) || head.SequenceEqual("II+\0"u8) || head.SequenceEqual("MM\0+"u8));
    }

    internal static int ReadHead(string path, Span<byte> head)
    {
        try
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            return file.ReadAtLeast(head, head.Length, throwOnEndOfStream: false);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new DataException(path, null, "the file does not exist", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DataException(path, null, $"the file cannot be read: {e.Message}", e);
        }
    }
}
