using System.Diagnostics;

namespace BioSup.Benchmarks;

/// <summary>Times of one contender, in seconds.</summary>
public sealed record Timing(double Best, double Median);

/// <summary>Times contenders in turn, so that a change of clock or load hits all of them alike.</summary>
public static class Interleaved
{
    /// <param name="rounds">Measured rounds, after one that is not counted.</param>
    /// <param name="contenders">Run in this order in every round.</param>
    public static Timing[] Measure(int rounds, params Action[] contenders)
    {
        double[][] times = [.. contenders.Select(_ => new double[rounds])];
        for (int round = -1; round < rounds; round++)
        {
            for (int i = 0; i < contenders.Length; i++)
            {
                // OpenBLAS's threads spin for 2^28 ticks (0.1 s) after their last job and would take a core from the next contender.
                Thread.Sleep(200);
                long start = Stopwatch.GetTimestamp();
                contenders[i]();
                double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
                if (round >= 0) times[i][round] = seconds;
            }
        }
        return [.. times.Select(t => new Timing(t.Min(), Median(t)))];
    }

    private static double Median(double[] values)
    {
        double[] sorted = [.. values.Order()];
        int middle = sorted.Length / 2;
        return sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}
