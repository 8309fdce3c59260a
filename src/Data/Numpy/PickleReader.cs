using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using System.Text;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// Reads the one kind of pickle that NumPy writes for an array of strings (dtype object), protocols 2 to 5, and nothing else:
/// the classes are a fixed list, no code is ever looked up or run. Elements may be text, numbers, bool or None (read as empty text).
/// </summary>
internal sealed partial class PickleReader(byte[] bytes, string source, string? where)
{
    private static readonly object s_mark = new();
    private readonly List<object?> _stack = [];
    private readonly Dictionary<long, object?> _memo = [];
    private int _at;

    private sealed record ClassName(string Module, string Name);
    private sealed record DType(string Code);
    private sealed class ArrayValue
    {
        public List<object?>? Items { get; set; }
    }

    /// <summary>The elements in C order, which is how NumPy lists them.</summary>
    public string[] ReadStrings(long expected)
    {
        object? top = Run();
        if (top is not ArrayValue { Items: { } items }) throw Error("the pickle does not hold a NumPy array of objects");
        if (items.Count != expected) throw Error($"the pickled array has {items.Count} elements, its header promises {expected}");
        string[] text = new string[items.Count];
        for (int i = 0; i < text.Length; i++) text[i] = Text(items[i], i);
        return text;
    }

    private string Text(object? item, int index) => item switch
    {
        string s => s,
        null => "",
        bool b => b ? "True" : "False",
        byte[] raw => Encoding.UTF8.GetString(raw),
        double d => d.ToString(CultureInfo.InvariantCulture),
        long n => n.ToString(CultureInfo.InvariantCulture),
        BigInteger big => big.ToString(CultureInfo.InvariantCulture),
        _ => throw Error($"element {index} of the pickled array is not text or a number"),
    };

    private object? Run()
    {
        while (true)
        {
            int start = _at;
            byte code = Take(1)[0];
            switch ((char)code)
            {
                case '\x80': _ = Protocol(); break;
                case '\x95': Take(8); break;
                case '.': return Pop();
                case '(': _stack.Add(s_mark); break;
                case '0': Pop(); break;
                case 'c': _stack.Add(new ClassName(Line(), Line())); break;
                case '\x93':
                    string name = PopString(), module = PopString();
                    _stack.Add(new ClassName(module, name));
                    break;
                case 'q': _memo[Take(1)[0]] = Top(); break;
                case 'r': _memo[BinaryPrimitives.ReadUInt32LittleEndian(Take(4))] = Top(); break;
                case '\x94': _memo[_memo.Count] = Top(); break;
                case 'h': _stack.Add(Recall(Take(1)[0])); break;
                case 'j': _stack.Add(Recall(BinaryPrimitives.ReadUInt32LittleEndian(Take(4)))); break;
                case ')': _stack.Add(Array.Empty<object?>()); break;
                case 't': _stack.Add(PopToMark()); break;
                case '\x85': _stack.Add(PopMany(1)); break;
                case '\x86': _stack.Add(PopMany(2)); break;
                case '\x87': _stack.Add(PopMany(3)); break;
                case ']': _stack.Add(new List<object?>()); break;
                case 'a':
                    object? item = Pop();
                    TopList().Add(item);
                    break;
                case 'e':
                    object?[] items = PopToMark();
                    TopList().AddRange(items);
                    break;
                case 'R': Reduce(); break;
                case 'b': BuildState(); break;
                default:
                    if (!TryPushScalar((char)code)) throw Error($"pickle operation 0x{code:x2} at byte {start} is not one that an array of strings needs");
                    break;
            }
        }
    }

    private bool TryPushScalar(char code)
    {
        object? value;
        switch (code)
        {
            case 'N': value = null; break;
            case '\x88': value = true; break;
            case '\x89': value = false; break;
            case 'J': value = (long)BinaryPrimitives.ReadInt32LittleEndian(Take(4)); break;
            case 'K': value = (long)Take(1)[0]; break;
            case 'M': value = (long)BinaryPrimitives.ReadUInt16LittleEndian(Take(2)); break;
            case '\x8a':
                byte[] digits = Take(Take(1)[0]).ToArray();
                value = digits.Length <= 8 ? (long)new BigInteger(digits) : new BigInteger(digits);
                break;
            case 'G': value = BinaryPrimitives.ReadDoubleBigEndian(Take(8)); break;
            case '\x8c': value = Utf8(Take(1)[0]); break;
            case 'X': value = Utf8(BinaryPrimitives.ReadUInt32LittleEndian(Take(4))); break;
            case '\x8d': value = Utf8(BinaryPrimitives.ReadUInt64LittleEndian(Take(8))); break;
            case 'C' or 'U': value = Take(Take(1)[0]).ToArray(); break;
            case 'B' or 'T': value = Take(BinaryPrimitives.ReadUInt32LittleEndian(Take(4))).ToArray(); break;
            case '\x8e': value = Take(BinaryPrimitives.ReadUInt64LittleEndian(Take(8))).ToArray(); break;
            default: return false;
        }
        _stack.Add(value);
        return true;
    }

    private string Utf8(ulong length) => Encoding.UTF8.GetString(Take(length));

    private byte Protocol()
    {
        byte version = Take(1)[0];
        return version is >= 2 and <= 5 ? version : throw Error($"pickle protocol {version} is not supported; 2 to 5 are");
    }

    private string Line()
    {
        int end = Array.IndexOf(bytes, (byte)'\n', _at);
        if (end < 0 || end - _at > 200) throw Error("the pickle names a class without an end of line");
        string line = Encoding.UTF8.GetString(bytes, _at, end - _at);
        _at = end + 1;
        return line;
    }

    private ReadOnlySpan<byte> Take(ulong count)
    {
        if (count > (ulong)(bytes.Length - _at)) throw Error($"the pickle ends too early, at byte {bytes.Length}");
        ReadOnlySpan<byte> taken = bytes.AsSpan(_at, (int)count);
        _at += (int)count;
        return taken;
    }

    private object? Top() => _stack.Count > 0 ? _stack[^1] : throw Error("the pickle is damaged: its stack is empty");

    private List<object?> TopList() => Top() as List<object?> ?? throw Error("the pickle is damaged: a list was expected");

    private object? Recall(long key) => _memo.TryGetValue(key, out object? value) ? value : throw Error($"the pickle is damaged: memo {key} is not set");

    private object? Pop()
    {
        object? value = Top();
        _stack.RemoveAt(_stack.Count - 1);
        return value;
    }

    private string PopString() => Pop() as string ?? throw Error("the pickle is damaged: text was expected");

    private object?[] PopMany(int count)
    {
        if (_stack.Count < count) throw Error("the pickle is damaged: its stack is too short");
        object?[] items = [.. _stack[^count..]];
        _stack.RemoveRange(_stack.Count - count, count);
        return items;
    }

    private object?[] PopToMark()
    {
        int mark = _stack.LastIndexOf(s_mark);
        if (mark < 0) throw Error("the pickle is damaged: a mark is missing");
        object?[] items = PopMany(_stack.Count - mark - 1);
        _stack.RemoveAt(_stack.Count - 1);
        return items;
    }

    private DataException Error(string problem) => new(source, where, problem);
}
