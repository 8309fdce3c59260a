using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// Runs the stack programs that Python's pickle module writes, protocols 2 to 5, as far as files of arrays need them. No class is ever looked up and no
/// code run: what a named callable means is decided by the reader that derives from this, from a fixed list.
/// </summary>
internal abstract class PickleMachine(byte[] bytes, string source, string? where)
{
    private static readonly object s_mark = new();
    private readonly List<object?> _stack = [];
    private readonly Dictionary<long, object?> _memo = [];
    private int _at;

    /// <summary>A class or function that the pickle names.</summary>
    protected sealed record ClassName(string Module, string Name);

    /// <summary>What the pickle should hold, for messages: "an array of strings".</summary>
    protected abstract string Content { get; }

    /// <summary>What calling <paramref name="called"/> gives.</summary>
    protected abstract object? Call(ClassName called, object?[] arguments);

    /// <summary>Sets the state of what <see cref="Call"/> made.</summary>
    protected abstract void SetState(object? target, object? state);

    /// <summary>What an identifier of something outside the pickle stands for.</summary>
    protected virtual object? Resolve(object? identifier) => throw Error($"the pickle refers to something outside itself, which {Content} does not need");

    /// <summary>Runs the program; text, numbers (long, double, BigInteger), bool, null, byte[], tuples (object[]), lists, dictionaries, and what <see cref="Call"/> made.</summary>
    protected object? Run()
    {
        while (true)
        {
            int start = _at;
            char code = (char)Take(1)[0];
            if (code == '.') return Pop();
            if (!TryStructure(code) && !TryCollection(code) && !TryScalar(code)) throw Error($"pickle operation 0x{(int)code:x2} at byte {start} is not one that {Content} needs");
        }
    }

    protected DataException Error(string problem) => new(source, where, problem);

    private bool TryStructure(char code)
    {
        switch (code)
        {
            case '\x80': Protocol(); break;
            case '\x95': Take(8); break;
            case '(': _stack.Add(s_mark); break;
            case '0': Pop(); break;
            case '1': PopToMark(); break;
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
            case 'R' or '\x81':
                object?[] arguments = Pop() as object?[] ?? throw Error("the pickle is damaged: a tuple of arguments was expected");
                _stack.Add(Call(Pop() as ClassName ?? throw Error("the pickle is damaged: a class was expected"), arguments));
                break;
            case 'b':
                object? state = Pop();
                SetState(Top(), state);
                break;
            case 'Q': _stack.Add(Resolve(Pop())); break;
            default: return false;
        }
        return true;
    }

    private bool TryCollection(char code)
    {
        switch (code)
        {
            case ')': _stack.Add(Array.Empty<object?>()); break;
            case 't': _stack.Add(PopToMark()); break;
            case '\x85': _stack.Add(PopMany(1)); break;
            case '\x86': _stack.Add(PopMany(2)); break;
            case '\x87': _stack.Add(PopMany(3)); break;
            case ']' or '\x8f': _stack.Add(new List<object?>()); break;
            case 'a':
                object? item = Pop();
                TopList().Add(item);
                break;
            case 'e' or '\x90':
                object?[] items = PopToMark();
                TopList().AddRange(items);
                break;
            case '}': _stack.Add(new Dictionary<string, object?>(StringComparer.Ordinal)); break;
            case 's': SetItems(PopMany(2)); break;
            case 'u': SetItems(PopToMark()); break;
            default: return false;
        }
        return true;
    }

    private bool TryScalar(char code)
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
                value = digits.Length <= 8 ? (object)(long)new BigInteger(digits) : new BigInteger(digits);
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

    /// <summary>Keys that are not text have no meaning in these files: "1" for 1.</summary>
    private void SetItems(object?[] items)
    {
        if (items.Length % 2 != 0 || Top() is not Dictionary<string, object?> dictionary) throw Error("the pickle is damaged: a dictionary with keys and values was expected");
        for (int i = 0; i < items.Length; i += 2) dictionary[items[i]?.ToString() ?? ""] = items[i + 1];
    }

    private string Utf8(ulong length) => Encoding.UTF8.GetString(Take(length));

    private void Protocol()
    {
        byte version = Take(1)[0];
        if (version is < 2 or > 5) throw Error($"pickle protocol {version} is not supported; 2 to 5 are");
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
}
