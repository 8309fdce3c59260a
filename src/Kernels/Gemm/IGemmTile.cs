namespace BioSup.Kernels;

/// <summary>The innermost product: one tile of C held in registers while it runs along a packed panel of A and one of B.</summary>
internal unsafe interface IGemmTile<T> where T : unmanaged
{
    /// <summary>Rows of the tile: the width of a packed panel of A.</summary>
    static abstract int TileRows { get; }

    /// <summary>Columns of the tile: the width of a packed panel of B.</summary>
    static abstract int TileColumns { get; }

    /// <summary>C[TileRows, TileColumns] = alpha sum_p a[p, :]ᵀ b[p, :] + beta C; beta = 0 does not read C. depth ≥ 1.</summary>
    /// <param name="depth">Length of the panels.</param>
    /// <param name="a">[depth, TileRows], contiguous.</param>
    /// <param name="b">[depth, TileColumns], contiguous.</param>
    /// <param name="c">First element of the tile.</param>
    /// <param name="strideC">Elements between rows of C.</param>
    static abstract void Multiply(long depth, T* a, T* b, T* c, long strideC, T alpha, T beta);
}
