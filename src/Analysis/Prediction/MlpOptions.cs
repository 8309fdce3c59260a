using System.Globalization;
using BioSup.Runtime;

namespace BioSup.Analysis.Prediction;

/// <summary>Network, training and null of <see cref="MlpPredictability"/>; the defaults are GW-map's.</summary>
public sealed record MlpOptions
{
    /// <summary>Units of both hidden layers.</summary>
    public int Hidden { get; init; } = 128;

    /// <summary>Share of hidden units dropped in training, 0 up to but not including 1.</summary>
    public double Dropout { get; init; } = 0.4;

    /// <summary>Learning rate of the first epoch; it falls to <see cref="FinalLearningRate"/> along a cosine over <see cref="Epochs"/>.</summary>
    public double LearningRate { get; init; } = 5e-4;

    /// <summary>Where the cosine would end after all epochs, 0 up to <see cref="LearningRate"/>.</summary>
    public double FinalLearningRate { get; init; } = 1e-6;

    /// <summary>L2 penalty inside Adam (torch.optim.Adam's weight_decay, not AdamW's).</summary>
    public double WeightDecay { get; init; } = 1.2e-3;

    /// <summary>Largest norm of the gradient over all parameters, above 0; longer ones are scaled to it before the penalty joins them.</summary>
    public double GradientClip { get; init; } = 1;

    /// <summary>Epochs at most.</summary>
    public int Epochs { get; init; } = 200;

    /// <summary>Epochs without a lower validation error after which training stops. The best epoch's network is kept.</summary>
    public int Patience { get; init; } = 50;

    /// <summary>Rows of a step. A last batch of one row, which has no variance, is left out.</summary>
    public int Batch { get; init; } = 256;

    /// <summary>Share of each fold's training rows, drawn at random, that chooses the epoch.</summary>
    public double ValidationShare { get; init; } = 0.125;

    /// <summary>How far predictions may leave the range of the fitted targets, as a share of that range.</summary>
    public double ClipMargin { get; init; } = 0.1;

    /// <summary>Least R² of a target in a run.</summary>
    public double Floor { get; init; } = -1;

    /// <summary>Runs from other initial values, validation rows and batches, whose R² are averaged.</summary>
    public int Runs { get; init; } = 5;

    /// <summary>Permutations of the rows of the targets, one run each; 0 for none.</summary>
    public int Permutations { get; init; } = 1000;

    /// <summary>Seed of permutations, validation rows, initial values, batches and dropout.</summary>
    public ulong Seed { get; init; } = 42;

    internal void Validate()
    {
        PredictionData.RequirePermutations(Permutations);
        Require(Hidden >= 1, "hidden units", Hidden, "1 or more");
        Require(Dropout >= 0 && Dropout < 1, "dropout", Dropout, "at least 0 and below 1");
        Require(LearningRate > 0 && double.IsFinite(LearningRate), "learning rate", LearningRate, "a finite number above 0");
        Require(FinalLearningRate >= 0 && FinalLearningRate <= LearningRate, "final learning rate", FinalLearningRate, "0 up to the learning rate");
        Require(WeightDecay >= 0 && double.IsFinite(WeightDecay), "weight decay", WeightDecay, "a finite number, 0 or more");
        Require(GradientClip > 0, "gradient clip", GradientClip, "a number above 0");
        Require(Epochs >= 1, "epochs", Epochs, "1 or more");
        Require(Patience >= 1, "patience", Patience, "1 or more");
        Require(Batch >= 2, "batch", Batch, "2 or more");
        Require(ValidationShare > 0 && ValidationShare < 1, "validation share", ValidationShare, "between 0 and 1");
        Require(ClipMargin >= 0, "clip margin", ClipMargin, "0 or more");
        Require(Floor <= 0, "floor of R²", Floor, "0 or less");
        Require(Runs >= 1, "runs", Runs, "1 or more");
    }

    private static void Require(bool holds, string name, double value, string expected)
    {
        if (!holds) throw new UsageException(string.Create(CultureInfo.InvariantCulture, $"The MLP's {name} is {value}; expected {expected}."));
    }
}
