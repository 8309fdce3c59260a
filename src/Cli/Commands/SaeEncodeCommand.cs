using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup sae encode`.</summary>
internal static class SaeEncodeCommand
{
    private static readonly Option<string> s_model = SaeCommand.Model();
    private static readonly Option<string> s_tokens = SaeCommand.Tokens();
    private static readonly Option<string> s_out = new("--out") { Description = "L.npz (member X, with images also ids) or L.h5ad (X, with images their ids as names of obs)", Required = true };
    private static readonly Option<string?> s_pool = new("--pool") { Description = "mean (one row per image) or none (one row per token); default: mean where the tokens know their images" };

    private static readonly Option<bool> s_sparse = new("--sparse")
    {
        Description = "write compressed sparse rows, one per token: .npz as scipy.sparse.load_npz reads it, .h5ad with X as csr_matrix; taken by itself where a dense matrix would exceed 1 GiB",
    };

    private const long DenseLimit = 1L << 30;

    public static Command Create()
    {
        Command command = new("encode", "Tokens to latents, or images to latents as they are encoded.") { s_model, s_tokens, s_out, s_pool, s_sparse };
        TokenInput.AddReadingTo(command);
        return command.Runs(Run);
    }

    private static JsonObject Run(ParseResult parsed, CommandContext context)
    {
        string path = parsed.GetValue(s_out)!;
        string extension = Path.GetExtension(path).ToLowerInvariant();
        if (extension is not (".npz" or ".h5ad")) throw new UsageException($"--out {path}: expected a name that ends in .npz or .h5ad.");
        using SaeModel model = SaeModel.Load(context.Device, parsed.GetValue(s_model)!);
        using TokenInput input = TokenInput.OpenFor(parsed, context, parsed.GetValue(s_tokens)!, parsed.GetValue(s_model)!, passes: 1);
        ITokenSource tokens = input.Source;
        IReadOnlyList<int>? images = input.RowsPerImage;
        bool pool = parsed.GetValue(s_pool) switch
        {
            "mean" => images is not null ? true : throw new UsageException($"--pool mean: {parsed.GetValue(s_tokens)} does not say which tokens form an image; use --pool none, a folder written by 'biosup tokens', or images with --encoder."),
            "none" => false,
            null => images is not null && !parsed.GetValue(s_sparse),
            string other => throw new UsageException($"--pool {other}: expected mean or none."),
        };
        if (pool && parsed.GetValue(s_sparse)) throw new UsageException("--sparse: means over images are not sparse; use --pool none.");
        if (!pool && (parsed.GetValue(s_sparse) || 4 * tokens.Rows * model.Latents > DenseLimit)) return Sparse(model, tokens, images, path, context);
        using Matrix<float> encoded = pool
            ? SaeEncoder.EncodePooled(model, tokens, images!, context.Progress, context.Cancellation)
            : SaeEncoder.EncodeAll(model, tokens, context.Progress, context.Cancellation);
        using PlacedMatrix<float> placed = encoded.OnHost();
        Matrix<float> latents = placed.Matrix;
        string[]? ids = pool ? [.. input.ImageIds!] : null;
        if (extension == ".npz")
        {
            NpzFile.Write(path, writer =>
            {
                writer.Add("X", latents);
                if (ids is not null) writer.Add("ids", ids);
            });
        }
        else AnnDataFile.Write(path, latents.View, ids);
        context.Say($"{latents.Rows} x {latents.Columns} latents: {path}");
        return new JsonObject { ["out"] = path, ["rows"] = latents.Rows, ["d_sae"] = latents.Columns, ["pool"] = pool ? "mean" : "none" };
    }

    private static JsonObject Sparse(SaeModel model, ITokenSource tokens, IReadOnlyList<int>? images, string path, CommandContext context)
    {
        using CsrSpool spool = new(path, model.Latents);
        SaeEncoder.EncodeSparse(model, tokens, images, spool, context.Progress, context.Cancellation);
        if (Path.GetExtension(path).Equals(".npz", StringComparison.OrdinalIgnoreCase)) spool.WriteNpz();
        else spool.WriteH5ad();
        double l0 = spool.Rows > 0 ? (double)spool.Stored / spool.Rows : 0;
        context.Say(string.Create(CultureInfo.InvariantCulture, $"{spool.Rows} x {model.Latents} latents, {l0:F1} active per token, sparse: {path}"));
        return new JsonObject { ["out"] = path, ["rows"] = spool.Rows, ["d_sae"] = model.Latents, ["pool"] = "none", ["sparse"] = true, ["stored"] = spool.Stored };
    }
}
