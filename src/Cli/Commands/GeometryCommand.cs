using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Analysis.Geometry;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup geometry`: how a value varies over one or more representations of the same cells.</summary>
internal static class GeometryCommand
{
    private static readonly Option<string[]> s_sources = new("--x") { Description = "a representation, LOCATOR or NAME=LOCATOR, one row per cell; repeat to compare", Required = true };
    private static readonly Option<string> s_value = new("--value") { Description = "the value of every cell, FILE.csv:column", Required = true };
    private static readonly Option<string?> s_group = new("--group") { Description = "measure inside each group: a column of the value's file, or FILE:column" };
    private static readonly Option<string> s_k = new("--k") { Description = "neighbourhood sizes, comma-separated", DefaultValueFactory = _ => "5,10,15,20,25" };
    private static readonly Option<int> s_permutations = new("--permutations") { Description = "permutations behind each p-value", DefaultValueFactory = _ => 0 };
    private static readonly Option<string?> s_labels = new("--labels") { Description = "classes for a linear probe: a column of the value's file, or FILE:column" };
    private static readonly Option<string?> s_decoder = new("--decoder") { Description = "dictionary whose rows are compared, FILE.safetensors:W_dec" };
    private static readonly Option<string> s_missing = new("--missing") { Description = "cells without a value: error or drop", DefaultValueFactory = _ => "error" };
    private static readonly Option<bool> s_noRidge = new("--no-ridge") { Description = "leave the ridge probe out" };
    private static readonly Option<string> s_out = new("--out") { Description = "output folder", Required = true };

    public static Command Create()
    {
        Command command = new("geometry", "Local SD ratio, Moran's I, effective rank, CKA and ridge R² of a value over representations.")
        {
            s_sources, s_value, s_group, s_k, s_permutations, s_labels, s_decoder, s_missing, s_noRidge, s_out,
        };
        return command.Runs(Run);
    }

    private static JsonObject Run(ParseResult parsed, CommandContext context)
    {
        GeometryOptions options = new()
        {
            K = ParseSizes(parsed.GetValue(s_k)!),
            Permutations = parsed.GetValue(s_permutations),
            Ridge = !parsed.GetValue(s_noRidge),
            Seed = context.Seed,
        };
        if (options.Permutations < 0) throw new UsageException($"--permutations {options.Permutations}: 0 or more.");
        string missing = parsed.GetValue(s_missing)!, valueLocator = parsed.GetValue(s_value)!;
        if (missing is not ("error" or "drop")) throw new UsageException($"--missing {missing}: 'error' or 'drop'.");
        ResultFolder folder = ResultFolder.Create(context, parsed.GetValue(s_out)!);
        double[] values = ColumnReader.Read(valueLocator).Numbers;
        string[]? groups = ReadBeside(valueLocator, parsed.GetValue(s_group), values.Length, "--group"), labels = ReadBeside(valueLocator, parsed.GetValue(s_labels), values.Length, "--labels");
        int[]? keep = missing == "drop" ? [.. Enumerable.Range(0, values.Length).Where(i => double.IsFinite(values[i]))] : null;
        RequireValues(values, keep, valueLocator);
        foreach (string text in parsed.GetValue(s_sources)!) RequireRows(SplitName(text).Locator, MatrixReader.ReadShape(SplitName(text).Locator).Rows, values.Length, valueLocator);
        GeometryStudy.RequireNeighbours(keep?.Length ?? values.Length, Keep(groups, keep), options.K);
        List<GeometrySource> sources = [];
        try
        {
            ReadSources(parsed.GetValue(s_sources)!, context, keep, sources);
            (values, groups, labels) = (Keep(values, keep)!, Keep(groups, keep), Keep(labels, keep));
            GeometryStudy study = GeometryStudy.Run(sources, values, groups, options, context.Progress, context.Cancellation);
            List<(string Source, LinearProbeResult Probe, string[] Classes)> probes = Probe(sources, labels, context);
            CoherenceResult? coherence = Coherence(parsed.GetValue(s_decoder), context);
            JsonObject result = GeometryFiles.Write(folder.Path, study, probes, coherence);
            foreach (string locator in parsed.GetValue(s_sources)!) folder.AddInput(SplitName(locator).Locator);
            folder.AddInput(valueLocator);
            folder.WriteManifest(new JsonObject { ["k"] = new JsonArray([.. options.K.Select(k => (JsonNode)k)]), ["permutations"] = options.Permutations, ["missing"] = missing });
            Summarise(context, study, folder);
            return result;
        }
        finally
        {
            foreach (GeometrySource source in sources) source.X.Dispose();
        }
    }

    private static void ReadSources(string[] locators, CommandContext context, int[]? keep, List<GeometrySource> sources)
    {
        foreach (string text in locators)
        {
            (string name, string locator) = SplitName(text);
            if (sources.Any(s => s.Name == name)) throw new UsageException($"--x {text}: two representations are named '{name}'; name them apart with NAME=LOCATOR.");
            Matrix<double> x = MatrixReader.ReadDouble(context.Device, locator);
            sources.Add(new GeometrySource(name, x));
            if (keep is null) continue;
            sources[^1] = new GeometrySource(name, Gather.Rows(x, keep));
            x.Dispose();
        }
    }

    private static void RequireRows(string locator, int rows, int values, string valueLocator)
    {
        if (rows != values) throw new DataException(locator, null, $"there are {rows} rows, but {values} values in {valueLocator}: one value per row is needed.");
    }

    private static List<(string, LinearProbeResult, string[])> Probe(List<GeometrySource> sources, string[]? labels, CommandContext context)
    {
        if (labels is null) return [];
        string[] classes = [.. labels.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        int[] codes = Array.ConvertAll(labels, l => Array.BinarySearch(classes, l, StringComparer.Ordinal));
        return [.. sources.Select(s => (s.Name, LinearProbe.CrossValidate(s.X, codes, null, context.Cancellation), classes))];
    }

    private static CoherenceResult? Coherence(string? locator, CommandContext context)
    {
        if (locator is null) return null;
        using Matrix<double> rows = MatrixReader.ReadDouble(context.Device, locator);
        return DecoderCoherence.Measure(rows, default, context.Cancellation);
    }

    private static void Summarise(CommandContext context, GeometryStudy study, ResultFolder folder)
    {
        foreach (GeometryMeasurement m in study.Measurements)
        {
            LocalLinearityResult local = m.Local[m.Local.Count / 2];
            string ridge = m.Ridge is null ? "" : string.Create(CultureInfo.InvariantCulture, $", ridge R² {m.Ridge.R2:F3}");
            context.Say(string.Create(CultureInfo.InvariantCulture,
                $"{m.Source}, {m.Group} ({m.Rows} cells): local SD ratio {local.MeanRatio:F3}, Moran's I {local.Moran.I:F3} (k = {local.K}), effective rank {m.RankCentred.Value:F1} of {m.Columns}{ridge}"));
        }
        foreach (CkaMeasurement c in study.Cka) context.Say(string.Create(CultureInfo.InvariantCulture, $"CKA {c.First} ~ {c.Second}, {c.Group}: {c.Cka:F3}"));
        context.Say($"written: {folder.Path}");
    }

    private static (string Name, string Locator) SplitName(string text)
    {
        int equals = text.IndexOf('=', StringComparison.Ordinal);
        if (equals > 0) return (text[..equals], text[(equals + 1)..]);
        return (Path.GetFileNameWithoutExtension(ResultFolder.StripMember(text)), text);
    }

    /// <summary>A text column: of the value's own file when only a column is named.</summary>
    private static string[]? ReadBeside(string valueLocator, string? column, int rows, string option)
    {
        if (column is null) return null;
        string locator = column.Contains(':', StringComparison.Ordinal) || File.Exists(column) ? column : $"{ResultFolder.StripMember(valueLocator)}:{column}";
        string[] text = ColumnReader.Read(locator).Text;
        if (text.Length != rows) throw new DataException(locator, null, $"{option} has {text.Length} rows, but there are {rows} values in {valueLocator}.");
        return text;
    }

    private static void RequireValues(double[] values, int[]? keep, string locator)
    {
        if (values.Length == 0) throw new DataException(locator, null, "the column is empty.");
        if (keep is { Length: 0 }) throw new DataException(locator, null, "no row has a value.");
        if (keep is not null) return;
        int bad = Array.FindIndex(values, v => !double.IsFinite(v));
        if (bad >= 0)
            throw new DataException(locator, $"row {bad}, counted from 0", $"the value is {(double.IsNaN(values[bad]) ? "missing or NaN" : "infinite")}; every cell needs a finite one (--missing drop leaves such cells out).");
    }

    private static T[]? Keep<T>(T[]? items, int[]? keep) => items is null || keep is null ? items : Array.ConvertAll(keep, i => items[i]);

    private static int[] ParseSizes(string text)
    {
        List<int> sizes = [];
        foreach (string part in text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            if (!int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int k) || k < 1) throw new UsageException($"--k {text}: '{part}' is not a neighbourhood size (1 or larger).");
            sizes.Add(k);
        }
        return sizes.Count > 0 ? [.. sizes] : throw new UsageException("--k is empty: name at least one neighbourhood size.");
    }
}
