namespace BioSup.Analysis.Prediction;

/// <summary>Keeps numbers by name beyond the life of a process, so that an interrupted study goes on with what it has finished.</summary>
public interface IPartStore
{
    /// <summary>What was kept under a name, to the bit; null where nothing readable is.</summary>
    double[]? Find(string name);

    /// <summary>Keeps values under a name of letters, digits, dashes and underscores. A process that ends in the middle of it keeps nothing.</summary>
    void Keep(string name, double[] values);

    /// <summary>Drops everything whose name begins with <paramref name="prefix"/>.</summary>
    void Drop(string prefix);
}

/// <summary>The finished parts of one null: R² that permutations gave for some targets, or some models for all of them. A part depends on nothing but its number.</summary>
/// <param name="store">Where they are kept.</param>
/// <param name="name">Name of the null, unlike that of any other in the store.</param>
public sealed class NullParts(IPartStore store, string name)
{
    /// <summary>A part that was finished before and has the right length, or null.</summary>
    internal double[]? Find(int part, int length) => store.Find(Name(part)) is { } found && found.Length == length ? found : null;

    internal void Keep(int part, double[] values) => store.Keep(Name(part), values);

    /// <summary>Drops all parts, once what was made of them is kept elsewhere.</summary>
    internal void Drop() => store.Drop($"{name}_part");

    private string Name(int part) => $"{name}_part{part}";
}
