using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Modules;

/// <summary>Profiles of genes that follow one of several hidden signals, which themselves come in families.</summary>
internal static class PlantedProfiles
{
    /// <returns>[groups · perGroup, images]; gene g belongs to group g / perGroup, group s to family s % families.</returns>
    public static Matrix<float> Make(ComputeDevice device, int groups, int perGroup, int families, int images, double noise, ulong seed)
    {
        CounterRandom random = new(seed);
        double[][] family = [.. Enumerable.Range(0, families).Select(_ => Signal())];
        double[][] group = [.. Enumerable.Range(0, groups).Select(s => Signal().Zip(family[s % families], (own, shared) => own + 1.2 * shared).ToArray())];
        Matrix<float> profiles = device.AllocateMatrix<float>(groups * perGroup, images);
        for (int g = 0; g < groups * perGroup; g++)
            for (int i = 0; i < images; i++) profiles.Row(g)[i] = (float)(40 + 3 * (group[g / perGroup][i] + noise * random.NextNormal()));
        return profiles;

        double[] Signal() => [.. Enumerable.Range(0, images).Select(_ => random.NextNormal())];
    }

    public static string[] Genes(int count) => [.. Enumerable.Range(0, count).Select(g => $"GENE{g}")];
}
