using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>
/// How pixels become encoder input. Pixels are first divided by full scale (to 0..1); then either each channel of each patch is standardised by its own
/// mean and standard deviation, (x - mean) / max(std, 0.01) with the unbiased std, or fixed means and deviations are applied, as the encoder was trained.
/// </summary>
public sealed class InputScaling
{
    /// <summary>Deviations below this are noise: dividing by them would blow an empty patch up to full contrast.</summary>
    public const double LeastStd = 0.01;

    private readonly float[] _mean;
    private readonly float[] _std;

    private InputScaling(string name, float[] mean, float[] std) => (Name, _mean, _std) = (name, mean, std);

    public string Name { get; }

    /// <summary>Each channel of each patch by its own mean and unbiased standard deviation.</summary>
    public static InputScaling PerPatch { get; } = new("instance", [], []);

    /// <summary>(x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225].</summary>
    public static InputScaling ImageNet { get; } = Fixed("imagenet", [0.485f, 0.456f, 0.406f], [0.229f, 0.224f, 0.225f]);

    /// <summary>(x - 0.5) / 0.5: values between -1 and 1.</summary>
    public static InputScaling Symmetric { get; } = Fixed("symmetric", [0.5f], [0.5f]);

    /// <summary>x / full scale and nothing else.</summary>
    public static InputScaling UnitRange { get; } = Fixed("unit", [0], [1]);

    /// <param name="mean">One value for all channels, or one per encoder channel.</param>
    public static InputScaling Fixed(string name, float[] mean, float[] std)
    {
        if (mean.Length != std.Length || mean.Length == 0 || std.Any(value => !(value > 0))) throw new UsageException("Input scaling: means and (positive) deviations come in equal number.");
        return new InputScaling(name, mean, std);
    }

    /// <summary>instance, imagenet, symmetric or unit.</summary>
    public static InputScaling Parse(string name) => name.ToLowerInvariant() switch
    {
        "instance" => PerPatch,
        "imagenet" => ImageNet,
        "symmetric" => Symmetric,
        "unit" => UnitRange,
        _ => throw new UsageException($"Input scaling '{name}' is not known; expected instance, imagenet, symmetric or unit."),
    };

    /// <exception cref="UsageException">The encoder has another number of channels than the scaling.</exception>
    public void RequireChannels(int channels)
    {
        if (_mean.Length > 1 && _mean.Length != channels) throw new UsageException($"Input scaling '{Name}' has {_mean.Length} channels, the encoder {channels}.");
    }

    /// <summary>Scales one channel of one patch in place; values are in 0..1 on entry.</summary>
    /// <param name="channel">Channel of the encoder's input.</param>
    public void Apply(Span<float> values, int channel)
    {
        double mean, std;
        if (_mean.Length > 0)
        {
            mean = _mean[_mean.Length == 1 ? 0 : channel];
            std = _std[_std.Length == 1 ? 0 : channel];
        }
        else
        {
            double sum = 0, squares = 0;
            foreach (float value in values) sum += value;
            mean = sum / values.Length;
            foreach (float value in values) squares += (value - mean) * (value - mean);
            std = Math.Max(values.Length > 1 ? Math.Sqrt(squares / (values.Length - 1)) : 0, LeastStd);
        }
        for (int i = 0; i < values.Length; i++) values[i] = (float)((values[i] - mean) / std);
    }
}
