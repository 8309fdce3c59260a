using System.IO.Compression;
using System.Text;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Data.Tests;

/// <summary>Files of torch.save: what PyTorch writes is read, what is written PyTorch reads, and nothing in a file is ever run.</summary>
public sealed class TorchFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-torch-").FullName;

    private string At(string name) => Path.Combine(_folder, name);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void What_is_written_is_read_again()
    {
        TorchWriter.Write(At("a.pt"), Content());
        using TorchFile file = TorchFile.Open(At("a.pt"));
        Dictionary<string, object?> root = Assert.IsType<Dictionary<string, object?>>(file.Root);
        Assert.Equal(["weight", "k", "sizes", "args"], root.Keys);
        Assert.Equal([1, 2, 3, 4, 5, 6], file.ReadVector((TorchTensor)root["weight"]!, "weight", 2, 3));
        Assert.Equal([7], file.ReadVector((TorchTensor)root["k"]!, "k"));
        Assert.Equal([300, 70000], file.ReadVector((TorchTensor)root["sizes"]!, "sizes", 2));
        Dictionary<string, object?> args = Assert.IsType<Dictionary<string, object?>>(root["args"]);
        Assert.Equal(("µ", true, 5_000_000_000L), ((string)args["layer"]!, (bool)args["tied"]!, (long)args["count"]!));
        Assert.Contains("2 x 2 was expected", Assert.Throws<DataException>(() => file.ReadVector((TorchTensor)root["weight"]!, "weight", 2, 2)).Message, StringComparison.Ordinal);
        TorchWriter.Write(At("b.pt"), Content());
        Assert.Equal(File.ReadAllBytes(At("a.pt")), File.ReadAllBytes(At("b.pt")));
    }

    [Fact]
    public void Pytorch_reads_what_is_written_even_weights_only()
    {
        string? python = Python.Find("import torch", out string reason);
        Assert.SkipWhen(python is null, reason);
        TorchWriter.Write(At("a.pt"), Content());
        const string Script = """
            import sys, torch, collections
            for only in (True, False):
                a = torch.load(sys.argv[1], weights_only=only)
                assert isinstance(a, collections.OrderedDict) and list(a) == ["weight", "k", "sizes", "args"]
                assert torch.equal(a["weight"], torch.arange(1., 7.).view(2, 3)) and a["weight"].is_contiguous()
                assert a["k"].dtype == torch.int32 and a["k"].shape == () and a["k"].item() == 7
                assert a["sizes"].tolist() == [300, 70000] and a["sizes"].dtype == torch.int64
                assert dict(a["args"]) == {"layer": "µ", "tied": True, "count": 5000000000}
            print("equal")
            """;
        Assert.Equal("equal\n", Python.Run(python!, "-c", Script, At("a.pt")));
    }

    [Fact]
    public void What_pytorch_writes_is_read_whatever_its_strides_and_types()
    {
        string? python = Python.Find("import torch", out string reason);
        Assert.SkipWhen(python is null, reason);
        const string Script = """
            import sys, torch, argparse, numpy, random
            x = torch.arange(24.).view(4, 6)
            torch.save({"args": argparse.Namespace(lr=1.0), "sae": torch.nn.Linear(3, 2).state_dict(), "t": x.t(), "part": x[1:3, 2:5], "bf": x.bfloat16(), "half": x.half(), "double": x.double(),
                        "parameter": torch.nn.Parameter(x[0]), "flag": torch.tensor(True), "empty": torch.zeros(0, 5), 3: "three",
                        "rng": {"numpy": numpy.random.get_state(), "python": random.getstate(), "torch": torch.get_rng_state()}, "opt": torch.optim.AdamW([torch.nn.Parameter(x)]).state_dict()}, sys.argv[1])
            """;
        Python.Run(python!, "-c", Script, At("a.pt"));
        using TorchFile file = TorchFile.Open(At("a.pt"));
        Dictionary<string, object?> root = Assert.IsType<Dictionary<string, object?>>(file.Root);
        float[] Read(string name, params ReadOnlySpan<long> shape) => file.ReadVector((TorchTensor)root[name]!, name, shape);
        float[] x = [.. Enumerable.Range(0, 24).Select(i => (float)i)];
        Assert.Equal([.. Enumerable.Range(0, 24).Select(i => (float)(i % 4 * 6 + i / 4))], Read("t", 6, 4));
        Assert.Equal([8, 9, 10, 14, 15, 16], Read("part", 2, 3));
        Assert.Equal(x, Read("bf", 4, 6));
        Assert.Equal(x, Read("half", 4, 6));
        Assert.Equal(x, Read("double", 4, 6));
        Assert.Equal(x[..6], Read("parameter", 6));
        Assert.Equal([1], Read("flag"));
        Assert.Empty(Read("empty", 0, 5));
        Assert.Equal("three", root["3"]);
        Assert.Equal(["weight", "bias"], Assert.IsType<Dictionary<string, object?>>(root["sae"]).Keys);
        Assert.IsNotType<Dictionary<string, object?>>(root["args"]);
    }

    [Fact]
    public void Nothing_is_run_and_damage_is_one_sentence()
    {
        WriteArchive("evil.pt", "\u0080\u0002cposix\nsystem\nX\u0008\0\0\0touch ow\u0085R.");
        using (TorchFile evil = TorchFile.Open(At("evil.pt"))) Assert.Equal("Opaque", evil.Root!.GetType().Name);
        WriteArchive("unknown.pt", "\u0080\u0002\u00ff.");
        Assert.Contains("0xff", Error("unknown.pt"), StringComparison.Ordinal);
        WriteArchive("short.pt", "\u0080\u0002(");
        Assert.Contains("ends too early", Error("short.pt"), StringComparison.Ordinal);
        File.WriteAllText(At("old.pt"), "\u0080\u0002something of long ago");
        Assert.Contains("1.6", Error("old.pt"), StringComparison.Ordinal);
        NpzFile.Write(At("other.pt"), writer => writer.Add("X", new float[3]));
        Assert.Contains("data.pkl", Error("other.pt"), StringComparison.Ordinal);
        TorchWriter.Write(At("whole.pt"), Content());
        byte[] bytes = File.ReadAllBytes(At("whole.pt"));
        File.WriteAllBytes(At("half.pt"), bytes[..(bytes.Length / 2)]);
        Assert.Contains("half.pt", Error("half.pt"), StringComparison.Ordinal);
        // A tensor that claims more of its storage than there is.
        WriteArchive("beyond.pt", "\u0080\u0002ctorch._utils\n_rebuild_tensor_v2\n((X\u0007\0\0\0storagectorch\nFloatStorage\nX\u0001\0\0\00X\u0003\0\0\0cpuK\u0002tQK\u0000K\u0002K\u0002\u0086K\u0002K\u0001\u0086\u0089NtR.", new byte[8]);
        using TorchFile beyond = TorchFile.Open(At("beyond.pt"));
        Assert.Contains("reaches to element 3", Assert.Throws<DataException>(() => beyond.ReadVector((TorchTensor)beyond.Root!, "x", 2, 2)).Message, StringComparison.Ordinal);

        string Error(string name) => Assert.Throws<DataException>(() => TorchFile.Open(At(name)).Dispose()).Message;
    }

    private static Dictionary<string, object> Content() => new()
    {
        ["weight"] = new NdArray(new float[] { 1, 2, 3, 4, 5, 6 }, 2, 3),
        ["k"] = NdArray.Scalar(7),
        ["sizes"] = NdArray.Vector(new long[] { 300, 70000 }),
        ["args"] = new Dictionary<string, object> { ["layer"] = "µ", ["tied"] = true, ["count"] = 5_000_000_000L },
    };

    private void WriteArchive(string name, string program, byte[]? storage = null)
    {
        using ZipArchive archive = ZipFile.Open(At(name), ZipArchiveMode.Create);
        using (Stream stream = archive.CreateEntry("a/data.pkl").Open()) stream.Write(Encoding.Latin1.GetBytes(program));
        if (storage is null) return;
        using Stream data = archive.CreateEntry("a/data/0", CompressionLevel.NoCompression).Open();
        data.Write(storage);
    }
}
