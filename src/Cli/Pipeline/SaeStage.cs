using System.Text.Json.Nodes;
using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline;

/// <summary>Tokens to a trained autoencoder, its evaluation, and one latent vector per patch.</summary>
internal static class SaeStage
{
    public static void Run(JsonObject settings, RunFolder folder, CommandContext context, bool resume)
    {
        SaeConfig config = SaeConfigFile.Parse(settings.ToJsonString(), "sae");
        using TokenShards tokens = TokenShards.Open(folder.Tokens);
        SaeTrainingOptions options = new()
        {
            Config = config,
            Seed = context.Seed,
            OutputFolder = folder.Sae,
            Resume = resume,
            Progress = context.Progress,
            Cancellation = context.Cancellation,
            Warn = context.Warn,
        };
        using SaeTrainingResult trained = SaeTrainer.Train(context.Device, tokens, options);
        ModelCentre.Keep(folder.Sae, ModelCentre.Find(folder.Tokens));
        SaeEvaluation evaluation = SaeEvaluation.Run(trained.Model, tokens, progress: context.Progress, cancellation: context.Cancellation);
        using Matrix<float> pooled = SaeEncoder.EncodePooled(trained.Model, tokens, tokens.Index.RowsPerImage, context.Progress, context.Cancellation);
        using PlacedMatrix<float> latents = pooled.OnHost();
        WriteLatents(folder, tokens, trained.Model, latents.Matrix);
        // Last: the report reads the evaluation, and a stage without it is not finished.
        AtomicFile.WriteAllText(folder.SaeEvaluation, Describe(evaluation, trained).ToJsonString(JsonText.Readable) + "\n");
    }

    private static JsonObject Describe(SaeEvaluation evaluation, SaeTrainingResult trained) => new()
    {
        ["d_in"] = trained.Model.InputWidth,
        ["d_sae"] = trained.Model.Latents,
        ["tokens"] = evaluation.Tokens,
        ["steps"] = trained.Steps,
        ["tokens_per_second"] = JsonText.Number(trained.TokensPerSecond),
        ["fvu"] = JsonText.Number(evaluation.Fvu),
        ["l0"] = JsonText.Number(evaluation.L0),
        ["l0_conditional"] = JsonText.Number(evaluation.ConditionalL0),
        ["alive"] = evaluation.Alive,
        ["mean_abs_cosine"] = JsonText.Number(evaluation.MeanAbsoluteCosine),
        ["decoder_effective_rank"] = JsonText.Number(evaluation.DecoderEffectiveRank),
    };

    private static void WriteLatents(RunFolder folder, TokenShards tokens, SaeModel model, Matrix<float> latents)
    {
        DataFrame patches = new([.. tokens.ImageIds], "patch");
        DataFrame variables = new([.. Enumerable.Range(0, latents.Columns).Select(j => $"latent_{j}")], "latent");
        float[] usage = new float[latents.Columns];
        model.Usage.CopyTo(usage);
        variables.Add("usage_ema", usage);
        AnnDataFile.Write(folder.Latents, new AnnData(patches, variables) { X = NdArray.FromMatrix(latents.View) });
    }
}
