using BioSup.Cli.Pipeline.Cells.Steps;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells;

/// <summary>Finds a step that names a part which is neither in the matrix nor made by an earlier step, while nothing has been done yet.</summary>
internal static class CellOrder
{
    /// <summary>Settings that name a column of obs; one that is empty names none.</summary>
    private static readonly string[] s_columns = ["groupby", "value", "time", "composition", "class_key"];

    /// <summary>Settings that list variables or columns of obs.</summary>
    private static readonly string[] s_lists = ["keys", "color", "var_names", "vals", "features"];

    /// <exception cref="UsageException">The sentence names the part and, where a step of the program makes it, that step.</exception>
    public static void Require(IReadOnlyList<PlannedStep> plan, AnnData data)
    {
        for (int i = 0; i < plan.Count; i++)
            foreach (Need need in Needs(plan[i]).Concat(Representation(plan, i, data)).Where(n => !n.Keys.Any(key => Has(data, n.Part, key) || plan.Take(i).Any(earlier => IsMadeBy(earlier, n.Part, key)))))
                throw new UsageException($"--steps {plan[i].Step.Name}: {Sentence(need, plan, data)}");
    }

    /// <summary>What a step leaves that others may name, as part and key; a key that ends in * stands for all that begin so.</summary>
    internal static IEnumerable<(string Part, string Key)> Makes(PlannedStep planned)
    {
        string Typed(string name) => planned.Settings.Typed(name);
        string Or(string name, string usual) => Typed(name) is { Length: > 0 } key && key != StepMatrix.None ? key : usual;
        return planned.Step.Name switch
        {
            "qc" => [("obs", "n_genes_by_counts"), ("obs", "total_counts*"), ("obs", "log1p_*"), ("obs", "pct_counts_*"), ("var", "*")],
            "filter_cells" => [("obs", "n_counts"), ("obs", "n_genes")],
            "filter_genes" => [("var", "n_cells"), ("var", "n_counts")],
            "keep" => [("layers", Typed("layer")), .. Typed("raw") == "true" ? [("raw", "X")] : Array.Empty<(string, string)>()],
            "normalize_total" => [("obs", Typed("key_added"))],
            "highly_variable_genes" => [("var", "*")],
            "scale" => [("var", "mean"), ("var", "std")],
            "score_genes" => [("obs", Typed("gmt") == StepMatrix.None ? Typed("score_name") : "*")],
            "latents" => [("layers", "log1p"), ("var", "*")],
            "pca" => [("obsm", Or("key_added", "X_pca"))],
            "neighbors" => [("uns", Typed("key_added"))],
            "diffmap" => [("obsm", "X_diffmap")],
            "dpt" => [("obs", "dpt_pseudotime")],
            "umap" => [("obsm", Or("key_added", "X_umap"))],
            "phate" => [("obsm", "X_phate"), ("obsm", "X_phate_t*")],
            "leiden" => [("obs", Typed("key_added"))],
            "select_concepts" => [("var", "gini"), ("var", "concept")],
            _ => [],
        };
    }

    /// <summary>Whether a step leaves a part under a key.</summary>
    internal static bool IsMadeBy(PlannedStep planned, string part, string key) => Makes(planned).Any(made => Fits(made, part, key));

    private static IEnumerable<Need> Needs(PlannedStep planned)
    {
        HashSet<string> known = [.. planned.Step.Parameters.Select(p => p.Name)];
        string Typed(string name) => known.Contains(name) ? planned.Settings.Typed(name) : "";
        foreach (string setting in s_columns)
            if (Typed(setting) is { Length: > 0 } column) yield return new Need("obs", column);
        if (planned.Step.Name == "paga") yield return new Need("obs", Typed("groups"));
        if (planned.Step.Name == "filter_cells" && Typed("column") is { } filtered && filtered != StepMatrix.None) yield return new Need("obs", filtered);
        foreach (string name in s_lists.SelectMany(setting => Typed(setting).Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)))
            yield return new Need("obs or var", name);
        if (Typed("use_rep") is { Length: > 0 } representation and not ("X" or "auto")) yield return new Need("obsm", representation);
        if (Typed("init_pos") is { Length: > 0 } begin and not "spectral") yield return new Need("obsm", begin);
        if (planned.Step.Name == "plot") yield return new Need("obsm", "X_" + Typed("basis"), Typed("basis"));
        if (planned.Step.Name is "dpt" or "root_robustness") yield return new Need("obsm", "X_diffmap");
        if (Typed("neighbors_key") is { Length: > 0 } graph) yield return new Need("uns", graph);
        // The layer that keep makes, all others read.
        if (planned.Step.Name != "keep" && Typed("layer") is { Length: > 0 } layer and not "X") yield return new Need("layers", layer);
        if (Typed("use_raw") == "true") yield return new Need("raw", "X");
        if (Typed("mask_var") is { Length: > 0 } mask and not ("auto" or StepMatrix.None)) yield return new Need("var", mask);
    }

    /// <summary>Neighbours are looked for in X_pca, unless there are few variables; how many there will be is not known after a step that selects some.</summary>
    private static Need[] Representation(IReadOnlyList<PlannedStep> plan, int i, AnnData data) =>
        plan[i].Step.Name == "neighbors" && plan[i].Settings.Typed("use_rep") == "auto" && data.VariableCount > NeighborsStep.FewVariables
            && !plan.Take(i).Any(p => p.Step.Name is "filter_genes" or "highly_variable_genes" or "latents") ? [new Need("obsm", "X_pca")] : [];

    private static bool Has(AnnData data, string part, string key) => part switch
    {
        "obs" => data.Obs.Contains(key),
        "obs or var" => data.Obs.Contains(key) || data.Var.Index.Contains(key) || (data.Raw?.Var.Index.Contains(key) ?? false),
        "var" => data.Var.Contains(key),
        "obsm" => data.Obsm.ContainsKey(key),
        "layers" => data.Layers.ContainsKey(key),
        "raw" => data.Raw is not null,
        _ => data.Uns.ContainsKey(key),
    };

    private static bool Fits((string Part, string Key) made, string part, string key) => (made.Part == part || (made.Part == "obs" && part == "obs or var"))
        && (made.Key.EndsWith('*') ? key.StartsWith(made.Key[..^1], StringComparison.Ordinal) : made.Key == key);

    private static string Sentence(Need need, IReadOnlyList<PlannedStep> plan, AnnData data)
    {
        string key = need.Keys[0], name = need is { Part: "uns", Keys: ["neighbors"] } ? "neighbour graph" : need.Part switch
        {
            "uns" => $"neighbour graph '{key}' in uns",
            "raw" => "raw",
            _ => $"{need.Part}/{key}",
        };
        string? maker = Maker(need, plan);
        if (maker is not null) return $"there is no {name}; the step {maker} makes it and has to come first.";
        IEnumerable<string> present = need.Part switch
        {
            "obs" or "obs or var" => data.Obs.Columns.Select(c => c.Name),
            "var" => data.Var.Columns.Select(c => c.Name),
            "obsm" => data.Obsm.Keys,
            "layers" => data.Layers.Keys,
            _ => [],
        };
        string[] all = [.. present.Concat(plan.SelectMany(Makes).Where(m => need.Part.StartsWith(m.Part, StringComparison.Ordinal) && !m.Key.EndsWith('*') && m.Key != StepMatrix.None).Select(m => m.Key)).Distinct()];
        string there = all.Length == 0 ? "there are none" : $"there {(all.Length == 1 ? "is" : "are")} {string.Join(", ", all.Take(20))}{(all.Length > 20 ? ", …" : "")}";
        return need.Part switch
        {
            "obs" when all.Length > 1 => $"there is no column '{key}' in obs; the columns are{there[9..]}.",
            "obs" => $"there is no column '{key}' in obs; {there}.",
            "obs or var" => $"there is no '{key}': neither a column of obs ({(all.Length == 0 ? "there are none" : string.Join(", ", all.Take(20)))}) nor one of the {data.VariableCount} variables.",
            "var" => $"there is no column '{key}' in var; {there}.",
            "layers" => $"there is no layer '{key}'; {there}, and the step 'keep' with layer={key} makes it.",
            _ => $"there is no {name}; {there}.",
        };
    }

    /// <summary>The step that makes a part, as it would have to be typed: a later one of the plan, or else one that makes it under its usual name.</summary>
    private static string? Maker(Need need, IReadOnlyList<PlannedStep> plan)
    {
        if (plan.FirstOrDefault(p => need.Keys.Any(key => IsMadeBy(p, need.Part, key))) is { } later) return $"'{later.Step.Name}'";
        foreach (ICellStep step in CellSteps.All)
            if (need.Keys.Any(key => Makes(new PlannedStep(step, StepSettings.Parse(step, []))).Any(made => made.Key != "*" && Fits(made, need.Part, key)))) return $"'{step.Name}'";
        return need switch
        {
            { Part: "uns" } => $"'neighbors' with key_added={need.Keys[0]}",
            { Part: "raw" } => "'keep' with raw=true",
            _ => null,
        };
    }

    /// <summary>A part that has to be there under one of some keys.</summary>
    private sealed record Need(string Part, params string[] Keys);
}
