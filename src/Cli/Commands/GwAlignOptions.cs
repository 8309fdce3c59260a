using System.CommandLine;
using BioSup.Analysis.Alignment;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>The options of `biosup gw align` and what they mean.</summary>
internal static class GwAlignOptions
{
    public static readonly Option<string> X = new("--x") { Description = "first domain: a matrix (rows are cells), or its cost with --cost precomputed", Required = true };
    public static readonly Option<string> Y = new("--y") { Description = "second domain", Required = true };
    public static readonly Option<string> Out = new("--out") { Description = "result folder", Required = true };
    public static readonly Option<string?> Preset = new("--preset") { Description = "scot (default) or gw-map: defaults of the options below" };
    public static readonly Option<string> Cost = new("--cost") { Description = "geodesic, sqeuclidean, euclidean, cosine, correlation or precomputed", DefaultValueFactory = _ => "geodesic" };
    public static readonly Option<double?> Epsilon = new("--epsilon") { Description = "entropic regularisation, in units of the scaled cost" };
    public static readonly Option<string?> Convention = new("--convention") { Description = "whose epsilon: pot or ott; POT(e) = OTT(e / 2)" };
    public static readonly Option<int?> Knn = new("--knn") { Description = "neighbours in the graph; default min(50, 0.2 n) (scot) or 60 (gw-map)" };
    public static readonly Option<string?> GraphMetric = new("--graph-metric") { Description = "metric of the neighbour graph" };
    public static readonly Option<string?> GraphWeights = new("--graph-weights") { Description = "hops or distance" };
    public static readonly Option<string?> GraphSelf = new("--graph-self") { Description = "include or exclude: whether a cell is the first of its own neighbours" };
    public static readonly Option<string?> RowNorm = new("--row-norm") { Description = "none or l2" };
    public static readonly Option<string?> ScaleCost = new("--scale-cost") { Description = "none, max, mean or median" };
    public static readonly Option<string> Components = new("--components") { Description = "where the graph falls apart: max (the largest finite distance), bridge (an edge between the nearest points of every two parts) or error", DefaultValueFactory = _ => "max" };
    public static readonly Option<int?> Embed = new("--embed") { Description = "coordinates of a kernel-PCA embedding whose squared distances stand for the cost; its error is reported" };
    public static readonly Option<string> Solver = new("--solver") { Description = "pgd, ppa, lowrank (factors of rank --rank, memory linear in the cells with --cost sqeuclidean) or auto", DefaultValueFactory = _ => "auto" };
    public static readonly Option<string> Loss = new("--loss") { Description = "square or kl", DefaultValueFactory = _ => "square" };
    public static readonly Option<string?> LabelsX = GwCommand.LabelsX();
    public static readonly Option<string?> LabelsY = GwCommand.LabelsY();
    public static readonly Option<string?> Truth = GwCommand.Truth();
    public static readonly Option<string?> BlocksX = new("--blocks-x") { Description = "labels that restrict the coupling, a class per row of the first domain (as --labels-x): a cell may only go to cells of the other domain with its label" };
    public static readonly Option<string?> BlocksY = new("--blocks-y") { Description = "the same for the second domain; both have the same set of labels" };
    public static readonly Option<string?> Fused = new("--fused") { Description = "cost between the domains [n, m]" };
    public static readonly Option<double?> Alpha = new("--alpha") { Description = "weight of the structure in a fused problem; default 0.5" };
    public static readonly Option<string?> Init = new("--init") { Description = "starting coupling [n, m]" };
    public static readonly Option<string?> Start = new("--start") { Description = "first start: product (default; of the masses) or quantised (landmarks of both domains, aligned from several starts and spread over their cells)" };
    public static readonly Option<int> Starts = new("--starts") { Description = "starting couplings: the first one, a mirrored one, random ones", DefaultValueFactory = _ => 1 };
    public static readonly Option<string?> Coupling = new("--coupling") { Description = "stored (a matrix), implicit (squared Euclidean costs: factors and potentials, memory linear in the cells) or auto (default: implicit where the matrix does not fit)" };
    public static readonly Option<int?> Rank = new("--rank") { Description = "rank of a low-rank coupling; default 20" };
    public static readonly Option<int> Null = new("--null") { Description = "decoy targets with rearranged clusters for the null distribution", DefaultValueFactory = _ => 0 };
    public static readonly Option<int> Stability = new("--stability") { Description = "bootstrap replicates for the stability of every cell's partner", DefaultValueFactory = _ => 0 };
    public static readonly Option<string?> Marginals = new("--marginals") { Description = "balanced (default), semi-relaxed (columns free), unbalanced (departures cost --rho) or partial (carries --mass)" };
    public static readonly Option<double?> Mass = new("--mass") { Description = "partial: share of the mass that is matched, in (0, 1]" };
    public static readonly Option<double?> Rho = new("--rho") { Description = "unbalanced: price of departing from the masses, in the units of --epsilon; default 1" };
    public static readonly Option<string?> Stop = new("--stop") { Description = "outer stopping rule: pot (default; change of the coupling) or ott (relative change of the regularised cost)" };
    public static readonly Option<double?> Tolerance = new("--tol") { Description = "outer tolerance; default 1e-9 (pot) or 1e-3 (ott)" };
    public static readonly Option<int?> MaxIterations = new("--max-iter") { Description = "most outer iterations; default 1000 (pot) or 51 (ott: fifty after the first)" };
    public static readonly Option<string> Dtype = new("--dtype") { Description = "float64 or float32", DefaultValueFactory = _ => "float64" };
    public static readonly Option<string> Inner = new("--inner") { Description = "converged (fast) or pot (POT's own iterates, up to its limit of 1000)", DefaultValueFactory = _ => "converged" };

    public static IEnumerable<Option> All =>
    [
        X, Y, Out, Preset, Cost, Epsilon, Convention, Knn, GraphMetric, GraphWeights, GraphSelf, RowNorm, ScaleCost, Components, Embed, Solver, Loss, LabelsX, LabelsY, Truth,
        BlocksX, BlocksY, Fused, Alpha, Init, Start, Starts, Coupling, Rank, Null, Stability, Marginals, Mass, Rho, Stop, Tolerance, MaxIterations, Dtype, Inner,
    ];

    /// <summary>The options as parameters of the alignment, for domains of the given sizes.</summary>
    public static AlignmentOptions Read(ParseResult parsed, ulong seed, int n, int m)
    {
        bool gwMap = Choose(parsed.GetValue(Preset) ?? "scot", "--preset", ("scot", false), ("gw-map", true));
        if (parsed.GetValue(Rank) is not null && !GwLowRank.Wanted(parsed)) throw new UsageException("--rank is the rank of a low-rank coupling; add --solver lowrank.");
        AlignmentOptions preset = gwMap ? AlignmentOptions.GwMap() : AlignmentOptions.Scot(1, 1e-3);
        GromovSolverKind solver = Choose(parsed.GetValue(Solver)!, "--solver", ("auto", GromovSolverKind.Pgd), ("pgd", GromovSolverKind.Pgd), ("ppa", GromovSolverKind.Ppa), ("lowrank", GromovSolverKind.Pgd));
        bool fused = parsed.GetValue(Fused) is not null;
        if (!fused && parsed.GetValue(Alpha) is not null) throw new UsageException("--alpha weighs the cost given with --fused, which is missing.");
        MarginalConstraint marginals = ReadMarginals(parsed);
        bool proximal = marginals == MarginalConstraint.SemiRelaxed && parsed.GetValue(Solver) == "auto";
        bool ott = Choose(parsed.GetValue(Stop) ?? "pot", "--stop", ("pot", false), ("ott", true));
        GromovOptions gromov = preset.Gromov with
        {
            Epsilon = parsed.GetValue(Epsilon) ?? preset.Gromov.Epsilon,
            Convention = parsed.GetValue(Convention) is { } convention ? Choose(convention, "--convention", ("pot", EpsilonConvention.Pot), ("ott", EpsilonConvention.Ott)) : preset.Gromov.Convention,
            Loss = Choose(parsed.GetValue(Loss)!, "--loss", ("square", GromovLoss.Square), ("kl", GromovLoss.KullbackLeibler)),
            Solver = proximal ? GromovSolverKind.Ppa : solver,
            Marginals = marginals,
            Mass = parsed.GetValue(Mass) ?? 1,
            Rho = parsed.GetValue(Rho) ?? 1,
            Stop = ott ? StoppingRule.Ott : StoppingRule.Pot,
            Tolerance = parsed.GetValue(Tolerance) ?? (ott ? 1e-3 : 1e-9),
            MaxIterations = parsed.GetValue(MaxIterations) ?? (ott ? 51 : 1000),
            Alpha = fused ? parsed.GetValue(Alpha) ?? 0.5 : 1,
            Precision = Choose(parsed.GetValue(Dtype)!, "--dtype", ("float64", GromovPrecision.Double), ("float32", GromovPrecision.Single)),
            InnerSolve = Choose(parsed.GetValue(Inner)!, "--inner", ("converged", InnerSolve.Converged), ("pot", InnerSolve.PotIterates)),
        };
        gromov.Validate();
        return new AlignmentOptions
        {
            FirstCost = CostOptions(parsed, preset.FirstCost, gwMap, n),
            SecondCost = CostOptions(parsed, preset.SecondCost, gwMap, m),
            Gromov = gromov,
            FirstStart = Choose(parsed.GetValue(Start) ?? "product", "--start", ("product", FirstStart.Product), ("quantised", FirstStart.Quantised)),
            Starts = parsed.GetValue(Starts),
            Decoys = parsed.GetValue(Null),
            Seed = seed,
            Coupling = Choose(parsed.GetValue(Coupling) ?? "auto", "--coupling", ("auto", CouplingForm.Auto), ("stored", CouplingForm.Stored), ("implicit", CouplingForm.Implicit)),
            Blocks = GwCommand.ReadPair(parsed, BlocksX, BlocksY) is ({ } first, { } second) ? new BlockLabels(Complete(first, parsed.GetValue(BlocksX)!), Complete(second, parsed.GetValue(BlocksY)!)) : null,
            Replicates = parsed.GetValue(Stability),
            TruthIsIdentity = GwCommand.TruthIsIdentity(parsed.GetValue(Truth)),
        };
    }

    /// <summary>A cell without a label belongs to no block.</summary>
    private static string[] Complete(string[] labels, string locator)
    {
        int missing = Array.FindIndex(labels, string.IsNullOrWhiteSpace);
        return missing < 0 ? labels : throw new DataException(locator, $"row {missing}, counted from 0", "the label is empty; every cell belongs to a block");
    }

    private static MarginalConstraint ReadMarginals(ParseResult parsed)
    {
        MarginalConstraint marginals = Choose(parsed.GetValue(Marginals) ?? "balanced", "--marginals", ("balanced", MarginalConstraint.Balanced),
            ("semi-relaxed", MarginalConstraint.SemiRelaxed), ("unbalanced", MarginalConstraint.Unbalanced), ("partial", MarginalConstraint.Partial));
        if (marginals == MarginalConstraint.Partial && parsed.GetValue(Mass) is null) throw new UsageException("--marginals partial needs --mass: the share of the mass to match.");
        if (marginals != MarginalConstraint.Partial && parsed.GetValue(Mass) is not null) throw new UsageException("--mass is the mass of a partial coupling; add --marginals partial.");
        if (marginals != MarginalConstraint.Unbalanced && parsed.GetValue(Rho) is not null) throw new UsageException("--rho is the price of departing from the masses in an unbalanced problem; add --marginals unbalanced.");
        return marginals;
    }

    private static DomainCostOptions CostOptions(ParseResult parsed, DomainCostOptions preset, bool gwMap, int count) => preset with
    {
        Cost = Choose(parsed.GetValue(Cost)!, "--cost", ("geodesic", DomainCost.Geodesic), ("sqeuclidean", DomainCost.SquaredEuclidean), ("euclidean", DomainCost.Euclidean),
            ("cosine", DomainCost.Cosine), ("correlation", DomainCost.Correlation), ("precomputed", DomainCost.Precomputed)),
        Neighbours = parsed.GetValue(Knn) ?? (gwMap ? Math.Min(60, count - 1) : Math.Max(2, Math.Min(50, (int)(0.2 * count)))),
        GraphMetric = parsed.GetValue(GraphMetric) is { } metric ? DistanceMetrics.Parse(metric) : preset.GraphMetric,
        GraphWeights = parsed.GetValue(GraphWeights) is { } weights
            ? Choose(weights, "--graph-weights", ("hops", Analysis.Alignment.GraphWeights.Hops), ("distance", Analysis.Alignment.GraphWeights.Distance)) : preset.GraphWeights,
        IncludeSelf = parsed.GetValue(GraphSelf) is { } self ? Choose(self, "--graph-self", ("include", true), ("exclude", false)) : preset.IncludeSelf,
        RowNormalisation = parsed.GetValue(RowNorm) is { } norm ? Choose(norm, "--row-norm", ("none", RowNormalisation.None), ("l2", RowNormalisation.L2)) : preset.RowNormalisation,
        Scale = parsed.GetValue(ScaleCost) is { } scale
            ? Choose(scale, "--scale-cost", ("none", CostScale.None), ("max", CostScale.Max), ("mean", CostScale.Mean), ("median", CostScale.Median)) : preset.Scale,
        EmbeddingRank = parsed.GetValue(Embed) is { } rank ? (rank > 0 ? rank : throw new UsageException($"--embed {rank}: a cost is embedded in at least one coordinate.")) : 0,
        Components = Choose(parsed.GetValue(Components)!, "--components", ("max", ComponentRule.LargestFinite), ("bridge", ComponentRule.Bridge), ("error", ComponentRule.Refuse)),
    };

    private static T Choose<T>(string text, string option, params (string Name, T Value)[] choices)
    {
        foreach ((string name, T value) in choices)
            if (string.Equals(name, text, StringComparison.OrdinalIgnoreCase)) return value;
        throw new UsageException($"{option} {text}: expected {string.Join(", ", choices.Select(c => c.Name))}.");
    }
}
