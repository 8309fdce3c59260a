using System.Diagnostics;
using System.Text.Json.Nodes;

namespace BioSup.Cli.Tests.Robustness;

/// <summary>
/// A disk that fills up while a training or an encoding is under way, and then gets room: the error is one sentence that names the file, and the same command goes on from
/// the last good state to the bytes of a run that was never short of room. The disk is a tmpfs in a user namespace of its own, made larger in between.
/// </summary>
public sealed class FillingDiskTests(BrokenInputs inputs) : IClassFixture<BrokenInputs>
{
    /// <summary>Sums of what has to come out the same; reports, times and names of temporary files are not among it.</summary>
    private const string Sums = "find . -type f \\( -name 'model.safetensors' -o -name 'train_log.csv' -o -name 'tokens-*' -o -name 'centre.npy' -o -name 'gap.npy' \\) | sort | xargs -r cksum";

    private const string Script = "mount -t tmpfs -o size=${SIZE}k none \"$0\" || exit 99; cd \"$0\"; eval \"$BEFORE\" > /dev/null 2>&1 || exit 98; \"$@\" 2> /dev/null > $ANSWER; first=$?; "
        + "[ $first = 0 ] || { echo FAILED $first; cat $ANSWER; echo; eval \"$BETWEEN\" || exit 97; mount -o remount,size=8m . || exit 99; \"$@\" $AGAIN > /dev/null 2>&1 || exit 96; }; echo SUMS; " + Sums;

    private static readonly string s_program = Path.Combine(AppContext.BaseDirectory, "biosup");

    [Theory]
    // Tokens of images on their way into a cache that is larger than the disk.
    [InlineData("sae train --tokens {images} --encoder {dictionary.safetensors} --patch 16 --stride 8 --cache cache --config {sae.json} --steps 40 --out out", "", "", "cache", "40 96")]
    // A checkpoint at every step: the one before has to stay.
    [InlineData("sae train --tokens {x.npy} --config {often.json} --steps 12 --out out", "", "--resume", "out", "12 20 28")]
    // A token folder in the place of another: the one before has to stay readable.
    [InlineData("tokens --images {images} --encoder {dictionary.safetensors} --patch 16 --stride 8 --out out", "tokens --images {images} --encoder {dictionary.safetensors} --patch 32 --out out", "", "out", "64 112")]
    [InlineData("tokens --images {images} --encoder {dictionary.safetensors} --patch 16 --stride 8 --container safetensors --dtype bfloat16 --out out", "tokens --images {images} --encoder {dictionary.safetensors} --patch 32 --out out", "", "out", "64 80")]
    public void What_was_good_is_gone_on_from_when_there_is_room(string command, string before, string again, string folder, string sizes)
    {
        FullDiskTests.RequireTmpfs();
        MakeDictionary();
        inputs.Text("often.json", """{ "d_sae": 12, "batch": 10, "log_every": 1, "checkpoint_every": 1 }""");
        (int code, string text) = OnTmpfs("8192", command, before, again);
        Assert.True(code == 0, text);
        string expected = text[text.IndexOf("SUMS", StringComparison.Ordinal)..];
        Assert.True(expected.Split('\n').Length > 2, expected);
        int failures = 0;
        foreach (string size in sizes.Split(' '))
        {
            (code, text) = OnTmpfs(size, command, before, again);
            Assert.True(code == 0, $"{size} KiB: {code}, {text}");
            Assert.Equal(expected, text[text.IndexOf("SUMS", StringComparison.Ordinal)..]);
            if (!text.StartsWith("FAILED", StringComparison.Ordinal)) continue;
            failures++;
            Assert.StartsWith("FAILED 3\n", text, StringComparison.Ordinal);
            JsonNode error = JsonNode.Parse(text["FAILED 3\n".Length..text.IndexOf("SUMS", StringComparison.Ordinal)])!["error"]!;
            string message = (string)error["message"]!;
            Assert.Equal(3, (int)error["exit_code"]!);
            Assert.StartsWith(folder + "/", message, StringComparison.Ordinal);
            Assert.Contains("the disk is full", message, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', message);
        }
        Assert.True(failures > 1, $"the disk was full {failures} times");
    }

    /// <summary>Twenty-four patches of the picture as an encoder, so that tokens take more room than everything else.</summary>
    private void MakeDictionary()
    {
        if (File.Exists(inputs.At("dictionary.safetensors"))) return;
        (int code, string text) = Run(new ProcessStartInfo(s_program, Arguments("tokens --images {images} --encoder dictionary --atoms 24 --window 4 --cell 4 --patch 16 --out {made}")));
        Assert.True(code == 0, text);
        File.Move(inputs.At("made/dictionary.safetensors"), inputs.At("dictionary.safetensors"));
    }

    private (int Code, string Text) OnTmpfs(string kilobytes, string command, string before, string again)
    {
        string mount = Directory.CreateDirectory(inputs.At("disk")).FullName;
        ProcessStartInfo start = new("unshare", ["-Urm", "bash", "-c", Script, mount, s_program, .. Arguments(command)]);
        start.Environment["SIZE"] = kilobytes;
        start.Environment["BEFORE"] = before.Length == 0 ? "true" : $"'{s_program}' {string.Join(' ', Arguments(before).Select(a => $"'{a}'"))}";
        // The folder that was there is still one: its index and its checksums agree.
        start.Environment["BETWEEN"] = before.Length == 0 ? "true" : $"'{s_program}' {string.Join(' ', Arguments("sae train --tokens out --config {sae.json} --steps 2 --out {between}").Select(a => $"'{a}'"))} > /dev/null 2>&1";
        start.Environment["AGAIN"] = again;
        start.Environment["ANSWER"] = inputs.At("answer.json");
        return Run(start);
    }

    [Fact]
    public void An_answer_that_goes_to_the_full_disk_too_leaves_the_exit_code()
    {
        FullDiskTests.RequireTmpfs();
        string mount = Directory.CreateDirectory(inputs.At("disk")).FullName;
        foreach ((string command, string code) in new[] { ("distance --x {x.npy} --out {elsewhere.npy}", "3"), ("distance --x {nan.npy} --out out.npy", "3"), ("distance --x {x.npy} --metric none --out out.npy", "2") })
        {
            ProcessStartInfo start = new("unshare", ["-Urm", "bash", "-c", "mount -t tmpfs -o size=4k none \"$0\" && cd \"$0\" || exit 99; head -c 4096 /dev/zero > full; \"$@\" > answer; echo code $?", mount, s_program, .. Arguments(command)]);
            (int exit, string text) = Run(start);
            Assert.True(exit == 0 && text.StartsWith($"code {code}\nbiosup: ", StringComparison.Ordinal), text);
            Assert.DoesNotContain("Unhandled", text, StringComparison.Ordinal);
        }
        Assert.True(File.Exists(inputs.At("elsewhere.npy")));
    }

    private static (int Code, string Output) Run(ProcessStartInfo start)
    {
        start.RedirectStandardOutput = start.RedirectStandardError = true;
        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        Assert.True(process.WaitForExit(TimeSpan.FromMinutes(1)), "the process did not end");
        return (process.ExitCode, output + error.Result);
    }

    private string[] Arguments(string command) =>
        [.. command.Split(' ').Select(word => word.StartsWith('{') && word.IndexOf('}') is var end ? inputs.At(word[1..end]) + word[(end + 1)..] : word), "--threads", "1", "--quiet", "--json"];
}
