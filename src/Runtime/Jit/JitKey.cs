using System.Security.Cryptography;
using System.Text;

namespace BioSup.Runtime;

/// <summary>Everything that decides what the compiler makes of a kernel. Two runs with equal keys may share the result; nothing else is looked at.</summary>
public sealed class JitKey
{
    /// <summary>Changes when the engine gives the same ingredients another meaning.</summary>
    public const string Schema = "1";

    private JitKey(JitRequest request, IReadOnlyList<(string, string)> ingredients)
    {
        Request = request;
        Ingredients = ingredients;
        Hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Text)));
    }

    /// <param name="request">The module asked for.</param>
    /// <param name="source">Its source with headers.</param>
    /// <param name="compiler">Version of NVRTC and fingerprint of its build.</param>
    /// <param name="options">Every option given to the compiler, the architecture included.</param>
    public static JitKey Create(JitRequest request, KernelSource source, string compiler, IEnumerable<string> options) => new(request,
    [
        ("schema", Schema),
        ("kernel", request.Name),
        ("source", request.Source),
        ("compiler", compiler),
        ("options", string.Join(' ', options)),
        ("sources", source.Hash),
    ]);

    public JitRequest Request { get; }

    /// <summary>Name and value of each ingredient, in fixed order.</summary>
    public IReadOnlyList<(string Name, string Value)> Ingredients { get; }

    /// <summary>SHA-256 of <see cref="Text"/> in hexadecimal.</summary>
    public string Hash { get; }

    /// <summary>One line per ingredient. Values hold no line breaks, so that the text says unambiguously what the key is.</summary>
    public string Text => string.Join('\n', Ingredients.Select(i => $"{i.Name}: {i.Value.ReplaceLineEndings(" ")}"));

    /// <summary>Folder of the entry in the cache.</summary>
    public string FolderName => $"kernel.{Request.Name}.{Hash[..32]}";
}
