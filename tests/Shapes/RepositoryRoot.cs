namespace BioSup.Shapes;

/// <summary>The checkout that the running tests were built from.</summary>
public static class RepositoryRoot
{
    public static string Path { get; } = Find();

    private static string Find()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(System.IO.Path.Combine(folder.FullName, "BioSup.Native.sln"))) return folder.FullName;
        throw new DirectoryNotFoundException("BioSup.Native.sln was not found above " + AppContext.BaseDirectory);
    }
}
