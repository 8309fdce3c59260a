using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Analysis.Alignment;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup gw evaluate`: scores of a coupling, however it was made.</summary>
internal static class GwEvaluateCommand
{
    private static readonly Option<string> s_coupling = new("--coupling") { Description = "coupling [n, m]", Required = true };
    private static readonly Option<string?> s_labelsX = GwCommand.LabelsX();
    private static readonly Option<string?> s_labelsY = GwCommand.LabelsY();
    private static readonly Option<string?> s_truth = GwCommand.Truth();
    private static readonly Option<string?> s_y = new("--y") { Description = "second domain: FOSCTTM is then measured between barycentric projections and these points, as SCOT does" };

    public static Command Create() => new Command("evaluate", "Score a coupling against labels or a known correspondence.") { s_coupling, s_labelsX, s_labelsY, s_truth, s_y }.Runs(Run);

    private static JsonObject Run(ParseResult parsed, CommandContext context)
    {
        bool identity = GwCommand.TruthIsIdentity(parsed.GetValue(s_truth));
        (string[]? labelsX, string[]? labelsY) = GwCommand.ReadLabels(parsed.GetValue(s_labelsX), parsed.GetValue(s_labelsY));
        if (!identity && labelsX is null) throw new UsageException("There is nothing to score against: give --labels-x and --labels-y, or --truth identity.");
        string locator = parsed.GetValue(s_coupling)!;
        // Scores look at the coupling row by row; the projection streams y, which may be a whole expression matrix, through the device.
        using Matrix<double> coupling = MatrixReader.ReadDouble(context.Host, locator);
        RequireMasses(coupling, locator);
        using Matrix<double>? y = parsed.GetValue(s_y) is { } points ? MatrixReader.ReadDouble(context.Host, points) : null;
        LabelTransferResult? labels = labelsX is null ? null : LabelTransfer.Evaluate(coupling, labelsX, labelsY!, context.Seed);
        FosctTm? foscttm = !identity ? null : y is null ? MatchAccuracy.ByMass(coupling, locator) : Projected(coupling, y, context);
        double partners = GromovAlignment.MeanPartners(coupling);

        if (labels is not null)
            context.Say(Text($"label transfer   one-to-one {labels.OneToOne.Accuracy:F3}, barycentric {labels.Barycentric.Accuracy:F3} (most frequent label {labels.Majority:F3}, renaming p {labels.RenamingP:F3})"));
        if (foscttm is not null)
            context.Say(Text($"FOSCTTM          {foscttm.Average:F5} by {(y is null ? "coupled mass" : "barycentric projection")} (x to y {foscttm.FirstToSecond:F5}, y to x {foscttm.SecondToFirst:F5}; chance 0.5)"));
        context.Say(Text($"mean partners    {partners:F1} of {coupling.Columns}"));
        return new JsonObject
        {
            ["rows"] = coupling.Rows,
            ["columns"] = coupling.Columns,
            ["mean_partners"] = JsonText.Number(partners),
            ["label_transfer"] = GwCommand.Describe(labels, null),
            ["foscttm"] = GwCommand.Describe(foscttm),
            ["foscttm_by"] = foscttm is null ? null : y is null ? "mass" : "projection",
        };
    }

    /// <summary>Any scale will do, but masses are not negative and not all zero: every score of such a matrix would be an accident.</summary>
    private static void RequireMasses(Matrix<double> coupling, string locator)
    {
        if (coupling.Rows == 0 || coupling.Columns == 0) throw new DataException(locator, null, $"the coupling is empty ({coupling.Rows} x {coupling.Columns})");
        bool any = false;
        for (int i = 0; i < coupling.Rows; i++)
        {
            ReadOnlySpan<double> row = coupling.Row(i);
            int negative = row.IndexOfAnyInRange(double.NegativeInfinity, -double.Epsilon);
            if (negative >= 0) throw new DataException(locator, $"row {i}, column {negative}, counted from 0", string.Create(CultureInfo.InvariantCulture, $"the mass is {row[negative]}; masses must not be negative"));
            any |= row.ContainsAnyExcept(0.0);
        }
        if (!any) throw new DataException(locator, null, "every mass is zero; nothing is coupled");
    }

    private static FosctTm Projected(Matrix<double> coupling, Matrix<double> y, CommandContext context)
    {
        using Matrix<double> projected = MatchAccuracy.BarycentricProjection(coupling, y, context.Device, context.Cancellation);
        return MatchAccuracy.Foscttm(projected, y, context.Device);
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
