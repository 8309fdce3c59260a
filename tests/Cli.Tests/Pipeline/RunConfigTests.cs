using BioSup.Cli.Commands;
using BioSup.Cli.Pipeline;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Cli.Tests.Pipeline;

public sealed class RunConfigTests
{
    [Fact]
    public void Absent_keys_keep_their_defaults()
    {
        RunConfig config = Parse("""{ "images": { "path": "a", "encoder": "e.onnx", }, /* comment */ "align": { "y": "b.npy" } }""");
        Assert.Equal(1, config.Images!.MaxBackground);
        Assert.Equal(128, config.Images.Patch);
        Assert.Equal("instance", config.Images.Scaling);
        Assert.Equal(1e-3, config.Align!.Epsilon);
        Assert.Equal("geodesic", config.Align.Cost);
        Assert.Null(config.Sae);
    }

    [Theory]
    [InlineData("""{ "imagez": {} }""", "imagez")]
    [InlineData("""{ "align": { "epsilonn": 1 } }""", "epsilonn")]
    [InlineData("""{ "align": { "epsilon": "much" } }""", "align.epsilon")]
    [InlineData("""{ "images": { "path": "x" } }""", "encoder")]
    [InlineData("{ \"title\": ", "line 1")]
    [InlineData("[]", "object")]
    [InlineData("", "empty")]
    public void What_is_wrong_is_named(string text, string named)
    {
        UsageException error = Assert.Throws<UsageException>(() => Parse(text));
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("BioSup.", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public void Set_changes_a_key_and_creates_its_section()
    {
        RunConfig config = Parse("{}", "align.epsilon=0.25", "align.y=data/b.npy", "align.null=7", "title=Cells of plate 3");
        Assert.Equal(0.25, config.Align!.Epsilon);
        Assert.Equal("data/b.npy", config.Align.Y);
        Assert.Equal(7, config.Align.NullRuns);
        Assert.Equal("Cells of plate 3", config.Title);
        Assert.Throws<UsageException>(() => Parse("{}", "align.epsilon"));
        Assert.Throws<UsageException>(() => Parse("""{ "title": "x" }""", "title.sub=1"));
    }

    [Fact]
    public void The_template_of_init_and_the_committed_examples_are_valid()
    {
        Assert.NotNull(Parse(InitCommand.Template).Geometry);
        string[] examples = Directory.GetFiles(Path.Combine(RepositoryRoot.Path, "examples"), "*.json");
        Assert.NotEmpty(examples);
        Assert.All(examples, file => Assert.NotEmpty(Path.GetFileName(file).StartsWith("gw_map", StringComparison.Ordinal) ? GwMapConfigFile.Read(file, []).Title : RunConfigFile.Read(file, []).Title));
    }

    private static RunConfig Parse(string text, params string[] settings) => RunConfigFile.Parse(text, "test.json", settings);
}
