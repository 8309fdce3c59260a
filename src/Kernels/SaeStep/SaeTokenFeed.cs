using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// The tokens of each step, brought to the device and prepared once for any number of models: fill <see cref="Next"/>, let every model's
/// <see cref="SaeTrainStep.Plan"/> say what it will do, <see cref="Send"/>, let every model <see cref="SaeTrainStep.Run"/>, <see cref="Release"/>.
/// </summary>
public sealed unsafe class SaeTokenFeed : IDisposable
{
    private readonly TokenTransfer _transfer;
    private readonly CentredUnitRows? _centring;
    private readonly bool _batchMean;
    private readonly Matrix<float>? _prepared;
    private readonly int _width, _allRows;
    private readonly float* _all;
    private readonly long _allStride;
    private float* _tokens;
    private DevicePointer _coefficients;

    /// <param name="device">Where the models live.</param>
    /// <param name="batch">Tokens of a step.</param>
    /// <param name="width">d_in.</param>
    /// <param name="centring">Prepares tokens with the mean it holds; null leaves them as they are.</param>
    /// <param name="batchMean">Takes the mean of every batch instead.</param>
    /// <param name="models">Models that share the tokens.</param>
    public SaeTokenFeed(ComputeDevice device, int batch, int width, CentredUnitRows? centring, bool batchMean, int models = 1)
    {
        (Device, Batch, _width, _centring, _batchMean) = (device, batch, width, centring, batchMean);
        // What changes from step to step travels with the tokens, a place for each model.
        _transfer = new TokenTransfer(device, batch, width, device is CudaDevice ? models * SaeCoefficients.Floats : 0);
        // What arrives must stay as it is while the step after the next is being sent: prepared tokens have a place of their own.
        if (device is CudaDevice && centring is not null) _prepared = device.AllocateMatrix<float>(batch, width);
    }

    /// <summary>Takes the tokens from a device that holds them all: fill <see cref="NextRows"/> instead of <see cref="Next"/>.</summary>
    /// <param name="all">[n, d_in]; must outlive the object.</param>
    /// <param name="batch">Tokens of a step.</param>
    /// <param name="centring">As above.</param>
    /// <param name="batchMean">As above.</param>
    /// <param name="models">As above.</param>
    public SaeTokenFeed(MatrixView<float> all, int batch, CentredUnitRows? centring, bool batchMean, int models = 1)
    {
        (Device, Batch, _width, _centring, _batchMean) = (all.Device, batch, all.Columns, centring, batchMean);
        _all = all.Pointer;
        (_allRows, _allStride) = (all.Rows, all.Stride);
        // The number of a row takes the place of its values.
        _transfer = new TokenTransfer(Device, batch, 1, Device is CudaDevice ? models * SaeCoefficients.Floats : 0);
        _prepared = Device.AllocateMatrix<float>(batch, _width);
    }

    public ComputeDevice Device { get; }

    /// <summary>Tokens of a step.</summary>
    public int Batch { get; }

    /// <summary>Host memory for the tokens of the next step.</summary>
    public MatrixView<float> Next() => _transfer.Next(Batch);

    /// <summary>Host memory for the row numbers of the next step's tokens, where the device holds all tokens.</summary>
    public Span<int> NextRows() => new(_transfer.Next(Batch).Pointer, Batch);

    /// <summary>Brings what was filled in to the device and prepares it.</summary>
    public void Send()
    {
        MatrixView<float> arrived = Device is CudaDevice ? _transfer.SendAll(out _coefficients) : _transfer.Send(Batch);
        if (_all != null)
        {
            Gather.Rows(new MatrixView<float>(_all, _allRows, _width, _allStride, Device), new DeviceSpan<int>((int*)arrived.Pointer, Batch, Device), _prepared!.View);
            arrived = _prepared.View;
        }
        MatrixView<float> tokens = _prepared is null ? arrived : _prepared.View;
        _tokens = tokens.Pointer;
        if (_centring is null) return;
        if (_batchMean) _centring.UseMeanOf(arrived);
        _centring.Apply(arrived, tokens);
    }

    /// <summary>The prepared tokens [batch, d_in] on the device, from <see cref="Send"/> to <see cref="Release"/>.</summary>
    public MatrixView<float> Tokens => new(_tokens, Batch, _width, _width, Device);

    /// <summary>Says that all work which reads the tokens has been given to the device.</summary>
    public void Release() => _transfer.Release();

    public void Dispose()
    {
        _transfer.Dispose();
        _prepared?.Dispose();
    }

    /// <summary>A model's coefficients on the host, until <see cref="Send"/>.</summary>
    internal Span<float> Coefficients(int model) => _transfer.Extra.Slice(model * SaeCoefficients.Floats, SaeCoefficients.Floats);

    /// <summary>The same on the device, after it.</summary>
    internal DevicePointer CoefficientsAddress(int model) => new(_coefficients.Address + (ulong)(model * SaeCoefficients.Floats * sizeof(float)));
}
