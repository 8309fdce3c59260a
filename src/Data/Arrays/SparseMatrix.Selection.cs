namespace BioSup.Data;

public sealed partial class SparseMatrix
{
    /// <summary>The given rows in the order given, in the layout of this matrix.</summary>
    public SparseMatrix SelectRows(int[] rows) => Layout == SparseLayout.Csr ? SelectMajor(rows) : SelectMinor(rows);

    /// <summary>The given columns in the order given, in the layout of this matrix.</summary>
    public SparseMatrix SelectColumns(int[] columns) => Layout == SparseLayout.Csc ? SelectMajor(columns) : SelectMinor(columns);

    private SparseMatrix SelectMajor(int[] majors)
    {
        long[] pointers = new long[majors.Length + 1];
        for (int i = 0; i < majors.Length; i++) pointers[i + 1] = pointers[i] + Pointers[majors[i] + 1] - Pointers[majors[i]];
        int[] indices = new int[checked((int)pointers[^1])], places = new int[indices.Length];
        for (int i = 0; i < majors.Length; i++)
        {
            int from = (int)Pointers[majors[i]], to = (int)pointers[i], count = (int)(pointers[i + 1] - to);
            Array.Copy(Indices, from, indices, to, count);
            for (int k = 0; k < count; k++) places[to + k] = from + k;
        }
        return Layout == SparseLayout.Csr
            ? new SparseMatrix(majors.Length, Columns, Layout, pointers, indices, Values.Take(places))
            : new SparseMatrix(Rows, majors.Length, Layout, pointers, indices, Values.Take(places));
    }

    private SparseMatrix SelectMinor(int[] minors)
    {
        int[] renamed = new int[Layout == SparseLayout.Csr ? Columns : Rows];
        Array.Fill(renamed, -1);
        for (int j = 0; j < minors.Length; j++)
            if (renamed[minors[j]] < 0) renamed[minors[j]] = j;
            else throw new ArgumentException($"{minors[j]} is selected twice.", nameof(minors));
        long[] pointers = new long[Pointers.Length];
        for (int i = 0; i + 1 < Pointers.Length; i++)
        {
            pointers[i + 1] = pointers[i];
            for (long k = Pointers[i]; k < Pointers[i + 1]; k++)
                if (renamed[Indices[k]] >= 0) pointers[i + 1]++;
        }
        int[] indices = new int[checked((int)pointers[^1])], places = new int[indices.Length];
        int at = 0;
        for (int i = 0; i + 1 < Pointers.Length; i++)
        {
            for (long k = Pointers[i]; k < Pointers[i + 1]; k++)
            {
                if (renamed[Indices[k]] < 0) continue;
                (indices[at], places[at]) = (renamed[Indices[k]], (int)k);
                at++;
            }
            // A selection in another order would leave the entries of a row out of theirs. Equal indices (which count as a sum) keep their order: places ascend.
            int start = (int)pointers[i];
            if (!Ascends(indices.AsSpan(start, at - start))) SortEntries(indices.AsSpan(start, at - start), places.AsSpan(start, at - start));
        }
        return Layout == SparseLayout.Csr
            ? new SparseMatrix(Rows, minors.Length, Layout, pointers, indices, Values.Take(places))
            : new SparseMatrix(minors.Length, Columns, Layout, pointers, indices, Values.Take(places));
    }

    private static bool Ascends(ReadOnlySpan<int> indices)
    {
        for (int k = 1; k < indices.Length; k++)
            if (indices[k] < indices[k - 1]) return false;
        return true;
    }

    private static void SortEntries(Span<int> indices, Span<int> places)
    {
        long[] keys = new long[indices.Length];
        for (int k = 0; k < keys.Length; k++) keys[k] = ((long)indices[k] << 32) | (uint)places[k];
        Array.Sort(keys);
        for (int k = 0; k < keys.Length; k++) (indices[k], places[k]) = ((int)(keys[k] >> 32), (int)(uint)keys[k]);
    }
}
