using BioSup.Runtime;
using Microsoft.ML.OnnxRuntime;

namespace BioSup.Imaging;

/// <summary>
/// A frozen network in ONNX, run by ONNX Runtime on the CPU. Any float output is a feature map: rank 4 is taken as NCHW, rank 3 as
/// [image, token, channel] (vision transformers), rank 2 as one token per image.
/// </summary>
public sealed unsafe class OnnxEncoder : IImageEncoder
{
    private static readonly Lock s_environment = new();
    private readonly InferenceSession _session;
    private readonly RunOptions _run = new();
    private readonly CpuDevice _device;
    private readonly string _path;
    private readonly string _input;
    private readonly string _output;
    private readonly int? _fixedBatch;
    private readonly Dictionary<int, FeatureMapShape> _shapes = [];

    /// <param name="device">Its number of threads is the network's.</param>
    /// <param name="path">The .onnx file.</param>
    /// <param name="output">Name of the output to take; null takes the last output of rank 4, else of rank 3, else of rank 2.</param>
    /// <exception cref="DataException">Not an ONNX model, or its input is not one float NCHW tensor of 1 or 3 (or any number of) channels.</exception>
    /// <exception cref="UsageException">No such output; the message lists those there are.</exception>
    public OnnxEncoder(CpuDevice device, string path, string? output = null)
    {
        (_device, _path) = (device, path);
        if (!File.Exists(path)) throw new DataException(path, null, "the file does not exist");
        _session = Open(path, device.Pool.Threads);
        try
        {
            (_input, Channels, InputSize, _fixedBatch) = CheckInput();
            _output = ChooseOutput(output);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public string Name => $"{Path.GetFileName(_path)}:{_output}";
    public int Channels { get; }
    public int? InputSize { get; }

    /// <summary>Every output with its dimensions ("?" where the model leaves them open).</summary>
    public IReadOnlyList<string> Outputs => [.. _session.OutputNames.Select(name => Describe(name, _session.OutputMetadata[name]))];

    public FeatureMapShape Shape(int side)
    {
        if (InputSize is { } only && only != side) throw new DataException(_path, null, $"the network takes images of {only} x {only} pixels, not {side} x {side}");
        if (_shapes.TryGetValue(side, out FeatureMapShape known)) return known;
        using Matrix<float> probe = _device.AllocateMatrix<float>(_fixedBatch ?? 1, Channels * side * side);
        FeatureMapShape shape = Run(probe.View, side, _fixedBatch ?? 1, value => ShapeOf(value.GetTensorTypeAndShape().Shape));
        if ((long)shape.Tokens * shape.Channels is < 1 or > int.MaxValue) throw new DataException(_path, _output, $"the output has {shape.Height} x {shape.Width} cells of {shape.Channels} channels");
        return _shapes[side] = shape;
    }

    public void Encode(MatrixView<float> images, int side, MatrixView<float> features)
    {
        FeatureMapShape shape = Shape(side);
        if (images.Columns != Channels * side * side || images.Stride != images.Columns) throw new ArgumentException("Contiguous NCHW images expected.", nameof(images));
        if (features.Rows != images.Rows * shape.Tokens || features.Columns != shape.Channels) throw new ArgumentException($"{images.Rows * shape.Tokens} x {shape.Channels} features expected.", nameof(features));
        int batch = _fixedBatch ?? images.Rows;
        for (int start = 0; start < images.Rows; start += batch)
        {
            int count = Math.Min(batch, images.Rows - start);
            EncodeBatch(images.RowBlock(start, count), side, batch, shape, features.RowBlock(start * shape.Tokens, count * shape.Tokens));
        }
    }

    public void Dispose()
    {
        _run.Dispose();
        _session?.Dispose();
    }

    private void EncodeBatch(MatrixView<float> images, int side, int batch, FeatureMapShape shape, MatrixView<float> features)
    {
        using Matrix<float>? padded = images.Rows == batch ? null : _device.AllocateMatrix<float>(batch, images.Columns);
        if (padded is not null) for (int i = 0; i < images.Rows; i++) images.Row(i).CopyTo(padded.Row(i));
        float* target = features.Pointer;
        long stride = features.Stride;
        int count = images.Rows;
        Run(padded is null ? images : padded.View, side, batch, value =>
        {
            long[] dimensions = value.GetTensorTypeAndShape().Shape;
            if (dimensions[0] != batch || ShapeOf(dimensions) != shape)
                throw new DataException(_path, _output, $"the output has dimensions [{string.Join(", ", dimensions)}] for {batch} images; expected one feature map of {shape.Height} x {shape.Width} x {shape.Channels} per image");
            fixed (float* source = value.GetTensorDataAsSpan<float>())
            {
                TransposeJob job = new(source, target, stride, shape, channelsFirst: dimensions.Length != 3);
                _device.Pool.Run(count, ref job);
            }
            return true;
        });
    }

    private T Run<T>(MatrixView<float> images, int side, int batch, Func<OrtValue, T> use)
    {
        long[] dimensions = [batch, Channels, side, side];
        try
        {
            using OrtValue input = OrtValue.CreateTensorValueWithData(OrtMemoryInfo.DefaultInstance, Microsoft.ML.OnnxRuntime.Tensors.TensorElementType.Float,
                dimensions, (nint)images.Pointer, (long)batch * images.Columns * sizeof(float));
            using IDisposableReadOnlyCollection<OrtValue> outputs = _session.Run(_run, [_input], [input], [_output]);
            return use(outputs[0]);
        }
        catch (OnnxRuntimeException e)
        {
            throw new DataException(_path, _output, $"the network cannot be run on {Channels} x {side} x {side} images ({Shorten(e.Message)})", e);
        }
    }

    private FeatureMapShape ShapeOf(long[] dimensions) => dimensions.Length switch
    {
        4 => new FeatureMapShape((int)dimensions[2], (int)dimensions[3], (int)dimensions[1]),
        3 => new FeatureMapShape((int)dimensions[1], 1, (int)dimensions[2]),
        2 => new FeatureMapShape(1, 1, (int)dimensions[1]),
        _ => throw new DataException(_path, _output, $"the output has rank {dimensions.Length}; expected a feature map [image, channel, height, width], tokens [image, token, channel] or one vector per image"),
    };

    private (string Name, int Channels, int? Side, int? Batch) CheckInput()
    {
        if (_session.InputNames.Count != 1) throw new DataException(_path, null, $"{_session.InputNames.Count} inputs ({string.Join(", ", _session.InputNames)}); expected one image input");
        string name = _session.InputNames[0];
        NodeMetadata input = _session.InputMetadata[name];
        if (!input.IsTensor || input.ElementType != typeof(float) || input.Dimensions.Length != 4)
            throw new DataException(_path, name, $"the input is {Describe(name, input)}; expected float32 [image, channel, height, width]");
        int[] sizes = input.Dimensions;
        if (sizes[1] < 1 || sizes[1] > 64) throw new DataException(_path, name, $"the input is {Describe(name, input)}; expected a fixed number of channels in second place");
        if (sizes[2] > 0 && sizes[3] > 0 && sizes[2] != sizes[3]) throw new DataException(_path, name, $"the input is {Describe(name, input)}; expected square images");
        int side = Math.Max(sizes[2], sizes[3]);
        return (name, sizes[1], side > 0 ? side : null, sizes[0] > 0 ? sizes[0] : null);
    }

    private string ChooseOutput(string? wanted)
    {
        if (wanted is not null)
        {
            if (!_session.OutputMetadata.TryGetValue(wanted, out NodeMetadata? named))
                throw new UsageException($"{_path} has no output '{wanted}'; it has {string.Join("; ", Outputs)}.");
            return IsUsable(named) ? wanted : throw new UsageException($"{_path}: output '{wanted}' is not a float32 tensor of rank 2, 3 or 4; outputs are {string.Join("; ", Outputs)}.");
        }
        foreach (int rank in (int[])[4, 3, 2])
            if (_session.OutputNames.LastOrDefault(name => IsUsable(_session.OutputMetadata[name]) && _session.OutputMetadata[name].Dimensions.Length == rank) is { } found)
                return found;
        throw new DataException(_path, null, $"no output is a float32 tensor of rank 2, 3 or 4: {string.Join("; ", Outputs)}");
    }

    private static bool IsUsable(NodeMetadata output) => output.IsTensor && output.ElementType == typeof(float) && output.Dimensions.Length is 2 or 3 or 4;

    private static string Describe(string name, NodeMetadata node) =>
        node.IsTensor ? $"{name} {node.ElementType.Name}[{string.Join(", ", node.Dimensions.Select(size => size > 0 ? size.ToString(System.Globalization.CultureInfo.InvariantCulture) : "?"))}]" : $"{name} (no tensor)";

    private static InferenceSession Open(string path, int threads)
    {
        lock (s_environment)
        {
            // The first environment sets how chatty the runtime is on stderr: only what kills it.
            if (!OrtEnv.IsCreated)
            {
                EnvironmentCreationOptions environment = new() { logId = "biosup", logLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL };
                OrtEnv.CreateInstanceWithOptions(ref environment);
                OrtEnv.Instance().DisableTelemetryEvents();
            }
        }
        using SessionOptions options = new()
        {
            IntraOpNumThreads = threads,
            InterOpNumThreads = 1,
            ExecutionMode = ExecutionMode.ORT_SEQUENTIAL,
            GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_ALL,
            LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL,
        };
        try
        {
            return new InferenceSession(path, options);
        }
        catch (OnnxRuntimeException e)
        {
            throw new DataException(path, null, $"not a usable ONNX model ({Shorten(e.Message)})", e);
        }
    }

    private static string Shorten(string message)
    {
        string line = message.Split('\n')[0].Trim();
        return line.Length <= 200 ? line : line[..200] + "…";
    }

    /// <summary>Image i: [channels, cells] to [cells, channels], in squares that stay in the first-level cache; or a plain copy.</summary>
    private readonly struct TransposeJob(float* source, float* target, long stride, FeatureMapShape shape, bool channelsFirst) : IBlockJob
    {
        private const int Square = 16;

        public void Execute(long image, int worker)
        {
            int cells = shape.Tokens, channels = shape.Channels;
            float* from = source + image * cells * channels;
            float* to = target + image * cells * stride;
            if (!channelsFirst)
            {
                for (int cell = 0; cell < cells; cell++) new ReadOnlySpan<float>(from + (long)cell * channels, channels).CopyTo(new Span<float>(to + cell * stride, channels));
                return;
            }
            for (int firstCell = 0; firstCell < cells; firstCell += Square)
                for (int firstChannel = 0; firstChannel < channels; firstChannel += Square)
                    for (int cell = firstCell; cell < Math.Min(firstCell + Square, cells); cell++)
                        for (int channel = firstChannel; channel < Math.Min(firstChannel + Square, channels); channel++)
                            to[cell * stride + channel] = from[(long)channel * cells + cell];
        }
    }
}
