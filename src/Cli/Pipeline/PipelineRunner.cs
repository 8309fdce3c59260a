using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using BioSup.Analysis.Geometry;
using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline;

/// <summary>Runs the stages that a configuration names, each at most once, and hands their results on through the run's folder.</summary>
internal sealed class PipelineRunner
{
    private readonly CommandContext _context;
    private readonly RunConfig _config;
    private readonly string _base;
    private readonly RunFolder _folder;
    private readonly ResultFolder _results;
    private readonly StageLedger _ledger;
    private readonly List<string> _keys = [];

    /// <param name="baseFolder">What relative file names in the configuration are relative to.</param>
    public PipelineRunner(CommandContext context, RunConfig config, string baseFolder, string outFolder, bool resume)
    {
        _context = context;
        _config = config;
        _base = baseFolder;
        _folder = new RunFolder(outFolder);
        _results = ResultFolder.Create(context, outFolder);
        _ledger = StageLedger.Open(outFolder, resume);
    }

    /// <summary>Runs everything that is not finished and writes the report and the manifest.</summary>
    public JsonObject Run()
    {
        Check();
        if (_config.Cohort is { } cohort) Stage("cohort", Json(cohort), [], _ => CohortStage.Run(cohort, _folder, _context));
        if (_config.Images is { } images)
        {
            string path = Resolve(images.Path), encoder = images.Encoder == TokensStage.LearntEncoder ? images.Encoder : Resolve(images.Encoder);
            Stage("tokens", Json(images), [path, encoder], _ => TokensStage.Run(images, path, encoder, _folder, _context));
            CheckPatches(images);
        }
        if (_config.Sae is { } sae) Stage("sae", sae, [], begun => SaeStage.Run(sae, _folder, _context, resume: begun));
        if (_config.Cohort is not null && _config.Sae is not null) Stage("recovery", null, [], _ => RecoveryStage.Run(_folder, _context));
        if (_config.Geometry is { } geometry) Stage("geometry", Json(geometry), Existing(geometry.Value, geometry.Group), _ => GeometryStage.Run(geometry, Locate, _folder, _context));
        if (_config.Align is { } align)
            Stage("align", Json(align), Existing(align.X, align.Y, align.LabelsX, align.LabelsY), _ => AlignStage.Run(align, Locate, _folder, _context));
        JsonObject manifest = _results.CreateManifest(Json(_config)!);
        RunReport.Write(_config, Locate, _folder, manifest, _ledger, _context);
        _results.WriteManifest(Json(_config)!);
        return new JsonObject { ["report"] = Path.GetFullPath(_folder.Report), ["folder"] = Path.GetFullPath(_folder.Root), ["stages"] = Times() };
    }

    /// <summary>Finds out about missing files and sections before the first hour of work, not after it.</summary>
    private void Check()
    {
        if (_config is { Cohort: null, Images: null, Align: null }) throw new UsageException("The configuration names nothing to do: expected at least one of the sections cohort, images, align.");
        if (_config.Sae is not null && _config.Images is null) throw new UsageException("The configuration has a section sae but no images to take tokens from; train on existing tokens with `biosup sae train`.");
        if (_config.Geometry is not null && _config.Sae is null) throw new UsageException("The configuration has a section geometry but no section sae; measure existing matrices with `biosup geometry`.");
        if (_config.Geometry is { Value: null } && _config.Cohort is null) throw new UsageException("geometry.value is missing: what is the geometry to be measured against?");
        if (_config.Align is { X: null } && _config.Sae is null) throw new UsageException("align.x is missing, and there are no SAE latents in this run to stand in for it.");
        if (_config.Align is { Y: null }) throw new UsageException("align.y is missing: what are the cells to be aligned with?");
        if (_config.Sae is { } sae) SaeConfigFile.Parse(sae.ToJsonString(), "sae");
        if (_config.Geometry is { } geometry)
        {
            if (geometry.K.Length == 0 || geometry.K.Min() < 1) throw new UsageException("geometry.k: expected one or more neighbourhood sizes of 1 or larger.");
            if (geometry.Permutations < 0) throw new UsageException($"geometry.permutations is {geometry.Permutations}; expected 0 or more.");
        }
        if (_config.Align is { } section) AlignStage.Check(section, _context.Seed);
        if (_config.Cohort is not null) return;
        RequireColumn("images.labels", _config.Images?.Labels);
        RequireColumn("geometry.value", _config.Geometry?.Value);
        RequireColumn("geometry.group", _config.Geometry?.Group);
        if (_config.Images is { } images)
        {
            Require("images.path", images.Path);
            if (images.Encoder != TokensStage.LearntEncoder) Require("images.encoder", images.Encoder);
        }
        if (_config.Align is { } align)
        {
            Require("align.x", align.X);
            Require("align.y", align.Y);
            Require("align.labels_x", align.LabelsX);
            Require("align.labels_y", align.LabelsY);
            AlignStage.CheckPoints(align, Locate, _context.Seed, align.X is null ? null : MatrixReader.ReadShape(Locate(align.X)).Rows, MatrixReader.ReadShape(Locate(align.Y!)).Rows);
        }
        if (_config.Geometry is { Value: { } value } && !IsColumnOfPatches(value)) CheckNeighbourhoods(ColumnReader.Read(Locate(value)).Length);
    }

    /// <summary>Neighbourhoods have to fit into their groups; a group that is a column of the patches is not known before these are.</summary>
    private void CheckNeighbourhoods(int cells, bool patchesKnown = false)
    {
        if (_config.Geometry is not { } geometry) return;
        string[]? groups = geometry.Group is { } group && (patchesKnown || !IsColumnOfPatches(group)) ? ColumnReader.Read(Locate(group)).Text : null;
        if (groups is not null && groups.Length != cells) return;
        GeometryStudy.RequireNeighbours(cells, groups, geometry.K);
    }

    private void Require(string key, string? locator)
    {
        if (locator is null) return;
        string file = ResultFolder.StripMember(Resolve(locator));
        if (!File.Exists(file) && !Directory.Exists(file)) throw new DataException(locator, key, $"there is no such file or folder (looked for {file})");
    }

    private void RequireColumn(string key, string? locator)
    {
        if (locator is not null && !IsColumnOfPatches(locator)) Require(key, locator);
    }

    /// <summary>A column that does not fit the patches is found out as soon as these are counted, before anything is trained.</summary>
    private void CheckPatches(ImagesSection images)
    {
        int patches = CsvFile.Read(_folder.Patches).Rows;
        foreach (string? locator in new[] { images.Labels, _config.Geometry?.Value, _config.Geometry?.Group })
        {
            if (locator is null) continue;
            Column column = ColumnReader.Read(Locate(locator));
            if (column.Length != patches)
                throw new DataException(locator, null, $"{column.Length} entries for {patches} patches; one for each is expected, in the order of {_folder.Patches}");
        }
        CheckNeighbourhoods(patches, patchesKnown: true);
        if (_config.Align is { X: null } align && _config.Cohort is null) AlignStage.CheckPoints(align, Locate, _context.Seed, patches, null);
    }

    private void Stage(string name, JsonNode? settings, IEnumerable<string> inputs, Action<bool> run)
    {
        string[] files = [.. inputs];
        foreach (string file in files) _results.AddInput(file);
        string key = StageLedger.Key(settings, _context.Seed, _keys, files);
        _keys.Add(key);
        if (_ledger.IsFinished(name, key))
        {
            _context.Say($"{name}: finished before, kept");
            return;
        }
        _context.Cancellation.ThrowIfCancellationRequested();
        Stopwatch clock = Stopwatch.StartNew();
        run(_ledger.Start(name, key));
        _ledger.Finish(name, key, clock.Elapsed);
        _context.Say($"{name}: {Report.Numbers.Duration(clock.Elapsed)}");
    }

    private string Resolve(string path) => Path.IsPathRooted(path) ? path : Path.GetRelativePath(Environment.CurrentDirectory, Path.GetFullPath(path, Path.GetFullPath(_base)));

    /// <summary>A locator of the configuration: FILE[:member], or the bare name of a column of the tokens' table of patches.</summary>
    private string Locate(string locator) => IsColumnOfPatches(locator) ? $"{_folder.Patches}:{locator}" : Resolve(locator);

    private static bool IsColumnOfPatches(string locator) => !locator.Contains(':') && !locator.Contains('.') && !locator.Contains('/');

    private IEnumerable<string> Existing(params string?[] locators) =>
        locators.OfType<string>().Where(l => !IsColumnOfPatches(l)).Select(Resolve).Where(l => File.Exists(ResultFolder.StripMember(l)) || Directory.Exists(ResultFolder.StripMember(l)));

    private JsonObject Times() => new(_ledger.Times.Select(t => KeyValuePair.Create(t.Key, JsonText.Number(t.Value))));

    private static JsonNode? Json<T>(T value) => JsonSerializer.SerializeToNode(value, typeof(T), RunConfigJson.Default);
}
