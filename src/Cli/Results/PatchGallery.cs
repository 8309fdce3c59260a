using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Imaging;
using BioSup.Report.Figures;

namespace BioSup.Cli;

/// <summary>Cuts the pictures of single patches out of their files again, for the report: tokens do not keep pixels.</summary>
internal sealed class PatchGallery
{
    /// <summary>Larger patches are averaged down to at most so many pixels a side, so that a report stays small enough to be sent.</summary>
    private const int MostPixels = 192;

    private readonly IReadOnlyList<Place> _places;
    private readonly TiffPages _pages;
    private readonly Dictionary<ImageField, ImageStack> _open = [];
    private readonly PatchQuality _quality = new();

    private PatchGallery(IReadOnlyList<Place> places, int side, TiffPages pages) => (_places, Side, _pages) = (places, side, pages);

    /// <param name="table">images.csv of a token folder.</param>
    /// <param name="side">Side of a patch in pixels.</param>
    /// <param name="pages">What the pages of a TIFF were taken for.</param>
    public PatchGallery(Table table, int side, TiffPages pages = TiffPages.Channels)
        : this(Read(table), side, pages)
    {
    }

    /// <summary>Patches that are encoded as they are needed.</summary>
    public PatchGallery(PatchPlan plan)
        : this([.. plan.Patches.Select(p => new Place(plan.Images.Fields[p.Field], p.X, p.Y))], plan.Grid.Size, plan.Images.Pages)
    {
    }

    public int Count => _places.Count;

    /// <summary>Side of a patch in its file, in pixels.</summary>
    public int Side { get; }

    /// <summary>The pictures behind a token folder, or the reason why there are none.</summary>
    public static LatentPictures OfTokens(string folder, int images)
    {
        string table = Path.Combine(folder, "images.csv"), manifest = Path.Combine(folder, "manifest.json");
        if (!File.Exists(table) || !File.Exists(manifest)) return new(null, $"{folder} does not say which pictures its tokens are from; folders written by `biosup tokens` do");
        JsonNode? configuration = JsonNode.Parse(File.ReadAllText(manifest))?["configuration"];
        if (configuration?["patch"] is null) return new(null, $"{manifest} does not say how large the patches are");
        TiffPages pages = Enum.TryParse((string?)configuration["pages"], ignoreCase: true, out TiffPages named) ? named : TiffPages.Channels;
        PatchGallery gallery = new(CsvFile.Read(table), (int)configuration["patch"]!, pages);
        if (gallery.Count != images) return new(null, $"{table} has {gallery.Count} rows for {images} images of tokens");
        string? gone = gallery._places.SelectMany(p => p.Field.Files).Distinct().FirstOrDefault(f => !File.Exists(f));
        return gone is null ? new(gallery, null, Channels((string?)configuration["channels"])) : new(null, $"{gone}, which {table} names, is not there");
    }

    /// <summary>Names given as A,B,C; null for none.</summary>
    public static string[]? Channels(string? names) => names?.Split(',', StringSplitOptions.TrimEntries);

    /// <summary>The picture of one patch, 16 bit, all channels.</summary>
    public ImagePatch Cut(int patch, string? caption)
    {
        (ImageField field, int x, int y) = _places[patch];
        ImageStack image = Open(field);
        int factor = (Side + MostPixels - 1) / MostPixels, side = Side / factor;
        ushort[] pixels = new ushort[image.Channels * side * side];
        double scale = 65535 / (double)image.FullScale / (factor * factor);
        for (int c = 0; c < image.Channels; c++)
        {
            Span<float> plane = image.Channel(c);
            for (int i = 0; i < side; i++)
            {
                for (int j = 0; j < side; j++)
                {
                    double sum = 0;
                    for (int row = 0; row < factor; row++)
                        foreach (float value in plane.Slice((y + i * factor + row) * image.Width + x + j * factor, factor)) sum += value;
                    pixels[(c * side + i) * side + j] = (ushort)Math.Clamp(Math.Round(sum * scale), 0, 65535);
                }
            }
        }
        return new ImagePatch(pixels, image.Channels, side, side, caption);
    }

    /// <summary>The share of background in each of edge × edge cells of a patch: pixels that are dark in every channel, as the quality filter counts them (<see cref="PatchQuality"/>).</summary>
    public float[] Background(int patch, int edge)
    {
        (ImageField field, int x, int y) = _places[patch];
        ReadOnlySpan<bool> bright = _quality.Foreground(Open(field), x, y, Side);
        float[] share = new float[edge * edge];
        int[] pixels = new int[edge * edge];
        for (int i = 0; i < bright.Length; i++)
        {
            int cell = i / Side * edge / Side * edge + i % Side * edge / Side;
            pixels[cell]++;
            if (!bright[i]) share[cell]++;
        }
        for (int cell = 0; cell < share.Length; cell++) share[cell] /= Math.Max(1, pixels[cell]);
        return share;
    }

    private ImageStack Open(ImageField field)
    {
        if (_open.TryGetValue(field, out ImageStack? image)) return image;
        // Large fields serve many patches, small ones one each: a few stay open.
        if (_open.Count >= 8) _open.Clear();
        return _open[field] = field.Read(_pages);
    }

    private static Place[] Read(Table table)
    {
        string[] files = table["file"].Text, pages = table["page"].Text;
        double[] x = table["x"].Numbers, y = table["y"].Numbers;
        Dictionary<(string, string), ImageField> fields = [];
        Place[] places = new Place[table.Rows];
        for (int i = 0; i < places.Length; i++)
        {
            if (!fields.TryGetValue((files[i], pages[i]), out ImageField? field))
            {
                int? page = pages[i].Length > 0 ? int.Parse(pages[i], CultureInfo.InvariantCulture) - 1 : null;
                fields[(files[i], pages[i])] = field = new ImageField(files[i], files[i].Split(';'), page);
            }
            places[i] = new Place(field, (int)x[i], (int)y[i]);
        }
        return places;
    }

    private sealed record Place(ImageField Field, int X, int Y);
}
