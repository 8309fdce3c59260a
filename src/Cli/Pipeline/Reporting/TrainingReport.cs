using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Report;
using BioSup.Report.Figures;

namespace BioSup.Cli.Pipeline.Reporting;

/// <summary>Training curves and the dictionary that came out.</summary>
internal static class TrainingReport
{
    public static void Add(ReportDocument report, RunFolder folder)
    {
        Table log = CsvFile.Read(folder.TrainLog);
        double[] step = log["step"].Numbers, fvu = log["fvu"].Numbers, l0 = log["l0"].Numbers, dead = log["dead"].Numbers;
        JsonObject evaluation = JsonNode.Parse(File.ReadAllText(folder.SaeEvaluation))!.AsObject();
        double finalFvu = (double)evaluation["fvu"]!, finalL0 = (double)evaluation["l0"]!;
        int latents = (int)evaluation["d_sae"]!;
        int alive = (int)evaluation["alive"]!;

        ReportSection section = report.AddSection("The sparse autoencoder",
            $"The dictionary rebuilds each token from **{Numbers.Fixed(finalL0, 1)} of {Numbers.Integer(latents)}** latents on average and leaves **{Numbers.Percent(finalFvu)}** of the variance unexplained.");
        section.Paragraph("*Fraction of variance unexplained* (FVU) says what the reconstruction loses: 0 is perfect, 1 is no better than the mean. *L0* is the number of latents "
            + "that are active for a token. A latent is *dead* when it hardly ever fires. The sparsity penalty starts at zero and ramps up, so FVU dips before it settles.");
        section.Figures(
            new FigureItem(Curve("FVU", step, fvu, "fraction of variance unexplained", logarithmic: true), "Reconstruction error during training (logarithmic axis).", "sae_fvu"),
            new FigureItem(Curve("L0", step, l0, "active latents per token", logarithmic: false), "Active latents per token during training.", "sae_l0"));
        section.Figures(
            new FigureItem(new LineChart
            {
                Series =
                [
                    new LineSeries("reconstruction", step, log["recon"].Numbers),
                    new LineSeries("auxiliary", step, log["aux"].Numbers),
                    new LineSeries("total", step, log["loss"].Numbers) { Dashed = true },
                ],
                XLabel = "step",
                YLabel = "loss",
                Width = 472,
                Height = 320,
            }, "Losses of each logged step, before its update. The total adds the weighted sparsity and auxiliary terms.", "sae_losses"),
            new FigureItem(Curve("dead", step, dead, "dead latents", logarithmic: false), $"Dead latents; {Numbers.Integer(alive)} of {Numbers.Integer(latents)} are alive at the end.", "sae_dead"));

        AddTelemetry(section, folder);

        TableBlock table = new("The trained model on all tokens", "measure", "value", "reading");
        void Row(string key, string name, string reading, int digits = 4)
        {
            if ((double?)evaluation[key] is { } value) table.Row(name, value == Math.Round(value) ? (TableCell)(long)value : TableCell.Number(value, digits), reading);
        }
        Row("fvu", "FVU", "variance the reconstruction loses");
        Row("l0", "L0", "active latents per token, all tokens");
        Row("l0_conditional", "L0, active tokens only", "as the paper counts it: tokens without any active latent are left out");
        Row("alive", "alive latents", "usage at or above the threshold");
        Row("mean_abs_cosine", "mean |cos| of decoder rows", "overlap between dictionary directions; 0 is orthogonal");
        Row("decoder_effective_rank", "effective rank of the decoder", "dimensions that the dictionary really spans");
        section.Table(table);
    }

    /// <summary>What the gradient reaches, and whether the run was calm.</summary>
    private static void AddTelemetry(ReportSection section, RunFolder folder)
    {
        if (!File.Exists(folder.SaeTelemetry)) return;
        Table telemetry = CsvFile.Read(folder.SaeTelemetry);
        double[] step = telemetry["step"].Numbers;
        LineChart reach = new()
        {
            Series = [new LineSeries("magnitude above 0", step, telemetry["p_mag_positive"].Numbers)],
            XLabel = "step",
            YLabel = "share of pairs with a positive magnitude",
            Width = 472,
            Height = 320,
        };
        LineChart norm = Curve("gradient norm", step, CsvFile.Read(folder.TrainLog)["grad_norm"].Numbers, "gradient norm before clipping", logarithmic: true);
        double[] spikes = telemetry["grad_spikes"].Numbers, share = [.. telemetry["penalty_share"].Numbers.Where(double.IsFinite)];
        string calm = spikes.Length > 0 && spikes[^1] > 0 ? $"{Numbers.Integer((int)spikes[^1])} steps were spikes, more than ten times the median of the 64 before them." : "No step was a spike, ten times the median of the 64 before it.";
        section.Figures(
            new FigureItem(reach, "Pairs of token and latent that the straight-through gradient reaches, or that a threshold or the choice of the largest holds back.", "sae_reach"),
            new FigureItem(norm, $"Norm of all gradients (logarithmic axis). {calm}", "sae_gradient_norm"));
        if (share.Length > 0)
            section.Paragraph($"The sparsity penalty makes up **{Numbers.Percent(share[^1])}** of the gradient it competes in, for the median latent at the last look. Near one half both sides balance; above nine tenths a larger coefficient no longer acts.");
    }

    private static LineChart Curve(string name, double[] x, double[] y, string label, bool logarithmic) => new()
    {
        Series = [new LineSeries(name, x, logarithmic ? [.. y.Select(v => v > 0 ? v : double.NaN)] : y)],
        XLabel = "step",
        YLabel = label,
        LogY = logarithmic,
        Width = 472,
        Height = 320,
    };
}
