using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Imaging;
using BioSup.Report.Figures;
using BioSup.Runtime;

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
    private readonly Dictionary<ImageField, string> _masks = [];
    private (string File, ImageStack Image)? _mask;

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

    /// <summary>Whether masks say what is background.</summary>
    public bool HasMasks => _masks.Count > 0;

    /// <summary>
    /// Takes background from masks, one image for every field: what is zero there is background. A mask belongs to the field whose name, cut at '_', '-', '.' and spaces, is found part by part in its own:
    /// B7_3 in B7_01_3_RFP_MaskCells.
    /// </summary>
    /// <exception cref="DataException">A field has no mask or several.</exception>
    public void UseMasks(IEnumerable<string> paths)
    {
        (string File, string[] Parts)[] files = [.. ImageSet.Find(paths).Fields.Select(f => (f.Files[0], Parts(Path.GetFileNameWithoutExtension(f.Files[0]))))];
        foreach (ImageField field in _places.Select(p => p.Field).Distinct())
        {
            string[] name = Parts(field.Name), found = [.. files.Where(f => IsWithin(name, f.Parts)).Select(f => f.File)];
            if (found.Length != 1)
                throw new DataException("--masks", field.Name, found.Length == 0 ? "no mask has the parts of this field's name" : $"{found.Length} masks have the parts of this field's name, {found[0]} and {found[1]} among them; give one a field");
            _masks[field] = found[0];
        }
    }

    private static string[] Parts(string name) => name.Split(['_', '-', '.', ' '], StringSplitOptions.RemoveEmptyEntries);

    private static bool IsWithin(string[] wanted, string[] parts)
    {
        int next = 0;
        foreach (string part in parts) if (next < wanted.Length && part == wanted[next]) next++;
        return next == wanted.Length;
    }

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

    /// <summary>The share of background in each of edge × edge cells of a patch: pixels outside the masks, or where there are none those that are dark in every channel, as the quality filter counts them (<see cref="PatchQuality"/>).</summary>
    public float[] Background(int patch, int edge)
    {
        (ImageField field, int x, int y) = _places[patch];
        ReadOnlySpan<bool> bright = HasMasks ? InMask(field, x, y) : _quality.Foreground(Open(field), x, y, Side);
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

    private bool[] InMask(ImageField field, int x, int y)
    {
        string file = _masks[field];
        ImageStack image = Open(field);
        if (_mask is not { } held || held.File != file) _mask = held = (file, ImageReader.Read(file, TiffPages.Channels));
        if (held.Image.Width != image.Width || held.Image.Height != image.Height) throw new DataException(file, null, $"is {held.Image.Width} x {held.Image.Height} pixels, its field {image.Width} x {image.Height}");
        bool[] inside = new bool[Side * Side];
        for (int c = 0; c < held.Image.Channels; c++)
            for (int i = 0; i < inside.Length; i++) inside[i] |= held.Image.Channel(c)[(y + i / Side) * image.Width + x + i % Side] > 0;
        return inside;
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
        string[] files = table["file"].Text, pages = table["page"].Text, names = table["field"].Text;
        double[] x = table["x"].Numbers, y = table["y"].Numbers;
        Dictionary<(string, string), ImageField> fields = [];
        Place[] places = new Place[table.Rows];
        for (int i = 0; i < places.Length; i++)
        {
            if (!fields.TryGetValue((files[i], pages[i]), out ImageField? field))
            {
                int? page = pages[i].Length > 0 ? int.Parse(pages[i], CultureInfo.InvariantCulture) - 1 : null;
                fields[(files[i], pages[i])] = field = new ImageField(names[i], files[i].Split(';'), page);
            }
            places[i] = new Place(field, (int)x[i], (int)y[i]);
        }
        return places;
    }

    private sealed record Place(ImageField Field, int X, int Y);
}
