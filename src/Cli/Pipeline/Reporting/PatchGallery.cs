using System.Globalization;
using BioSup.Data;
using BioSup.Imaging;
using BioSup.Report.Figures;

namespace BioSup.Cli.Pipeline.Reporting;

/// <summary>Cuts the pictures of single patches out of their files again, for the report: tokens do not keep pixels.</summary>
internal sealed class PatchGallery
{
    private readonly Table _table;
    private readonly int _side;
    private readonly Dictionary<string, ImageStack> _open = [];

    /// <param name="table">tokens/images.csv.</param>
    /// <param name="side">Side of a patch in pixels.</param>
    public PatchGallery(Table table, int side)
    {
        _table = table;
        _side = side;
    }

    public int Count => _table.Rows;

    /// <summary>The picture of one patch, 16 bit, all channels.</summary>
    public ImagePatch Cut(int patch, string? caption)
    {
        string files = _table["file"].Text[patch], page = _table["page"].Text[patch];
        ImageStack image = Open(files, page);
        int x = Number("x", patch), y = Number("y", patch);
        ushort[] pixels = new ushort[image.Channels * _side * _side];
        double scale = 65535 / image.FullScale;
        for (int c = 0; c < image.Channels; c++)
        {
            Span<float> plane = image.Channel(c);
            for (int i = 0; i < _side; i++)
            {
                Span<float> row = plane.Slice((y + i) * image.Width + x, _side);
                for (int j = 0; j < _side; j++) pixels[(c * _side + i) * _side + j] = (ushort)Math.Clamp(Math.Round(row[j] * scale), 0, 65535);
            }
        }
        return new ImagePatch(pixels, image.Channels, _side, _side, caption);
    }

    private ImageStack Open(string files, string page)
    {
        string key = $"{files}#{page}";
        if (_open.TryGetValue(key, out ImageStack? image)) return image;
        // Large fields serve many patches, small ones one each: a few stay open.
        if (_open.Count >= 8) _open.Clear();
        int? index = page.Length > 0 ? int.Parse(page, CultureInfo.InvariantCulture) - 1 : null;
        return _open[key] = new ImageField(key, files.Split(';'), index).Read();
    }

    private int Number(string column, int patch) => (int)_table[column].Numbers[patch];
}
