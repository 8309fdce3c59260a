using System.Globalization;

namespace BioSup.Report;

/// <summary>A table with a numbered caption. Columns whose cells are numbers are aligned to the right, with figures of equal width.</summary>
public sealed record TableBlock : ReportBlock
{
    private readonly List<TableCell[]> _rows = [];

    public TableBlock(string? caption, params string[] columns)
    {
        Caption = caption;
        Columns = columns;
    }

    public string? Caption { get; }

    public IReadOnlyList<string> Columns { get; }

    public IReadOnlyList<IReadOnlyList<TableCell>> Rows => _rows;

    /// <summary>Appends a row; strings and numbers convert by themselves. Throws when the number of cells is not that of the columns.</summary>
    public TableBlock Row(params TableCell[] cells)
    {
        if (cells.Length != Columns.Count) throw new ArgumentException($"The table has {Columns.Count} columns, the row {cells.Length} cells.", nameof(cells));
        _rows.Add(cells);
        return this;
    }

    /// <summary>True when the column holds numbers only (empty cells aside).</summary>
    public bool IsNumeric(int column) => _rows.Count > 0 && _rows.Any(r => r[column].IsNumber) && _rows.All(r => r[column].IsNumber || r[column].Text.Length == 0);
}

/// <summary>One cell: its text, whether it counts as a number, and a tone when it carries a judgement.</summary>
public readonly record struct TableCell(string Text, bool IsNumber = false, Tone Tone = Tone.Neutral)
{
    public static implicit operator TableCell(string? text) => new(text ?? "");

    public static implicit operator TableCell(int value) => new(Numbers.Integer(value), true);

    public static implicit operator TableCell(long value) => new(Numbers.Integer(value), true);

    /// <summary>Up to four significant digits, without trailing zeros; use <see cref="Fixed"/> where a column should line up at the point.</summary>
    public static implicit operator TableCell(double value) => new(Numbers.Short(value), true);

    public static TableCell Number(double value, int significantDigits, Tone tone = Tone.Neutral) => new(Numbers.Significant(value, significantDigits), true, tone);

    /// <summary>A number with a fixed number of decimals, so that a column lines up at the point.</summary>
    public static TableCell Fixed(double value, int decimals, Tone tone = Tone.Neutral) => new(Numbers.Fixed(value, decimals), true, tone);

    public static TableCell Percent(double fraction, int decimals = 1, Tone tone = Tone.Neutral) => new(Numbers.Percent(fraction, decimals), true, tone);
}

/// <summary>How reports write numbers: invariant, thousands separated, a true minus sign, no more digits than asked.</summary>
public static class Numbers
{
    public static string Integer(long value) => Minus(value.ToString("#,0", CultureInfo.InvariantCulture));

    public static string Fixed(double value, int decimals) =>
        double.IsFinite(value) ? Minus(value.ToString("N" + decimals.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture)) : NotFinite(value);

    public static string Percent(double fraction, int decimals = 1) => double.IsFinite(fraction) ? Fixed(100 * fraction, decimals) + " %" : NotFinite(fraction);

    /// <summary>So many significant digits; powers of ten only below 10⁻⁴ and from 10⁷ on.</summary>
    public static string Significant(double value, int digits = 4)
    {
        if (!double.IsFinite(value)) return NotFinite(value);
        if (value == 0) return "0";
        double magnitude = Math.Abs(value);
        if (magnitude is < 1e-4 or >= 1e7)
        {
            string[] parts = value.ToString("E" + (digits - 1).ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture).Split('E');
            return Minus($"{parts[0]}×10{Superscript(int.Parse(parts[1], CultureInfo.InvariantCulture))}");
        }
        int decimals = Math.Clamp(digits - 1 - (int)Math.Floor(Math.Log10(magnitude)), 0, 15);
        return Fixed(value, decimals);
    }

    /// <summary>Up to so many significant digits, without trailing zeros: 0.002, 71, 0.4123.</summary>
    public static string Short(double value, int digits = 4)
    {
        string text = Significant(value, digits);
        return text.Contains('.') && !text.Contains('×') ? text.TrimEnd('0').TrimEnd('.') : text;
    }

    /// <summary>A duration as "0.42 s", "12.3 s", "4 min 05 s" or "1 h 02 min".</summary>
    public static string Duration(TimeSpan time)
    {
        if (time.TotalSeconds < 60) return Fixed(time.TotalSeconds, time.TotalSeconds < 10 ? 2 : 1) + " s";
        if (time.TotalMinutes < 60) return string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalMinutes} min {time.Seconds:00} s");
        return string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalHours} h {time.Minutes:00} min");
    }

    /// <summary>A size in bytes as "512 B", "1.4 MiB", …</summary>
    public static string Bytes(long bytes)
    {
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB"];
        double value = bytes;
        int unit = 0;
        for (; value >= 1024 && unit < units.Length - 1; unit++) value /= 1024;
        return Fixed(value, unit == 0 || value >= 100 ? 0 : 1) + " " + units[unit];
    }

    /// <summary>A power of ten whose exponent is too large for a number: 10⁻⁶⁷⁵.</summary>
    public static string PowerOfTen(double exponent) => "10" + Superscript((int)Math.Round(exponent));

    private static string Superscript(int exponent) =>
        string.Concat(exponent.ToString(CultureInfo.InvariantCulture).Select(c => c == '-' ? '⁻' : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c - '0']));

    private static string Minus(string text) => text.Replace('-', '−');

    private static string NotFinite(double value) => double.IsNaN(value) ? "–" : value > 0 ? "∞" : "−∞";
}
