using System.Globalization;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells;

/// <summary>
/// The settings of one step as given on the command line, <c>name:key=value:key=value</c>, checked against what the step knows.
/// A value is read through the typed methods, which check its range and note what was used for <c>uns</c>.
/// </summary>
internal sealed class StepSettings
{
    private readonly string _step;
    private readonly Dictionary<string, string> _given;
    private readonly IReadOnlyList<StepParameter> _known;

    private StepSettings(string step, Dictionary<string, string> given, IReadOnlyList<StepParameter> known)
    {
        _step = step;
        _given = given;
        _known = known;
    }

    /// <summary>Every setting that was read, with the value used, in the order of reading: what belongs into <c>uns/KEY/params</c>.</summary>
    public AnnDictionary Used { get; } = [];

    /// <summary>Parses what follows the name of a step.</summary>
    /// <exception cref="UsageException">A part is not key=value, a key is not known or given twice.</exception>
    public static StepSettings Parse(ICellStep step, IEnumerable<string> parts)
    {
        Dictionary<string, string> given = new(StringComparer.Ordinal);
        foreach (string part in parts)
        {
            int equals = part.IndexOf('=');
            if (equals <= 0) throw new UsageException($"--steps {step.Name}: '{part}' is no setting; key=value was expected, such as {Example(step)}.");
            string key = part[..equals];
            if (step.Parameters.All(p => p.Name != key))
                throw new UsageException($"--steps {step.Name}: there is no setting '{key}'; there {(step.Parameters.Count == 1 ? "is" : "are")} {Names(step)}.");
            if (!given.TryAdd(key, part[(equals + 1)..])) throw new UsageException($"--steps {step.Name}: '{key}' is given twice.");
        }
        return new StepSettings(step.Name, given, step.Parameters);
    }

    /// <summary>True when the person gave the setting.</summary>
    public bool Has(string name) => _given.ContainsKey(name);

    /// <summary>What was given, or the default, as typed and without noting it as used.</summary>
    public string Typed(string name) => Raw(name);

    /// <summary>A text as given, or the default.</summary>
    public string Text(string name) => Use(name, Raw(name), text => NdArray.Scalar(text));

    /// <summary>One of a few words.</summary>
    public string Choice(string name, params string[] choices)
    {
        string text = Raw(name);
        if (!choices.Contains(text)) throw Wrong(name, text, $"one of {string.Join(", ", choices)}");
        return Use(name, text, value => NdArray.Scalar(value));
    }

    /// <summary>Several texts, separated by semicolons; empty for none.</summary>
    public string[] List(string name) => Use(name, Raw(name).Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries), list => NdArray.Vector(list));

    /// <summary>A whole number in a range.</summary>
    public int Integer(string name, int least, int most = int.MaxValue)
    {
        string text = Raw(name);
        if (!int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) || value < least || value > most)
            throw Wrong(name, text, most == int.MaxValue ? $"a whole number, {least} or larger" : least == most ? $"{least}" : $"a whole number from {least} to {most}");
        return Use(name, value, NdArray.Scalar);
    }

    /// <summary>A number in a closed range.</summary>
    public double Number(string name, double least = double.NegativeInfinity, double most = double.PositiveInfinity)
    {
        string text = Raw(name);
        if (!double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) || double.IsNaN(value) || value < least || value > most)
            throw Wrong(name, text, Range(least, most));
        return Use(name, value, NdArray.Scalar);
    }

    /// <summary>true or false.</summary>
    public bool Flag(string name)
    {
        string text = Raw(name);
        if (text is not ("true" or "false")) throw Wrong(name, text, "true or false");
        return Use(name, text == "true", NdArray.Scalar);
    }

    private string Raw(string name) => _given.TryGetValue(name, out string? text) ? text
        : _known.FirstOrDefault(p => p.Name == name)?.Default ?? throw new ArgumentException($"The step '{_step}' does not declare '{name}'.", nameof(name));

    private T Use<T>(string name, T value, Func<T, NdArray> store)
    {
        Used[name] = store(value);
        return value;
    }

    private static string Range(double least, double most)
    {
        string from = least.ToString(CultureInfo.InvariantCulture), to = most.ToString(CultureInfo.InvariantCulture);
        if (least == double.Epsilon) return most < double.MaxValue ? $"a number above 0, at most {to}" : "a number above 0";
        if (least > double.MinValue) return most < double.MaxValue ? $"a number from {from} to {to}" : $"a number, {from} or larger";
        return most < double.MaxValue ? $"a number, {to} or smaller" : "a number";
    }

    private UsageException Wrong(string name, string text, string expected) => new($"--steps {_step}: {name}={text}; {expected} was expected.");

    private static string Example(ICellStep step) => step.Parameters.Count == 0 ? "none: it takes no settings" : $"{step.Parameters[0].Name}={step.Parameters[0].Default}";

    private static string Names(ICellStep step) => step.Parameters.Count == 0 ? "none" : string.Join(", ", step.Parameters.Select(p => p.Name));
}
