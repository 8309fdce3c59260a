using BioSup.Runtime;

namespace BioSup.Kernels.Tests.ShortestPaths;

public sealed unsafe class VertexQueueTests
{
    /// <summary>Vertices enter, have their keys lowered, leave and come back; the smallest key always leaves first.</summary>
    [Fact]
    public void The_smallest_key_leaves_first()
    {
        const int N = 60;
        double* memory = stackalloc double[2 * N];
        VertexQueue queue = new(memory, N);
        Dictionary<int, double> waiting = [];
        CounterRandom random = new(5);
        for (int step = 0; step < 5000; step++)
        {
            if (random.NextInt32(3) > 0)
            {
                int vertex = random.NextInt32(N);
                double key = random.NextInt32(40);
                queue.Lower(vertex, key);
                waiting[vertex] = waiting.TryGetValue(vertex, out double old) ? Math.Min(old, key) : key;
            }
            else if (waiting.Count > 0)
            {
                int first = queue.TakeFirst();
                Assert.True(waiting.Remove(first, out double key));
                Assert.All(waiting.Values, other => Assert.True(other >= key));
            }
            Assert.Equal(waiting.Count, queue.Count);
        }
        while (queue.Count > 0) Assert.True(waiting.Remove(queue.TakeFirst()));
        Assert.Empty(waiting);
    }
}
