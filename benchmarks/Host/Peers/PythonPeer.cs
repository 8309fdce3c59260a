using System.Diagnostics;
using System.Text.Json;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Benchmarks;

/// <summary>Runs a script of benchmarks/peers with two threads and the OpenBLAS core of this processor, and reads the JSON object it prints.</summary>
internal static class PythonPeer
{
    public static JsonDocument Run(string script, params string[] arguments)
    {
        ProcessStartInfo start = new(Environment.GetEnvironmentVariable("PYTHON") ?? "python3") { RedirectStandardOutput = true };
        start.ArgumentList.Add(Path.Combine(RepositoryRoot.Path, "benchmarks", "peers", script));
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        start.Environment["OPENBLAS_CORETYPE"] = Environment.GetEnvironmentVariable("OPENBLAS_CORETYPE")
            ?? (CpuFeatures.HasAvx512 ? "SkylakeX" : CpuFeatures.ModelName.Contains("AMD", StringComparison.Ordinal) ? "Zen" : "Haswell");
        start.Environment["OPENBLAS_NUM_THREADS"] = "2";
        using Process process = Process.Start(start)!;
        string text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0) throw new UsageException($"The peer script {script} failed; its first lines say which Python modules it needs.");
        return JsonDocument.Parse(text);
    }
}
