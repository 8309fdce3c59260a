using System.Text;

namespace BioSup.Runtime.Loading;

/// <summary>One place where a library was looked for, and what came of it.</summary>
public readonly record struct LoadAttempt(string Library, string Candidate, bool Found, string Outcome);

/// <summary>Every place where the native libraries were looked for, in order, so that a person can see why one was not found.</summary>
public sealed class LoadTrace
{
    private readonly List<LoadAttempt> _attempts = [];

    /// <summary>A copy of what happened so far.</summary>
    public IReadOnlyList<LoadAttempt> Attempts
    {
        get
        {
            lock (_attempts) return [.. _attempts];
        }
    }

    internal void Add(string library, string candidate, bool found, string outcome)
    {
        lock (_attempts) _attempts.Add(new LoadAttempt(library, candidate, found, outcome));
    }

    /// <summary>One indented line per attempt, only those of <paramref name="library"/> where one is named.</summary>
    public string Print(string? library = null)
    {
        StringBuilder text = new();
        foreach (LoadAttempt attempt in Attempts)
            if (library is null || attempt.Library == library) text.Append($"\n  {attempt.Library}: {attempt.Candidate}: {attempt.Outcome}");
        return text.ToString();
    }
}
