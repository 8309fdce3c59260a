using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>Rows of float32 that are too many to hold: read by range, from any thread.</summary>
public interface ITokenSource : IDisposable
{
    /// <summary>Number of tokens.</summary>
    long Rows { get; }

    /// <summary>Features per token.</summary>
    int Columns { get; }

    /// <summary>Fills the host view with the rows from <paramref name="start"/> on, in file order.</summary>
    /// <exception cref="DataException">A value is NaN or infinite, or the file cannot be read.</exception>
    void Read(long start, MatrixView<float> destination);
}

/// <summary>Opens tokens by locator: a folder of shards is streamed, any other matrix is held (or mapped) whole.</summary>
public static class TokenSource
{
    /// <param name="device">A host device.</param>
    /// <param name="locator">A folder of token shards or a matrix (<see cref="Locator"/>).</param>
    public static ITokenSource Open(ComputeDevice device, string locator) =>
        Locator.Parse(locator).Kind == FileKind.TokenShards ? TokenShards.Open(locator) : new MatrixTokens(MatrixReader.ReadSingle(device, locator));

    /// <summary>A host matrix as a source; it is disposed with it.</summary>
    public static ITokenSource From(Matrix<float> matrix) => new MatrixTokens(matrix);

    private sealed class MatrixTokens(Matrix<float> matrix) : ITokenSource
    {
        public long Rows => matrix.Rows;
        public int Columns => matrix.Columns;

        public void Read(long start, MatrixView<float> destination)
        {
            TokenShards.RequireRange(start, destination, Rows, Columns);
            for (int i = 0; i < destination.Rows; i++) matrix.Row((int)start + i).CopyTo(destination.Row(i));
        }

        public void Dispose() => matrix.Dispose();
    }
}
