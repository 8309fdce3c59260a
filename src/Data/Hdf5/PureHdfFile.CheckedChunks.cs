using PureHDF.VOL.Native;

namespace BioSup.Data;

internal sealed partial class PureHdfFile
{
    /// <summary>
    /// Hands PureHDF, where it decodes values that are not plain numbers, chunks that are already read, and so never lets it reserve the stored size that
    /// the index of the chunks claims.
    /// </summary>
    private sealed class CheckedChunks(SimpleReadingChunkCache room, DatasetStorage storage) : IReadingChunkCache
    {
        public Memory<byte> GetChunk(ulong chunkIndex, Func<Memory<byte>> chunkReader) => room.GetChunk(chunkIndex, () =>
        {
            if (storage.IsReadable) return storage.ReadChunk((int)chunkIndex);
            storage.RequireStored((int)chunkIndex);
            return chunkReader();
        });
    }
}
