using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Small networks trained side by side on the same features and targets, every one with its own rows, order of the targets and random numbers:
/// BN → Linear(p, h) → ReLU → Dropout → BN → Linear(h, h) → ReLU → Dropout → BN → Linear(h, G), mean squared error of targets standardised on the fitted rows, PyTorch's
/// initial values, gradient clipping and Adam with L2 penalty, single precision. What becomes of a network does not depend on the others in the bank.
/// </summary>
/// <remarks>
/// On the host one thread works on one network. On a GPU every kernel works on all of them at once, and between epochs only row numbers and validation errors travel.
/// Which units are dropped is a function of seed, stream, step, layer, row of the batch and unit, the same on every device.
/// </remarks>
public abstract class MlpBank : IDisposable
{
    private protected MlpBank(MlpBankOptions options, int slots) => (Options, Slots) = (options, slots);

    /// <summary>How many networks the bank can hold at a time: at least one.</summary>
    public int Slots { get; }

    private protected MlpBankOptions Options { get; }

    /// <param name="x">Features [n, p], finite; the bank works on their device. They must outlive the bank.</param>
    /// <param name="y">Targets [n, G] on the same device, finite; they must outlive the bank.</param>
    /// <param name="options">What the networks share.</param>
    /// <param name="networks">How many networks there will be in all; a bank is not made larger than that.</param>
    /// <exception cref="ArgumentException">Features and targets differ in rows or device.</exception>
    /// <exception cref="DeviceException">The device has no implementation, or no room for a single network.</exception>
    public static MlpBank Create(Matrix<float> x, Matrix<float> y, MlpBankOptions options, int networks)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(networks);
        if (x.Rows != y.Rows) throw new ArgumentException($"There are {x.Rows} rows of features and {y.Rows} of targets.");
        if (x.Device != y.Device) throw new ArgumentException("Features and targets must lie on the same device.");
        return x.Device switch
        {
            CudaDevice gpu => new MlpCudaBank(gpu, x, y, options, networks),
            CpuDevice cpu when KernelDispatch.Select(nameof(MlpBank)) == KernelVariant.Reference => new MlpHostBank<double>(cpu, x, y, options, networks),
            CpuDevice cpu => new MlpHostBank<float>(cpu, x, y, options, networks),
            _ => throw new DeviceException($"MlpBank has no implementation for device '{x.Device.Name}'."),
        };
    }

    /// <summary>Gives each task's network initial values, and scales the targets by the task's fitted rows.</summary>
    public abstract void Start(IReadOnlyList<MlpTask> tasks);

    /// <summary>Trains each network on its fitted rows in their present order, then sets <see cref="MlpTask.ValidationError"/>.</summary>
    public abstract void Epoch(IReadOnlyList<MlpTask> tasks);

    /// <summary>Remembers each network as it is now.</summary>
    public abstract void Keep(IReadOnlyList<MlpTask> tasks);

    /// <summary>Goes back to what each network was when it was last kept, and fills <see cref="MlpTask.Errors"/>. A network that was never kept is tested as it is.</summary>
    public abstract void Finish(IReadOnlyList<MlpTask> tasks);

    public abstract void Dispose();

    /// <summary>Blocks of four random words for the units of a row.</summary>
    private protected static int DropoutBlocks(int hidden) => (hidden + 3) / 4;

    /// <summary>A unit is dropped where its random word is below this.</summary>
    private protected static uint DropoutThreshold(double dropout) => (uint)Math.Round(dropout * uint.MaxValue);

    /// <summary>What a unit that is kept is multiplied by.</summary>
    private protected static float KeptFactor(double dropout) => (float)(1 / (1 - dropout));
}
