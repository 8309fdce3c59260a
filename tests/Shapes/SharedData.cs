using BioSup.Runtime;

namespace BioSup.Shapes;

/// <summary>Finds the real data sets that tests and benchmarks may use. They are never part of this repository.</summary>
public static class SharedData
{
    /// <summary>The folder of one data set, or null with the reason why it cannot be used.</summary>
    public static string? Find(string dataSet, out string reason)
    {
        string? named = BiosupEnvironment.DataFolder;
        string? root = named ?? FindBesideCheckout();
        if (root is not null && Directory.Exists(Path.Combine(root, dataSet)))
        {
            reason = "";
            return Path.Combine(root, dataSet);
        }
        reason = $"data set '{dataSet}' not found in {root ?? "../shared/data"}: set BIOSUP_DATA to the folder that holds it";
        return null;
    }

    private static string? FindBesideCheckout()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (!File.Exists(Path.Combine(folder.FullName, "BioSup.Native.sln"))) continue;
            string data = Path.Combine(folder.Parent?.FullName ?? "/", "shared", "data");
            return Directory.Exists(data) ? data : null;
        }
        return null;
    }
}
