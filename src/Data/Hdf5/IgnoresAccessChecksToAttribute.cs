namespace System.Runtime.CompilerServices;

/// <summary>Known to the runtime by this name: an assembly that carries it may use the internal members of the one it names.</summary>
[AttributeUsage(AttributeTargets.Assembly, AllowMultiple = true)]
internal sealed class IgnoresAccessChecksToAttribute(string assemblyName) : Attribute
{
    public string AssemblyName { get; } = assemblyName;
}
