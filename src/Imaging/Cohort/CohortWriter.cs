using System.Text.Json;
using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>Writes the truth of a cohort, so that every later claim can be held against it.</summary>
public static class CohortWriter
{
    private static readonly JsonSerializerOptions s_readable = new() { WriteIndented = true };

    /// <summary>
    /// Writes into an existing folder: image_cells.csv and rna_cells.csv (id, class, death rate, stage, one column per concept), rna.h5ad
    /// (counts, cells as observations, genes as variables), programmes.gmt and truth.json (the generative model).
    /// </summary>
    public static void Write(Cohort cohort, string folder)
    {
        CsvFile.Write(Path.Combine(folder, "image_cells.csv"), CellTable(cohort.ImageCells));
        CsvFile.Write(Path.Combine(folder, "rna_cells.csv"), CellTable(cohort.RnaCells, new Column("library_size", cohort.LibrarySizes)));
        AnnDataFile.Write(Path.Combine(folder, "rna.h5ad"), Annotated(cohort));
        AtomicFile.WriteAllText(Path.Combine(folder, "programmes.gmt"),
            string.Concat(cohort.Programmes.Select(p => $"{p.Name}\t{CohortNames.Concepts[(int)p.Concept]}\t{string.Join('\t', p.Genes)}\n")));
        AtomicFile.WriteAllText(Path.Combine(folder, "truth.json"), Truth(cohort).ToJsonString(s_readable) + "\n");
    }

    /// <summary>The counts with class, death rate and library size of every cell.</summary>
    public static AnnData Annotated(Cohort cohort)
    {
        DataFrame cells = new((string[])cohort.RnaCells.Ids.Clone());
        cells.Add("class", cohort.RnaCells.ClassNames);
        cells.Add("death_rate", cohort.RnaCells.DeathRate);
        cells.Add("library_size", cohort.LibrarySizes);
        return new AnnData(cells, new DataFrame([.. cohort.Genes])) { X = NdArray.FromMatrix(cohort.Counts.View) };
    }

    /// <summary>One row per cell: cell, class, death_rate, stage, then the concepts.</summary>
    public static Table CellTable(CohortCells cells, params Column[] extra)
    {
        List<Column> columns = [new Column("cell", (string[])cells.Ids.Clone()), new Column("class", cells.ClassNames), new Column("death_rate", cells.DeathRate), new Column("stage", cells.Stage), .. extra];
        for (int j = 0; j < CohortNames.ConceptCount; j++)
        {
            double[] values = new double[cells.Count];
            for (int i = 0; i < values.Length; i++) values[i] = cells.Concepts.Row(i)[j];
            columns.Add(new Column(CohortNames.Concepts[j], values));
        }
        return new Table(columns);
    }

    /// <summary>The generative model: seed, classes, concepts with their probabilities and effects, death rate, gene programmes.</summary>
    public static JsonObject Truth(Cohort cohort) => new()
    {
        ["generated"] = true,
        ["seed"] = cohort.Options.Seed,
        ["image_cells"] = cohort.Options.ImageCells,
        ["rna_cells"] = cohort.Options.RnaCells,
        ["image_size"] = cohort.Options.ImageSize,
        ["channels"] = Strings(CohortNames.Channels),
        ["classes"] = Strings(CohortNames.Classes),
        ["class_shares"] = Numbers(CohortModel.ClassShares),
        ["stage_exponents"] = Numbers(Enumerable.Range(0, CohortNames.Classes.Count).Select(CohortModel.StageExponent)),
        ["event_width"] = CohortModel.EventWidth,
        ["courses"] = new JsonArray([.. Enumerable.Range(0, CohortNames.Classes.Count).Select(CourseTruth)]),
        ["death_rate"] = new JsonObject
        {
            ["formula"] = "logit(death_rate) = intercept + sum(weight * intensity) + noise * N(0, 1)",
            ["intercept"] = CohortModel.DeathIntercept,
            ["noise"] = CohortModel.DeathNoise,
        },
        ["concepts"] = new JsonArray([.. Enumerable.Range(0, CohortNames.ConceptCount).Select(ConceptTruth)]),
    };

    private static JsonObject ConceptTruth(int concept)
    {
        IEnumerable<int> classes = Enumerable.Range(0, CohortNames.Classes.Count);
        GeneProgramme programme = GeneProgrammes.All[concept];
        return new JsonObject
        {
            ["name"] = CohortNames.Concepts[concept],
            ["resting_probability"] = CohortModel.RestingProbability(concept),
            ["activation_by_class"] = Numbers(classes.Select(c => Math.Round(CohortModel.Activation(c, concept), 6))),
            ["expected_intensity_by_class"] = Numbers(classes.Select(c => Math.Round(CohortModel.ExpectedIntensity(c, concept), 6))),
            ["death_weight"] = CohortModel.DeathWeights[concept],
            ["programme"] = programme.Name,
            ["genes"] = Strings(programme.Genes),
        };
    }

    private static JsonNode CourseTruth(int cellClass) => new JsonArray([.. CohortModel.Course(cellClass).Select(e => (JsonNode)new JsonObject
    {
        ["concept"] = CohortNames.Concepts[(int)e.Concept],
        ["probability"] = e.Probability,
        ["onset"] = e.Onset,
    })]);

    private static JsonArray Strings(IEnumerable<string> values) => new([.. values.Select(v => (JsonNode)v)]);

    private static JsonArray Numbers(IEnumerable<double> values) => new([.. values.Select(v => (JsonNode)v)]);
}
