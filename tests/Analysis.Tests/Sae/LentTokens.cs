using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Sae;

/// <summary>A host matrix as tokens that are read piece by piece; the matrix stays the caller's.</summary>
internal sealed class LentTokens(Matrix<float> matrix) : ITokenSource
{
    public long Rows => matrix.Rows;
    public int Columns => matrix.Columns;

    public void Read(long start, MatrixView<float> destination)
    {
        for (int i = 0; i < destination.Rows; i++) matrix.Row((int)start + i).CopyTo(destination.Row(i));
    }

    public void Dispose() { }
}
