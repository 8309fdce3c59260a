using System.Diagnostics;

namespace BioSup.Data.Tests;

/// <summary>Runs checks by the tools whose formats we write, where a Python with them is installed (BIOSUP_PYTHON, else the system's).</summary>
internal static class Python
{
    /// <summary>The interpreter in which the statement succeeds, or null with the reason.</summary>
    public static string? Find(string imports, out string reason)
    {
        string python = Environment.GetEnvironmentVariable("BIOSUP_PYTHON") ?? "/usr/bin/python3";
        reason = $"'{imports}' does not work in {python}: set BIOSUP_PYTHON to a Python that has these modules";
        if (!File.Exists(python)) return null;
        return Start(python, "-c", imports).ExitCode == 0 ? python : null;
    }

    /// <summary>Standard output of a script that must succeed.</summary>
    public static string Run(string python, params string[] arguments)
    {
        (int code, string output, string error) = Start(python, arguments);
        Assert.True(code == 0, $"exit code {code}\n{output}\n{error}");
        return output;
    }

    private static (int ExitCode, string Output, string Error) Start(string python, params string[] arguments)
    {
        ProcessStartInfo start = new(python, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["PYTHONUTF8"] = "1";
        start.Environment["PYTHONDONTWRITEBYTECODE"] = "1";
        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, error.Result);
    }
}
