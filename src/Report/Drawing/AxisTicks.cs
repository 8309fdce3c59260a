using System.Globalization;

namespace BioSup.Report.Drawing;

/// <summary>One tick: where, and what it says (empty for a minor tick).</summary>
internal readonly record struct AxisTick(double Position, string Label);

/// <summary>Round tick positions for linear and logarithmic axes.</summary>
internal static class AxisTicks
{
    /// <summary>Ticks at 1, 2 or 5 times a power of ten, about <paramref name="target"/> of them, inside [low, high].</summary>
    public static AxisTick[] Linear(double low, double high, int target)
    {
        if (!(high > low) || !double.IsFinite(low) || !double.IsFinite(high)) return [new(low, Label(low, 0))];
        double step = RoundStep((high - low) / Math.Max(1, target));
        long first = (long)Math.Ceiling(low / step - 1e-9), last = (long)Math.Floor(high / step + 1e-9);
        var ticks = new AxisTick[Math.Max(0, (int)(last - first + 1))];
        for (int i = 0; i < ticks.Length; i++)
        {
            double position = (first + i) * step;
            ticks[i] = new(position, Label(position, step));
        }
        return ticks;
    }

    /// <summary>
    /// Ticks on an axis that shows log10 of a value; positions are exponents. Short ranges get 1-2-5 labels between the decades, and ranges
    /// that hold fewer than two of those the round values of a linear axis.
    /// </summary>
    public static AxisTick[] Log(double lowExponent, double highExponent, int target)
    {
        if (!(highExponent > lowExponent)) return [new(lowExponent, Power(lowExponent))];
        double span = highExponent - lowExponent;
        AxisTick[] ticks = Decades(lowExponent, highExponent, span, target);
        if (span > 1 || ticks.Count(t => t.Label.Length > 0) >= 2) return ticks;
        return [.. Linear(Math.Pow(10, lowExponent), Math.Pow(10, highExponent), target).Select(t => t with { Position = Math.Log10(t.Position) })];
    }

    private static AxisTick[] Decades(double lowExponent, double highExponent, double span, int target)
    {
        int stride = Math.Max(1, (int)Math.Ceiling(span / Math.Max(1, target)));
        bool powers = lowExponent < -2.3 || highExponent > 4.05;
        List<AxisTick> ticks = [];
        for (int exponent = (int)Math.Floor(lowExponent); exponent <= Math.Ceiling(highExponent); exponent++)
        {
            for (int digit = 1; digit <= 9; digit++)
            {
                double position = exponent + Math.Log10(digit);
                if (position < lowExponent - 1e-9 || position > highExponent + 1e-9) continue;
                bool labelled = digit == 1 ? exponent % stride == 0 : span < 2.4 && digit is 2 or 5;
                if (digit == 1 || stride == 1) ticks.Add(new(position, labelled ? ValueLabel(digit, exponent, powers) : ""));
            }
        }
        return [.. ticks];
    }

    /// <summary>A value as people write it on an axis: thousands separated, no needless zeros, powers of ten only at the extremes.</summary>
    public static string Label(double value, double step)
    {
        if (Math.Abs(value) < 1e-12 * Math.Max(1, Math.Abs(step))) return "0";
        double magnitude = Math.Max(Math.Abs(value), Math.Abs(step));
        if (magnitude >= 1e7 || magnitude < 1e-4) return Scientific(value);
        int decimals = step > 0 ? Math.Clamp((int)Math.Ceiling(-Math.Log10(step) - 1e-9), 0, 8) : 3;
        return value.ToString("#,0." + new string(step > 0 ? '0' : '#', decimals), CultureInfo.InvariantCulture).Replace('-', '−');
    }

    private static string ValueLabel(int digit, int exponent, bool powers)
    {
        if (!powers) return (digit * Math.Pow(10, exponent)).ToString("#,0.###", CultureInfo.InvariantCulture);
        return digit == 1 ? Power(exponent) : $"{digit}×{Power(exponent)}";
    }

    private static string Scientific(double value)
    {
        int exponent = (int)Math.Floor(Math.Log10(Math.Abs(value)) + 1e-9);
        double mantissa = value / Math.Pow(10, exponent);
        string factor = Math.Abs(mantissa - 1) < 1e-9 ? "" : mantissa.ToString("0.##", CultureInfo.InvariantCulture).Replace('-', '−') + "×";
        return factor + Power(exponent);
    }

    private static string Power(double exponent)
    {
        const string Digits = "⁰¹²³⁴⁵⁶⁷⁸⁹";
        string plain = Math.Round(exponent).ToString(CultureInfo.InvariantCulture);
        return "10" + string.Concat(plain.Select(c => c == '-' ? '⁻' : Digits[c - '0']));
    }

    private static double RoundStep(double raw)
    {
        double power = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        double ratio = raw / power;
        return power * (ratio <= 1.5 ? 1 : ratio <= 3.2 ? 2 : ratio <= 7.1 ? 5 : 10);
    }
}
