using System.Text.Json.Nodes;
using BioSup.Analysis.Recovery;
using BioSup.Data;
using BioSup.Imaging;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline;

/// <summary>Known concepts of a generated cohort against the encoder's channels and the SAE's latents.</summary>
internal static class RecoveryStage
{
    public static void Run(RunFolder folder, CommandContext context)
    {
        Table truth = CsvFile.Read(CohortStage.Cells(folder));
        Column[] concepts = [.. CohortNames.Concepts.Select(name => truth[name])];
        using Matrix<double> intensities = context.Host.AllocateMatrix<double>(truth.Rows, concepts.Length);
        for (int j = 0; j < concepts.Length; j++)
            for (int i = 0; i < truth.Rows; i++) intensities.Row(i)[j] = concepts[j].Numbers[i];
        using Matrix<float> encoder = MatrixReader.ReadSingle(context.Host, folder.EncoderVectors);
        using Matrix<float> latents = MatrixReader.ReadSingle(context.Host, $"{folder.Latents}:X");
        JsonObject result = new()
        {
            ["cells"] = truth.Rows,
            ["concepts"] = JsonText.Strings(concepts.Select(c => c.Name)),
            ["encoder"] = Describe(ConceptRecovery.Match(encoder, intensities, context.Seed)),
            ["latents"] = Describe(ConceptRecovery.Match(latents, intensities, context.Seed)),
        };
        AtomicFile.WriteAllText(folder.Recovery, result.ToJsonString(JsonText.Readable) + "\n");
    }

    private static JsonObject Describe(RecoveredConcept[] matches) => new()
    {
        ["feature"] = new JsonArray([.. matches.Select(m => (JsonNode)m.Feature)]),
        ["correlation"] = JsonText.Numbers(matches.Select(m => Math.Abs(m.Correlation))),
        ["selectivity"] = JsonText.Numbers(matches.Select(m => m.Selectivity)),
    };
}
