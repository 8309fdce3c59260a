using BioSup.Report.Drawing;
using CsCheck;

namespace BioSup.Report.Tests;

public sealed class TextTests
{
    [Theory]
    [InlineData("plain", "plain")]
    [InlineData("**strong** and *em*", "<strong>strong</strong> and <em>em</em>")]
    [InlineData("`a*b*c`", "<code>a*b*c</code>")]
    [InlineData("**a `b` c**", "<strong>a <code>b</code> c</strong>")]
    [InlineData("2 * 3 * 4", "2 * 3 * 4")]
    [InlineData("L ** T", "L ** T")]
    [InlineData("a < b & c", "a &lt; b &amp; c")]
    [InlineData("lone ` and *", "lone ` and *")]
    [InlineData("see [latent 5](#latent-5), [6]", "see <a href=\"#latent-5\">latent 5</a>, [6]")]
    [InlineData("[a](#no \"good) [](#x) [[b](#c)", "[a](#no &quot;good) [](#x) [<a href=\"#c\">b</a>")]
    [InlineData("[out](http://example.org)", "[out](http://example.org)")]
    [InlineData("", "")]
    public void Inline_markup(string text, string html) => Assert.Equal(html, InlineText.ToHtml(text));

    [Fact]
    public void Any_string_becomes_well_formed_markup() =>
        Gen.String[Gen.Char["*`[](#)<>&'\"ab \u0000\uD800\uDC00\u00e9"], 0, 40].Sample(text => System.Xml.Linq.XElement.Parse("<p>" + InlineText.ToHtml(text) + "</p>"), iter: 5000);

    [Theory]
    [InlineData(0.0, 4, "0")]
    [InlineData(0.41234, 3, "0.412")]
    [InlineData(12345.678, 4, "12,346")]
    [InlineData(-0.5, 2, "−0.50")]
    [InlineData(1.5e-7, 2, "1.5×10⁻⁷")]
    [InlineData(2.5e9, 2, "2.5×10⁹")]
    [InlineData(double.NaN, 3, "–")]
    [InlineData(double.NegativeInfinity, 3, "−∞")]
    public void Significant_digits(double value, int digits, string text) => Assert.Equal(text, Numbers.Significant(value, digits));

    [Theory]
    [InlineData(0.002, "0.002")]
    [InlineData(71.0, "71")]
    [InlineData(1200.0, "1,200")]
    [InlineData(1e-9, "1.000×10⁻⁹")]
    public void Short_numbers(double value, string text) => Assert.Equal(text, Numbers.Short(value));

    [Fact]
    public void Durations_and_sizes()
    {
        Assert.Equal("0.42 s", Numbers.Duration(TimeSpan.FromSeconds(0.42)));
        Assert.Equal("1 min 23 s", Numbers.Duration(TimeSpan.FromSeconds(83.2)));
        Assert.Equal("2 h 05 min", Numbers.Duration(TimeSpan.FromMinutes(125)));
        Assert.Equal("512 B", Numbers.Bytes(512));
        Assert.Equal("1.4 GiB", Numbers.Bytes(1_482_184_704));
    }

    [Fact]
    public void Ticks_are_round_inside_the_axis_and_labelled_alike()
    {
        Gen.Select(Gen.Double[-1e6, 1e6], Gen.Double[1e-6, 1e6], Gen.Int[2, 10]).Sample((low, span, target) =>
        {
            AxisTick[] ticks = AxisTicks.Linear(low, low + span, target);
            return ticks.Length <= 3 * target && ticks.All(t => t.Position >= low - 1e-6 * span && t.Position <= low + span + 1e-6 * span && t.Label.Length > 0);
        });
        Assert.Equal(["0", "0.2", "0.4", "0.6", "0.8", "1.0"], AxisTicks.Linear(0, 1, 5).Select(t => t.Label));
        Assert.Equal(["10⁻⁶", "10⁻⁴", "10⁻²"], AxisTicks.Log(-6, -1.5, 4).Where(t => t.Label.Length > 0).Select(t => t.Label));
        Assert.Equal(["0.65", "0.70", "0.75", "0.80", "0.85"], AxisTicks.Log(Math.Log10(0.64), Math.Log10(0.88), 4).Select(t => t.Label));
        Assert.Equal(["1", "2", "5", "10", "20", "50"], AxisTicks.Log(0, 1.9, 4).Where(t => t.Label.Length > 0).Select(t => t.Label));
    }

    [Fact]
    public void Rows_must_have_as_many_cells_as_there_are_columns() =>
        Assert.Throws<ArgumentException>(() => new TableBlock("t", "a", "b").Row(1));
}
