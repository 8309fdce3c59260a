using BioSup.Analysis.Sae;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli;

/// <summary>Latents that belong to a class, as volcano plots.</summary>
internal static class ClassLatentsReport
{
    private const int MostVolcanoes = 4;
    private const string Control = "Control";

    /// <summary>Each class with the control, or with all others where no class is called Control; none where there are no two classes.</summary>
    public static IReadOnlyList<DifferentialComparison> Compare(Matrix<float> latents, string[]? labels, CancellationToken cancellation) =>
        labels is null || labels.Length != latents.Rows || labels.Distinct().Count() < 2 ? [] : DifferentialLatents.Compare(latents, labels, new DifferentialOptions { Control = labels.Contains(Control) ? Control : null }, cancellation);

    /// <param name="profiles">Of latents that have a page.</param>
    public static void Add(ReportDocument report, IReadOnlyList<DifferentialComparison> comparisons, IReadOnlyList<LatentProfile> profiles)
    {
        if (comparisons.Count == 0) return;
        int specific = comparisons.Sum(c => SaeStudyJson.SpecificTo(c).Length);
        DifferentialOptions bounds = new();
        ReportSection section = report.AddSection("Which latents belong to a class?",
            $"**{Numbers.Integer(specific)}** {(specific == 1 ? "latent is" : "latents are")} specific to a class by the paper's rule: a mean activation at least 1.5 times that of {comparisons[0].Reference}, "
            + $"a Gini impurity over classes of at most {bounds.MaxGiniImpurity}, activity in at least {bounds.MinActiveImages} images.");
        section.Paragraph($"By the class in which they are strongest: {string.Join("; ", comparisons.Select(c => $"{c.Class} **{SaeStudyJson.SpecificTo(c).Length}**"))}. A coloured point of a plot may be stronger yet in another class.");
        HashSet<int> own = [.. comparisons.SelectMany(SaeStudyJson.SpecificTo).Select(l => l.Latent)];
        LatentProfile[] seen = [.. profiles.Where(p => own.Contains(p.Latent) && p.Background is not null)];
        int ground = seen.Count(p => p.Background!.IsMostlyBackground);
        if (ground > 0)
            section.Callout(Tone.Warning, "Where these latents look", $"**{ground} of the {seen.Length}** specific latents that have a page below have most of their activation on background, and no less than if they did not look. "
                + "A class can show in the ground around cells, through brightness, illumination or staining, without the latent standing for anything in the cell.");
        foreach (DifferentialComparison comparison in comparisons.Take(MostVolcanoes)) section.Add(new FigureRowBlock([SaeStudyFiles.Volcano(comparison)]));
        if (comparisons.Count > MostVolcanoes) section.Paragraph($"Drawn are the first {MostVolcanoes} of {comparisons.Count} comparisons.");
    }
}
