using BenchmarkDotNet.Running;
using BioSup.Benchmarks;

// "dotnet run -c Release --project benchmarks/Host -- gemm" runs a named suite: the engine against a peer, alternating in one process; "all" runs every suite.
// Any other arguments go to BenchmarkDotNet.
if (args.Length > 0 && Suites.ByName.TryGetValue(args[0], out Suite? suite))
{
    suite.Run(new SuiteOptions(args.AsSpan(1)));
    return;
}
if (args.Length > 0 && args[0] == "all")
{
    foreach (Suite each in Suites.ByName.Values) each.Run(new SuiteOptions(args.AsSpan(1)));
    return;
}
if (args.Length == 0)
{
    Console.WriteLine("Suites against peers (--output FILE writes the table, --quick takes small sizes only):");
    foreach (Suite known in Suites.ByName.Values) Console.WriteLine($"  {known.Name,-14} {known.Description}");
    Console.WriteLine("Anything else is passed to BenchmarkDotNet, for example: --filter '*Reductions*'");
    return;
}
BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args);
