using System.Diagnostics;

namespace BioSup.Shapes;

/// <summary>Runs checks by R, where it is installed with the packages that a check needs.</summary>
public static class R
{
    private const string Program = "/usr/bin/Rscript";

    /// <summary>Whether R loads all these packages; else the reason.</summary>
    public static bool Has(out string reason, params string[] packages)
    {
        reason = $"{Program} is not installed";
        if (!File.Exists(Program)) return false;
        reason = $"R has not all of the packages {string.Join(", ", packages)}";
        return Invoke("-e", string.Join(';', packages.Select(p => $"suppressMessages(library({p}))"))).Code == 0;
    }

    /// <summary>Standard output of a script that must succeed.</summary>
    public static string Run(params string[] arguments)
    {
        (int code, string output, string error) = Invoke(arguments);
        return code == 0 ? output : throw new InvalidOperationException($"{Program} ended with exit code {code}\n{output}\n{error}");
    }

    private static (int Code, string Output, string Error) Invoke(params string[] arguments)
    {
        ProcessStartInfo start = new(Program, ["--vanilla", .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, error.Result);
    }
}
