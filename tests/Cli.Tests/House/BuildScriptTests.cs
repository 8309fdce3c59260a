using System.Collections.ObjectModel;
using System.Management.Automation;
using System.Management.Automation.Language;
using System.Management.Automation.Runspaces;
using System.Text.RegularExpressions;
using BioSup.Shapes;

namespace BioSup.Cli.Tests.House;

/// <summary>build.ps1 under a PowerShell that has no cmdlets, no modules and no profile.</summary>
[Collection(nameof(ConsoleCapture))]
public sealed partial class BuildScriptTests
{
    private static string ScriptPath => Path.Combine(RepositoryRoot.Path, "build.ps1");

    [Fact]
    public void Version_is_that_of_the_build()
    {
        (int exit, string output, string _) = Run("-Target Version");
        Assert.Equal(0, exit);
        string props = File.ReadAllText(Path.Combine(RepositoryRoot.Path, "Directory.Build.props"));
        Assert.Equal(VersionElement().Match(props).Groups[1].Value, output.Trim());
    }

    [Fact]
    public void A_dry_run_of_All_prints_every_command_in_order()
    {
        (int exit, string output, string _) = Run("-Target All -DryRun");
        Assert.Equal(0, exit);
        Assert.Equal(
            [
                "Restore> dotnet restore BioSup.Native.sln --locked-mode",
                "Format> dotnet format whitespace . --folder --exclude artifacts --verify-no-changes",
                "Build> dotnet build BioSup.Native.sln -c Release --no-restore -warnaserror",
                "Test> dotnet test BioSup.Native.sln -c Release",
                "Demo> dotnet run -c Release --project src/Cli -- demo",
                "Publish> dotnet publish src/Cli -c Release -r linux-x64 --self-contained true -p:PublishReadyToRun=true -o artifacts/publish/biosup-linux-x64",
            ],
            output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));
    }

    [Theory]
    [InlineData("Restore")]
    [InlineData("Format")]
    [InlineData("Build")]
    [InlineData("Test")]
    [InlineData("Demo")]
    [InlineData("Bench")]
    [InlineData("Publish")]
    [InlineData("Gpu")]
    public void Each_target_names_its_command(string target)
    {
        (int exit, string output, string _) = Run($"-Target {target} -DryRun");
        Assert.Equal(0, exit);
        Assert.StartsWith($"{target}> dotnet ", output, StringComparison.Ordinal);
    }

    /// <summary>The pack itself is made and run by tests/Benchmarks.Tests.</summary>
    [Fact]
    public void Gpu_builds_what_it_packs_before_it_packs() => Assert.Equal(
        [
            "Gpu> dotnet build src/Cli -c Release",
            "Gpu> dotnet build tests/Kernels.Tests -c Release",
            "Gpu> dotnet run -c Release --project benchmarks/Device -- pack --out artifacts/gpu",
        ],
        Run("-Target Gpu -DryRun").Output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));

    [Fact]
    public void Format_can_write_its_changes() => Assert.Equal("Format> dotnet format BioSup.Native.sln --no-restore", Run("-Target Format -Fix -DryRun").Output.Trim());

    [Fact]
    public void A_target_that_does_not_exist_is_a_usage_error()
    {
        (int exit, string output, string error) = Run("-Target Deploy");
        Assert.Equal(2, exit);
        Assert.Empty(output);
        Assert.Contains("there is no target 'Deploy'", error);
        Assert.Contains("Restore, Format, Build, Test, Demo, Bench, Publish, Gpu, Version, All", error);
    }

    [Fact]
    public void A_failing_command_gives_its_exit_code_and_stops()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Skip("a shell script stands in for dotnet here");
            return;
        }
        // A dotnet of our own, first in the path, that notes its call and fails.
        string folder = Directory.CreateTempSubdirectory("biosup-build-").FullName;
        string? path = Environment.GetEnvironmentVariable("PATH");
        try
        {
            string dotnet = Path.Combine(folder, "dotnet");
            File.WriteAllText(dotnet, $"#!/bin/sh\necho \"$PWD $*\" >> '{folder}/calls'\nexit 7\n");
            File.SetUnixFileMode(dotnet, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            Environment.SetEnvironmentVariable("PATH", folder + ":" + path);
            (int exit, string _, string error) = Run("-Target All");
            Assert.Equal(7, exit);
            Assert.Contains("Restore failed with exit code 7", error);
            Assert.Equal($"{RepositoryRoot.Path} restore BioSup.Native.sln --locked-mode", File.ReadAllText(Path.Combine(folder, "calls")).Trim());
        }
        finally
        {
            Environment.SetEnvironmentVariable("PATH", path);
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void The_script_calls_no_cmdlet()
    {
        ScriptBlockAst script = Parser.ParseFile(ScriptPath, out Token[] _, out ParseError[] errors);
        Assert.Empty(errors);
        string[] functions = [.. script.FindAll(n => n is FunctionDefinitionAst, true).Cast<FunctionDefinitionAst>().Select(f => f.Name)];
        CommandAst[] commands = [.. script.FindAll(n => n is CommandAst, true).Cast<CommandAst>()];
        Assert.NotEmpty(commands);
        Assert.All(commands, c => Assert.Contains(c.GetCommandName(), functions));
        Assert.Empty(script.FindAll(n => n is UsingStatementAst, true));
    }

    [Fact]
    public void The_bash_entrance_runs_the_same_commands()
    {
        string bash = File.ReadAllText(Path.Combine(RepositoryRoot.Path, ".ci", "run"));
        Assert.Contains("dotnet restore BioSup.Native.sln --locked-mode", bash);
        Assert.Contains("dotnet format whitespace . --folder --exclude artifacts --verify-no-changes", bash);
        Assert.Contains("dotnet build BioSup.Native.sln -c Release --no-restore -warnaserror", bash);
        Assert.Contains("dotnet test BioSup.Native.sln -c Release", bash);
        Assert.Contains("--project src/Cli -- demo", bash);
    }

    private static (int Exit, string Output, string Error) Run(string arguments)
    {
        InitialSessionState state = InitialSessionState.CreateDefault2();
        foreach (SessionStateCommandEntry command in state.Commands.Where(c => c is SessionStateCmdletEntry or SessionStateFunctionEntry or SessionStateAliasEntry).ToArray())
            state.Commands.Remove(command.Name, command.GetType());
        TextWriter standardOutput = Console.Out, standardError = Console.Error;
        using StringWriter output = new(), error = new();
        try
        {
            Console.SetOut(output);
            Console.SetError(error);
            using Runspace runspace = RunspaceFactory.CreateRunspace(state);
            runspace.Open();
            using PowerShell shell = PowerShell.Create(runspace);
            shell.AddScript($"& '{ScriptPath.Replace("'", "''")}' {arguments}; $LASTEXITCODE");
            Collection<PSObject> result = shell.Invoke();
            Assert.Empty(shell.Streams.Error);
            return ((int)Assert.Single(result).BaseObject, output.ToString(), error.ToString());
        }
        finally
        {
            Console.SetOut(standardOutput);
            Console.SetError(standardError);
        }
    }

    [GeneratedRegex("<Version>([^<]+)</Version>")]
    private static partial Regex VersionElement();
}

/// <summary>Tests that take the console of the whole process for themselves.</summary>
[CollectionDefinition(nameof(ConsoleCapture), DisableParallelization = true)]
public sealed class ConsoleCapture;
