using BioSup.Data;
using BioSup.Imaging;
using BioSup.Report;
using BioSup.Report.Figures;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Reporting;

/// <summary>What went in: fields, patches, channels, and pictures of them.</summary>
internal static class ImagesReport
{
    private const int PatchesPerRow = 8;

    public static void Add(ReportDocument report, RunFolder folder, ImagesSection section, string encoder, string[]? labels, IReadOnlyList<string>? channelNames, ulong seed)
    {
        Table table = CsvFile.Read(folder.Patches);
        TokenIndex index = TokenIndex.Read(folder.Tokens);
        int fields = table["field"].Text.Distinct().Count();
        ReportSection part = report.AddSection("The images",
            $"**{Numbers.Integer(table.Rows)}** patches of {section.Patch} × {section.Patch} pixels from {Numbers.Integer(fields)} images became **{Numbers.Integer(index.Rows)}** tokens of {index.Columns} channels.");
        PatchGallery gallery = new(table, section.Patch);
        ImageGrid grid = new() { Rows = [.. Rows(gallery, labels, seed)], ChannelNames = channelNames, PatchSize = 84 };
        part.Figure(grid, $"Patches drawn at random{(labels is null ? "" : " from each class")}; {grid.ScalingNote}.", "patches");
        part.KeyValues("From images to tokens",
        [
            new("patches", $"{Numbers.Integer(table.Rows)} of {section.Patch} × {section.Patch} pixels, step {section.Stride}"),
            new("encoder", encoder),
            new("input scaling", section.Scaling),
            new("tokens per patch", Numbers.Integer(index.Rows / Math.Max(1, table.Rows))),
            new("token channels", Numbers.Integer(index.Columns)),
            new("normalisation", "feature map divided by the norm of its mean vector; tokens centred by a fixed mean and scaled to unit length"),
        ]);
    }

    private static IEnumerable<ImageRow> Rows(PatchGallery gallery, string[]? labels, ulong seed)
    {
        int[] order = [.. Enumerable.Range(0, gallery.Count)];
        new CounterRandom(seed, stream: 0x9A11).Shuffle<int>(order);
        if (labels is null)
        {
            for (int row = 0; row < 2; row++)
            {
                ImagePatch[] patches = [.. order.Skip(row * PatchesPerRow).Take(PatchesPerRow).Select(i => gallery.Cut(i, null))];
                if (patches.Length > 0) yield return new ImageRow("patches", null, patches);
            }
            yield break;
        }
        foreach (string label in labels.Distinct().Order(StringComparer.Ordinal).Take(8))
        {
            int[] members = [.. order.Where(i => labels[i] == label)];
            yield return new ImageRow(label, $"{Numbers.Integer(members.Length)} patches", [.. members.Take(PatchesPerRow).Select(i => gallery.Cut(i, null))]);
        }
    }
}
