using BioSup.Runtime;

namespace BioSup.Kernels.Tests;

/// <summary>Seeded features and targets, and tasks that train on them.</summary>
internal static class MlpCases
{
    public static float[] Normal(int count, ulong seed)
    {
        CounterRandom random = new(seed, 0x70);
        float[] values = new float[count];
        for (int i = 0; i < count; i++) values[i] = (float)random.NextNormal();
        return values;
    }

    /// <summary>A task of its own number: which rows it fits, how the targets are permuted and every random number of it follow from the number alone.</summary>
    public static MlpTask Task(int number, int slot, int rows, int targets, int count, int fitted)
    {
        MlpTask task = new(rows, targets) { Slot = slot, Count = count, Fitted = fitted, LearningRate = 1e-2 };
        for (int i = 0; i < rows; i++) task.Rows[i] = task.Order[i] = i;
        CounterRandom random = new(9, (ulong)number);
        random.Shuffle(task.Order.AsSpan());
        random.Shuffle(task.Rows.AsSpan());
        task.Seed(random, 1000 + (ulong)number);
        return task;
    }
}
