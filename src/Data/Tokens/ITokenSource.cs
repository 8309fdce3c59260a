using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>Rows of float32 that may be too many to hold: read by range, from any thread.</summary>
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

/// <summary>Tokens that are in memory as a whole, the host's or a GPU's: any row at once, nothing to read ahead.</summary>
public interface IResidentTokens : ITokenSource
{
    /// <summary>All rows.</summary>
    MatrixView<float> All { get; }
}

/// <summary>Tokens of which many must be made to have one, as those of an image that an encoder has to see.</summary>
public interface IBlockTokens : ITokenSource
{
    /// <summary>Rows that are made together; <see cref="ITokenSource.Rows"/> is a multiple of it.</summary>
    int BlockRows { get; }

    /// <summary>Blocks that are best asked for at a time.</summary>
    int BlocksPerRead { get; }

    /// <summary>Fills the host view with blocks in the order given; one caller at a time.</summary>
    /// <param name="blocks">Numbers of blocks, each from 0 to Rows / BlockRows - 1.</param>
    /// <param name="destination">[blocks * BlockRows, Columns]</param>
    void ReadBlocks(ReadOnlySpan<int> blocks, MatrixView<float> destination);
}

/// <summary>Opens tokens by locator.</summary>
public static class TokenSource
{
    /// <summary>Files of this size and more are streamed.</summary>
    public const long StreamedBytes = 256L << 20;

    /// <summary>
    /// A folder of shards is streamed, and so is an array of floating-point numbers of <see cref="StreamedBytes"/> and more in a C-order .npy or a
    /// .safetensors; any other matrix is held.
    /// </summary>
    /// <param name="device">A host device.</param>
    /// <param name="locator">A folder of token shards or a matrix (<see cref="Locator"/>).</param>
    public static ITokenSource Open(ComputeDevice device, string locator) => Open(device, locator, StreamedBytes);

    internal static ITokenSource Open(ComputeDevice device, string locator, long streamedBytes)
    {
        Locator parsed = Locator.Parse(locator);
        return parsed.Kind switch
        {
            FileKind.TokenShards => TokenShards.Open(locator),
            FileKind.Npy or FileKind.Safetensors when OpenLarge(parsed, streamedBytes) is { } large => large,
            _ => new MatrixTokens(MatrixReader.ReadSingle(device, locator)),
        };
    }

    /// <summary>A host matrix as a source; it is disposed with it.</summary>
    public static ITokenSource From(Matrix<float> matrix) => new MatrixTokens(matrix);

    /// <summary>All tokens of a source in the memory of a device, or the source itself where they are there already.</summary>
    /// <param name="device">Where they shall be.</param>
    /// <param name="source">Stays the caller's; its rows are at most <see cref="int.MaxValue"/>.</param>
    public static IResidentTokens Hold(ComputeDevice device, ITokenSource source, IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        const int Piece = 1 << 16;
        if (source is IResidentTokens resident && ReferenceEquals(resident.All.Device, device)) return resident;
        if (source is IResidentTokens { All.Device.IsHost: true } held && device.IsHost) return held;
        if (source.Rows > int.MaxValue) throw new UsageException($"{source.Rows} tokens are too many to be held as one matrix.");
        Matrix<float> all = device.AllocateMatrix<float>((int)source.Rows, source.Columns);
        using Matrix<float>? staged = device.IsHost ? null : device.Host.AllocateMatrix<float>(Math.Min(Piece, all.Rows), source.Columns);
        try
        {
            for (int start = 0; start < all.Rows; start += Piece)
            {
                cancellation.ThrowIfCancellationRequested();
                progress?.Report("reading tokens into memory", start, all.Rows);
                MatrixView<float> target = all.View.RowBlock(start, Math.Min(Piece, all.Rows - start)), rows = staged is null ? target : staged.View.RowBlock(0, target.Rows);
                source.Read(start, rows);
                if (staged is not null) target.CopyFrom(staged.Buffer.View.Host[..(rows.Rows * rows.Columns)]);
            }
            return new MatrixTokens(all);
        }
        catch
        {
            all.Dispose();
            throw;
        }
    }

    private static FileTokens? OpenLarge(Locator locator, long streamedBytes)
    {
        if (new FileInfo(locator.Path).Length < streamedBytes || (locator.Kind == FileKind.Safetensors && string.IsNullOrEmpty(locator.Member))) return null;
        if (locator.Kind == FileKind.Npy) locator.RequireNoMember();
        TokenSegment? segment = locator.Kind == FileKind.Npy ? TokenSegment.TryOpenNpy(locator.Path) : TokenSegment.TryOpenSafetensors(locator.Path, locator.Member!);
        return segment is null ? null : new FileTokens(segment, locator.Text);
    }

    private sealed class MatrixTokens(Matrix<float> matrix) : IResidentTokens
    {
        public long Rows => matrix.Rows;
        public int Columns => matrix.Columns;
        public MatrixView<float> All => matrix.View;

        public void Read(long start, MatrixView<float> destination)
        {
            TokenShards.RequireRange(start, destination, Rows, Columns);
            MatrixView<float> rows = matrix.View.RowBlock((int)start, destination.Rows);
            // One transfer where a device holds them and the destination has no gaps.
            if (destination.Stride == Columns && (long)destination.Rows * Columns <= Array.MaxLength)
                unsafe
                {
                    rows.CopyTo(new Span<float>(destination.Pointer, destination.Rows * Columns));
                }
            else
                for (int i = 0; i < destination.Rows; i++) rows.RowBlock(i, 1).CopyTo(destination.Row(i));
        }

        public void Dispose() => matrix.Dispose();
    }

    private sealed class FileTokens(TokenSegment segment, string name) : ITokenSource
    {
        public long Rows => segment.Rows;
        public int Columns => segment.Columns;

        public void Read(long start, MatrixView<float> destination)
        {
            TokenShards.RequireRange(start, destination, Rows, Columns);
            segment.Read(start, destination);
            FiniteCheck.Require(destination, name, start);
        }

        public void Dispose() => segment.Dispose();
    }
}
