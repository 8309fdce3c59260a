using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>
/// A dictionary of centroids: k-means on the unit sphere over the first tokens of the stream, at most eight per latent and 262,144 in all. Decoder rows
/// are the centroids at unit length, the encoder their transpose, scaled so that its columns are as long as a random start's. Where tokens are fewer than
/// latents, the latents left over keep their random start.
/// </summary>
internal static class CentroidStart
{
    private const int TokensPerLatent = 8, MostTokens = 1 << 18, Rounds = 10;
    private const ulong Stream = 0x5AE5;

    /// <summary>Tokens that take part.</summary>
    public static int Sample(long rows, int latents) => (int)Math.Min(Math.Min(rows, MostTokens), (long)TokensPerLatent * latents);

    /// <summary>Native bytes held meanwhile.</summary>
    public static long Bytes(long rows, int inputWidth, int latents) => sizeof(float) * ((long)(Sample(rows, latents) + latents) * inputWidth + 2L * Sample(rows, latents));

    /// <param name="model">Fresh from its random start, with its normaliser.</param>
    /// <param name="config">Of the run.</param>
    /// <param name="batches">The run's own stream, so that any source can be sampled; read from step 0.</param>
    /// <param name="tokens">Tokens of the source.</param>
    /// <param name="seed">Of the choice of the first centroids.</param>
    public static void Apply(SaeModel model, SaeConfig config, TokenBatches batches, long tokens, ulong seed, IProgressReporter progress, CancellationToken cancellation)
    {
        int d = model.InputWidth, latents = model.Latents, count = Sample(tokens / config.Batch * config.Batch, latents), clusters = Math.Min(latents, count);
        float[] sample = Read(model, config, batches, count, d);
        double[] centroids = Choose(sample, count, clusters, d, seed);
        int[] assigned = new int[count];
        float[] distance = new float[count];
        using Matrix<float> points = Matrix<float>.From(model.Device, count, d, sample), centres = model.Device.AllocateMatrix<float>(clusters, d);
        using Matrix<int> indices = model.Device.AllocateMatrix<int>(count, 1);
        using Matrix<float> apart = model.Device.AllocateMatrix<float>(count, 1);
        for (int round = 1; round <= Rounds; round++)
        {
            cancellation.ThrowIfCancellationRequested();
            centres.Buffer.CopyFrom([.. centroids.Select(v => (float)v)]);
            KNearestNeighbours.Search(DistanceMetric.SquaredEuclidean, points.View, centres.View, indices.View, apart.View);
            int[] nearest = new int[count];
            indices.Buffer.CopyTo(nearest);
            apart.Buffer.CopyTo(distance);
            int moved = nearest.Where((c, t) => c != assigned[t]).Count();
            progress.Report("centroids of the tokens", round, Rounds, $"{moved} of {count} tokens moved");
            assigned = nearest;
            Average(sample, assigned, distance, centroids, clusters, d);
            if (moved == 0 && round > 1) break;
        }
        Place(model, config, centroids, clusters);
    }

    /// <summary>Prepared tokens at unit length; zero tokens stay zero.</summary>
    private static float[] Read(SaeModel model, SaeConfig config, TokenBatches batches, int count, int d)
    {
        float[] sample = new float[(long)count * d];
        using Matrix<float> batch = model.Device.Host.AllocateMatrix<float>(config.Batch, d);
        for (int start = 0, step = 0; start < count; start += config.Batch, step++)
        {
            batches.Load(step, batch.View);
            model.Normaliser.Apply(batch.View);
            batch.Buffer.View.Host[..(Math.Min(config.Batch, count - start) * d)].CopyTo(sample.AsSpan(start * d));
        }
        for (int t = 0; t < count; t++)
        {
            Span<float> row = sample.AsSpan(t * d, d);
            double squares = 0;
            foreach (float v in row) squares += (double)v * v;
            if (squares > 0) foreach (ref float v in row) v = (float)(v / Math.Sqrt(squares));
        }
        return sample;
    }

    /// <summary>Distinct tokens, drawn by the seed.</summary>
    private static double[] Choose(float[] sample, int count, int clusters, int d, ulong seed)
    {
        CounterRandom random = new(seed, Stream);
        int[] order = [.. Enumerable.Range(0, count)];
        double[] centroids = new double[clusters * d];
        for (int c = 0; c < clusters; c++)
        {
            int pick = c + random.NextInt32(count - c);
            (order[c], order[pick]) = (order[pick], order[c]);
            for (int i = 0; i < d; i++) centroids[c * d + i] = sample[order[c] * d + i];
        }
        return centroids;
    }

    /// <summary>Mean directions; a cluster without tokens takes the token that is farthest from its own centroid.</summary>
    private static void Average(float[] sample, int[] assigned, float[] distances, double[] centroids, int clusters, int d)
    {
        Array.Clear(centroids);
        int[] members = new int[clusters];
        for (int t = 0; t < assigned.Length; t++)
        {
            int c = assigned[t];
            members[c]++;
            for (int i = 0; i < d; i++) centroids[c * d + i] += sample[t * d + i];
        }
        Queue<int> farthest = new(Enumerable.Range(0, assigned.Length).OrderByDescending(t => distances[t]).ThenBy(t => t).Take(members.Count(m => m == 0)));
        for (int c = 0; c < clusters; c++)
        {
            if (members[c] == 0 && farthest.TryDequeue(out int token))
                for (int i = 0; i < d; i++) centroids[c * d + i] = sample[token * d + i];
            double norm = Math.Sqrt(centroids.AsSpan(c * d, d).ToArray().Sum(v => v * v));
            if (norm > 0) for (int i = 0; i < d; i++) centroids[c * d + i] /= norm;
        }
    }

    private static void Place(SaeModel model, SaeConfig config, double[] centroids, int clusters)
    {
        int d = model.InputWidth, latents = model.Latents;
        float[] encoder = new float[d * latents], decoder = new float[d * latents];
        model.Arrays.Encoder.Buffer.CopyTo(encoder);
        model.Arrays.Decoder.Buffer.CopyTo(decoder);
        double length = config.ScaleFor(d) * Math.Sqrt(d);
        for (int c = 0; c < clusters; c++)
        {
            if (!centroids.AsSpan(c * d, d).ContainsAnyExcept(0.0)) continue;
            for (int i = 0; i < d; i++)
            {
                decoder[c * d + i] = (float)centroids[c * d + i];
                encoder[i * latents + c] = (float)(length * centroids[c * d + i]);
            }
        }
        model.Arrays.Encoder.Buffer.CopyFrom(encoder);
        model.Arrays.Decoder.Buffer.CopyFrom(decoder);
        model.Arrays.Gate?.Buffer.CopyFrom(encoder);
    }
}
