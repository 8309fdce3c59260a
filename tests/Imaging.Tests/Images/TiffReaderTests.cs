using BioSup.Runtime;
using CsCheck;

namespace BioSup.Imaging.Tests;

public sealed class TiffReaderTests
{
    public static TheoryData<int, TiffCompression, TiffLayout, int, int> Layouts()
    {
        TheoryData<int, TiffCompression, TiffLayout, int, int> data = [];
        foreach (int bits in (int[])[8, 16])
            foreach (TiffCompression compression in Enum.GetValues<TiffCompression>())
                foreach (TiffLayout layout in Enum.GetValues<TiffLayout>())
                    foreach (int tile in (int[])[0, 16])
                        foreach (int channels in (int[])[1, 2, 3, 5])
                            data.Add(bits, compression, layout, tile, channels);
        return data;
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Every_layout_gives_back_the_samples_exactly(int bits, TiffCompression compression, TiffLayout layout, int tile, int channels)
    {
        using TemporaryFolder folder = new();
        ImageStack image = TestImages.Noise(channels, 37, 53, bits == 8 ? 255 : 65535);
        string path = folder.File("image.tif");
        TestImages.WriteTiff(path, image, new TiffOptions(bits, compression, layout, tile));
        ImageStack read = ImageReader.Read(path);
        Assert.Equal((channels, 37, 53), (read.Channels, read.Height, read.Width));
        Assert.Equal(image.FullScale, read.FullScale);
        Assert.Equal(image.Pixels, read.Pixels);
    }

    [Fact]
    public void Pages_can_be_channels_fields_or_focal_planes()
    {
        using TemporaryFolder folder = new();
        ImageStack image = TestImages.Noise(4, 9, 11, 65535);
        string path = folder.File("stack.tif");
        TestImages.WriteTiff(path, image, new TiffOptions(Layout: TiffLayout.Pages));
        Assert.Equal(4, TiffReader.CountPages(path));
        Assert.Equal(image.Channel(2).ToArray(), TiffReader.ReadPage(path, 2).Pixels);
        float[] maximum = TiffReader.Read(path, TiffPages.Maximum).Pixels;
        for (int i = 0; i < maximum.Length; i++)
            Assert.Equal(Math.Max(Math.Max(image.Channel(0)[i], image.Channel(1)[i]), Math.Max(image.Channel(2)[i], image.Channel(3)[i])), maximum[i]);
        DataException missing = Assert.Throws<DataException>(() => TiffReader.ReadPage(path, 4));
        Assert.Contains("stack.tif", missing.Message);
    }

    [Fact]
    public void Truncated_file_is_a_data_error_that_names_it()
    {
        using TemporaryFolder folder = new();
        string path = folder.File("cut.tif");
        TestImages.WriteTiff(path, TestImages.Noise(1, 64, 64, 65535));
        byte[] bytes = File.ReadAllBytes(path);
        foreach (int length in (int[])[0, 3, 7, 8, bytes.Length / 2, bytes.Length - 30])
        {
            File.WriteAllBytes(path, bytes.AsSpan(0, length));
            DataException error = Assert.Throws<DataException>(() => TiffReader.Read(path));
            Assert.Contains("cut.tif", error.Message);
        }
    }

    [Fact]
    public void Header_that_promises_more_than_the_file_can_hold_is_refused_before_memory_is_taken()
    {
        using TemporaryFolder folder = new();
        string path = folder.File("huge.tif");
        TestImages.WriteTiff(path, TestImages.Noise(1, 8, 8, 255), new TiffOptions(8, TiffCompression.None));
        byte[] bytes = File.ReadAllBytes(path);
        int directory = BitConverter.ToInt32(bytes, 4), entries = BitConverter.ToUInt16(bytes, directory);
        for (int entry = 0; entry < entries; entry++)
        {
            int at = directory + 2 + 12 * entry, tag = BitConverter.ToUInt16(bytes, at);
            if (tag is not (256 or 257)) continue;
            BitConverter.GetBytes((ushort)4).CopyTo(bytes, at + 2);
            BitConverter.GetBytes(1 << 20).CopyTo(bytes, at + 8);
        }
        File.WriteAllBytes(path, bytes);
        long before = GC.GetAllocatedBytesForCurrentThread();
        DataException error = Assert.Throws<DataException>(() => TiffReader.Read(path));
        Assert.Contains("more than a file of", error.Message);
        // The header promises 2^40 bytes; the library itself keeps a few tables that grow with the number of strips.
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 64 << 20);
    }

    [Fact]
    public void Mutated_files_give_an_image_or_a_data_error()
    {
        using TemporaryFolder folder = new();
        byte[][] originals = [.. new[]
        {
            new TiffOptions(8, TiffCompression.None), new TiffOptions(16, TiffCompression.Lzw), new TiffOptions(16, TiffCompression.Deflate, TiffLayout.Planar),
            new TiffOptions(16, TiffCompression.Deflate, TiffLayout.Pages), new TiffOptions(16, TiffCompression.Lzw, TiffLayout.Contiguous, 16),
        }.Select(options =>
        {
            using MemoryStream stream = new();
            TiffWriter.Write(stream, TestImages.Noise(3, 21, 19, options.Bits == 8 ? 255 : 65535), options);
            return stream.ToArray();
        })];
        Gen<(int File, (int At, byte Value)[] Edits, double Keep)> mutations =
            Gen.Select(Gen.Int[0, originals.Length - 1], Gen.Select(Gen.Int[0, 1 << 20], Gen.Byte).Array[1, 12], Gen.Double[0.2, 1.5]);
        mutations.Sample(mutation =>
        {
            byte[] bytes = [.. originals[mutation.File]];
            bytes = bytes[..(int)Math.Min(bytes.Length, bytes.Length * mutation.Keep)];
            // Half of the edits fall on the header and the directory (which the writer puts last), where they hurt most.
            foreach ((int at, byte value) in mutation.Edits)
                bytes[at % 2 == 0 ? at % bytes.Length : bytes.Length - 1 - at % Math.Min(bytes.Length, 260)] = value;
            string path = folder.File($"{Environment.CurrentManagedThreadId}.tif");
            File.WriteAllBytes(path, bytes);
            try
            {
                ImageStack image = TiffReader.Read(path);
                return image.Pixels.LongLength == (long)image.Channels * image.Height * image.Width;
            }
            catch (DataException e)
            {
                return e.Message.Contains(".tif");
            }
        }, iter: 4000, threads: 2);
    }

    [Fact]
    public void Png_is_read_and_other_bytes_are_refused_by_name()
    {
        using TemporaryFolder folder = new();
        string png = folder.File("grey.png");
        byte[] samples = [0, 10, 20, 30, 40, 255];
        using (ImageMagick.MagickImage image = new(samples, new ImageMagick.PixelReadSettings(3, 2, ImageMagick.StorageType.Char, "R")))
        {
            image.ColorSpace = ImageMagick.ColorSpace.Gray;
            image.Write(png, ImageMagick.MagickFormat.Png);
        }
        ImageStack read = ImageReader.Read(png);
        Assert.Equal((1, 2, 3), (read.Channels, read.Height, read.Width));
        Assert.Equal(samples.Select(v => (float)v), read.Pixels);

        byte[] bytes = File.ReadAllBytes(png);
        File.WriteAllBytes(png, bytes.AsSpan(0, 40));
        Assert.Contains("grey.png", Assert.Throws<DataException>(() => ImageReader.Read(png)).Message);
        bytes[24] = 16;
        File.WriteAllBytes(png, bytes);
        Assert.Contains("16-bit PNG", Assert.Throws<DataException>(() => ImageReader.Read(png)).Message);
        File.WriteAllText(png, "this is no picture at all, is it?");
        Assert.Contains("expected TIFF", Assert.Throws<DataException>(() => ImageReader.Read(png)).Message);
        Assert.Contains("does not exist", Assert.Throws<DataException>(() => ImageReader.Read(folder.File("none.tif"))).Message);
    }

    [Theory]
    [InlineData(ImageMagick.MagickFormat.Png)]
    [InlineData(ImageMagick.MagickFormat.Jpeg)]
    [InlineData(ImageMagick.MagickFormat.Bmp)]
    public void Mutated_pictures_give_an_image_or_a_data_error(ImageMagick.MagickFormat format)
    {
        using TemporaryFolder folder = new();
        byte[] samples = new byte[24 * 17 * 3];
        for (int i = 0; i < samples.Length; i++) samples[i] = (byte)(i * 37 % 251);
        using MemoryStream stream = new();
        using (ImageMagick.MagickImage image = new(samples, new ImageMagick.PixelReadSettings(24, 17, ImageMagick.StorageType.Char, "RGB"))) image.Write(stream, format);
        byte[] original = stream.ToArray();
        string good = folder.File("a[1]:b%d.img");
        File.WriteAllBytes(good, original);
        Assert.Equal((3, 17, 24), (ImageReader.Read(good).Channels, ImageReader.Read(good).Height, ImageReader.Read(good).Width));
        Gen.Select(Gen.Select(Gen.Int[0, 1 << 20], Gen.Byte).Array[1, 6], Gen.Double[0.3, 1.4]).Sample(mutation =>
        {
            byte[] bytes = [.. original.AsSpan(0, (int)Math.Min(original.Length, original.Length * mutation.Item2))];
            foreach ((int at, byte value) in mutation.Item1) bytes[at % 3 == 0 ? at % Math.Min(bytes.Length, 60) : at % bytes.Length] = value;
            string path = folder.File($"{Environment.CurrentManagedThreadId}.img");
            File.WriteAllBytes(path, bytes);
            try
            {
                return ImageReader.Read(path).Pixels.Length > 0;
            }
            catch (DataException e)
            {
                return e.Message.Contains(".img");
            }
        }, iter: 300, threads: 2);
    }
}
