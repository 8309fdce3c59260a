using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>In which order training meets the tokens.</summary>
public enum TokenOrder
{
    /// <summary>Another order every epoch, a pure function of the seed.</summary>
    Shuffled,

    /// <summary>File order, every epoch alike: for comparing with another implementation.</summary>
    Fixed,
}

/// <summary>The batch of any step: a function of (tokens, batch size, order, seed, step), so that a run can be taken up anywhere.</summary>
internal sealed class TokenBatches : IDisposable
{
    private readonly ITokenSource _source;
    private readonly int _batch;
    private readonly ShuffledTokens? _shuffled;
    private long _epoch = -1;

    public TokenBatches(ITokenSource source, int batch, TokenOrder order, ulong seed)
    {
        _source = source;
        _batch = batch;
        if (order == TokenOrder.Shuffled) _shuffled = new ShuffledTokens(source, seed);
    }

    /// <summary>Whole batches in an epoch; the incomplete one at the end is left out.</summary>
    public long PerEpoch => _source.Rows / _batch;

    /// <summary>Fills the view with the tokens of a step.</summary>
    public void Load(long step, MatrixView<float> destination)
    {
        long epoch = step / PerEpoch, position = step % PerEpoch * _batch;
        if (_shuffled is null)
        {
            _source.Read(position, destination);
            return;
        }
        if (epoch != _epoch || _shuffled.Position != position) _shuffled.Restart((ulong)epoch, position);
        _epoch = epoch;
        int rows = _shuffled.Next(destination);
        if (rows != destination.Rows) throw new InvalidOperationException($"The shuffled tokens ended at row {position + rows} of epoch {epoch}.");
    }

    public void Dispose() => _shuffled?.Dispose();
}
