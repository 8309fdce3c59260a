using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>A coupling T [n, m] that is not stored and answers questions through its factors. Matrices that come and go are in host memory.</summary>
public interface IFactoredCoupling : IDisposable
{
    int Rows { get; }
    int Columns { get; }

    /// <summary>Best partners and entropies are those of rows 0, step, 2 step, ...: 1 unless there are too many entries to look at one by one.</summary>
    int RowStep { get; }

    /// <summary>Rows <paramref name="first"/> to <paramref name="first"/> + <paramref name="count"/> of T.</summary>
    Matrix<double> Block(int first, int count);

    /// <summary>The first domain in the second one's features V [m, k]: row i is sum_j T_ij V_j / sum_j T_ij.</summary>
    Matrix<double> Project(MatrixView<double> features);

    /// <summary>Mass that every row gives each class of the second domain [n, classes].</summary>
    /// <param name="classes">Class of every column, from 0.</param>
    /// <param name="count">Number of classes.</param>
    Matrix<double> LabelSums(ReadOnlySpan<int> classes, int count);

    /// <summary>The column with the largest entry of every row that is looked at, the first of equals.</summary>
    int[] BestColumns();

    /// <summary>exp of the mean entropy of the rows that are looked at.</summary>
    double MeanPartners();
}
