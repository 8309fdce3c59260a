namespace BioSup.Runtime;

// One overload per number of arguments: generic values stay on the stack, where an object[] would box each of them.
public sealed unsafe partial class CudaKernel
{
    /// <summary>Launches the kernel without arguments.</summary>
    public void Launch(CudaStream stream, in LaunchShape shape) => LaunchWith(stream, shape, null, []);

    /// <summary>Launches the kernel. The arguments are copied before the call returns.</summary>
    public void Launch<T1>(CudaStream stream, in LaunchShape shape, T1 a1)
        where T1 : unmanaged
    {
        void** arguments = stackalloc void*[] { &a1 };
        LaunchWith(stream, shape, arguments, stackalloc int[] { sizeof(T1) });
    }

    /// <inheritdoc cref="Launch{T1}"/>
    public void Launch<T1, T2>(CudaStream stream, in LaunchShape shape, T1 a1, T2 a2)
        where T1 : unmanaged where T2 : unmanaged
    {
        void** arguments = stackalloc void*[] { &a1, &a2 };
        LaunchWith(stream, shape, arguments, stackalloc int[] { sizeof(T1), sizeof(T2) });
    }

    /// <inheritdoc cref="Launch{T1}"/>
    public void Launch<T1, T2, T3>(CudaStream stream, in LaunchShape shape, T1 a1, T2 a2, T3 a3)
        where T1 : unmanaged where T2 : unmanaged where T3 : unmanaged
    {
        void** arguments = stackalloc void*[] { &a1, &a2, &a3 };
        LaunchWith(stream, shape, arguments, stackalloc int[] { sizeof(T1), sizeof(T2), sizeof(T3) });
    }

    /// <inheritdoc cref="Launch{T1}"/>
    public void Launch<T1, T2, T3, T4>(CudaStream stream, in LaunchShape shape, T1 a1, T2 a2, T3 a3, T4 a4)
        where T1 : unmanaged where T2 : unmanaged where T3 : unmanaged where T4 : unmanaged
    {
        void** arguments = stackalloc void*[] { &a1, &a2, &a3, &a4 };
        LaunchWith(stream, shape, arguments, stackalloc int[] { sizeof(T1), sizeof(T2), sizeof(T3), sizeof(T4) });
    }

    /// <inheritdoc cref="Launch{T1}"/>
    public void Launch<T1, T2, T3, T4, T5>(CudaStream stream, in LaunchShape shape, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5)
        where T1 : unmanaged where T2 : unmanaged where T3 : unmanaged where T4 : unmanaged where T5 : unmanaged
    {
        void** arguments = stackalloc void*[] { &a1, &a2, &a3, &a4, &a5 };
        LaunchWith(stream, shape, arguments, stackalloc int[] { sizeof(T1), sizeof(T2), sizeof(T3), sizeof(T4), sizeof(T5) });
    }

    /// <inheritdoc cref="Launch{T1}"/>
    public void Launch<T1, T2, T3, T4, T5, T6>(CudaStream stream, in LaunchShape shape, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6)
        where T1 : unmanaged where T2 : unmanaged where T3 : unmanaged where T4 : unmanaged where T5 : unmanaged where T6 : unmanaged
    {
        void** arguments = stackalloc void*[] { &a1, &a2, &a3, &a4, &a5, &a6 };
        LaunchWith(stream, shape, arguments, stackalloc int[] { sizeof(T1), sizeof(T2), sizeof(T3), sizeof(T4), sizeof(T5), sizeof(T6) });
    }

    /// <inheritdoc cref="Launch{T1}"/>
    public void Launch<T1, T2, T3, T4, T5, T6, T7>(CudaStream stream, in LaunchShape shape, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6, T7 a7)
        where T1 : unmanaged where T2 : unmanaged where T3 : unmanaged where T4 : unmanaged where T5 : unmanaged where T6 : unmanaged
        where T7 : unmanaged
    {
        void** arguments = stackalloc void*[] { &a1, &a2, &a3, &a4, &a5, &a6, &a7 };
        LaunchWith(stream, shape, arguments, stackalloc int[] { sizeof(T1), sizeof(T2), sizeof(T3), sizeof(T4), sizeof(T5), sizeof(T6), sizeof(T7) });
    }

    /// <inheritdoc cref="Launch{T1}"/>
    public void Launch<T1, T2, T3, T4, T5, T6, T7, T8>(CudaStream stream, in LaunchShape shape, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6, T7 a7, T8 a8)
        where T1 : unmanaged where T2 : unmanaged where T3 : unmanaged where T4 : unmanaged where T5 : unmanaged where T6 : unmanaged
        where T7 : unmanaged where T8 : unmanaged
    {
        void** arguments = stackalloc void*[] { &a1, &a2, &a3, &a4, &a5, &a6, &a7, &a8 };
        LaunchWith(stream, shape, arguments, stackalloc int[] { sizeof(T1), sizeof(T2), sizeof(T3), sizeof(T4), sizeof(T5), sizeof(T6), sizeof(T7), sizeof(T8) });
    }

    /// <inheritdoc cref="Launch{T1}"/>
    public void Launch<T1, T2, T3, T4, T5, T6, T7, T8, T9>(CudaStream stream, in LaunchShape shape, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6, T7 a7, T8 a8, T9 a9)
        where T1 : unmanaged where T2 : unmanaged where T3 : unmanaged where T4 : unmanaged where T5 : unmanaged where T6 : unmanaged
        where T7 : unmanaged where T8 : unmanaged where T9 : unmanaged
    {
        void** arguments = stackalloc void*[] { &a1, &a2, &a3, &a4, &a5, &a6, &a7, &a8, &a9 };
        LaunchWith(stream, shape, arguments, stackalloc int[] { sizeof(T1), sizeof(T2), sizeof(T3), sizeof(T4), sizeof(T5), sizeof(T6), sizeof(T7), sizeof(T8), sizeof(T9) });
    }

    /// <inheritdoc cref="Launch{T1}"/>
    public void Launch<T1, T2, T3, T4, T5, T6, T7, T8, T9, T10>(CudaStream stream, in LaunchShape shape, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6, T7 a7, T8 a8, T9 a9, T10 a10)
        where T1 : unmanaged where T2 : unmanaged where T3 : unmanaged where T4 : unmanaged where T5 : unmanaged where T6 : unmanaged
        where T7 : unmanaged where T8 : unmanaged where T9 : unmanaged where T10 : unmanaged
    {
        void** arguments = stackalloc void*[] { &a1, &a2, &a3, &a4, &a5, &a6, &a7, &a8, &a9, &a10 };
        LaunchWith(stream, shape, arguments, stackalloc int[] { sizeof(T1), sizeof(T2), sizeof(T3), sizeof(T4), sizeof(T5), sizeof(T6), sizeof(T7), sizeof(T8), sizeof(T9), sizeof(T10) });
    }

    /// <inheritdoc cref="Launch{T1}"/>
    public void Launch<T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11>(CudaStream stream, in LaunchShape shape, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6, T7 a7, T8 a8, T9 a9, T10 a10, T11 a11)
        where T1 : unmanaged where T2 : unmanaged where T3 : unmanaged where T4 : unmanaged where T5 : unmanaged where T6 : unmanaged
        where T7 : unmanaged where T8 : unmanaged where T9 : unmanaged where T10 : unmanaged where T11 : unmanaged
    {
        void** arguments = stackalloc void*[] { &a1, &a2, &a3, &a4, &a5, &a6, &a7, &a8, &a9, &a10, &a11 };
        LaunchWith(stream, shape, arguments, stackalloc int[] { sizeof(T1), sizeof(T2), sizeof(T3), sizeof(T4), sizeof(T5), sizeof(T6), sizeof(T7), sizeof(T8), sizeof(T9), sizeof(T10), sizeof(T11) });
    }

    /// <inheritdoc cref="Launch{T1}"/>
    public void Launch<T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12>(CudaStream stream, in LaunchShape shape, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6, T7 a7, T8 a8, T9 a9, T10 a10, T11 a11, T12 a12)
        where T1 : unmanaged where T2 : unmanaged where T3 : unmanaged where T4 : unmanaged where T5 : unmanaged where T6 : unmanaged
        where T7 : unmanaged where T8 : unmanaged where T9 : unmanaged where T10 : unmanaged where T11 : unmanaged where T12 : unmanaged
    {
        void** arguments = stackalloc void*[] { &a1, &a2, &a3, &a4, &a5, &a6, &a7, &a8, &a9, &a10, &a11, &a12 };
        LaunchWith(stream, shape, arguments, stackalloc int[] { sizeof(T1), sizeof(T2), sizeof(T3), sizeof(T4), sizeof(T5), sizeof(T6), sizeof(T7), sizeof(T8), sizeof(T9), sizeof(T10), sizeof(T11), sizeof(T12) });
    }

    /// <inheritdoc cref="Launch{T1}"/>
    public void Launch<T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13>(CudaStream stream, in LaunchShape shape, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6, T7 a7, T8 a8, T9 a9, T10 a10, T11 a11, T12 a12, T13 a13)
        where T1 : unmanaged where T2 : unmanaged where T3 : unmanaged where T4 : unmanaged where T5 : unmanaged where T6 : unmanaged
        where T7 : unmanaged where T8 : unmanaged where T9 : unmanaged where T10 : unmanaged where T11 : unmanaged where T12 : unmanaged
        where T13 : unmanaged
    {
        void** arguments = stackalloc void*[] { &a1, &a2, &a3, &a4, &a5, &a6, &a7, &a8, &a9, &a10, &a11, &a12, &a13 };
        LaunchWith(stream, shape, arguments, stackalloc int[] { sizeof(T1), sizeof(T2), sizeof(T3), sizeof(T4), sizeof(T5), sizeof(T6), sizeof(T7), sizeof(T8), sizeof(T9), sizeof(T10), sizeof(T11), sizeof(T12), sizeof(T13) });
    }

    /// <inheritdoc cref="Launch{T1}"/>
    public void Launch<T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14>(CudaStream stream, in LaunchShape shape, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6, T7 a7, T8 a8, T9 a9, T10 a10, T11 a11, T12 a12, T13 a13, T14 a14)
        where T1 : unmanaged where T2 : unmanaged where T3 : unmanaged where T4 : unmanaged where T5 : unmanaged where T6 : unmanaged
        where T7 : unmanaged where T8 : unmanaged where T9 : unmanaged where T10 : unmanaged where T11 : unmanaged where T12 : unmanaged
        where T13 : unmanaged where T14 : unmanaged
    {
        void** arguments = stackalloc void*[] { &a1, &a2, &a3, &a4, &a5, &a6, &a7, &a8, &a9, &a10, &a11, &a12, &a13, &a14 };
        LaunchWith(stream, shape, arguments, stackalloc int[] { sizeof(T1), sizeof(T2), sizeof(T3), sizeof(T4), sizeof(T5), sizeof(T6), sizeof(T7), sizeof(T8), sizeof(T9), sizeof(T10), sizeof(T11), sizeof(T12), sizeof(T13), sizeof(T14) });
    }

    /// <inheritdoc cref="Launch{T1}"/>
    public void Launch<T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14, T15>(CudaStream stream, in LaunchShape shape, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6, T7 a7, T8 a8, T9 a9, T10 a10, T11 a11, T12 a12, T13 a13, T14 a14, T15 a15)
        where T1 : unmanaged where T2 : unmanaged where T3 : unmanaged where T4 : unmanaged where T5 : unmanaged where T6 : unmanaged
        where T7 : unmanaged where T8 : unmanaged where T9 : unmanaged where T10 : unmanaged where T11 : unmanaged where T12 : unmanaged
        where T13 : unmanaged where T14 : unmanaged where T15 : unmanaged
    {
        void** arguments = stackalloc void*[] { &a1, &a2, &a3, &a4, &a5, &a6, &a7, &a8, &a9, &a10, &a11, &a12, &a13, &a14, &a15 };
        LaunchWith(stream, shape, arguments, stackalloc int[] { sizeof(T1), sizeof(T2), sizeof(T3), sizeof(T4), sizeof(T5), sizeof(T6), sizeof(T7), sizeof(T8), sizeof(T9), sizeof(T10), sizeof(T11), sizeof(T12), sizeof(T13), sizeof(T14), sizeof(T15) });
    }

    /// <inheritdoc cref="Launch{T1}"/>
    public void Launch<T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14, T15, T16>(CudaStream stream, in LaunchShape shape, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6, T7 a7, T8 a8, T9 a9, T10 a10, T11 a11, T12 a12, T13 a13, T14 a14, T15 a15, T16 a16)
        where T1 : unmanaged where T2 : unmanaged where T3 : unmanaged where T4 : unmanaged where T5 : unmanaged where T6 : unmanaged
        where T7 : unmanaged where T8 : unmanaged where T9 : unmanaged where T10 : unmanaged where T11 : unmanaged where T12 : unmanaged
        where T13 : unmanaged where T14 : unmanaged where T15 : unmanaged where T16 : unmanaged
    {
        void** arguments = stackalloc void*[] { &a1, &a2, &a3, &a4, &a5, &a6, &a7, &a8, &a9, &a10, &a11, &a12, &a13, &a14, &a15, &a16 };
        LaunchWith(stream, shape, arguments, stackalloc int[] { sizeof(T1), sizeof(T2), sizeof(T3), sizeof(T4), sizeof(T5), sizeof(T6), sizeof(T7), sizeof(T8), sizeof(T9), sizeof(T10), sizeof(T11), sizeof(T12), sizeof(T13), sizeof(T14), sizeof(T15), sizeof(T16) });
    }
}
