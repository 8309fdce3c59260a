using System.Reflection;
using System.Reflection.Emit;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// Makes a value type with the fields of a <see cref="RecordArray"/>, because PureHDF takes the names and types of a compound from a .NET type.
/// </summary>
internal static class RecordType
{
    private static readonly ModuleBuilder s_module =
        AssemblyBuilder.DefineDynamicAssembly(new AssemblyName("BioSup.Data.Records"), AssemblyBuilderAccess.Run).DefineDynamicModule("Records");

    private static int s_counter;

    /// <summary>The records as an array of such a type.</summary>
    /// <param name="records">Vectors of one length.</param>
    /// <param name="storable">Turns a field's values into the array that is stored.</param>
    public static Array ToArray(RecordArray records, Func<NdArray, Array> storable)
    {
        int length = records.Fields.Count == 0 ? 0 : records.Fields[0].Values.Length;
        foreach ((string name, NdArray values) in records.Fields)
            if (name.Length == 0 || values.Rank != 1 || values.Length != length) throw new UsageException($"The record field '{name}' is not a vector of {length} values.");
        Array[] columns = [.. records.Fields.Select(field => storable(field.Values))];
        // Without packing: anndata 0.8 does not read records with gaps.
        TypeBuilder builder;
        lock (s_module)
        {
            builder = s_module.DefineType($"Record{s_counter++}", TypeAttributes.Public | TypeAttributes.Sealed | TypeAttributes.SequentialLayout, typeof(ValueType), PackingSize.Size1);
        }
        for (int j = 0; j < columns.Length; j++) builder.DefineField(records.Fields[j].Name, columns[j].GetType().GetElementType()!, FieldAttributes.Public);
        Type type = builder.CreateType();
        FieldInfo[] fields = [.. records.Fields.Select(field => type.GetField(field.Name)!)];
        Array array = Array.CreateInstance(type, length);
        for (int i = 0; i < length; i++)
        {
            object record = Activator.CreateInstance(type)!;
            for (int j = 0; j < fields.Length; j++) fields[j].SetValue(record, columns[j].GetValue(i));
            array.SetValue(record, i);
        }
        return array;
    }
}

/// <summary>bool in an HDF5 file: an enumeration of bytes named FALSE and TRUE. h5py, and so AnnData, knows no other.</summary>
public enum H5Bool : byte
{
    FALSE,
    TRUE,
}
