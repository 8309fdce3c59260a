using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Imaging.Tests;

public sealed class OnnxEncoderTests
{
    private static string Model(string name)
    {
        string? folder = SharedData.Find("encoder_onnx", out string reason);
        Assert.SkipWhen(folder is null, reason);
        return Path.Combine(folder!, name);
    }

    [Theory]
    [InlineData("pplcnetv3_det_backbone", "imagenet", 720)]
    [InlineData("mobilenetv3_cls_backbone", "symmetric", 200)]
    public void Embeddings_of_real_nuclei_are_those_of_the_reference_run(string model, string scaling, int width)
    {
        string file = Model(model + ".onnx");
        string? nuclei = SharedData.Find("mitocheck_nuclei", out string reason);
        Assert.SkipWhen(nuclei is null, reason);
        using CpuDevice device = new(2);
        using OnnxEncoder encoder = new(device, file, "embedding");
        NdArray images = NpyFile.Read(Path.Combine(nuclei!, "images.npy"));
        using Matrix<float> expected = NpyFile.Map<float>(device, Path.Combine(nuclei!, $"activations_{model}.npy"));
        Assert.Equal(new FeatureMapShape(1, 1, width), encoder.Shape(128));
        int[] which = [0, 7, 500, 1234, 2479];
        PatchPreparation preparation = new(device, 128, 128, 3, InputScaling.Parse(scaling));
        using Matrix<float> input = device.AllocateMatrix<float>(which.Length, preparation.InputLength), output = device.AllocateMatrix<float>(which.Length, width);
        byte[] pixels = images.As<byte>();
        preparation.Fill([.. which.Select(i => new PatchSource(new ImageStack($"{i}", 1, 128, 128, DoubleInEightBits(pixels.AsSpan(i * 4096, 4096)), 255), 0, 0))], input.View);
        encoder.Encode(input.View, 128, output.View);
        for (int i = 0; i < which.Length; i++)
            for (int c = 0; c < width; c++)
                Assert.Equal(expected.Row(which[i])[c], output.Row(i)[c], 1e-3);
    }

    /// <summary>64 x 64 to 128 x 128 as the reference run did it, with Pillow: rows first, then columns, each rounded to eight bits.</summary>
    private static float[] DoubleInEightBits(ReadOnlySpan<byte> pixels)
    {
        float[] wide = new float[64 * 128], large = new float[128 * 128];
        for (int y = 0; y < 64; y++)
            for (int x = 0; x < 128; x++)
                wide[y * 128 + x] = Between(pixels[y * 64 + Math.Clamp((x - 1) / 2, 0, 63)], pixels[y * 64 + Math.Clamp((x + 1) / 2, 0, 63)], x);
        for (int y = 0; y < 128; y++)
            for (int x = 0; x < 128; x++)
                large[y * 128 + x] = Between(wide[Math.Clamp((y - 1) / 2, 0, 63) * 128 + x], wide[Math.Clamp((y + 1) / 2, 0, 63) * 128 + x], y);
        return large;

        static float Between(float before, float after, int position) => MathF.Floor((position % 2 == 0 ? 0.25f * before + 0.75f * after : 0.75f * before + 0.25f * after) + 0.5f);
    }

    [Fact]
    public void The_last_feature_map_is_the_default_and_others_can_be_named()
    {
        using CpuDevice device = new(1);
        using OnnxEncoder encoder = new(device, Model("pplcnetv3_det_backbone.onnx"));
        Assert.EndsWith(":p2o.Add.215", encoder.Name);
        Assert.Equal((3, (int?)null), (encoder.Channels, encoder.InputSize));
        Assert.Equal(new FeatureMapShape(4, 4, 384), encoder.Shape(128));
        Assert.Equal(new FeatureMapShape(2, 2, 384), encoder.Shape(64));
        UsageException unknown = Assert.Throws<UsageException>(() => new OnnxEncoder(device, Model("pplcnetv3_det_backbone.onnx"), "conv9"));
        Assert.Contains("embedding", unknown.Message);
        Assert.Contains("p2o.Add.215", unknown.Message);
    }

    [Fact]
    public void The_feature_map_is_transposed_to_one_token_a_row()
    {
        using CpuDevice device = new(2);
        using OnnxEncoder map = new(device, Model("pplcnetv3_det_backbone.onnx")), pooled = new(device, Model("pplcnetv3_det_backbone.onnx"), "embedding");
        using Matrix<float> input = device.AllocateMatrix<float>(3, 3 * 64 * 64), features = device.AllocateMatrix<float>(3 * 4, 384), embedding = device.AllocateMatrix<float>(3, 720);
        CounterRandom random = new(2);
        foreach (ref float value in input.Buffer.View.Host) value = (float)random.NextNormal();
        map.Encode(input.View, 64, features.View);
        pooled.Encode(input.View, 64, embedding.View);
        // The embedding ends with the average of this very map.
        for (int image = 0; image < 3; image++)
            for (int c = 0; c < 384; c++)
                Assert.Equal(embedding.Row(image)[720 - 384 + c], Enumerable.Range(0, 4).Average(cell => (double)features.Row(image * 4 + cell)[c]), 1e-4);
    }

    [Fact]
    public void What_is_no_model_or_does_not_fit_is_a_data_error_that_names_the_file()
    {
        using TemporaryFolder folder = new();
        using CpuDevice device = new(1);
        Assert.Contains("does not exist", Assert.Throws<DataException>(() => new OnnxEncoder(device, folder.File("none.onnx"))).Message);
        File.WriteAllText(folder.File("text.onnx"), "no protobuf here");
        Assert.Contains("text.onnx", Assert.Throws<DataException>(() => new OnnxEncoder(device, folder.File("text.onnx"))).Message);
        byte[] bytes = File.ReadAllBytes(Model("mobilenetv3_cls_backbone.onnx"));
        File.WriteAllBytes(folder.File("half.onnx"), bytes.AsSpan(0, bytes.Length / 2));
        Assert.Contains("half.onnx", Assert.Throws<DataException>(() => new OnnxEncoder(device, folder.File("half.onnx"))).Message);
    }
}
