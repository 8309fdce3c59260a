namespace BioSup.Cli;

/// <summary>Folders that a command made for its results, so that a command that fails before it has any leaves nothing behind.</summary>
internal sealed class CreatedFolders
{
    private readonly List<string> _folders = [];

    /// <summary>Makes a folder and whatever is missing above it.</summary>
    public void Create(string path)
    {
        for (string? folder = Path.GetFullPath(path); folder is not null && !Directory.Exists(folder); folder = Path.GetDirectoryName(folder)) _folders.Add(folder);
        Directory.CreateDirectory(path);
    }

    /// <summary>Removes those that are still empty, innermost first.</summary>
    public void RemoveEmpty()
    {
        foreach (string folder in _folders.OrderByDescending(f => f.Length))
        {
            try
            {
                if (Directory.Exists(folder) && !Directory.EnumerateFileSystemEntries(folder).Any()) Directory.Delete(folder);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // The error of the command is the one to report.
            }
        }
    }
}
