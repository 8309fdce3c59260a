using System.Text.Json.Nodes;

namespace BioSup.Cli.Tests.CommandLine;

public sealed class CommandFrameTests
{
    [Theory]
    [InlineData(2, "nonsense")]
    [InlineData(2, "doctor", "--threads", "many")]
    [InlineData(2, "doctor", "--threads", "-3")]
    [InlineData(2, "doctor", "--seed", "-1")]
    [InlineData(2, "doctor", "--device", "abacus")]
    [InlineData(4, "doctor", "--device", "cuda:99")]
    [InlineData(2, "doctor", "--log", "no/such/folder/log.jsonl")]
    public void Bad_requests_give_one_sentence_and_their_exit_code_also_as_json(int exitCode, params string[] args)
    {
        (int code, string output, string error) = Invoke(args);
        Assert.Equal(exitCode, code);
        Assert.Empty(output);
        Assert.StartsWith("biosup: ", error);
        Assert.DoesNotContain("   at ", error);

        (code, output, error) = Invoke([.. args, "--json"]);
        Assert.Equal(exitCode, code);
        JsonNode body = JsonNode.Parse(output)!["error"]!;
        Assert.Equal(exitCode, (int)body["exit_code"]!);
        Assert.NotEmpty((string)body["message"]!);
        Assert.Empty(error);
    }

    [Fact]
    public void Doctor_prints_one_json_object_and_nothing_else()
    {
        (int code, string output, string error) = Invoke("doctor", "--json", "--threads", "1");
        Assert.Equal(0, code);
        Assert.Empty(error);
        Assert.Equal("doctor", (string)JsonNode.Parse(output)!["command"]!);
    }

    [Fact]
    public void The_log_holds_one_json_object_per_line()
    {
        string log = Path.Combine(Path.GetTempPath(), $"biosup-{Guid.NewGuid():N}.jsonl");
        try
        {
            Assert.Equal(0, Invoke("doctor", "--quiet", "--log", log).Code);
            Assert.Equal(4, Invoke("doctor", "--log", log, "--device", "cuda:99").Code);
            string[] events = [.. File.ReadAllLines(log).Select(line => (string)JsonNode.Parse(line)!["event"]!)];
            Assert.Equal(["result", "error"], events);
        }
        finally
        {
            File.Delete(log);
        }
    }

    internal static (int Code, string Output, string Error) Invoke(params string[] args)
    {
        using StringWriter output = new(), error = new();
        int code = BiosupApplication.Run(args, output, error);
        return (code, output.ToString(), error.ToString());
    }
}
