using BioSup.Benchmarks.Device;
using BioSup.Runtime;

try
{
    return DeviceProgram.Run(args);
}
catch (UsageException e)
{
    Console.Error.WriteLine(e.Message);
    return 2;
}
catch (DeviceException e)
{
    Console.Error.WriteLine(e.Message);
    return 4;
}
catch (Exception e) when (e is IOException or UnauthorizedAccessException)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}
