using System.Diagnostics;

namespace BioSup.Shapes;

/// <summary>Runs checks by the tools whose formats and methods we follow, where a Python with them is installed (BIOSUP_PYTHON, else the system's).</summary>
public static class Python
{
    /// <summary>The interpreter in which the statement succeeds, or null with the reason.</summary>
    public static string? Find(string imports, out string reason)
    {
        string python = Environment.GetEnvironmentVariable("BIOSUP_PYTHON") ?? "/usr/bin/python3";
        reason = $"'{imports}' does not work in {python}: set BIOSUP_PYTHON to a Python that has these modules";
        if (!File.Exists(python)) return null;
        return Invoke(python, "-c", imports).Code == 0 ? python : null;
    }

    /// <summary>Standard output of a script that must succeed.</summary>
    public static string Run(string python, params string[] arguments)
    {
        (int code, string output, string error) = Invoke(python, arguments);
        return code == 0 ? output : throw new InvalidOperationException($"{python} ended with exit code {code}\n{output}\n{error}");
    }

    /// <summary>Exit code and output of a script, on one thread.</summary>
    public static (int Code, string Output, string Error) Invoke(string python, params string[] arguments)
    {
        ProcessStartInfo start = new(python, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["PYTHONUTF8"] = "1";
        start.Environment["PYTHONDONTWRITEBYTECODE"] = "1";
        start.Environment["OMP_NUM_THREADS"] = "1";
        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, error.Result);
    }
}
