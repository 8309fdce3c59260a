using System.Runtime.InteropServices;
using BioSup.Runtime;

namespace BioSup.Kernels;

public sealed unsafe partial class UmapLayout
{
    private const string CudaSource = "cuda/kernels/umap_layout/umap_layout_any.cu";

    /// <summary>After so many passes the host waits for those before them. The device never runs dry, and who stops the layout waits for a few milliseconds of work.</summary>
    private const int PassesBetweenWaits = 16;

    private readonly CudaPasses? _cuda;

    /// <summary>Threads of a block on a GPU. The result does not depend on them; small graphs fill more multiprocessors with small blocks.</summary>
    internal int CudaThreads { get; init; } = 128;

    /// <summary>Lanes that share a vertex: umap_lanes of the kernel.</summary>
    private int CudaLanes => _dimensions <= 4 ? 4 : _dimensions <= 8 ? 8 : 32;

    /// <summary>The columns as places in the random order: the kernel finds positions by place alone.</summary>
    private DeviceBuffer<int> CudaColumns(CudaDevice gpu, ReadOnlySpan<int> columns)
    {
        using DeviceBuffer<int> vertices = Copy(columns);
        DeviceBuffer<int> places = gpu.Allocate<int>(columns.Length);
        Gather.Rows(new MatrixView<int>(_place.View.Pointer, _vertices, 1, 1, gpu), vertices.View, new MatrixView<int>(places.View.Pointer, columns.Length, 1, 1, gpu));
        return places;
    }

    private void CudaStrew(CudaDevice gpu, ReadOnlySpan<int> place, ReadOnlySpan<float> position)
    {
        int[] vertexAt = new int[_stride];
        for (int v = 0; v < _vertices; v++) vertexAt[place[v]] = v;
        for (int p = _vertices; p < _stride; p++) vertexAt[p] = vertexAt[p - _vertices];
        using DeviceBuffer<int> vertices = Copy<int>(vertexAt);
        using DeviceBuffer<float> from = Copy(position);
        Gather.Rows(new MatrixView<float>(from.View.Pointer, _vertices, _dimensions, _dimensions, gpu), vertices.View, CudaStrewn(gpu));
    }

    private void CudaPositions(CudaDevice gpu, Span<float> positions)
    {
        using Matrix<float> byVertex = gpu.AllocateMatrix<float>(_vertices, _dimensions);
        Gather.Rows(CudaStrewn(gpu), _place.View, byVertex.View);
        byVertex.View.CopyTo(positions);
    }

    private MatrixView<float> CudaStrewn(CudaDevice gpu) => new(_strewn.View.Pointer, checked((int)_stride), _dimensions, _dimensions, gpu);

    private void CudaStep(CudaDevice gpu)
    {
        LaunchShape shape = LaunchShape.For((long)_vertices * CudaLanes, CudaThreads);
        DeviceKernels.Report(gpu, nameof(UmapLayout), shape);
        if (_epoch % PassesBetweenWaits == 0) _cuda!.WaitForEarlier();
        UmapCudaPass pass = new(
            _start.View.Address, _columns.View.Address, _rates.View.Address, _place.View.Address, _strewn.View.Address, _movedStrewn.View.Address, _first.View.Address, _second.View.Address,
            _forces.Seed, _vertices, _forces.NegativeSamples, _epoch,
            _forces.A, _forces.B, -4 * _forces.A * _forces.B, 2 * _forces.Repulsion * _forces.B, Rate, SecondScale);
        _cuda!.Kernel.Launch(gpu.Stream, shape, pass);
    }

    /// <summary>The kernel, and marks between the passes that the device has still to make.</summary>
    private sealed class CudaPasses(CudaDevice gpu, int dimensions) : IDisposable
    {
        private CudaEvent _earlier = new(gpu), _later = new(gpu);

        public CudaKernel Kernel { get; } = DeviceKernels.Get(gpu, new JitRequest(CudaSource, $"BS_DIMENSIONS={dimensions}"), "bs_umap_layout_pass");

        /// <summary>Waits until the device has passed the mark before the last one, and sets a new one.</summary>
        public void WaitForEarlier()
        {
            _earlier.Synchronize();
            _earlier.Record(gpu.Stream);
            (_earlier, _later) = (_later, _earlier);
        }

        public void Dispose()
        {
            _earlier.Dispose();
            _later.Dispose();
        }
    }

    /// <summary>bs::UmapPass, as the kernel takes it.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct UmapCudaPass(
        DevicePointer Start, DevicePointer Columns, DevicePointer Rates, DevicePointer Place, DevicePointer Position, DevicePointer Moved, DevicePointer First, DevicePointer Second,
        ulong Seed, int Vertices, int Negatives, int Epoch, float A, float B, float Pull, float Push, float Rate, float SecondScale);
}
