using BioSup.Imaging;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline;

/// <summary>Images to token shards, encoder vectors and the table of patches.</summary>
internal static class TokensStage
{
    /// <summary>The word that stands for an encoder learnt from the images themselves.</summary>
    public const string LearntEncoder = "dictionary";

    public static TokenSummary Run(ImagesSection section, string images, string encoderPath, RunFolder folder, CommandContext context)
    {
        CpuDevice device = context.Host;
        InputScaling scaling = InputScaling.Parse(section.Scaling);
        TokenOptions options = new()
        {
            PatchSize = section.Patch,
            Stride = section.Stride,
            Scaling = scaling,
            Filter = PatchFilter.None with { MaxBackground = section.MaxBackground, MinStdSum = section.MinStdSum },
        };
        options.Validate();
        ImageSet set = ImageSet.Find([images], section.Channels is { } channels ? new ChannelNaming(channels) : null);
        PatchPlan plan = PatchPlan.Survey(device, set, new PatchGrid(section.Patch, section.Stride), options.Filter, context.Progress, context.Cancellation);
        using IImageEncoder encoder = Open(section, encoderPath, plan, scaling, folder, context);
        return new TokenPipeline(device, plan, encoder, options).Write(folder.Tokens, context.Progress, context.Cancellation);
    }

    private static IImageEncoder Open(ImagesSection section, string encoderPath, PatchPlan plan, InputScaling scaling, RunFolder folder, CommandContext context)
    {
        if (section.Encoder != LearntEncoder) return new OnnxEncoder(context.Host, encoderPath, section.Output);
        DictionaryOptions options = new() { Atoms = section.DictionaryChannels, Window = section.DictionaryWindow, Cell = section.DictionaryCell, Seed = context.Seed };
        ConvolutionalDictionary dictionary = ConvolutionalDictionary.Learn(context.Host, plan, scaling, section.Patch, options, context.Progress, context.Cancellation);
        Directory.CreateDirectory(folder.Tokens);
        DictionaryFile.Save(Path.Combine(folder.Tokens, "dictionary.safetensors"), dictionary);
        return dictionary;
    }
}
