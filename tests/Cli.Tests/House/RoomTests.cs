using System.Diagnostics;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using BioSup.Shapes;

namespace BioSup.Cli.Tests.House;

/// <summary>The rooms of the house and the rules that keep it easy to live in, held against the repository itself.</summary>
public sealed partial class RoomTests
{
    /// <summary>From each room to the rooms it may know: docs/architecture.md draws the same arrows.</summary>
    private static readonly Dictionary<string, string[]> s_arrows = new()
    {
        ["src/Runtime"] = [],
        ["src/Kernels"] = ["src/Runtime"],
        ["src/Data"] = ["src/Runtime"],
        ["src/Imaging"] = ["src/Kernels", "src/Data", "src/Runtime"],
        ["src/Analysis"] = ["src/Kernels", "src/Data", "src/Runtime"],
        ["src/Report"] = ["src/Kernels", "src/Data", "src/Runtime"],
        ["src/Cli"] = ["src/Report", "src/Imaging", "src/Analysis", "src/Kernels", "src/Data", "src/Runtime"],
    };

    [Fact]
    public void References_between_projects_follow_the_arrows()
    {
        Dictionary<string, string[]> references = ReadReferences();
        Assert.Superset(s_arrows.Keys.ToHashSet(), references.Keys.Where(p => p.StartsWith("src/", StringComparison.Ordinal)).ToHashSet());
        foreach ((string project, string[] targets) in references.Where(p => p.Key.StartsWith("src/", StringComparison.Ordinal)))
        {
            Assert.True(s_arrows.ContainsKey(project), $"{project} is a new room: add its arrows to docs/architecture.md and to this test.");
            foreach (string target in targets) Assert.True(s_arrows[project].Contains(target), $"{project} must not refer to {target}.");
        }
    }

    [Fact]
    public void Nothing_refers_to_tests_or_benchmarks_but_themselves()
    {
        foreach ((string project, string[] targets) in ReadReferences())
        {
            bool outside = project.StartsWith("src/", StringComparison.Ordinal);
            Assert.DoesNotContain(targets, t => outside && (t.StartsWith("tests/", StringComparison.Ordinal) || t.StartsWith("benchmarks/", StringComparison.Ordinal)));
        }
    }

    [Fact]
    public void Every_room_with_code_has_a_test_project_and_every_project_is_in_the_solution()
    {
        string solution = File.ReadAllText(Path.Combine(RepositoryRoot.Path, "BioSup.Native.sln")).Replace('\\', '/');
        string[] projects = [.. Projects().Select(Relative)];
        Assert.All(projects, p => Assert.Contains(p, solution));
        foreach (string room in s_arrows.Keys) Assert.Contains(projects, p => p.StartsWith($"tests/{Path.GetFileName(room)}.Tests/", StringComparison.Ordinal));
    }

    [Fact]
    public void Files_stay_readable_in_length()
    {
        foreach (string file in Directory.EnumerateFiles(Path.Combine(RepositoryRoot.Path, "src"), "*.cs", SearchOption.AllDirectories))
        {
            int lines = File.ReadLines(file).Count();
            Assert.True(lines <= 500, $"{Relative(file)} has {lines} lines: split it (500 at most, about 400 as a habit).");
        }
    }

    /// <summary>System first, then by name, static ones and aliases after: the one rule of format that neither the build nor the check of white space sees.</summary>
    [Fact]
    public void Imports_are_in_order()
    {
        List<string> found = [];
        foreach (string file in new[] { "src", "tests", "benchmarks" }
            .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(RepositoryRoot.Path, folder), "*.cs", SearchOption.AllDirectories)))
        {
            string[] imports = [.. File.ReadLines(file).Where(l => l.StartsWith("using ", StringComparison.Ordinal) && l.EndsWith(';')).Select(l => l[6..^1])];
            if (!imports.SequenceEqual(imports.OrderBy(ImportKey, StringComparer.OrdinalIgnoreCase))) found.Add(Relative(file));
        }
        Assert.True(found.Count == 0, "Imports out of order (build.ps1 -Target Format -Fix mends them): " + string.Join(", ", found));
    }

    private static string ImportKey(string import)
    {
        string name = import.StartsWith("static ", StringComparison.Ordinal) ? import[7..] : import;
        int kind = import.Contains('=') ? 2 : name.Length < import.Length ? 1 : 0;
        return $"{kind}{(name == "System" || name.StartsWith("System.", StringComparison.Ordinal) ? 0 : 1)}{name.Split(' ')[0]}";
    }

    [Fact]
    public void No_file_names_a_place_on_one_machine()
    {
        Assert.SkipUnless(TryListTrackedFiles(out string[] files, out string reason), reason);
        List<string> found = [];
        foreach (string file in files.Where(IsText))
        {
            int number = 0;
            foreach (string line in File.ReadLines(Path.Combine(RepositoryRoot.Path, file)))
            {
                number++;
                if (MachinePath().IsMatch(line)) found.Add($"{file}:{number}: {line.Trim()}");
            }
        }
        Assert.True(found.Count == 0, "Paths of one machine in the repository:\n" + string.Join('\n', found));
    }

    [Fact]
    public void No_build_output_is_part_of_the_repository()
    {
        Assert.SkipUnless(TryListTrackedFiles(out string[] files, out string reason), reason);
        Assert.DoesNotContain(files, f => f.Split('/').Any(part => part is "bin" or "obj" or "artifacts" or "__pycache__"));
    }

    [Fact]
    public void Every_package_has_its_reason()
    {
        string[] packages = [.. XDocument.Load(Path.Combine(RepositoryRoot.Path, "Directory.Packages.props")).Descendants("PackageVersion").Select(p => p.Attribute("Include")!.Value)];
        string[] rows = [.. File.ReadLines(Path.Combine(RepositoryRoot.Path, "docs", "dependencies.md")).Where(l => l.StartsWith("| ", StringComparison.Ordinal))];
        Assert.All(packages, p => Assert.Single(rows, r => r.StartsWith($"| {p} | ", StringComparison.Ordinal)));
    }

    private static IEnumerable<string> Projects() => new[] { "src", "tests", "benchmarks" }
        .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(RepositoryRoot.Path, folder), "*.csproj", SearchOption.AllDirectories));

    private static Dictionary<string, string[]> ReadReferences() => Projects().ToDictionary(
        project => Path.GetDirectoryName(Relative(project))!,
        project => XDocument.Load(project).Descendants("ProjectReference")
            .Select(r => Relative(Path.GetDirectoryName(Path.GetFullPath(Path.Combine(Path.GetDirectoryName(project)!, r.Attribute("Include")!.Value.Replace('\\', '/'))))!))
            .ToArray());

    private static string Relative(string path) => Path.GetRelativePath(RepositoryRoot.Path, path).Replace('\\', '/');

    private static bool IsText(string file)
    {
        string path = Path.Combine(RepositoryRoot.Path, file);
        if (!File.Exists(path) || file.EndsWith("packages.lock.json", StringComparison.Ordinal)) return false;
        using FileStream stream = File.OpenRead(path);
        var head = new byte[Math.Min(4096, stream.Length)];
        stream.ReadExactly(head);
        return !head.Contains((byte)0);
    }

    private static bool TryListTrackedFiles(out string[] files, out string reason)
    {
        (files, reason) = ([], "git does not list the files of this checkout");
        try
        {
            ProcessStartInfo start = new("git", ["ls-files", "-z"]) { WorkingDirectory = RepositoryRoot.Path, RedirectStandardOutput = true, RedirectStandardError = true };
            using Process process = Process.Start(start)!;
            string listed = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            files = listed.Split('\0', StringSplitOptions.RemoveEmptyEntries);
            return process.ExitCode == 0 && files.Length > 0;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            reason = $"git cannot be started: {e.Message}";
            return false;
        }
    }

    // Home folders and scratch folders of a machine; "/proc", "/dev" and "/usr/bin" mean the same everywhere.
    [GeneratedRegex(@"(?<![\w.~-])/(?:work|farm|tmp|root|home|Users|mnt)/[\w.]")]
    private static partial Regex MachinePath();
}
