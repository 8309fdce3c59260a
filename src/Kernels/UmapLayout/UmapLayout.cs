using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>What the forces of a layout depend on.</summary>
/// <param name="A">a of the curve 1 / (1 + a d^2b).</param>
/// <param name="B">b of the curve.</param>
/// <param name="NegativeSamples">Random vertices that push for each edge that pulls.</param>
/// <param name="Repulsion">Weight of pushing.</param>
/// <param name="LearningRate">Length of the first steps; they shrink linearly to nothing.</param>
/// <param name="Epochs">Passes of the whole layout.</param>
/// <param name="Seed">Decides which vertices push.</param>
public readonly record struct UmapForces(float A, float B, int NegativeSamples, float Repulsion, float LearningRate, int Epochs, ulong Seed);

/// <summary>
/// The passes of UMAP's layout (McInnes, Healy and Melville 2018) with all vertices moved at once. In pass t = 0, 1, … an edge of rate r is due when ⌊(t + 1) r⌋ &gt; ⌊t r⌋. A due edge
/// of a vertex's row pulls it by 2 · clip(−2ab d^2(b−1) / (1 + a d^2b) · (x − y)): both directions of an edge are rows, and each moves both ends. For each due edge
/// <see cref="UmapForces.NegativeSamples"/> random vertices push it by clip(2γb / ((0.001 + d²)(1 + a d^2b)) · (x − y)), clip to ±4 as in umap-learn. The sum, taken where all
/// vertices were before the pass, is the gradient of a step of Adam (β 0.5 and 0.9, as in uwot's batch mode). A vertex looks only at where others were and moves only itself, so
/// the bytes are the same on any number of threads of a host, and from run to run on a GPU; a warm pass allocates nothing. The passes of a GPU are its own only in the last bits
/// of the forces: edges that are due and vertices that push are the host's.
/// </summary>
/// <remarks>
/// Vertices that push are drawn in groups: up to <see cref="GroupSize"/> neighbours in a fixed random order of all vertices, from a random place on. Each vertex is
/// as likely as any other, and a group is read as vectors from consecutive memory.
/// </remarks>
public sealed unsafe partial class UmapLayout : IDisposable
{
    /// <summary>Vertices in a group that push; a multiple of every vector's length.</summary>
    internal const int GroupSize = 16;

    private const int VerticesPerBlock = 256;
    private const float FirstDecay = 0.5f, SecondDecay = 0.9f, Tiny = 1e-7f, Limit = 4, Softening = 0.001f;

    private readonly ComputeDevice _device;
    private readonly UmapForces _forces;
    private readonly int _vertices, _dimensions, _longestRow;
    private readonly long _stride;
    private readonly DeviceBuffer<int> _start, _columns, _place;

    private readonly DeviceBuffer<float> _rates, _first, _second;

    /// <summary>Of a host: a row of due edges for every thread.</summary>
    private readonly DeviceBuffer<int>? _due;

    /// <summary>Of a host: where the vertices are and will be, [vertices × dimensions].</summary>
    private DeviceBuffer<float>? _position, _moved;

    /// <summary>The same in the random order, its beginning repeated at its end: on a host coordinate by coordinate, on a GPU place by place.</summary>
    private DeviceBuffer<float> _strewn, _movedStrewn;
    private int _epoch;

    /// <param name="device">Where the passes run.</param>
    /// <param name="start">[vertices + 1]: where each vertex's row of edges begins.</param>
    /// <param name="columns">The other end of each edge. An edge is in the rows of both of its ends.</param>
    /// <param name="rates">How often each edge pulls, in passes: above 0, at most 1.</param>
    /// <param name="position">[vertices × dimensions] where the layout begins.</param>
    /// <param name="forces">Settings.</param>
    public UmapLayout(ComputeDevice device, ReadOnlySpan<int> start, ReadOnlySpan<int> columns, ReadOnlySpan<float> rates, ReadOnlySpan<float> position, UmapForces forces)
    {
        int vertices = start.Length - 1;
        if (vertices < 1 || position.Length == 0 || position.Length % vertices != 0 || columns.Length != rates.Length || start[vertices] != columns.Length)
            throw new ArgumentException($"A layout of {vertices} vertices with {columns.Length} edges got {position.Length} coordinates and {rates.Length} rates.");
        if (forces.NegativeSamples < 0 || forces.Epochs < 1) throw new ArgumentException($"A layout cannot make {forces.Epochs} passes with {forces.NegativeSamples} samples.", nameof(forces));
        (_device, _forces, _vertices, _dimensions) = (device, forces, vertices, position.Length / vertices);
        for (int v = 0; v < vertices; v++) _longestRow = Math.Max(_longestRow, start[v + 1] - start[v]);
        foreach (int column in columns) if ((uint)column >= (uint)vertices) throw new ArgumentException($"An edge leads to vertex {column} of {vertices}.", nameof(columns));
        _stride = vertices + GroupSize;
        int[] place = new int[vertices];
        for (int v = 0; v < vertices; v++) place[v] = v;
        new CounterRandom(forces.Seed, stream: 0x5374726577UL).Shuffle<int>(place);
        (_start, _place, _rates) = (Copy(start), Copy<int>(place), Copy(rates));
        (_first, _second) = (device.Allocate<float>(position.Length), device.Allocate<float>(position.Length));
        (_strewn, _movedStrewn) = (device.Allocate<float>(_stride * _dimensions), device.Allocate<float>(_stride * _dimensions));
        if (device is CudaDevice gpu)
        {
            _columns = CudaColumns(gpu, columns);
            CudaStrew(gpu, place, position);
            _cuda = new CudaPasses(gpu, _dimensions);
            return;
        }
        CpuDevice host = Host;
        (_columns, _position, _moved, _due) = (Copy(columns), Copy(position), device.Allocate<float>(position.Length), device.Allocate<int>((long)host.Pool.Threads * _longestRow));
        for (int v = 0; v < vertices; v++) Strew(v, _position.View.Pointer, _strewn.View.Pointer);
    }

    private CpuDevice Host => _device as CpuDevice ?? throw new DeviceException($"UMAP's layout has no implementation for device '{_device.Name}'.");

    /// <summary>Makes the next pass. A GPU makes it later: it is at most 32 passes behind.</summary>
    public void Step()
    {
        if (_device is CudaDevice gpu) CudaStep(gpu);
        else
            switch (KernelDispatch.Select(nameof(UmapLayout)))
            {
                case KernelVariant.Avx512: Run<UmapMove<Simd512<float>, Vector512<float>>>(); break;
                case KernelVariant.Avx2: Run<UmapMove<Simd256<float>, Vector256<float>>>(); break;
                case KernelVariant.Portable: Run<UmapMove<Simd128<float>, Vector128<float>>>(); break;
                default: Run<ReferenceMove>(); break;
            }
        (_position, _moved) = (_moved, _position);
        (_strewn, _movedStrewn) = (_movedStrewn, _strewn);
        _epoch++;
    }

    /// <summary>Where the vertices are after the passes made so far.</summary>
    /// <param name="positions">[vertices × dimensions]</param>
    public void CopyPositions(Span<float> positions)
    {
        if (positions.Length != _first.Length) throw new ArgumentException($"{_vertices} vertices in {_dimensions} dimensions do not fill {positions.Length} coordinates.", nameof(positions));
        if (_device is CudaDevice gpu) CudaPositions(gpu, positions);
        else _position!.CopyTo(positions);
    }

    /// <summary>Half of the first pass's forces after it, later their decaying sums.</summary>
    /// <param name="moments">[vertices × dimensions]</param>
    internal void CopyFirstMoments(Span<float> moments) => _first.CopyTo(moments);

    public void Dispose()
    {
        foreach (IDisposable? part in new IDisposable?[] { _due, _start, _columns, _place, _rates, _first, _second, _position, _moved, _strewn, _movedStrewn, _cuda }) part?.Dispose();
    }

    private DeviceBuffer<T> Copy<T>(ReadOnlySpan<T> values) where T : unmanaged
    {
        DeviceBuffer<T> buffer = _device.Allocate<T>(values.Length);
        buffer.CopyFrom(values);
        return buffer;
    }

    private void Run<TMove>() where TMove : struct, IMove
    {
        Pass pass = new(this);
        Job<TMove> job = new(this, pass);
        Host.Pool.Run((_vertices + VerticesPerBlock - 1) / VerticesPerBlock, ref job);
    }

    /// <summary>Writes a vertex's coordinates to its place in the random order, and to the repetition of the beginning at the end.</summary>
    private void Strew(int vertex, float* position, float* strewn)
    {
        for (long p = _place.View.Pointer[vertex]; p < _stride; p += _vertices)
            for (int d = 0; d < _dimensions; d++) strewn[d * _stride + p] = position[(long)vertex * _dimensions + d];
    }

    /// <summary>One vertex's step of Adam along the force on it.</summary>
    private void Advance(in Pass pass, int vertex, float* force)
    {
        float* first = _first.View.Pointer, second = _second.View.Pointer;
        for (int d = 0; d < _dimensions; d++)
        {
            long at = (long)vertex * _dimensions + d;
            first[at] = FirstDecay * first[at] + (1 - FirstDecay) * force[d];
            second[at] = SecondDecay * second[at] + (1 - SecondDecay) * force[d] * force[d];
            pass.Moved[at] = pass.Position[at] + pass.Rate * first[at] / (MathF.Sqrt(second[at] * pass.SecondScale) + Tiny);
        }
        Strew(vertex, pass.Moved, pass.MovedStrewn);
    }

    /// <summary>The length of the pass's steps, with the first moment's correction for its start at 0.</summary>
    private float Rate => (float)(_forces.LearningRate * (1 - _epoch / (double)_forces.Epochs) / (1 - Math.Pow(FirstDecay, _epoch + 1)));

    /// <summary>The second moment's correction.</summary>
    private float SecondScale => (float)(1 / (1 - Math.Pow(SecondDecay, _epoch + 1)));

    /// <summary>The force on one vertex.</summary>
    internal interface IMove
    {
        /// <param name="layout">The layout.</param>
        /// <param name="pass">The pass.</param>
        /// <param name="vertex">Which vertex.</param>
        /// <param name="due">The other ends of its due edges.</param>
        /// <param name="count">How many are due.</param>
        /// <param name="random">Draws the groups that push.</param>
        /// <param name="force">[dimensions] the result.</param>
        static abstract void Force(UmapLayout layout, in Pass pass, int vertex, int* due, int count, ref CounterRandom random, float* force);
    }

    /// <summary>What all vertices of one pass share.</summary>
    internal readonly struct Pass(UmapLayout layout)
    {
        public readonly int Epoch = layout._epoch;
        public readonly float* Position = layout._position!.View.Pointer, Moved = layout._moved!.View.Pointer;
        public readonly float* Strewn = layout._strewn.View.Pointer, MovedStrewn = layout._movedStrewn.View.Pointer;

        public readonly float Rate = layout.Rate, SecondScale = layout.SecondScale;
    }

    private readonly struct Job<TMove>(UmapLayout layout, Pass pass) : IBlockJob where TMove : struct, IMove
    {
        public void Execute(long block, int worker)
        {
            int* start = layout._start.View.Pointer, columns = layout._columns.View.Pointer, due = layout._due!.View.Pointer + (long)worker * layout._longestRow;
            float* rates = layout._rates.View.Pointer, force = stackalloc float[layout._dimensions];
            float before = pass.Epoch, after = pass.Epoch + 1;
            for (int v = (int)block * VerticesPerBlock, end = Math.Min(v + VerticesPerBlock, layout._vertices); v < end; v++)
            {
                int count = 0;
                for (int e = start[v]; e < start[v + 1]; e++)
                {
                    // Written always and counted when due, which is faster than to branch on what nobody can predict.
                    due[count] = columns[e];
                    count += (int)(rates[e] * after) != (int)(rates[e] * before) ? 1 : 0;
                }
                CounterRandom random = new(layout._forces.Seed, stream: (ulong)pass.Epoch + 1, position: (ulong)(uint)v << 32);
                TMove.Force(layout, pass, v, due, count, ref random, force);
                layout.Advance(pass, v, force);
            }
        }
    }
}
