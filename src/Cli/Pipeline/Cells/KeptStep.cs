using BioSup.Report;
using BioSup.Report.Figures;

namespace BioSup.Cli.Pipeline.Cells;

/// <summary>A finished step as a checkpoint holds it: its figures drawn, everything else as text.</summary>
internal sealed record KeptStep(string Planned, string Name, string Text, string Said, double Seconds, string[] Warnings, KeptStep.File[] Tables, KeptStep.Block[] Report)
{
    /// <param name="planned">As it was planned.</param>
    /// <param name="step">As it has run.</param>
    public static KeptStep Of(string planned, FinishedStep step) => new(planned, step.Name, step.Text, step.Outcome.Said, step.Seconds, [.. step.Outcome.Warnings],
        [.. step.Outcome.Tables.Select(t => new File(t.FileName, t.Csv))], [.. step.Outcome.Report.Select(Of)]);

    public FinishedStep ToFinished() => new(Name, Text, new StepOutcome(Said) { Warnings = Warnings, Tables = [.. Tables.Select(t => (t.Name, t.Csv))], Report = [.. Report.Select(ToBlock)] }, Seconds);

    private static Block Of(ReportBlock block) => block switch
    {
        FigureRowBlock row => new Block([.. row.Figures.Select(Of)], null),
        TableBlock table => new Block(null, new Rows(table.Caption, [.. table.Columns], [.. table.Rows.Select(r => r.ToArray())])),
        _ => throw new InvalidOperationException($"A checkpoint does not know the block {block.GetType().Name}."),
    };

    private static Picture Of(FigureItem item) =>
        new(item.Caption, item.Name, item.Figure.Size.Width, item.Figure.Size.Height, item.Figure.ToPng(CellsResults.DotsPerInch / 96f), item.Figure.ToSvg());

    private static ReportBlock ToBlock(Block block)
    {
        if (block.Figures is not null) return new FigureRowBlock([.. block.Figures.Select(f => new FigureItem(new DrawnFigure(f.Png, f.Svg) { Width = f.Width, Height = f.Height }, f.Caption, f.Name))]);
        TableBlock table = new(block.Table!.Caption, block.Table.Columns);
        foreach (TableCell[] row in block.Table.Cells) table.Row(row);
        return table;
    }

    internal sealed record File(string Name, string Csv);

    /// <summary>One of the two.</summary>
    internal sealed record Block(Picture[]? Figures, Rows? Table);

    internal sealed record Picture(string Caption, string? Name, int Width, int Height, byte[] Png, string Svg);

    internal sealed record Rows(string? Caption, string[] Columns, TableCell[][] Cells);
}
