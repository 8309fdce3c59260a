namespace BioSup.Imaging.Tests.CohortGeneration;

public sealed class CellPictureTests
{
    private const int Size = 64, Cells = 12;
    private static readonly double[] s_levels = [0, 0.25, 0.5, 0.75, 1];

    public static TheoryData<CohortConcept> EveryConcept => [.. Enum.GetValues<CohortConcept>()];

    /// <summary>The more of a concept, the further the noise-free picture is from the picture without it.</summary>
    [Theory]
    [MemberData(nameof(EveryConcept))]
    public void Every_concept_changes_the_picture_step_by_step_and_visibly(CohortConcept concept)
    {
        CellRenderer renderer = new(Size);
        double[] distances = new double[s_levels.Length];
        for (int cell = 0; cell < Cells; cell++)
        {
            float[] without = Ideal(renderer, cell, concept, 0);
            for (int level = 1; level < s_levels.Length; level++)
            {
                float[] with = Ideal(renderer, cell, concept, s_levels[level]);
                for (int i = 0; i < with.Length; i++) distances[level] += Math.Pow(with[i] - without[i], 2) / Cells;
            }
        }
        for (int level = 1; level < distances.Length; level++) Assert.True(distances[level] > distances[level - 1], $"{concept} at {s_levels[level]}: {string.Join(", ", distances)}");
        // Shot noise over the same pixels is about 1: a full concept stands out of it.
        Assert.True(distances[^1] > 2.5, $"{concept}: {distances[^1]}");
    }

    [Theory]
    [InlineData(CohortConcept.Calcium, 1, 1.5)]
    [InlineData(CohortConcept.MitochondrialPuncta, 1, 1.2)]
    [InlineData(CohortConcept.MitochondrialNetwork, 1, 1.15)]
    [InlineData(CohortConcept.NuclearSize, 0, 1.4)]
    [InlineData(CohortConcept.SomaSize, 2, 1.4)]
    [InlineData(CohortConcept.NeuriteLength, 2, 1.2)]
    [InlineData(CohortConcept.Aggregates, 2, 1.2)]
    [InlineData(CohortConcept.SynapticPuncta, 2, 1.03)]
    public void Light_in_the_right_channel_rises_at_every_level(CohortConcept concept, int channel, double leastFactor)
    {
        double[] light = [.. s_levels.Select(level => Light(concept, level, channel))];
        for (int i = 1; i < light.Length; i++) Assert.True(light[i] > light[i - 1], string.Join(", ", light));
        Assert.True(light[^1] > leastFactor * light[0], string.Join(", ", light));
    }

    [Fact]
    public void Condensed_nuclei_are_smaller_and_brighter_and_vacuoles_are_dark()
    {
        (double area0, double peak0) = Nucleus(0);
        (double area1, double peak1) = Nucleus(1);
        Assert.True(area1 < 0.6 * area0 && peak1 > 1.6 * peak0, $"{area0}, {area1}, {peak0}, {peak1}");
        Assert.True(Light(CohortConcept.Vacuoles, 1, 1) < 0.97 * Light(CohortConcept.Vacuoles, 0, 1));
    }

    [Fact]
    public void Pictures_use_the_sixteen_bits_without_clipping()
    {
        CellRenderer renderer = new(96);
        ushort[] pixels = new ushort[3 * 96 * 96];
        double[] concepts = new double[CohortNames.ConceptCount];
        Array.Fill(concepts, 1.0);
        renderer.Render(1, 5, concepts, pixels);
        Assert.InRange(pixels.Max(), (ushort)8000, (ushort)65000);
        Assert.InRange(pixels.Min(), (ushort)1, (ushort)900);
    }

    private static float[] Ideal(CellRenderer renderer, int cell, CohortConcept concept, double level)
    {
        // An ordinary cell, so that every concept has something to act on.
        double[] concepts = new double[CohortNames.ConceptCount];
        concepts[(int)CohortConcept.NeuriteLength] = 0.5;
        concepts[(int)CohortConcept.MitochondrialPuncta] = 0.4;
        concepts[(int)CohortConcept.Calcium] = 0.2;
        concepts[(int)concept] = level;
        float[] planes = new float[3 * Size * Size];
        renderer.RenderIdeal(3, cell, concepts, planes);
        return planes;
    }

    private static double Light(CohortConcept concept, double level, int channel)
    {
        CellRenderer renderer = new(Size);
        return Enumerable.Range(0, Cells).Average(cell => Ideal(renderer, cell, concept, level).AsSpan(channel * Size * Size, Size * Size).ToArray().Sum(v => (double)v));
    }

    private static (double Area, double Peak) Nucleus(double condensation)
    {
        CellRenderer renderer = new(Size);
        float[][] planes = [.. Enumerable.Range(0, Cells).Select(cell => Ideal(renderer, cell, CohortConcept.NuclearCondensation, condensation)[..(Size * Size)])];
        return (planes.Average(p => p.Count(v => v > 0.25)), planes.Average(p => p.Order().ElementAt(p.Length - 20)));
    }
}
