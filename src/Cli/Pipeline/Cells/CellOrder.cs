using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells;

/// <summary>Finds a step that comes before the one whose result it needs, while nothing has been done yet.</summary>
internal static class CellOrder
{
    /// <summary>Which step makes which part under its usual name; parts under other names are the person's own affair until the step runs.</summary>
    private static readonly (string Part, string Key, string Step)[] s_makers =
    [
        ("obsm", "X_pca", "pca"), ("uns", "neighbors", "neighbors"), ("obsm", "X_diffmap", "diffmap"), ("obs", "dpt_pseudotime", "dpt"),
        ("obsm", "X_umap", "umap"), ("obsm", "X_phate", "phate"), ("obs", "leiden", "leiden"),
    ];

    /// <summary>Settings that name a part that has to be there.</summary>
    private static readonly (string Setting, string Part)[] s_settings = [("use_rep", "obsm"), ("neighbors_key", "uns"), ("groupby", "obs"), ("groups", "obs"), ("time", "obs")];

    /// <summary>Parts that a step needs and has no setting for.</summary>
    private static readonly (string Step, string Part, string Key)[] s_fixed = [("dpt", "obsm", "X_diffmap"), ("root_robustness", "obsm", "X_diffmap")];

    /// <exception cref="UsageException">A part is neither in the matrix nor made by an earlier step; the sentence names the step that makes it.</exception>
    public static void Require(IReadOnlyList<PlannedStep> plan, AnnData data)
    {
        for (int i = 0; i < plan.Count; i++)
            foreach ((string part, string key) in Needs(plan[i]))
            {
                string? maker = s_makers.FirstOrDefault(m => m.Part == part && m.Key == key).Step;
                if (maker is null || Has(data, part, key) || plan.Take(i).Any(earlier => earlier.Step.Name == maker)) continue;
                string name = key == "neighbors" ? "neighbour graph" : $"{part}/{key}";
                throw new UsageException($"--steps {plan[i].Step.Name}: there is no {name}; the step '{maker}' makes it and has to come first.");
            }
    }

    private static IEnumerable<(string Part, string Key)> Needs(PlannedStep planned) =>
        s_settings.Where(s => planned.Step.Parameters.Any(p => p.Name == s.Setting)).Select(s => (s.Part, planned.Settings.Typed(s.Setting)))
            .Concat(s_fixed.Where(f => f.Step == planned.Step.Name).Select(f => (f.Part, f.Key)));

    private static bool Has(AnnData data, string part, string key) => part switch
    {
        "obs" => data.Obs.Contains(key),
        "uns" => data.Uns.ContainsKey(key),
        _ => data.Obsm.ContainsKey(key),
    };
}
