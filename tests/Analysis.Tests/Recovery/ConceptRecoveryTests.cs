using BioSup.Analysis.Recovery;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Recovery;

public sealed class ConceptRecoveryTests
{
    private readonly CpuDevice _device = new(1);

    [Fact]
    public void A_monotone_copy_is_found_and_scores_one_whatever_its_scale_and_sign()
    {
        using Matrix<double> concepts = Concepts(200, 3);
        using Matrix<float> features = _device.AllocateMatrix<float>(200, 5);
        CounterRandom random = new(7);
        for (int i = 0; i < 200; i++)
        {
            for (int f = 0; f < 5; f++) features.Row(i)[f] = (float)random.NextNormal();
            features.Row(i)[4] = (float)Math.Exp(concepts.Row(i)[0]);
            features.Row(i)[1] = (float)(-3 * concepts.Row(i)[2]);
        }
        RecoveredConcept[] found = ConceptRecovery.Match(features, concepts, 0);
        Assert.Equal(4, found[0].Feature);
        Assert.Equal(1, found[0].Correlation, 1e-12);
        Assert.True(found[0].Selectivity > 0.6);
        Assert.Equal(1, found[2].Feature);
        Assert.Equal(-1, found[2].Correlation, 1e-12);
    }

    [Fact]
    public void Many_features_of_noise_recover_nothing()
    {
        using Matrix<double> concepts = Concepts(400, 4);
        using Matrix<float> features = _device.AllocateMatrix<float>(400, 300);
        CounterRandom random = new(11);
        for (int i = 0; i < 400; i++) foreach (ref float value in features.Row(i)) value = (float)random.NextNormal();
        // 200 scored cells: a true correlation of zero stays below 4 standard errors (1/sqrt(199)).
        Assert.All(ConceptRecovery.Match(features, concepts, 3), c => Assert.True(Math.Abs(c.Correlation) < 4 / Math.Sqrt(199)));
    }

    [Fact]
    public void A_constant_feature_is_no_match_and_lengths_are_checked()
    {
        using Matrix<double> concepts = Concepts(20, 1);
        using Matrix<float> constant = _device.AllocateMatrix<float>(20, 1);
        Assert.Equal(0, ConceptRecovery.Match(constant, concepts, 0)[0].Correlation);
        using Matrix<float> shorter = _device.AllocateMatrix<float>(19, 1);
        Assert.Throws<ArgumentException>(() => ConceptRecovery.Match(shorter, concepts, 0));
    }

    private Matrix<double> Concepts(int cells, int count)
    {
        Matrix<double> concepts = _device.AllocateMatrix<double>(cells, count);
        CounterRandom random = new(5);
        for (int i = 0; i < cells; i++) foreach (ref double value in concepts.Row(i)) value = random.NextDouble();
        return concepts;
    }
}
