using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Kernels;
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
        int capacity = (int)Math.Min(PassRows, Math.Max(1, tokens.Rows));
        double[] sums = new double[tokens.Columns];
        using CentredUnitRows rows = new(device, capacity, tokens.Columns);
        using TokenTransfer transfer = new(device, capacity, tokens.Columns);
        for (long start = 0; start < tokens.Rows; start += capacity)
        {
            cancellation.ThrowIfCancellationRequested();
            progress.Report("mean of the tokens", start, tokens.Rows);
            int count = (int)Math.Min(capacity, tokens.Rows - start);
            tokens.Read(start, transfer.Next(count));
            rows.Add(transfer.Send(count));
            transfer.Release();
        }
        rows.CopySumsTo(sums);
        return ByMean([.. sums.Select(s => (float)(s / Math.Max(1, tokens.Rows)))]);
    }

    /// <summary>What prepares up to <paramref name="rows"/> tokens at a time on a device; null where they are left alone.</summary>
    public CentredUnitRows? CreateCentring(ComputeDevice device, int rows, int width)
    {
        if (Normalisation == TokenNormalisation.None) return null;
        CentredUnitRows centring = new(device, rows, width);
        if (_mean is not null) centring.SetMean(_mean);
        return centring;
    }

    /// <summary>Normalises rows on any device in place.</summary>
    public void Apply(MatrixView<float> tokens)
    {
        if (tokens.Rows == 0) return;
        using CentredUnitRows? centring = CreateCentring(tokens.Device, tokens.Rows, tokens.Columns);
        Apply(centring, tokens);
    }

    /// <summary>The same with what <see cref="CreateCentring"/> made.</summary>
    public void Apply(CentredUnitRows? centring, MatrixView<float> tokens)
    {
        if (centring is null || tokens.Rows == 0) return;
        if (_mean is null) centring.UseMeanOf(tokens);
        centring.Apply(tokens, tokens);
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
}
