using BioSup.Runtime;

namespace BioSup.Imaging.Tests;

public sealed class ImageSetTests
{
    private static readonly string[] s_names = ["DAPI", "GFP", "RFP"];

    [Fact]
    public void Channels_in_files_of_their_own_are_put_together_by_token()
    {
        string[] files =
        [
            "x/B7_01_1_3_DAPI_001.tif", "x/B7_01_2_3_GFP_001.tif", "x/B7_01_3_3_RFP_001.tif",
            "x/D6_01_1_2_DAPI_001.tif", "x/D6_01_2_2_GFP_001.tif", "x/D6_01_3_2_RFP_001.tif", "x/readme.tif",
        ];
        IReadOnlyList<ImageField> fields = new ChannelNaming(s_names).Group(files, out IReadOnlyList<string> ignored);
        Assert.Equal(["B7_01_3_001", "D6_01_2_001"], fields.Select(field => field.Name));
        Assert.Equal(files[3..6], fields[1].Files);
        Assert.Equal(["x/readme.tif"], ignored);
        IReadOnlyList<ImageField> turned = new ChannelNaming(["rfp", "dapi"], "{well}_01_{*}_{site}_{channel}_001").Group(files, out _);
        Assert.Equal(["B7_3", "D6_2"], turned.Select(field => field.Name));
        Assert.Equal([files[2], files[0]], turned[0].Files);
    }

    [Fact]
    public void Missing_and_doubled_channels_are_named()
    {
        ChannelNaming naming = new(s_names);
        Assert.Contains("RFP", Assert.Throws<DataException>(() => naming.Group(["a_1_DAPI.tif", "a_2_GFP.tif"], out _)).Message);
        Assert.Contains("twice", Assert.Throws<DataException>(() => naming.Group(["p/a_DAPI.tif", "q/a_DAPI.tif"], out _)).Message);
        Assert.Contains("none of 1", Assert.Throws<DataException>(() => naming.Group(["a_BF.tif"], out _)).Message);
        Assert.Throws<UsageException>(() => new ChannelNaming(["A", "a"]));
        Assert.Throws<UsageException>(() => new ChannelNaming(["A_1"]));
        Assert.Throws<UsageException>(() => new ChannelNaming(["A"], "{well}_x"));
        Assert.Throws<UsageException>(() => new ChannelNaming(["A"], "{we ll}_{channel}"));
    }

    [Fact]
    public void Fields_of_a_folder_come_in_name_order_and_pages_can_be_fields()
    {
        using TemporaryFolder folder = new();
        TestImages.WriteTiff(folder.File("b.tif"), TestImages.Noise(2, 5, 6, 65535), new TiffOptions(Layout: TiffLayout.Pages));
        TestImages.WriteTiff(folder.File("a.tif"), TestImages.Noise(1, 5, 6, 65535));
        Assert.Equal(["a", "b"], ImageSet.Find([folder.Path]).Fields.Select(field => field.Name));
        ImageSet pages = ImageSet.Find([folder.Path], pages: TiffPages.Images);
        Assert.Equal(["a", "b_p0001", "b_p0002"], pages.Fields.Select(field => field.Name));
        Assert.Equal(TestImages.Noise(2, 5, 6, 65535).Channel(1).ToArray(), pages.Fields[2].Read(pages.Pages).Pixels);
        Assert.Throws<DataException>(() => ImageSet.Find([folder.File("nothing")]));
        Directory.CreateDirectory(folder.File("empty"));
        Assert.Contains("no image file", Assert.Throws<DataException>(() => ImageSet.Find([folder.File("empty")])).Message);
    }

    [Fact]
    public void Channels_of_different_size_are_refused()
    {
        using TemporaryFolder folder = new();
        TestImages.WriteTiff(folder.File("f_DAPI.tif"), TestImages.Noise(1, 5, 6, 65535));
        TestImages.WriteTiff(folder.File("f_GFP.tif"), TestImages.Noise(1, 5, 7, 65535));
        ImageSet set = ImageSet.Find([folder.Path], new ChannelNaming(["DAPI", "GFP"]));
        Assert.Contains("f_GFP.tif", Assert.Throws<DataException>(() => set.Fields[0].Read()).Message);
    }
}
