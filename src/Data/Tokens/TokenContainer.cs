using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace BioSup.Data;

/// <summary>File format of token shards.</summary>
public enum TokenContainer
{
    /// <summary>One array per file; bfloat16 as <c>&lt;V2</c>, as NumPy writes arrays of ml_dtypes.bfloat16.</summary>
    Npy,

    /// <summary>One tensor per file, named "tokens".</summary>
    Safetensors,
}

/// <summary>The beginnings of shards: of constant length, so that the number of rows can be put in when it is known.</summary>
internal static class TokenContainers
{
    private const int HeaderBytes = 128;

    public static string Extension(this TokenContainer container) => container == TokenContainer.Npy ? TokenIndex.NpyExtension : TokenIndex.SafetensorsExtension;

    /// <summary>The bytes before the first row.</summary>
    public static byte[] Header(this TokenContainer container, ElementType type, long rows, int columns)
    {
        if (container == TokenContainer.Npy) return NpyHeader.Compose(NpyHeader.Descr(type), [rows, columns], HeaderBytes);
        string json = string.Create(CultureInfo.InvariantCulture,
            $"{{\"{TokenSegment.TensorName}\":{{\"dtype\":\"{SafetensorsHeader.ToName(type)}\",\"shape\":[{rows},{columns}],\"data_offsets\":[0,{rows * columns * type.Size()}]}}}}");
        // Spaces after the header are part of the format.
        byte[] bytes = new byte[HeaderBytes];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, HeaderBytes - sizeof(long));
        Encoding.ASCII.GetBytes(json.PadRight(HeaderBytes - sizeof(long)), bytes.AsSpan(sizeof(long)));
        return bytes;
    }
}
