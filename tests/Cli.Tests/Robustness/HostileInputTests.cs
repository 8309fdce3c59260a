using System.Text.Json.Nodes;
using BioSup.Cli.Tests.CommandLine;

namespace BioSup.Cli.Tests.Robustness;

/// <summary>
/// What goes wrong in practice, command by command: one sentence that names file, key or row, the exit code of its kind, valid JSON and nothing else
/// on stdout, and an output folder that is as it was.
/// </summary>
public sealed class HostileInputTests(BrokenInputs inputs) : IClassFixture<BrokenInputs>
{
    // {NAME} is a file of the inputs, OUT a path that does not exist.
    private const string Align = "gw align --y {y.npy} --out OUT --max-iter 2", AlignX = Align + " --x {x.npy}", Train = "sae train --out OUT --config {sae.json} --steps 2",
        Tokens = "tokens --encoder dictionary --atoms 3 --patch 16 --out OUT", TokensA = Tokens + " --images {images}", Geometry = "geometry --x {x.npy} --out OUT";

    [Theory]
    // Paths and formats
    [InlineData(3, "nowhere.npy: the file does not exist", Align + " --x {nowhere.npy}")]
    [InlineData(3, "no such file or folder", Align + " --x {nowhere}")]
    [InlineData(2, "no file was named", Align + " --x ''")]
    [InlineData(3, "no index.json", Align + " --x {nothing}")]
    [InlineData(3, "empty.npy: the file is empty", Align + " --x {empty.npy}")]
    [InlineData(3, "empty.npz: the file is empty", Align + " --x {empty.npz}:a")]
    [InlineData(3, "empty.h5ad: the file is empty", Align + " --x {empty.h5ad}")]
    [InlineData(3, "empty.csv: the file is empty", Align + " --x {empty.csv}")]
    [InlineData(3, "empty.safetensors: the file is empty", Align + " --x {empty.safetensors}:x")]
    [InlineData(3, "is truncated", Align + " --x {cut-x.npy}")]
    [InlineData(3, "cut-x.npz", Align + " --x {cut-x.npz}:x")]
    [InlineData(3, "cut-x.h5ad", Align + " --x {cut-x.h5ad}")]
    [InlineData(3, "may be truncated", Align + " --x {cut-x.safetensors}:x")]
    [InlineData(3, "line 3", Align + " --x {ragged.csv}")]
    [InlineData(3, "there is no such member; the archive has x", Align + " --x {x.npz}:zz")]
    [InlineData(3, "there is no such matrix; the file has X", Align + " --x {x.h5ad}:obsm/zz")]
    // Values and shapes
    [InlineData(3, "row 7, column 3, counted from 0): the value is NaN", Align + " --x {nan.npy}")]
    [InlineData(3, "row 9, column 2, counted from 0): the value is -Infinity", Align + " --x {inf.npy}")]
    [InlineData(3, "norows.npy: the matrix is 0 x 6", Align + " --x {norows.npy}")]
    [InlineData(3, "onerow.npy: the matrix is 1 x 6", Align + " --x {onerow.npy}")]
    [InlineData(3, "30 x 6; expected 30 x 24", AlignX + " --fused {x.npy}")]
    [InlineData(3, "all masses are zero", AlignX + " --init {zeros.npy}")]
    [InlineData(3, "it must be square", AlignX + " --cost precomputed")]
    [InlineData(3, "30 labels were given for 24 rows", AlignX + " --labels-x {lx.csv}:lab --labels-y {lx.csv}:lab")]
    [InlineData(3, "there is no such column; the file has id, lab", AlignX + " --labels-x {lx.csv}:lab --labels-y {ly.csv}:zz")]
    [InlineData(2, "belong together", AlignX + " --labels-x {lx.csv}:lab")]
    [InlineData(2, "the domains have 30 and 24 rows", AlignX + " --truth identity")]
    // Options
    [InlineData(2, "epsilon is 0", AlignX + " --epsilon 0")]
    [InlineData(2, "epsilon is NaN", AlignX + " --epsilon nan")]
    [InlineData(2, "'inf' for option '--epsilon': expected a number. See 'biosup gw align --help'", AlignX + " --epsilon inf")]
    [InlineData(2, "there are only 24 points", AlignX + " --knn 29")]
    [InlineData(2, "knn is 0", AlignX + " --knn 0")]
    [InlineData(2, "'--max-iter' is given more than once", AlignX + " --max-iter 3")]
    [InlineData(2, "starts is 0", AlignX + " --starts 0")]
    [InlineData(3, "every mass is zero", "gw evaluate --coupling {zeros.npy} --labels-x {lx.csv}:lab --labels-y {ly.csv}:lab")]
    [InlineData(3, "masses must not be negative", "gw evaluate --coupling {x.npy} --labels-x {lx.csv}:lab --labels-y {ly.csv}:lab")]
    [InlineData(5, "epsilon 1e-300 gives no coupling", AlignX + " --epsilon 1e-300")]
    [InlineData(5, "the smallest power of ten whose first iteration meets the masses of these data is", AlignX + " --epsilon 1e-30 --dtype float32")]
    [InlineData(3, "(obs): rows 1 and 3 have the same name 'cell1'", Align + " --x {twice.h5ad}:obsm/X_pca")]
    // Autoencoder
    [InlineData(3, "row 7, column 3, counted from 0): the value is NaN", Train + " --tokens {nan.npy}")]
    [InlineData(3, "at least one is needed", Train + " --tokens {norows.npy}")]
    [InlineData(2, "only 1 tokens", Train + " --tokens {onerow.npy}")]
    [InlineData(2, "there is no such file", "sae train --out OUT --steps 2 --tokens {x.npy} --config {nowhere.json}")]
    [InlineData(2, "it is a folder", "sae train --out OUT --steps 2 --tokens {x.npy} --config {nothing}")]
    [InlineData(2, "not valid JSON", "sae train --out OUT --steps 2 --tokens {x.npy} --config {empty.json}")]
    [InlineData(3, "safetensors", Train + " --tokens {x.npy} --init {cut-x.safetensors}")]
    [InlineData(2, "--steps 0", "sae train --out OUT --config {sae.json} --tokens {x.npy} --steps 0")]
    [InlineData(3, "there is no such folder", "sae eval --model {nowhere} --tokens {x.npy}")]
    [InlineData(3, "training may not have finished", "sae encode --model {nothing} --tokens {x.npy} --out OUT.npz")]
    // Images
    [InlineData(3, "the folder holds no image file", Tokens + " --images {nothing}")]
    [InlineData(3, "cut/a.tif", Tokens + " --images {cut}")]
    [InlineData(3, "not an image file", Tokens + " --images {empty.tif}")]
    [InlineData(3, "given more than once", Tokens + " --images {images} {images/a.tif}")]
    [InlineData(3, "not a usable ONNX model", "tokens --images {images} --encoder {empty.onnx} --patch 16 --out OUT")]
    [InlineData(3, "not a usable ONNX model", "tokens --images {images} --encoder {junk.onnx} --patch 16 --out OUT")]
    [InlineData(2, "1 or larger", TokensA + " --stride 0")]
    [InlineData(2, "Batch -1", TokensA + " --batch -1")]
    // Neighbours, distances, geometry
    [InlineData(2, "at most 29 neighbours", "knn --x {x.npy} --k 30 --out OUT.npz")]
    [InlineData(3, "norows.npy: the matrix is empty (0 x 6)", "knn --x {norows.npy} --k 1 --out OUT.npz")]
    [InlineData(3, "norows.npy: the matrix is empty (0 x 6)", "distance --x {norows.npy} --out OUT.npy")]
    [InlineData(3, "has 5 columns, but", "distance --x {x.npy} --y {y.npy} --out OUT.npy")]
    [InlineData(3, "row 4, counted from 0", Geometry + " --value {hole.csv}:v")]
    [InlineData(3, "there are 30 rows, but 24 values", Geometry + " --value {short.csv}:v")]
    [InlineData(2, "k = 30 needs at least 31 rows; group 'all' has 30", "geometry --x {x.npy} --out OUT --value {num.csv}:v --k 5,30")]
    [InlineData(2, "k = 15 needs at least 16 rows; group 'A' has 15", "geometry --x {x.npy} --out OUT --value {num.csv}:v --group {lx.csv}:lab --k 5,15")]
    [InlineData(2, "'0' is not a neighbourhood size", Geometry + " --value {num.csv}:v --k 0")]
    // Places to write
    [InlineData(2, "it is a file", AlignX + " --out {x.npy}")]
    [InlineData(2, "cannot be written", AlignX + " --out {x.npy}/below")]
    [InlineData(2, "is a file", "knn --x {x.npy} --k 2 --out {x.npy}/a.npz")]
    [InlineData(2, "is a folder", "init --out {nothing}")]
    [InlineData(2, "is empty", "init --out ''")]
    [InlineData(2, "exists already", "init --out {sae.json}")]
    [InlineData(2, "names nothing to time", "bench --suite ''")]
    public void One_sentence_the_right_exit_code_and_nothing_written(int exitCode, string message, string command) => Check(exitCode, message, command);

    [Theory]
    [InlineData("the file is empty", "")]
    [InlineData("expected a JSON object", "[1]")]
    [InlineData("names nothing to do", "{}")]
    [InlineData("unknown key 'titel'", """{ "titel": "x" }""")]
    [InlineData("(key title): the value is 3; expected text in quotes", """{ "title": 3 }""")]
    [InlineData("(key align.knn): the value is \"many\"; expected a whole number", """{ "align": { "knn": "many" } }""")]
    [InlineData("(key align.cost): null is not a value", """{ "align": { "cost": null } }""")]
    [InlineData("(key images): missing here: 'path', 'encoder'", """{ "images": {} }""")]
    [InlineData("not valid JSON", """{ "align": """)]
    [InlineData("Duplicate", """{ "title": "a", "title": "b" }""")]
    [InlineData("align.epsilon is 0", """{ "align": { "x": "x.npy", "y": "y.npy", "epsilon": 0 } }""")]
    [InlineData("align.cost manhattan: expected geodesic", """{ "align": { "x": "x.npy", "y": "y.npy", "cost": "manhattan" } }""")]
    [InlineData("knn is 24, but there are only 24 points in align.y", """{ "align": { "x": "x.npy", "y": "y.npy", "knn": 24 } }""")]
    [InlineData("knn is 30, but there are only 30 points in align.x", """{ "align": { "x": "x.h5ad", "y": "y.npy", "knn": 30 } }""")]
    [InlineData("knn is 40, but there are only 30 points in align.x", """{ "align": { "x": "x.npz:x", "y": "y.npy", "knn": 40 } }""")]
    [InlineData("knn is 40, but there are only 24 points in align.y", """{ "align": { "y": "y.npy", "knn": 40 }, "images": { "path": "images", "encoder": "dictionary" }, "sae": { "d_sae": 4 } }""")]
    [InlineData("align.truth cannot be identity: the domains have 30 and 24 rows", """{ "align": { "x": "x.npy", "y": "y.npy", "knn": 5, "truth": "identity" } }""")]
    [InlineData("k = 30 needs at least 31 rows; group 'all' has 30", """{ "images": { "path": "images", "encoder": "dictionary" }, "sae": { "d_sae": 4 }, "geometry": { "value": "num.csv:v", "k": [30] } }""")]
    [InlineData("align.y is missing", """{ "align": { "x": "x.npy" } }""")]
    [InlineData("sae: 'd_sae' is 0", """{ "images": { "path": "images", "encoder": "dictionary" }, "sae": { "d_sae": 0 } }""")]
    [InlineData("sae: there is no key 'batsh'", """{ "images": { "path": "images", "encoder": "dictionary" }, "sae": { "batsh": 0 } }""")]
    public void A_wrong_configuration_is_named_by_key(string message, string config)
    {
        inputs.Text("run.json", config);
        Check(2, message, "run {run.json} --out OUT");
    }

    [Theory]
    [InlineData("lx.csv:lab (align.labels_y): 30 labels were given for 24 rows", """{ "align": { "x": "x.npy", "y": "y.npy", "knn": 5, "labels_x": "lx.csv:lab", "labels_y": "lx.csv:lab" } }""")]
    [InlineData("(images.path)", """{ "images": { "path": "nowhere", "encoder": "dictionary" } }""")]
    [InlineData("(align.labels_y)", """{ "align": { "x": "x.npy", "y": "y.npy", "labels_x": "lx.csv:lab", "labels_y": "nowhere.csv:lab" } }""")]
    [InlineData("row 7, column 3", """{ "align": { "x": "nan.npy", "y": "y.npy", "knn": 5 } }""")]
    public void A_run_on_wrong_data_is_named_by_key_or_row(string message, string config)
    {
        inputs.Text("run.json", config);
        Check(3, message, "run {run.json} --out OUT", mayLeave: "stages.json");
    }

    [Theory]
    [InlineData("align.epsilon=0", "align.epsilon is 0")]
    [InlineData("align.epsilon", "expected key.path=value")]
    [InlineData("align.nope=1", "unknown key 'nope'")]
    [InlineData("align.x.y=1", "'x' is not a section")]
    public void A_wrong_setting_is_refused(string setting, string message)
    {
        inputs.Text("run.json", """{ "align": { "x": "x.npy", "y": "y.npy" } }""");
        Check(2, message, $"run {{run.json}} --out OUT --set {setting}");
    }

    private void Check(int exitCode, string message, string command, string? mayLeave = null)
    {
        string output = inputs.At("out");
        string[] before = Listing();
        string[] args = [.. command.Split(' ').Select(word => word == "''" ? "" : word.StartsWith('{') && word.IndexOf('}') is var end ? inputs.At(word[1..end]) + word[(end + 1)..] : word.Replace("OUT", output))];
        // An option given again takes the place of the first.
        if (args.Count(a => a == "--out") == 2) args = [.. args.Take(Array.IndexOf(args, "--out")), .. args.Skip(Array.IndexOf(args, "--out") + 2)];

        (int code, string json, string error) = CommandFrameTests.Invoke([.. args, "--threads", "1", "--quiet", "--json"]);
        JsonNode body = JsonNode.Parse(json)!["error"]!;
        string said = (string)body["message"]!;
        Assert.Contains(message, said, StringComparison.Ordinal);
        Assert.Equal((exitCode, exitCode), (code, (int)body["exit_code"]!));
        Assert.DoesNotContain('\n', said);
        Assert.DoesNotContain("BioSup.", said, StringComparison.Ordinal);
        Assert.DoesNotContain("System.", said, StringComparison.Ordinal);
        Assert.Empty(error);
        if (mayLeave is not null && Directory.Exists(output))
        {
            Assert.Equal([mayLeave], Directory.EnumerateFiles(output, "*", SearchOption.AllDirectories).Select(Path.GetFileName));
            Directory.Delete(output, recursive: true);
        }
        Assert.Equal(before, Listing());
    }

    private string[] Listing() => [.. Directory.EnumerateFileSystemEntries(inputs.Folder, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];
}
