using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace BioSup.Benchmarks.Device.Pack;

/// <summary>The assemblies that programs can reach, so that a pack holds these and no others.</summary>
internal static class AssemblyClosure
{
    /// <param name="roots">Names of the programs' assemblies.</param>
    /// <param name="folders">Where assemblies are, the first folder that has one wins.</param>
    /// <returns>Files, by name. References that no folder has are left out: the runtime's facades name some that do not exist on Linux.</returns>
    public static SortedDictionary<string, string> Find(IEnumerable<string> roots, IReadOnlyList<string> folders)
    {
        SortedDictionary<string, string> found = new(StringComparer.Ordinal);
        Queue<string> open = new(roots);
        HashSet<string> seen = new(StringComparer.Ordinal);
        while (open.TryDequeue(out string? name))
        {
            if (!seen.Add(name)) continue;
            string? file = folders.Select(f => Path.Combine(f, name + ".dll")).FirstOrDefault(File.Exists);
            if (file is null) continue;
            found.Add(name, file);
            foreach (string reference in References(file)) open.Enqueue(reference);
        }
        return found;
    }

    private static List<string> References(string file)
    {
        using FileStream stream = File.OpenRead(file);
        using PEReader image = new(stream);
        if (!image.HasMetadata) return [];
        MetadataReader metadata = image.GetMetadataReader();
        return [.. metadata.AssemblyReferences.Select(r => metadata.GetString(metadata.GetAssemblyReference(r).Name))];
    }
}
