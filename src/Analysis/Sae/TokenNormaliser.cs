using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>
/// Prepares tokens for the autoencoder in place: nothing, or the paper's recipe t ← (t − mean) / max(‖t − mean‖, 1e-12). The mean is that of all
/// training tokens (fixed: an encoded token does not depend on which tokens stand beside it) or of the batch at hand (the reference).
/// </summary>
/// <remarks>This is the autoencoder's side, on single tokens of any source, and it belongs to the model: its mean is stored with the weights. The
/// scaling of whole feature maps by their pooled vector happens before, where an encoder's tokens are written as shards; such tokens need
/// <see cref="TokenNormalisation.None"/>.</remarks>
public sealed class TokenNormaliser
{
    private const int PassRows = 4096;
    private readonly float[]? _mean;
    private double[] _sums = [];
    private float[] _centre = [];

    private TokenNormaliser(TokenNormalisation normalisation, float[]? mean)
    {
        Normalisation = normalisation;
        _mean = mean;
    }

    /// <summary>Leaves tokens as they are.</summary>
    public static TokenNormaliser None { get; } = new(TokenNormalisation.None, null);

    public TokenNormalisation Normalisation { get; }

    /// <summary>The stored mean [d_in]; null when tokens are left alone or centred by batch.</summary>
    public IReadOnlyList<float>? Mean => _mean;

    /// <summary>Centres by the mean of whatever batch it is given.</summary>
    public static TokenNormaliser ByBatch() => new(TokenNormalisation.Paper, null);

    /// <summary>Centres by a given mean.</summary>
    public static TokenNormaliser ByMean(float[] mean) => new(TokenNormalisation.Paper, mean);

    /// <summary>The normaliser a configuration asks for; fixed centring reads all tokens once.</summary>
    public static TokenNormaliser Fit(ComputeDevice device, ITokenSource tokens, TokenNormalisation normalisation, TokenCentring centring, IProgressReporter progress, CancellationToken cancellation)
    {
        if (normalisation == TokenNormalisation.None) return None;
        if (centring == TokenCentring.Batch) return ByBatch();
        double[] sums = new double[tokens.Columns];
        using Matrix<float> block = device.AllocateMatrix<float>((int)Math.Min(PassRows, Math.Max(1, tokens.Rows)), tokens.Columns);
        for (long start = 0; start < tokens.Rows; start += block.Rows)
        {
            cancellation.ThrowIfCancellationRequested();
            progress.Report("mean of the tokens", start, tokens.Rows);
            MatrixView<float> rows = block.View.RowBlock(0, (int)Math.Min(block.Rows, tokens.Rows - start));
            tokens.Read(start, rows);
            AddRows(rows, sums);
        }
        return ByMean([.. sums.Select(s => (float)(s / Math.Max(1, tokens.Rows)))]);
    }

    /// <summary>Normalises the rows of a host view in place.</summary>
    public void Apply(MatrixView<float> tokens)
    {
        if (Normalisation == TokenNormalisation.None || tokens.Rows == 0) return;
        float[] centre = _mean ?? BatchMean(tokens);
        for (int t = 0; t < tokens.Rows; t++)
        {
            Span<float> row = tokens.Row(t);
            double squares = 0;
            for (int i = 0; i < row.Length; i++)
            {
                row[i] -= centre[i];
                squares += (double)row[i] * row[i];
            }
            float scale = (float)(1 / Math.Max(Math.Sqrt(squares), 1e-12));
            for (int i = 0; i < row.Length; i++) row[i] *= scale;
        }
    }

    internal JsonObject ToJson()
    {
        JsonObject json = new() { ["normalise"] = Normalisation.ToString().ToLowerInvariant() };
        if (Normalisation == TokenNormalisation.None) return json;
        json["centring"] = _mean is null ? "batch" : "fixed";
        if (_mean is not null) json["mean"] = new JsonArray([.. _mean.Select(v => (JsonNode)JsonValue.Create(v))]);
        return json;
    }

    internal static TokenNormaliser FromJson(JsonObject config, string path, int width)
    {
        try
        {
            if (config["normaliser"] is not JsonObject json || json["normalise"]?.GetValue<string>() is null or "none") return None;
            if (json["centring"]?.GetValue<string>() == "batch") return ByBatch();
            if (json["mean"] is JsonArray mean && mean.Count == width) return ByMean([.. mean.Select(v => v!.GetValue<float>())]);
        }
        catch (Exception e) when (e is InvalidOperationException or FormatException or NullReferenceException)
        {
            throw new DataException(path, "normaliser", "is malformed", e);
        }
        throw new DataException(path, "normaliser", $"fixed centring needs 'mean' with {width} numbers");
    }

    private float[] BatchMean(MatrixView<float> tokens)
    {
        if (_sums.Length != tokens.Columns) (_sums, _centre) = (new double[tokens.Columns], new float[tokens.Columns]);
        Array.Clear(_sums);
        AddRows(tokens, _sums);
        for (int i = 0; i < _sums.Length; i++) _centre[i] = (float)(_sums[i] / tokens.Rows);
        return _centre;
    }

    private static void AddRows(MatrixView<float> tokens, double[] sums)
    {
        for (int t = 0; t < tokens.Rows; t++)
        {
            ReadOnlySpan<float> row = tokens.Row(t);
            for (int i = 0; i < row.Length; i++) sums[i] += row[i];
        }
    }
}
