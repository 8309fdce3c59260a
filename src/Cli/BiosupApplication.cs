using System.CommandLine;
using BioSup.Cli.Commands;

namespace BioSup.Cli;

/// <summary>The whole program as a function of its arguments and streams, so that tests can run it in process.</summary>
public static class BiosupApplication
{
    /// <returns>The process exit code: 0 success, 2 usage, 3 bad data, 4 device, 5 did not converge, 130/143 interrupted, 1 a defect of this program.</returns>
    public static int Run(string[] args, TextWriter output, TextWriter error)
    {
        RootCommand root = CreateRoot();
        ParseResult parsed = root.Parse(args);
        if (parsed.Errors.Count > 0) return ErrorReport.ForParse(parsed, args, output, error);
        InvocationConfiguration configuration = new()
        {
            Output = output,
            Error = error,
            EnableDefaultExceptionHandler = false,
            ProcessTerminationTimeout = null,
        };
        return parsed.Invoke(configuration);
    }

    internal static RootCommand CreateRoot()
    {
        RootCommand root = new("BioSup.Native: sparse autoencoders, geometry and Gromov-Wasserstein alignment for single-cell images.")
        {
            BenchCommand.Create(),
            CacheCommand.Create(),
            CellsCommand.Create(),
            DemoCommand.Create(),
            DistanceCommand.Create(),
            DoctorCommand.Create(),
            GeometryCommand.Create(),
            GwCommand.Create(),
            InitCommand.Create(),
            KnnCommand.Create(),
            RunCommand.Create(),
            SaeCommand.Create(),
            TokensCommand.Create(),
        };
        GlobalOptions.AddTo(root);
        return root;
    }
}
