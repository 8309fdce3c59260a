using System.CommandLine;
using System.Text;

namespace BioSup.Cli.Tests.Docs;

/// <summary>Writes docs/commands.md from the commands themselves, so that the reference cannot grow stale.</summary>
internal static class CommandReference
{
    public static string Write(RootCommand root)
    {
        StringBuilder text = new();
        text.Append("# Commands\n\nGenerated from the program; a test fails when it is stale and rewrites it with `BIOSUP_UPDATE_DOCS=1`.\n\n");
        text.Append("## Every command takes\n\n");
        Options(text, root.Options.Where(o => o.Recursive));
        text.Append("""

            Exit codes: 0 done, 2 wrong usage, 3 bad data (missing, malformed, not finite, wrong shape) or a full or read-only disk, 4 device, 5 did not converge
            (only where failing was asked for), 130 Ctrl-C and 143 SIGTERM with a checkpoint written, 1 a defect of this program.
            Progress goes to stderr, results to stdout; with `--json` stdout holds one object in every case: the result, or `{"error": {"message", "exit_code", …}}`.
            Every result folder holds `manifest.json`: version, command, resolved configuration, input hashes, device, instruction set, seed, wall time, peak memory.

            ## Environment variables

            | variable | meaning |
            |---|---|
            | `BIOSUP_DEVICE` | what `--device auto` stands for: `cpu` or `cuda[:N]`; without it, the first GPU that works, else the processor |
            | `BIOSUP_FORCE_KERNEL` | forces a kernel variant: `avx512`, `avx2`, `portable`, `reference`, or `Operation:variant`, comma-separated |
            | `BIOSUP_DATA` | folder with the real data sets that tests, benchmarks and the examples use |
            | `BIOSUP_CACHE_DIR` | folder of compiled GPU kernels; default `$XDG_CACHE_HOME/biosup/kernels` or `~/.cache/biosup/kernels` |
            | `BIOSUP_DISABLE_JIT` | `1`: a GPU kernel that is not in the cache is an error that names it, instead of a compilation |
            | `BIOSUP_PRINT_CONFIG` | `1`: each GPU kernel is named once on stderr with its constants, when it is first used |
            | `BIOSUP_LINEINFO` | `1`: kernels carry line numbers for profilers |
            | `BIOSUP_GPU_MEMORY_LIMIT` | most device memory for this process: bytes, `4096M` or `32G` |
            | `BIOSUP_LIBCUDA_PATH`, `BIOSUP_NVRTC_PATH`, `BIOSUP_CUBLASLT_PATH`, `BIOSUP_NVML_PATH` | file of a library, instead of looking for it |
            | `BIOSUP_CUBLASLT` | `0`: the engine's own matrix products although cuBLASLt is there |
            | `BIOSUP_SITE_PACKAGES` | Python `site-packages` folder in which NVIDIA's wheels are looked for |

            """);
        foreach (Command command in root.Subcommands.OrderBy(c => c.Name, StringComparer.Ordinal)) Describe(text, command, "biosup");
        return text.ToString();
    }

    private static void Describe(StringBuilder text, Command command, string parent)
    {
        string name = $"{parent} {command.Name}";
        if (command.Subcommands.Count > 0)
        {
            foreach (Command child in command.Subcommands.OrderBy(c => c.Name, StringComparer.Ordinal)) Describe(text, child, name);
            return;
        }
        string arguments = string.Concat(command.Arguments.Select(a => $" {a.Name.ToUpperInvariant()}"));
        text.Append($"\n## `{name}{arguments}`\n\n{command.Description}\n");
        if (command.Options.Count > 0) text.Append('\n');
        Options(text, command.Options);
    }

    private static void Options(StringBuilder text, IEnumerable<Option> options)
    {
        List<Option> shown = [.. options.Where(o => !o.Hidden && o.Name is not ("--help" or "--version"))];
        if (shown.Count == 0) return;
        text.Append("| option | meaning |\n|---|---|\n");
        foreach (Option option in shown)
        {
            string given = option.Required ? " (required)" : option.HasDefaultValue && option.GetDefaultValue() is { } value and not false and not 0 and not 0L && $"{value}".Length > 0 && value is not Array
                ? $" (default {FormattableString.Invariant($"{value}")})" : "";
            text.Append($"| `{option.Name}` | {(option.Description ?? "").Replace("|", "\\|", StringComparison.Ordinal)}{given} |\n");
        }
    }
}
