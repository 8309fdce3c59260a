using System.Runtime.CompilerServices;
using BioSup.Runtime;

namespace BioSup.Kernels;

public sealed unsafe partial class UmapLayout
{
    /// <summary>All ones, then all zeros: from [size − n] on, the mask of the first n lanes.</summary>
    private static readonly AlignedMask s_lanes = new();

    /// <summary>The forces of as many others at a time as a vector has lanes.</summary>
    private readonly struct UmapMove<TSimd, TVector> : IMove
        where TSimd : struct, ISimd<TVector, float>
        where TVector : struct
    {
        public static void Force(UmapLayout layout, in Pass pass, int vertex, int* due, int count, ref CounterRandom random, float* force)
        {
            int dimensions = layout._dimensions, lanes = TSimd.Count;
            UmapForces forces = layout._forces;
            float* here = pass.Position + (long)vertex * dimensions;
            float* sums = stackalloc float[dimensions * GroupSize], gathered = stackalloc float[dimensions * GroupSize];
            for (int d = 0; d < dimensions; d++) TSimd.Store(sums + d * lanes, TSimd.Zero);
            for (int e = 0; e < count; e += lanes)
            {
                int some = Math.Min(lanes, count - e);
                for (int s = 0; s < some; s++)
                {
                    float* there = pass.Position + (long)due[e + s] * dimensions;
                    for (int d = 0; d < dimensions; d++) gathered[d * lanes + s] = there[d];
                }
                Add<Pull>(forces, here, gathered, lanes, dimensions, some, sums);
            }
            for (int left = count * forces.NegativeSamples; left > 0; left -= GroupSize)
                Add<Push>(forces, here, pass.Strewn + random.NextInt32(layout._vertices), layout._stride, dimensions, Math.Min(left, GroupSize), sums);
            for (int d = 0; d < dimensions; d++) force[d] = TSimd.Sum(TSimd.Load(sums + d * lanes));
        }

        /// <summary>Adds the forces of some others to the sums. What lies behind them, up to a whole vector, may be anything.</summary>
        /// <param name="forces">Settings.</param>
        /// <param name="here">[dimensions].</param>
        /// <param name="there">The others, coordinate by coordinate.</param>
        /// <param name="stride">From one coordinate to the next.</param>
        /// <param name="dimensions">Coordinates.</param>
        /// <param name="some">How many others.</param>
        /// <param name="sums">[dimensions] vectors.</param>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Add<TForce>(in UmapForces forces, float* here, float* there, long stride, int dimensions, int some, float* sums) where TForce : struct, IForce
        {
            if (dimensions == 2)
            {
                // Two dimensions are what everybody draws: their sums stay in registers.
                TVector x = TSimd.Broadcast(here[0]), y = TSimd.Broadcast(here[1]), sumX = TSimd.Load(sums), sumY = TSimd.Load(sums + TSimd.Count);
                for (int s = 0; s < some; s += TSimd.Count)
                {
                    TVector dx = TSimd.Subtract(x, TSimd.Load(there + s)), dy = TSimd.Subtract(y, TSimd.Load(there + stride + s));
                    TVector square = TSimd.MultiplyAdd(dy, dy, TSimd.Multiply(dx, dx)), valid = Valid(square, some - s), factor = TForce.Factor(square, forces);
                    sumX = TSimd.Add(sumX, TSimd.And(Clip<TForce>(TSimd.Multiply(factor, dx)), valid));
                    sumY = TSimd.Add(sumY, TSimd.And(Clip<TForce>(TSimd.Multiply(factor, dy)), valid));
                }
                TSimd.Store(sums, sumX);
                TSimd.Store(sums + TSimd.Count, sumY);
                return;
            }
            for (int s = 0; s < some; s += TSimd.Count)
            {
                TVector square = TSimd.Zero;
                for (int d = 0; d < dimensions; d++)
                {
                    TVector difference = TSimd.Subtract(TSimd.Broadcast(here[d]), TSimd.Load(there + d * stride + s));
                    square = TSimd.MultiplyAdd(difference, difference, square);
                }
                TVector valid = Valid(square, some - s), factor = TForce.Factor(square, forces);
                for (int d = 0; d < dimensions; d++)
                {
                    TVector difference = TSimd.Subtract(TSimd.Broadcast(here[d]), TSimd.Load(there + d * stride + s));
                    TSimd.Store(sums + d * TSimd.Count, TSimd.Add(TSimd.Load(sums + d * TSimd.Count), TSimd.And(Clip<TForce>(TSimd.Multiply(factor, difference)), valid)));
                }
            }
        }

        /// <summary>The vertex itself, others at its place, and lanes behind the last have no force.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static TVector Valid(TVector square, int some)
        {
            TVector apart = TSimd.GreaterThan(square, TSimd.Zero);
            return some < TSimd.Count ? TSimd.And(apart, TSimd.Load(s_lanes.First(some))) : apart;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static TVector Clip<TForce>(TVector value) where TForce : struct, IForce =>
            TSimd.MinOrSecond(TSimd.Broadcast(TForce.Largest), TSimd.MaxOrSecond(TSimd.Broadcast(-TForce.Largest), value));

        private interface IForce
        {
            static abstract float Largest { get; }

            /// <summary>What the difference of two places is multiplied by, from its square.</summary>
            static abstract TVector Factor(TVector square, in UmapForces forces);
        }

        /// <summary>Twice the pull of an edge: both of its directions move the vertex.</summary>
        private readonly struct Pull : IForce
        {
            public static float Largest => 2 * Limit;

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            public static TVector Factor(TVector square, in UmapForces forces)
            {
                TVector power = VectorPower.Of<TSimd, TVector>(square, TSimd.Broadcast(forces.B)), curve = TSimd.MultiplyAdd(TSimd.Broadcast(forces.A), power, TSimd.Broadcast(1f));
                return TSimd.Divide(TSimd.Multiply(TSimd.Broadcast(-4 * forces.A * forces.B), power), TSimd.Multiply(square, curve));
            }
        }

        private readonly struct Push : IForce
        {
            public static float Largest => Limit;

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            public static TVector Factor(TVector square, in UmapForces forces)
            {
                TVector power = VectorPower.Of<TSimd, TVector>(square, TSimd.Broadcast(forces.B)), curve = TSimd.MultiplyAdd(TSimd.Broadcast(forces.A), power, TSimd.Broadcast(1f));
                return TSimd.Divide(TSimd.Broadcast(2 * forces.Repulsion * forces.B), TSimd.Multiply(TSimd.Add(square, TSimd.Broadcast(Softening)), curve));
            }
        }
    }

    private sealed class AlignedMask
    {
        private readonly int* _bits = (int*)System.Runtime.InteropServices.NativeMemory.AlignedAlloc(2 * GroupSize * sizeof(int), 64);

        public AlignedMask()
        {
            for (int i = 0; i < 2 * GroupSize; i++) _bits[i] = i < GroupSize ? -1 : 0;
        }

        public float* First(int lanes) => (float*)(_bits + GroupSize - lanes);
    }
}
