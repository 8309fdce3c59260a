using System.Reflection;

namespace BioSup.Cli;

internal static class ProductVersion
{
    /// <summary>Version and, where the build knew it, the source revision.</summary>
    public static string Text { get; } =
        typeof(ProductVersion).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";
}
