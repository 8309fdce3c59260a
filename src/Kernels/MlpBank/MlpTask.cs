using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// One network to be trained in a <see cref="MlpBank"/>: its rows, its random numbers, and what came of it. A task is used by one bank at a time, and not while the bank works on it.
/// </summary>
/// <param name="rows">Rows of features and targets.</param>
/// <param name="targets">Number of targets.</param>
public sealed class MlpTask(int rows, int targets)
{
    private CounterRandom _random;

    /// <summary>The place of the network in the bank, 0 … <see cref="MlpBank.Slots"/> − 1; no two tasks of a call may share one.</summary>
    public int Slot { get; set; }

    /// <summary>All rows in an order of their own: the first <see cref="Fitted"/> are trained on, those up to <see cref="Count"/> validate, the others are tested on.</summary>
    public int[] Rows { get; } = new int[rows];

    /// <summary>Row of the targets that belongs to each row of the features.</summary>
    public int[] Order { get; } = new int[rows];

    /// <summary>Rows to train on, 2 or more.</summary>
    public int Fitted { get; set; }

    /// <summary>Rows to train and validate on.</summary>
    public int Count { get; set; }

    /// <summary>Learning rate of the next epoch.</summary>
    public double LearningRate { get; set; }

    /// <summary>Optimiser steps since the start.</summary>
    public long Steps { get; internal set; }

    /// <summary>Σ of squared residuals of the standardised targets over the validation rows after the last epoch.</summary>
    public double ValidationError { get; internal set; }

    /// <summary>Σ over the test rows of squared errors of each target, in the targets' own units; filled by <see cref="MlpBank.Finish"/>.</summary>
    public double[] Errors { get; } = new double[targets];

    /// <summary>Stream of the random numbers that decide which units are dropped.</summary>
    internal ulong DropoutStream { get; private set; }

    internal ref CounterRandom Random => ref _random;

    /// <summary>Sets the random numbers: those of initial values and of the shuffles go on from where <paramref name="random"/> is, dropout has a stream of its own.</summary>
    public void Seed(CounterRandom random, ulong dropoutStream) => (_random, DropoutStream) = (random, dropoutStream);

    /// <summary>Shuffles the first rows.</summary>
    public void Shuffle(int count) => _random.Shuffle(Rows.AsSpan(0, count));
}

/// <summary>What all networks of a bank share.</summary>
/// <param name="Hidden">Units of both hidden layers.</param>
/// <param name="Dropout">Share of hidden units dropped in training, 0 up to but not including 1.</param>
/// <param name="Batch">Rows of a step, 2 or more; a last batch of one row is left out.</param>
/// <param name="WeightDecay">L2 penalty inside Adam.</param>
/// <param name="GradientClip">Largest norm of a network's gradient, above 0.</param>
/// <param name="ClipMargin">How far predictions may leave the range of the fitted targets, as a share of that range.</param>
/// <param name="Seed">Seed of dropout.</param>
public sealed record MlpBankOptions(int Hidden, double Dropout, int Batch, double WeightDecay, double GradientClip, double ClipMargin, ulong Seed);
