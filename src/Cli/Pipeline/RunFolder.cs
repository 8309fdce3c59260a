namespace BioSup.Cli.Pipeline;

/// <summary>Where each stage of a run leaves its results. Stages talk to each other through these files, so a finished stage never has to be repeated.</summary>
internal sealed class RunFolder(string root)
{
    public string Root { get; } = root;
    public string Cohort => Path.Combine(Root, "cohort");
    public string Tokens => Path.Combine(Root, "tokens");
    public string Sae => Path.Combine(Root, "sae");
    public string TrainLog => Path.Combine(Sae, "train_log.csv");
    public string SaeTelemetry => Path.Combine(Sae, "telemetry.csv");
    public string SaeEvaluation => Path.Combine(Sae, "evaluation.json");

    /// <summary>Mean activation of every latent over the tokens of each patch: patches × d_sae.</summary>
    public string Latents => Path.Combine(Root, "latents.h5ad");

    /// <summary>Mean feature vector of each patch as the encoder gave it: patches × channels.</summary>
    public string EncoderVectors => Path.Combine(Tokens, "gap.npy");

    public string Patches => Path.Combine(Tokens, "images.csv");
    public string Geometry => Path.Combine(Root, "geometry");
    public string Recovery => Path.Combine(Root, "recovery.json");
    public string Align { get; init; } = Path.Combine(root, "gw");
    public string Report => Path.Combine(Root, "report.html");
    public string Figures => Path.Combine(Root, "figures");
}
