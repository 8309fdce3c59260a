using System.Buffers.Binary;
using System.Text;
using BioSup.Runtime;

namespace BioSup.Data.Tests;

public sealed class SafetensorsTests
{
    private static readonly CpuDevice s_device = new(1);

    [Fact]
    public void Every_type_is_read()
    {
        using SafetensorsFile file = SafetensorsFile.Open(Golden.File("mixed.safetensors"));
        Assert.Equal(["f64", "f32", "f16", "i64", "u8", "bool", "bf16"], file.Names);
        Assert.Equal("pt", file.Metadata["format"]);
        Assert.Equal(Golden.Ramp(6), file.Read("f64").ToDoubles());
        Assert.Equal(Golden.Ramp(15), file.Read("f32").ToDoubles());
        Assert.Equal(Golden.Ramp(4), file.Read("f16").ToDoubles());
        Assert.Equal(Golden.Ramp(3), file.Read("i64").ToDoubles());
        Assert.Equal(Golden.Ramp(4).Select(v => v + 20), file.Read("u8").ToDoubles());
        Assert.Equal([true, false, true], file.Read("bool").As<bool>());
        Assert.Equal(Golden.Ramp(4), file.Read("bf16").ToDoubles());
        using Matrix<double> matrix = MatrixReader.ReadDouble(s_device, Golden.File("mixed.safetensors") + ":f32");
        Assert.Equal(Golden.Ramp(15), matrix.Buffer.View.Host.ToArray());
        DataException e = Assert.Throws<DataException>(() => MatrixReader.ReadDouble(s_device, Golden.File("mixed.safetensors") + ":W_mag"));
        Assert.Contains("f64, f32, f16", e.Message, StringComparison.Ordinal);
        Assert.Throws<DataException>(() => file.ReadVector("f32", 15));
        Assert.Equal(-20f, file.ReadVector("f32", 5, 3)[0]);
    }

    [Fact]
    public void Written_tensors_are_aligned_equal_and_reproducible()
    {
        using TemporaryFolder folder = new();
        using Matrix<float> weights = Matrix<float>.From(s_device, 2, 3, [1, 2, 3, 4, 5, 6]);
        using DeviceBuffer<float> bias = s_device.Allocate<float>(3);
        void Content(SafetensorsWriter writer)
        {
            writer.AddMetadata("note", "µ");
            writer.Add("h", new[] { (Half)1.5f, (Half)2 });
            writer.Add("flag", new[] { true });
            writer.Add("W_mag", weights);
            writer.Add("b_mag", bias);
            writer.Add("step", NdArray.Scalar(12L));
            writer.Add("brain", new[] { (BFloat16)1.00390625f }, 1, 1);
        }
        SafetensorsFile.Write(folder["a.safetensors"], Content);
        SafetensorsFile.Write(folder["b.safetensors"], Content);
        byte[] bytes = File.ReadAllBytes(folder["a.safetensors"]);
        Assert.Equal(bytes, File.ReadAllBytes(folder["b.safetensors"]));
        Assert.Equal(0, BinaryPrimitives.ReadInt64LittleEndian(bytes) % 8);
        using SafetensorsFile file = SafetensorsFile.Open(folder["a.safetensors"]);
        Assert.Equal(["step", "W_mag", "b_mag", "brain", "h", "flag"], file.Names);
        Assert.Equal([1f, 2, 3, 4, 5, 6], file.ReadVector("W_mag", 2, 3));
        Assert.Equal([0f, 0, 0], file.ReadVector("b_mag", 3));
        Assert.Equal(12, file.Read("step").As<long>()[0]);
        Assert.Equal([1.5, 2], file.Read("h").ToDoubles());
        // Halfway between two bfloat16 values: ties go to even.
        Assert.Equal([1.0], file.Read("brain").ToDoubles());
        Assert.Equal("µ", file.Metadata["note"]);
    }

    [Theory]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", 12, "inside")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", 12, "hole")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 4, "beyond")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 12, "has 12 bytes")]
    [InlineData("""{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", 8, "need 12 bytes")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}""", 8, "at least 0")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}""", 8, "too large")]
    [InlineData("""{"a":{"dtype":"X99","shape":[2],"data_offsets":[0,8]}}""", 8, "not known")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", 8, "give -8")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "twice")]
    [InlineData("""{"a":1}""", 0, "needs 'dtype'")]
    [InlineData("""[1]""", 0, "not a JSON object")]
    [InlineData("""{"a""", 0, "not a valid safetensors")]
    public void Headers_that_lie_are_refused(string header, int dataBytes, string words)
    {
        using TemporaryFolder folder = new();
        byte[] text = Encoding.UTF8.GetBytes(header), bytes = new byte[8 + text.Length + dataBytes];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, text.Length);
        text.CopyTo(bytes, 8);
        File.WriteAllBytes(folder["x.safetensors"], bytes);
        DataException e = Assert.Throws<DataException>(() => SafetensorsFile.Open(folder["x.safetensors"]));
        Assert.Contains(words, e.Message, StringComparison.Ordinal);
        Assert.Contains("x.safetensors", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_huge_header_length_allocates_nothing()
    {
        using TemporaryFolder folder = new();
        File.WriteAllBytes(folder["x.safetensors"], [0, 0, 0, 0, 0, 0, 0, 0x7F, 1, 2]);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<DataException>(() => SafetensorsFile.Open(folder["x.safetensors"]));
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 1 << 20);
    }
}
