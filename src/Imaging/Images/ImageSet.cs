using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>Where the pixels of one field come from: one file with all channels, one file per channel, or one page of a TIFF.</summary>
/// <param name="Name">Unique name of the field.</param>
/// <param name="Files">One file, or one per channel in channel order.</param>
/// <param name="Page">The page of a TIFF whose pages are fields of their own; null for the whole file.</param>
public sealed record ImageField(string Name, IReadOnlyList<string> Files, int? Page)
{
    /// <summary>Gives the pixels of a field that is not on disk; called each time they are needed, for several fields at a time and from other threads.</summary>
    public Func<ImageStack>? Source { get; init; }

    /// <summary>Reads the pixels; files of several channels must agree in size and sample type.</summary>
    public ImageStack Read(TiffPages pages = TiffPages.Channels)
    {
        if (Source is not null) return Source();
        if (Page is { } page) return Rename(TiffReader.ReadPage(Files[0], page));
        TiffPages within = pages == TiffPages.Images ? TiffPages.Channels : pages;
        if (Files.Count == 1) return Rename(ImageReader.Read(Files[0], within));
        List<ImageStack> channels = [];
        foreach (string file in Files)
        {
            ImageStack channel = ImageReader.Read(file, within);
            if (channel.Channels != 1)
                throw new DataException(file, null, $"{channel.Channels} channels; expected one, because every channel is a file of its own");
            if (channels.Count > 0 && (channel.Height, channel.Width, channel.FullScale) != (channels[0].Height, channels[0].Width, channels[0].FullScale))
                throw new DataException(file, null, $"{channel.Width} x {channel.Height} with full scale {channel.FullScale}, "
                    + $"but {Files[0]} is {channels[0].Width} x {channels[0].Height} with {channels[0].FullScale}; channels of a field must be alike");
            channels.Add(channel);
        }
        return TiffReader.Join(Name, channels);
    }

    private ImageStack Rename(ImageStack image) => new(Name, image.Channels, image.Height, image.Width, image.Pixels, image.FullScale);
}

/// <summary>The fields found in files and folders.</summary>
/// <param name="Fields">In a fixed order: by folder argument, then by name (ordinal).</param>
/// <param name="Pages">What the pages of a TIFF were taken for.</param>
/// <param name="Ignored">Files that belong to none of the channels asked for.</param>
public sealed record ImageSet(IReadOnlyList<ImageField> Fields, TiffPages Pages, IReadOnlyList<string> Ignored)
{
    /// <summary>Fields that a program makes itself; each function may be called several times and from several threads, and must give the same pixels.</summary>
    public static ImageSet From(IEnumerable<(string Name, Func<ImageStack> Read)> fields) =>
        new([.. fields.Select(field => new ImageField(field.Name, [field.Name], null) { Source = field.Read })], TiffPages.Channels, []);

    /// <summary>Finds image files.</summary>
    /// <param name="paths">Image files, and folders whose image files are taken (subfolders are not searched).</param>
    /// <param name="naming">How channels in files of their own are put together; null when each file holds all its channels.</param>
    /// <param name="pages">What the pages of a TIFF are.</param>
    /// <exception cref="DataException">A path does not exist, a folder holds no image, or a channel is missing.</exception>
    public static ImageSet Find(IEnumerable<string> paths, ChannelNaming? naming = null, TiffPages pages = TiffPages.Channels)
    {
        List<string> files = [.. paths.SelectMany(Expand)];
        if (files.Count == 0) throw new DataException("images", null, "no image file was given");
        if (files.CountBy(Path.GetFullPath, StringComparer.Ordinal).FirstOrDefault(f => f.Value > 1) is { Key: { } twice })
            throw new DataException(twice, null, "the image is given more than once; its patches would count double");
        if (naming is not null) return new ImageSet(naming.Group(files, out IReadOnlyList<string> ignored), pages, ignored);
        List<ImageField> fields = [];
        HashSet<string> names = new(StringComparer.Ordinal);
        foreach (string file in files)
        {
            string stem = Path.GetFileNameWithoutExtension(file), name = stem;
            for (int copy = 2; !names.Add(name); copy++) name = $"{stem}.{copy}";
            int count = pages == TiffPages.Images && ImageReader.IsTiff(file) ? TiffReader.CountPages(file) : 1;
            if (count == 1) fields.Add(new ImageField(name, [file], null));
            else for (int page = 0; page < count; page++) fields.Add(new ImageField($"{name}_p{page + 1:D4}", [file], page));
        }
        return new ImageSet(fields, pages, []);
    }

    private static IEnumerable<string> Expand(string path)
    {
        if (File.Exists(path)) return [path];
        if (!Directory.Exists(path)) throw new DataException(path, null, "there is no such file or folder");
        string[] found;
        try
        {
            found = [.. Directory.EnumerateFiles(path).Where(ImageReader.HasImageName).Order(StringComparer.Ordinal)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DataException(path, null, $"the folder cannot be listed: {e.Message}", e);
        }
        return found.Length > 0 ? found : throw new DataException(path, null, "the folder holds no image file (subfolders are not searched)");
    }
}
