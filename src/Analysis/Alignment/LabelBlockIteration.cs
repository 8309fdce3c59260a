using System.Diagnostics;
using System.Globalization;
using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>The outer iteration on the blocks of a coupling. Cells are ordered by label, so that every pair of labels is a rectangle of each cost.</summary>
internal sealed class LabelBlockIteration : IDisposable
{
    /// <summary>POT's guard of logarithms in the Kullback-Leibler loss.</summary>
    private const double LogGuard = 1e-15;
    private readonly LabelBlocks _blocks;
    private readonly GromovOptions _options;
    private readonly LabelBlockMode _mode;
    private readonly ComputeDevice _device;
    private readonly List<IDisposable> _owned = [];
    private readonly Matrix<double> _h1, _h2, _scratch;
    private readonly int[] _rowStart, _columnStart;
    private readonly Block[] _parts;
    private readonly int _n, _m;
    private long _innerIterations, _productTicks, _sinkhornTicks;
    private int _innerNotConverged;
    private double _lastInnerError;

    public LabelBlockIteration(Matrix<double> c1, Matrix<double> c2, LabelBlocks blocks, GromovOptions options, LabelBlockMode mode, Matrix<double>? fused, Matrix<double>? initial)
    {
        (_blocks, _options, _mode, _device, _n, _m) = (blocks, options, mode, c1.Device, c1.Rows, c2.Rows);
        (_rowStart, _columnStart) = (Starts(blocks.Rows), Starts(blocks.Columns));
        bool square = options.Loss == GromovLoss.Square;
        _h1 = Own(Ordered(c1, blocks.Rows, x => x));
        _h2 = Own(Ordered(c2, blocks.Columns, square ? x => 2 * x : x => Math.Log(x + LogGuard)));
        _parts = new Block[blocks.Count];
        for (int l = 0; l < blocks.Count; l++)
            _parts[l] = Own(new Block(_device, blocks, l, Mass(l), fused, initial)
            {
                RowTerms = Terms(c1, blocks.Rows, blocks.RowShares, l, square ? x => x * x : x => x * Math.Log(x + LogGuard) - x), ColumnTerms = Terms(c2, blocks.Columns, blocks.ColumnShares, l, square ? x => x * x : x => x),
            });
        _scratch = Own(_device.AllocateMatrix<double>(blocks.Rows.Max(r => r.Length), blocks.Columns.Max(c => c.Length)));
    }

    public GromovResult Run(IProgressReporter progress, CancellationToken cancellation)
    {
        List<double> trace = [];
        double error = double.PositiveInfinity;
        int iteration = 0;
        while (error > _options.Tolerance && iteration < _options.MaxIterations)
        {
            cancellation.ThrowIfCancellationRequested();
            double change = Step(iteration == 0);
            if (!double.IsFinite(change)) throw new ConvergenceException($"The coupling became non-finite at outer iteration {iteration}; raise epsilon or scale the costs.");
            if (iteration % _options.CheckEvery == 0)
            {
                error = change;
                trace.Add(error);
                progress.Report("aligning", iteration, 0, string.Create(CultureInfo.InvariantCulture, $"change of the coupling {change:e3}"));
            }
            iteration++;
        }
        return Finish(trace, error <= _options.Tolerance, iteration);
    }

    /// <summary>
    /// How far the coupling that was started from is from a first-order optimum among the couplings of these blocks: a linear problem per label, with uniform masses within it. Gradients are those of
    /// POT's convention, as in <see cref="StationarityGap"/>.
    /// </summary>
    public StationarityGap Gap(CancellationToken cancellation)
    {
        foreach ((int label, Block part) in _parts.Index()) part.Round(Mass(label));
        double entropyWeight = _options.Solver == GromovSolverKind.Ppa ? 0 : _options.Convention == EpsilonConvention.Pot ? _options.Epsilon : 2 * _options.Epsilon;
        (double loss, double lossSlack) = Of(0);
        (double objective, double objectiveSlack) = entropyWeight == 0 ? (loss, lossSlack) : Of(entropyWeight);
        foreach ((int label, Block part) in _parts.Index()) part.Product(Mass(label));
        double scale = 0;
        foreach ((int label, Block part) in _parts.Index())
        {
            Tensor(label);
            part.Linearise(_options.Alpha, 1 - _options.Alpha, 0);
            scale += part.LinearSum();
        }
        return new StationarityGap(objective, loss, Math.Max(lossSlack, objectiveSlack), scale);

        (double Gap, double Slack) Of(double entropy)
        {
            double gap = 0, slack = 0;
            foreach ((int label, Block part) in _parts.Index())
            {
                cancellation.ThrowIfCancellationRequested();
                Tensor(label);
                part.Linearise(2 * _options.Alpha, 1 - _options.Alpha, -entropy);
                TransportBounds least = LinearTransport.Minimise(part.Cost, cancellation);
                gap += Math.Max(0, part.LinearSum() - Mass(label) * least.Lower);
                slack += Mass(label) * (least.Upper - least.Lower);
            }
            return (gap, slack);
        }
    }

    public void Dispose()
    {
        foreach (IDisposable owned in _owned) owned.Dispose();
        _owned.Clear();
    }

    private bool Separate => _mode == LabelBlockMode.Separate;

    /// <summary>Mass of a label in the problem that is solved: a separate problem has mass 1.</summary>
    private double Mass(int label) => Separate ? 1 : _blocks.Masses[label];

    /// <summary>All costs are linearised at the same coupling, then every block is solved. Returns the Frobenius norm of the change.</summary>
    private double Step(bool cold)
    {
        long start = Stopwatch.GetTimestamp();
        for (int l = 0; l < _parts.Length; l++)
        {
            Tensor(l);
            _parts[l].Linearise(_options.LinearScale * _options.Alpha, 0.5 * _options.LinearScale * (1 - _options.Alpha), _options.Solver == GromovSolverKind.Ppa ? _options.Epsilon : 0);
        }
        long products = Stopwatch.GetTimestamp();
        double squares = 0;
        foreach (Block part in _parts)
        {
            if (cold || _options.InnerSolve == InnerSolve.PotIterates) part.F.Clear();
            SinkhornResult solved = SinkhornScaling.Solve(part.Workspace, part.Cost.View, part.P.View, part.Q.View, _options.Epsilon, part.F.View, part.G.View, _options.EffectiveInner);
            _innerIterations += solved.Iterations;
            if (!solved.Converged) _innerNotConverged++;
            _lastInnerError = solved.MarginalError;
            double change = SinkhornScaling.UpdateCoupling(part.Cost.View, part.F.View, part.G.View, _options.Epsilon, part.Coupling.View, part.Scratch.View, default);
            squares += change * change;
        }
        _productTicks += products - start;
        _sinkhornTicks += Stopwatch.GetTimestamp() - products;
        return Math.Sqrt(squares);
    }

    /// <summary>L ⊗ T on the block of a label, over the labels that count, into its cost.</summary>
    private void Tensor(int label)
    {
        Block part = _parts[label];
        for (int i = 0; i < part.Rows; i++) TensorPrimitives.Add<double>(part.ColumnTerms, part.RowTerms[i], part.Cost.Row(i));
        for (int b = 0; b < _parts.Length; b++)
        {
            if (Separate && b != label) continue;
            Block other = _parts[b];
            MatrixView<double> between = _scratch.View.RowBlock(0, other.Rows).ColumnBlock(0, part.Columns);
            Gemm.Multiply(Transpose.No, Transpose.Yes, 1, other.Coupling.View, _h2.View.RowBlock(_columnStart[label], part.Columns).ColumnBlock(_columnStart[b], other.Columns), 0, between);
            Gemm.Multiply(Transpose.No, Transpose.No, -1, _h1.View.RowBlock(_rowStart[label], part.Rows).ColumnBlock(_rowStart[b], other.Rows), between, 1, part.Cost.View);
        }
    }

    private GromovResult Finish(List<double> trace, bool converged, int iterations)
    {
        Matrix<double> coupling = _device.AllocateMatrix<double>(_n, _m);
        coupling.Buffer.Clear();
        double loss = 0, between = 0;
        foreach ((int label, Block part) in _parts.Index())
        {
            double share = _blocks.Masses[label] / Mass(label);
            Tensor(label);
            between += share * part.FusedSum();
            loss += share * part.LinearSum();
            for (int i = 0; i < part.Rows; i++)
                for (int j = 0; j < part.Columns; j++) coupling.Row(_blocks.Rows[label][i])[_blocks.Columns[label][j]] = share * part.Coupling.Row(i)[j];
        }
        CouplingSums sums = CouplingSums.Of(coupling);
        (double Rows, double Columns) violation = (CouplingSums.Distance(sums.Rows, _blocks.RowMasses(_n)), CouplingSums.Distance(sums.Columns, _blocks.ColumnMasses(_m)));
        double total = _options.Alpha * loss + (1 - _options.Alpha) * between, ticks = Stopwatch.Frequency;
        double potEpsilon = _options.Convention == EpsilonConvention.Pot ? _options.Epsilon : 2 * _options.Epsilon;
        return new GromovResult
        {
            Coupling = coupling,
            Mass = sums.Mass,
            Loss = loss,
            FusedLoss = total,
            Entropy = sums.Entropy,
            RegularisedObjective = total - potEpsilon * (sums.Entropy + sums.Mass),
            RowError = violation.Rows,
            ColumnError = violation.Columns,
            RowDeviation = CouplingSums.Distance(sums.Rows, EntropicGromovWasserstein.Uniform(_n)),
            ColumnDeviation = CouplingSums.Distance(sums.Columns, EntropicGromovWasserstein.Uniform(_m)),
            ErrorTrace = trace,
            Converged = converged,
            Iterations = iterations,
            InnerIterations = _innerIterations,
            InnerNotConverged = _innerNotConverged,
            LastInnerError = _lastInnerError,
            KernelFill = 1,
            Timing = new GromovTiming(_productTicks / ticks, 0, _sinkhornTicks / ticks, 0),
            Warnings = ResultWarnings.For(_options, converged, iterations, _innerNotConverged, _lastInnerError, loss, sums.Mass, violation),
        };
    }

    private static int[] Starts(int[][] cells)
    {
        int[] starts = new int[cells.Length];
        for (int l = 1; l < cells.Length; l++) starts[l] = starts[l - 1] + cells[l - 1].Length;
        return starts;
    }

    private static Matrix<double> Ordered(Matrix<double> cost, int[][] cells, Func<double, double> of)
    {
        int[] order = [.. cells.SelectMany(c => c)];
        Matrix<double> ordered = cost.Device.AllocateMatrix<double>(cost.Rows, cost.Rows);
        BlockLoop.Run(cost.Device, order.Length, i =>
        {
            ReadOnlySpan<double> from = cost.Row(order[i]);
            Span<double> to = ordered.Row(i);
            for (int k = 0; k < to.Length; k++) to[k] = of(from[order[k]]);
        });
        return ordered;
    }

    /// <summary>sum_k f(C_ik) p_k of every cell of a label, over the labels that count.</summary>
    private double[] Terms(Matrix<double> cost, int[][] cells, double[][] shares, int label, Func<double, double> of)
    {
        double[] terms = new double[cells[label].Length];
        BlockLoop.Run(cost.Device, terms.Length, i =>
        {
            ReadOnlySpan<double> row = cost.Row(cells[label][i]);
            for (int b = 0; b < cells.Length; b++)
            {
                if (Separate && b != label) continue;
                double sum = 0;
                for (int c = 0; c < cells[b].Length; c++) sum += of(row[cells[b][c]]) * shares[b][c];
                terms[i] += sum * Mass(b);
            }
        });
        return terms;
    }

    private TOwned Own<TOwned>(TOwned item) where TOwned : IDisposable
    {
        _owned.Add(item);
        return item;
    }

    /// <summary>One label: its part of the coupling with the memory of its Sinkhorn.</summary>
    private sealed class Block : IDisposable
    {
        private readonly Matrix<double>? _fused;

        public Block(ComputeDevice device, LabelBlocks blocks, int label, double mass, Matrix<double>? fused, Matrix<double>? initial)
        {
            (int[] rows, int[] columns) = (blocks.Rows[label], blocks.Columns[label]);
            (Rows, Columns) = (rows.Length, columns.Length);
            (Coupling, Cost, Workspace) = (device.AllocateMatrix<double>(Rows, Columns), device.AllocateMatrix<double>(Rows, Columns), new SinkhornWorkspace<double>(device, Rows, Columns));
            (P, F, Scratch, Q, G) = (device.Allocate<double>(Rows), device.Allocate<double>(Rows), device.Allocate<double>(Rows), device.Allocate<double>(Columns), device.Allocate<double>(Columns));
            TensorPrimitives.Multiply(blocks.RowShares[label], mass, P.View.Host);
            TensorPrimitives.Multiply(blocks.ColumnShares[label], mass, Q.View.Host);
            if (initial is null || !Start(initial, rows, columns, mass))
                for (int i = 0; i < Rows; i++) TensorPrimitives.Multiply(blocks.ColumnShares[label], P.View.Host[i], Coupling.Row(i));
            if (fused is not null) _fused = CellStability.Part(device.Host, fused, rows, columns);
        }

        /// <summary>The block of a coupling, scaled to the block's mass; false where there is nothing to scale.</summary>
        private bool Start(Matrix<double> initial, int[] rows, int[] columns, double mass)
        {
            double sum = 0;
            for (int i = 0; i < Rows; i++)
                for (int j = 0; j < Columns; j++) sum += Coupling.Row(i)[j] = initial.Row(rows[i])[columns[j]];
            if (!(sum > 0)) return false;
            Scale(mass / sum);
            return true;
        }

        private void Scale(double by) => TensorPrimitives.Multiply(Coupling.Buffer.View.Host, by, Coupling.Buffer.View.Host);

        public int Rows { get; }
        public int Columns { get; }
        public required double[] RowTerms { get; init; }
        public required double[] ColumnTerms { get; init; }
        public Matrix<double> Coupling { get; }
        public Matrix<double> Cost { get; }
        public SinkhornWorkspace<double> Workspace { get; }
        public DeviceBuffer<double> P { get; }
        public DeviceBuffer<double> Q { get; }
        public DeviceBuffer<double> F { get; }
        public DeviceBuffer<double> G { get; }
        public DeviceBuffer<double> Scratch { get; }

        /// <summary>The tensor in <see cref="Cost"/> becomes the linear cost: it and the fused cost weighed, less a weight of log T.</summary>
        public void Linearise(double structure, double between, double logarithm)
        {
            Span<double> cost = Cost.Buffer.View.Host;
            TensorPrimitives.Multiply(cost, structure, cost);
            if (_fused is not null) TensorPrimitives.MultiplyAdd<double>(_fused.Buffer.View.Host, between, cost, cost);
            if (logarithm == 0) return;
            ReadOnlySpan<double> coupling = Coupling.Buffer.View.Host;
            for (int e = 0; e < cost.Length; e++) cost[e] -= logarithm * Math.Log(Math.Max(coupling[e], 1e-300));
        }

        /// <summary>Moves the coupling onto the block's masses, which are uniform within it.</summary>
        public void Round(double mass)
        {
            Scale(1 / mass);
            LinearTransport.Round(Coupling);
            Scale(mass);
        }

        /// <summary>The product of the block's masses.</summary>
        public void Product(double mass) => Coupling.Buffer.View.Host.Fill(mass / ((double)Rows * Columns));

        public double LinearSum() => TensorPrimitives.Dot<double>(Cost.Buffer.View.Host, Coupling.Buffer.View.Host);

        public double FusedSum() => _fused is null ? 0 : TensorPrimitives.Dot<double>(_fused.Buffer.View.Host, Coupling.Buffer.View.Host);

        public void Dispose()
        {
            foreach (IDisposable? owned in (ReadOnlySpan<IDisposable?>)[Coupling, Cost, Workspace, P, Q, F, G, Scratch, _fused]) owned?.Dispose();
        }
    }
}
