using System.Reflection;
using PureHDF.VOL.Native;

namespace BioSup.Data;

internal sealed partial class PureHdfFile
{
    /// <summary>
    /// Holds the stored size of a chunk against the file before PureHDF 2.2 reserves a buffer for it: the size stands in the index of the chunks, so a
    /// damaged one would reserve up to 2 GiB. The library keeps that index to itself.
    /// </summary>
    private sealed class CheckedChunks(SimpleReadingChunkCache room, PureHdfFile file, NativeDataset dataset, string path) : IReadingChunkCache
    {
        private const BindingFlags Hidden = BindingFlags.Instance | BindingFlags.NonPublic;
        private static readonly Assembly s_library = typeof(NativeDataset).Assembly;
        private static readonly Type s_info = s_library.GetType("PureHDF.VOL.Native.DatasetInfo", throwOnError: true)!;
        private static readonly Type s_chunks = s_library.GetType("PureHDF.VOL.Native.H5D_Chunk", throwOnError: true)!;
        private static readonly MethodInfo s_find = s_chunks.GetMethod("GetReadChunkInfo", Hidden)!;
        private static readonly PropertyInfo s_size = s_find.ReturnType.GetProperty("Size")!;
        private object? _index;

        public Memory<byte> GetChunk(ulong chunkIndex, Func<Memory<byte>> chunkReader) => room.GetChunk(chunkIndex, () =>
        {
            object found = s_find.Invoke(_index ??= Index(), [chunkIndex])!;
            ulong bytes = (ulong)s_size.GetValue(found)!;
            return bytes <= (ulong)file._stream.Length
                ? chunkReader()
                : throw file.Error(path, $"chunk {chunkIndex} claims {bytes} stored bytes, the file has {file._stream.Length}");
        });

        private object Index()
        {
            object? Internal(string name) => typeof(NativeDataset).GetProperty(name, Hidden)!.GetValue(dataset);
            object info = Activator.CreateInstance(s_info, Internal("InternalDataspace"), Internal("InternalDataType"), Internal("InternalDataLayout"),
                Internal("InternalFillValue"), Internal("InternalFilterPipeline"), Internal("InternalExternalFileList"))!;
            object context = typeof(NativeObject).GetProperty("Context", Hidden)!.GetValue(dataset)!;
            object index = s_chunks.GetMethod("Create", BindingFlags.Static | BindingFlags.Public)!.Invoke(null, [context, null, info, default(H5DatasetAccess), default(H5DatasetCreation)])!;
            s_chunks.GetMethod("Initialize")!.Invoke(index, null);
            return index;
        }
    }
}
