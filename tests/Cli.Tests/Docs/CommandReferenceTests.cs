using System.CommandLine;
using BioSup.Shapes;

namespace BioSup.Cli.Tests.Docs;

public sealed class CommandReferenceTests
{
    [Fact]
    public void The_command_reference_in_docs_is_the_program_s_own()
    {
        string path = Path.Combine(RepositoryRoot.Path, "docs", "commands.md");
        string expected = CommandReference.Write(BiosupApplication.CreateRoot());
        if (Environment.GetEnvironmentVariable("BIOSUP_UPDATE_DOCS") == "1") File.WriteAllText(path, expected);
        Assert.Equal(expected, File.ReadAllText(path));
    }

    [Fact]
    public void Every_command_and_option_says_what_it_does()
    {
        foreach (Command command in Walk(BiosupApplication.CreateRoot()))
        {
            Assert.False(string.IsNullOrWhiteSpace(command.Description), $"{command.Name} has no description");
            Assert.All(command.Options, o => Assert.False(string.IsNullOrWhiteSpace(o.Description), $"{command.Name} {o.Name} has no description"));
        }
    }

    private static IEnumerable<Command> Walk(Command command) => command.Subcommands.SelectMany(Walk).Prepend(command);
}
