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
    private static readonly Option<string> s_coupling = new("--coupling") { Description = "coupling [n, m], or the coupling.npz of an alignment whose coupling is not stored (implicit or low-rank)", Required = true };
    private static readonly Option<string?> s_labelsX = GwCommand.LabelsX();
    private static readonly Option<string?> s_labelsY = GwCommand.LabelsY();
    private static readonly Option<string?> s_truth = GwCommand.Truth();
    private static readonly Option<string?> s_y = new("--y") { Description = "second domain: FOSCTTM is then measured between barycentric projections and these points, as SCOT does" };

    public static Command Create() => new Command("evaluate", "Score a coupling against labels or a known correspondence.") { s_coupling, s_labelsX, s_labelsY, s_truth, s_y }.Runs(Run);

    private static JsonObject Run(ParseResult parsed, CommandContext context)
    {
        bool identity = GwCommand.TruthIsIdentity(parsed.GetValue(s_truth));
        (string[]? labelsX, string[]? labelsY) = GwCommand.ReadPair(parsed, s_labelsX, s_labelsY);
        if (!identity && labelsX is null) throw new UsageException("There is nothing to score against: give --labels-x and --labels-y, or --truth identity.");
        string locator = parsed.GetValue(s_coupling)!;
        using Matrix<double>? y = parsed.GetValue(s_y) is { } points ? MatrixReader.ReadDouble(context.Host, points) : null;
        Scores scores = CouplingFile.IsFactored(locator) ? OfFactors(locator, labelsX, labelsY, identity, y, context) : OfMatrix(locator, labelsX, labelsY, identity, y, context);
        (LabelTransferResult? labels, FosctTm? foscttm) = (scores.Labels, scores.Foscttm);

        if (labels is not null)
            context.Say(Text($"label transfer   one-to-one {labels.OneToOne.Accuracy:F3}, barycentric {labels.Barycentric.Accuracy:F3} (most frequent label {labels.Majority:F3}, renaming p {labels.RenamingP:F3})"));
        if (foscttm is not null)
            context.Say(Text($"FOSCTTM          {foscttm.Average:F5} by {(y is null ? "coupled mass" : "barycentric projection")} (x to y {foscttm.FirstToSecond:F5}, y to x {foscttm.SecondToFirst:F5}; chance 0.5)"));
        context.Say(Text($"mean partners    {scores.Partners:F1} of {scores.Columns}"));
        return new JsonObject
        {
            ["rows"] = scores.Rows,
            ["columns"] = scores.Columns,
            ["mean_partners"] = JsonText.Number(scores.Partners),
            ["label_transfer"] = GwCommand.Describe(labels, null),
            ["foscttm"] = GwCommand.Describe(foscttm),
            ["foscttm_by"] = foscttm is null ? null : y is null ? "mass" : "projection",
        };
    }

    private sealed record Scores(int Rows, int Columns, double Partners, LabelTransferResult? Labels, FosctTm? Foscttm);

    /// <summary>Scores look at the coupling row by row; the projection streams y, which may be a whole expression matrix, through the device.</summary>
    private static Scores OfMatrix(string locator, string[]? labelsX, string[]? labelsY, bool identity, Matrix<double>? y, CommandContext context)
    {
        using Matrix<double> coupling = MatrixReader.ReadDouble(context.Host, locator);
        RequireMasses(coupling, locator);
        LabelTransferResult? labels = labelsX is null ? null : LabelTransfer.Evaluate(coupling, labelsX, labelsY!, context.Seed);
        FosctTm? foscttm = !identity ? null : y is null ? MatchAccuracy.ByMass(coupling, locator) : Projected(coupling, y, context);
        return new Scores(coupling.Rows, coupling.Columns, GromovAlignment.MeanPartners(coupling), labels, foscttm);
    }

    private static Scores OfFactors(string locator, string[]? labelsX, string[]? labelsY, bool identity, Matrix<double>? y, CommandContext context)
    {
        using IFactoredCoupling coupling = CouplingFile.Read(context.Host, locator);
        if (coupling.RowStep > 1) context.Warn($"One-to-one accuracy and the number of partners are those of every {coupling.RowStep}th row of the coupling.");
        LabelTransferResult? labels = labelsX is null ? null : LabelTransfer.Evaluate(coupling, labelsX, labelsY!, context.Seed);
        FosctTm? foscttm = null;
        if (identity && y is null) foscttm = MatchAccuracy.ByMass(coupling, locator);
        else if (identity)
        {
            if (y!.Rows != coupling.Columns) throw new DataException(locator, null, $"the coupling has {coupling.Columns} columns; the second domain has {y.Rows} points");
            using Matrix<double> projected = coupling.Project(y.View);
            foscttm = MatchAccuracy.Foscttm(projected, y, context.Device);
        }
        return new Scores(coupling.Rows, coupling.Columns, coupling.MeanPartners(), labels, foscttm);
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
