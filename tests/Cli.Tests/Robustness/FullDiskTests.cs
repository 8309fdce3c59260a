using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;

namespace BioSup.Cli.Tests.Robustness;

/// <summary>
/// A disk that fills up at any moment of a command: exit code 3, one sentence, no part of a file, and what was there before is still there. The disk is a
/// tmpfs of a few pages in a user namespace of its own, which needs no rights; the other kind of limit is the size of a file (ulimit -f).
/// </summary>
public sealed class FullDiskTests(BrokenInputs inputs) : IClassFixture<BrokenInputs>
{
    private const string Mounted = "mount -t tmpfs -o size=SIZEk none \"$0\" || exit 99; cd \"$0\"; printf old > old.txt; \"$@\"; code=$?; echo; find . -type f -printf 'left %P %s\\n'; "
        + "find . -name '*.csv' -exec sh -c '[ -z \"$(tail -c1 \"$1\")\" ] || echo \"cut $1\"' sh {} \\;; exit $code";
    private static readonly string s_program = Path.Combine(AppContext.BaseDirectory, "biosup");

    [Theory]
    [InlineData("distance --x {x.npy} --out out/d.npy", "d.npy")]
    [InlineData("knn --x {x.npy} --k 20 --out out/g.npz", "g.npz")]
    [InlineData("gw align --x {x.npy} --y {y.npy} --max-iter 2 --out out", "coupling.npy result.json")]
    [InlineData("geometry --x {x.npy} --value {num.csv}:v --k 3 --out out", "geometry.json ridge_r2.csv effective_rank.csv local_linearity.csv")]
    [InlineData("tokens --images {images} --encoder dictionary --atoms 3 --patch 16 --out out", "dictionary.safetensors images.csv index.json centre.npy gap.npy tokens-*.npy")]
    [InlineData("sae train --tokens {x.npy} --config {sae.json} --steps 3 --out out", "config.json model.safetensors telemetry.csv train_log.csv")]
    [InlineData("init --out out/c.json", "c.json")]
    public void A_full_disk_is_one_sentence_and_leaves_whole_files_only(string command, string whole)
    {
        RequireTmpfs();
        string[] arguments = Arguments(command);
        (int code, _, Dictionary<string, long> complete) = OnTmpfs(4096, arguments);
        Assert.Equal(0, code);
        Assert.All(whole.Split(' '), name => Assert.Contains(complete.Keys, file => Matches(file, name)));
        int failures = 0;
        foreach (int kilobytes in new[] { 4, 12, 28 })
        {
            (code, JsonNode result, Dictionary<string, long> left) = OnTmpfs(kilobytes, arguments);
            Assert.Equal(3, left["old.txt"]);
            if (code == 0) continue;
            failures++;
            Assert.Equal((3, 3), (code, (int)result["error"]!["exit_code"]!));
            Assert.Contains("the disk is full", (string)result["error"]!["message"]!, StringComparison.OrdinalIgnoreCase);
            Assert.DoesNotContain('\n', (string)result["error"]!["message"]!);
            // manifest.json says that a command finished; every other file has to be what it is where there is room.
            Assert.DoesNotContain("out/manifest.json", left.Keys);
            foreach ((string file, long size) in left)
                if (file != "old.txt") Assert.True(complete.TryGetValue(file, out long expected) && SameSize(file, expected, size), $"{file} of {size} bytes was left with {kilobytes} KiB");
        }
        Assert.True(failures > 0, "the disk was never full");
    }

    [Fact]
    public void What_an_earlier_run_wrote_stays_when_the_disk_is_full()
    {
        RequireTmpfs();
        string first = Path.Combine(inputs.Folder, "first.sh");
        // The first result fits into 8 KiB, the second does not fit beside it.
        File.WriteAllText(first, """
            "$@" --out out/d.npy --x "$SMALL" >/dev/null || exit 98
            before=$(cksum < out/d.npy)
            "$@" --out out/d.npy --x "$LARGE"; code=$?
            [ "$(cksum < out/d.npy)" = "$before" ] || exit 97
            exit $code
            """);
        (int code, JsonNode result, Dictionary<string, long> left) = OnTmpfs(8, ["bash", first, s_program, "distance", "--threads", "1", "--quiet", "--json"], program: false);
        Assert.Equal(3, code);
        Assert.Contains("the disk is full; nothing was changed", (string)result["error"]!["message"]!, StringComparison.Ordinal);
        Assert.Equal(["old.txt", "out/d.npy"], left.Keys.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_file_beyond_the_limit_of_the_process_is_an_error_of_the_write()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && File.Exists(s_program), $"{s_program} is not there or this is not Linux");
        string output = inputs.At("limited");
        ProcessStartInfo start = new("bash", ["-c", "ulimit -f 2 || exit 99; exec \"$@\"", "bash", s_program, "distance", "--x", inputs.At("x.npy"), "--out", Path.Combine(output, "d.npy"), "--threads", "1", "--quiet", "--json"]);
        // The runtime itself starts only without its second mapping of code, which is a file beyond every limit.
        start.Environment["DOTNET_EnableWriteXorExecute"] = "0";
        (int code, string text) = Run(start);
        Assert.SkipWhen(code == 99, "this shell cannot limit the size of files");
        JsonNode error = JsonNode.Parse(text)!["error"]!;
        Assert.Equal((3, 3), (code, (int)error["exit_code"]!));
        Assert.Contains("d.npy: the file is larger than this process (ulimit -f)", (string)error["message"]!, StringComparison.Ordinal);
        Assert.False(Directory.Exists(output) && Directory.EnumerateFileSystemEntries(output).Any(), "something was left behind");
    }

    internal static void RequireTmpfs()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && File.Exists(s_program), $"{s_program} is not there or this is not Linux");
        using Process probe = Process.Start(new ProcessStartInfo("sh", ["-c", "unshare -Urm sh -c 'mount -t tmpfs -o size=4k none /tmp' 2>/dev/null"]))!;
        probe.WaitForExit();
        Assert.SkipUnless(probe.ExitCode == 0, "a tmpfs cannot be mounted in a user namespace here (unshare -Urm): no disk to fill");
    }

    private (int Code, JsonNode Result, Dictionary<string, long> Left) OnTmpfs(int kilobytes, string[] arguments, bool program = true)
    {
        string mount = Directory.CreateDirectory(inputs.At("disk")).FullName;
        ProcessStartInfo start = new("unshare", ["-Urm", "bash", "-c", Mounted.Replace("SIZE", kilobytes.ToString(CultureInfo.InvariantCulture)), mount, .. program ? [s_program, .. arguments] : arguments]);
        start.Environment["SMALL"] = inputs.At("y.npy");
        start.Environment["LARGE"] = inputs.At("x.npy");
        (int code, string text) = Run(start);
        Assert.True(code is not 99, "the disk could not be mounted");
        string[] lines = text.Split('\n');
        Assert.DoesNotContain(lines, line => line.StartsWith("cut ", StringComparison.Ordinal));
        Dictionary<string, long> left = lines.Where(line => line.StartsWith("left ", StringComparison.Ordinal)).Select(line => line.Split(' ')).ToDictionary(part => part[1], part => long.Parse(part[2], CultureInfo.InvariantCulture));
        string json = string.Join('\n', lines.TakeWhile(line => !line.StartsWith("left ", StringComparison.Ordinal)));
        return (code, JsonNode.Parse(json)!, left);
    }

    private static (int Code, string Output) Run(ProcessStartInfo start)
    {
        start.RedirectStandardOutput = start.RedirectStandardError = true;
        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        Assert.True(process.WaitForExit(TimeSpan.FromMinutes(1)), "the process did not end");
        Assert.All(error.Result.Split('\n', StringSplitOptions.RemoveEmptyEntries), line => Assert.StartsWith("biosup: warning: ", line));
        return (process.ExitCode, output);
    }

    private string[] Arguments(string command) =>
        [.. command.Split(' ').Select(word => word.StartsWith('{') && word.IndexOf('}') is var end ? inputs.At(word[1..end]) + word[(end + 1)..] : word), "--threads", "1", "--quiet", "--json"];

    private static bool Matches(string file, string name) => name.Split('*') is [string start, string end]
        ? Path.GetFileName(file).StartsWith(start, StringComparison.Ordinal) && file.EndsWith(end, StringComparison.Ordinal)
        : Path.GetFileName(file) == name;

    // Measured times are among the numbers in these (a checkpoint carries the logs); the two logs of a training grow row by row.
    private static bool SameSize(string file, long expected, long size) => expected == size
        || (Path.GetExtension(file) is ".json" or ".csv" || Path.GetFileName(file) == "checkpoint.safetensors") && Math.Abs(expected - size) <= 64
        || Path.GetFileName(file) is "train_log.csv" or "telemetry.csv" && size <= expected;
}
