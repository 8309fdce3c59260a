namespace BioSup.Kernels;

/// <summary>How targets are seen by a network: z = y · Inverse − Mean · Inverse, kept with the other sign, so that a residual is output + y · NegativeInverse + Offset.</summary>
internal sealed class MlpTargetScale<T>(int targets) where T : unmanaged
{
    public T[] NegativeInverse { get; } = new T[targets];
    public T[] Offset { get; } = new T[targets];
}
