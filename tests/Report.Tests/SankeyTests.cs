using System.Globalization;
using System.Xml.Linq;
using BioSup.Report.Drawing;
using BioSup.Report.Figures;
using BioSup.Runtime;

namespace BioSup.Report.Tests;

public sealed class SankeyTests
{
    private static readonly XNamespace s_svg = "http://www.w3.org/2000/svg";

    [Fact]
    public void Every_label_is_editable_text_with_its_count_and_none_overlap()
    {
        SankeyDiagram figure = Samples.Sankey();
        XElement[] texts = [.. XElement.Parse(figure.ToSvg()).Descendants(s_svg + "text")];
        foreach (SankeyLevel level in figure.Levels)
        {
            Assert.Contains(texts, t => t.Value == level.Name);
            (float X, float Y)[] places = [.. level.Nodes.Select(name => Place(texts, name[..name.IndexOf(' ')]))];
            float[] heights = [.. places.Select(p => p.Y).Order()];
            for (int i = 1; i < heights.Length; i++) Assert.True(heights[i] - heights[i - 1] >= 12, $"labels of {level.Name} stand {heights[i] - heights[i - 1]} apart");
            Assert.All(heights, y => Assert.InRange(y, 20, figure.Size.Height));
        }
    }

    [Fact]
    public void Crossings_fall_to_none_where_none_are_needed()
    {
        // Two chains, written in opposite orders.
        SankeyLayout layout = new([new double[,] { { 0, 5 }, { 3, 0 } }, new double[,] { { 0, 3 }, { 5, 0 } }], [2, 2, 2]);
        Assert.Equal(0, layout.Crossings(layout.Order));
        Assert.Equal(30, layout.Crossings([[0, 1], [0, 1], [0, 1]]));
        Assert.Equal([[5, 3], [3, 5], [5, 3]], layout.Values);
    }

    [Fact]
    public void Ordering_never_adds_crossings_and_finds_planted_orders()
    {
        CounterRandom random = new(4);
        int better = 0;
        for (int trial = 0; trial < 20; trial++)
        {
            int[][] shuffled = [.. Enumerable.Range(0, 3).Select(_ => Shuffled(6))];
            double[,] Flow(int l)
            {
                double[,] flow = new double[6, 6];
                for (int i = 0; i < 6; i++) (flow[shuffled[l][i], shuffled[l + 1][i]], flow[shuffled[l][i], shuffled[l + 1][Math.Min(5, i + 1)]]) = (4 + random.NextDouble(), 4);
                return flow;
            }
            SankeyLayout layout = new([Flow(0), Flow(1)], [6, 6, 6]);
            int[] plain = [.. Enumerable.Range(0, 6)];
            double before = layout.Crossings([plain, plain, plain]), after = layout.Crossings(layout.Order);
            Assert.True(after <= before);
            if (after == 0) better++;
        }
        Assert.True(better >= 15, $"{better} of 20 planted orders were found");

        int[] Shuffled(int n)
        {
            int[] items = [.. Enumerable.Range(0, n)];
            random.Shuffle<int>(items);
            return items;
        }
    }

    [Fact]
    public void Slots_never_overlap_and_colours_follow_the_first_level()
    {
        double[,] first = { { 10, 1, 0 }, { 0, 2, 7 } };
        SankeyLayout layout = new([first], [2, 3]);
        layout.Place(2, 15, 5, 0, 120);
        for (int l = 0; l < 2; l++)
        {
            float[] middle = [.. layout.Order[l].Select(node => layout.Middle[l][node])];
            float[] height = [.. layout.Order[l].Select(node => Math.Max(15, (float)(2 * layout.Values[l][node])))];
            for (int i = 1; i < middle.Length; i++) Assert.True(middle[i] - height[i] / 2 - (middle[i - 1] + height[i - 1] / 2) >= 4.99f);
            Assert.True(middle[0] - height[0] / 2 >= -0.01f && middle[^1] + height[^1] / 2 <= 120.01f);
        }
        Assert.Equal([0, 1, 1], Enumerable.Range(0, 3).Select(node => layout.Ancestor(1, node)));
        Assert.Equal(-1, new SankeyLayout([new double[1, 1]], [1, 1]).Ancestor(1, 0));
    }

    [Fact]
    public void The_figure_grows_with_its_labels()
    {
        string[] names = [.. Enumerable.Range(0, 60).Select(i => $"module {i}")];
        double[,] flow = new double[1, 60];
        for (int j = 0; j < 60; j++) flow[0, j] = 1;
        SankeyDiagram figure = new() { Levels = [new("coarse", ["all"]), new("fine", names)], Flows = [flow] };
        Assert.True(figure.Size.Height >= 60 * 20);
        XElement[] texts = [.. XElement.Parse(figure.ToSvg()).Descendants(s_svg + "text")];
        Assert.All(names, name => Assert.InRange(Place(texts, name).Y, 20, figure.Size.Height));
    }

    [Fact]
    public void Wrong_flows_are_refused_and_empty_ones_drawn()
    {
        SankeyLevel one = new("a", ["x"]), two = new("b", ["y", "z"]);
        Assert.Throws<ArgumentException>(() => new SankeyDiagram { Levels = [one, two] }.ToPng());
        Assert.Throws<ArgumentException>(() => new SankeyDiagram { Levels = [one, two], Flows = [new double[2, 1]] }.ToPng());
        Assert.Throws<ArgumentException>(() => new SankeyDiagram { Levels = [one, two], Flows = [new[,] { { 1, double.NaN } }] }.ToPng());
        Assert.Throws<ArgumentException>(() => new SankeyDiagram { Levels = [one, two], Flows = [new[,] { { 1, -1.0 } }] }.ToPng());
        Assert.Throws<ArgumentException>(() => new Heatmap { Values = new double[3, 1], RowGroups = [new("a", 2)] }.ToPng());
        Figure[] figures =
        [
            new SankeyDiagram(), new SankeyDiagram { Levels = [one] }, new SankeyDiagram { Levels = [one, two], Flows = [new double[1, 2]] },
            new SankeyDiagram { Levels = [new("a", []), new("b", [])], Flows = [new double[0, 0]] }, new Heatmap { RowGroups = [] },
        ];
        Assert.All(figures, figure => Assert.NotEmpty(figure.ToPng(1)));
    }

    [Fact]
    public void Names_of_row_groups_keep_apart_and_the_smallest_give_way()
    {
        Heatmap few = new() { Values = new double[40, 4], RowGroups = [new("large", 36), new("one", 1), new("two", 1), new("three", 2)] };
        XElement[] texts = [.. XElement.Parse(few.ToSvg()).Descendants(s_svg + "text")];
        float[] places = [.. few.RowGroups!.Select(g => Place(texts, g.Name).Y)];
        for (int i = 1; i < places.Length; i++) Assert.True(places[i] - places[i - 1] >= 12.9);
        Heatmap many = new() { Values = new double[200, 4], RowGroups = [new("large", 101), .. Enumerable.Range(0, 99).Select(i => new RowGroup($"g{i}", 1))] };
        string[] shown = [.. XElement.Parse(many.ToSvg()).Descendants(s_svg + "text").Select(t => t.Value)];
        Assert.Contains("large", shown);
        Assert.Contains("g0", shown);
        Assert.DoesNotContain("g98", shown);
    }

    [Fact]
    public void Spread_labels_move_only_as_far_as_they_must()
    {
        Assert.Equal([10f, 50f], LabelSpread.Place([10, 50], [12, 12], 2, 0, 100));
        Assert.Equal([6.3333f, 20.3333f, 34.3333f], LabelSpread.Place([20, 20, 21], [12, 12, 12], 2, 0, 100), (a, b) => Math.Abs(a - b) < 1e-3);
        Assert.Equal([6f, 20f, 34f], LabelSpread.Place([5, 5, 6], [12, 12, 12], 2, 0, 100));
        Assert.Equal([6f, 20f, 34f], LabelSpread.Place([5, 5, 6], [12, 12, 12], 2, 0, 20));
        Assert.Empty(LabelSpread.Place([], [], 2, 0, 20));
        Assert.Equal([66f, 80f, 94f], LabelSpread.Place([99, 99, 99], [12, 12, 12], 2, 0, 100));
    }

    private static (float X, float Y) Place(XElement[] texts, string name)
    {
        XElement text = texts.First(t => t.Value == name || t.Value.StartsWith(name + " ", StringComparison.Ordinal));
        float[] numbers = [.. new[] { "x", "y" }.Select(a => float.Parse(text.Attribute(a)!.Value.Split(',', ' ')[0], CultureInfo.InvariantCulture))];
        return (numbers[0], numbers[1]);
    }
}
