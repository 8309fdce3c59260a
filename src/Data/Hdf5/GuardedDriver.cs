using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.ExceptionServices;
using Microsoft.Win32.SafeHandles;
using PureHDF;
using PureHDF.VOL.Native;

namespace BioSup.Data;

/// <summary>
/// Opens PureHDF files through a driver that holds every request for bytes against what is left of the file before the buffer for them is made.
/// PureHDF 2.2 takes lengths from the file as they stand (objects of the global heap, values of attributes): a damaged one would reserve and clear up
/// to 2 GiB. Its drivers are internal, so the one derived here is made at run time, as the types of <see cref="RecordType"/> are.
/// </summary>
internal static class GuardedDriver
{
    private const BindingFlags Instance = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic;
    private static readonly Type s_base = Internal("PureHDF.VFD.H5StreamDriver");
    private static readonly Type s_driver = Derive();
    private static readonly MethodInfo s_open =
        typeof(NativeFile).GetMethod("InternalOpen", BindingFlags.Static | BindingFlags.NonPublic, [Internal("PureHDF.VFD.H5DriverBase"), typeof(string), typeof(bool), typeof(H5ReadOptions)])
        ?? throw new MissingMethodException(nameof(NativeFile), "InternalOpen");

    /// <summary>Opens a file that owns its stream.</summary>
    public static NativeFile Open(Stream stream)
    {
        try
        {
            object driver = Activator.CreateInstance(s_driver, stream, false)!;
            return (NativeFile)s_open.Invoke(null, [driver, "", false, null])!;
        }
        catch (TargetInvocationException e) when (e.InnerException is { } inner)
        {
            ExceptionDispatchInfo.Throw(inner);
            throw;
        }
    }

    /// <summary>The bytes of an open file, past the driver.</summary>
    public static Hdf5Bytes Bytes(NativeFile file, SafeFileHandle handle, long length)
    {
        object context = Get(file, "Context"), superblock = Get(context, "Superblock");
        long origin = (long)(ulong)Get(Get(context, "Driver"), "BaseAddress");
        if (origin < 0 || origin > length) throw new InvalidDataException($"the address {origin} lies outside the file of {length} bytes");
        return new Hdf5Bytes(handle, length, origin, (byte)Get(superblock, "OffsetsSize"), (byte)Get(superblock, "LengthsSize"));

        static object Get(object owner, string name) => owner.GetType().GetProperty(name, Instance)?.GetValue(owner) ?? throw new MissingMemberException(owner.GetType().Name, name);
    }

    /// <summary>Called by the driver before it makes a buffer.</summary>
    public static void Require(long position, long length, int count)
    {
        if (count < 0 || count > length - position) throw new EndOfStreamException($"{count} bytes were expected at {position}, the file has {length}");
    }

    private static Type Internal(string name) => typeof(H5File).Assembly.GetType(name, throwOnError: true)!;

    /// <summary>class Driver(Stream, bool) : H5StreamDriver { override byte[] ReadBytes(int n) { Require(Position, Length, n); return base.ReadBytes(n); } }</summary>
    private static Type Derive()
    {
        AssemblyBuilder assembly = AssemblyBuilder.DefineDynamicAssembly(new AssemblyName("BioSup.Data.Hdf5"), AssemblyBuilderAccess.Run);
        ConstructorInfo ignores = typeof(System.Runtime.CompilerServices.IgnoresAccessChecksToAttribute).GetConstructor([typeof(string)])!;
        foreach (Assembly opened in new[] { typeof(H5File).Assembly, typeof(GuardedDriver).Assembly })
            assembly.SetCustomAttribute(new CustomAttributeBuilder(ignores, [opened.GetName().Name!]));
        TypeBuilder type = assembly.DefineDynamicModule("Hdf5").DefineType("Driver", TypeAttributes.Public | TypeAttributes.Sealed, s_base);

        Type[] arguments = [typeof(Stream), typeof(bool)];
        ILGenerator constructor = type.DefineConstructor(MethodAttributes.Public, CallingConventions.Standard, arguments).GetILGenerator();
        for (int i = 0; i <= arguments.Length; i++) constructor.Emit(OpCodes.Ldarg, i);
        constructor.Emit(OpCodes.Call, s_base.GetConstructor(Instance, arguments)!);
        constructor.Emit(OpCodes.Ret);

        MethodInfo read = s_base.GetMethod("ReadBytes", Instance, [typeof(int)])!;
        MethodBuilder method = type.DefineMethod(read.Name, MethodAttributes.Public | MethodAttributes.Virtual | MethodAttributes.HideBySig, typeof(byte[]), [typeof(int)]);
        ILGenerator body = method.GetILGenerator();
        foreach (string property in new[] { "Position", "Length" })
        {
            body.Emit(OpCodes.Ldarg_0);
            body.Emit(OpCodes.Callvirt, s_base.GetProperty(property, Instance)!.GetMethod!);
        }
        body.Emit(OpCodes.Ldarg_1);
        body.Emit(OpCodes.Call, typeof(GuardedDriver).GetMethod(nameof(Require))!);
        body.Emit(OpCodes.Ldarg_0);
        body.Emit(OpCodes.Ldarg_1);
        body.Emit(OpCodes.Call, read);
        body.Emit(OpCodes.Ret);
        return type.CreateType();
    }
}
