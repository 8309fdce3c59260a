using BioSup.Runtime;

namespace BioSup.Kernels.Tests.Cuda;

/// <summary>Banks of networks on a GPU, or the emulated one, against the host and its reference in double precision.</summary>
[Collection(CudaDeviceCollection.Name)]
public sealed class MlpBankCudaTests(CudaDeviceFixture fixture) : IDisposable
{
    private readonly CpuDevice _host = new(2);

    public void Dispose() => _host.Dispose();

    /// <summary>Odd widths, so that nothing starts at a multiple of 16 bytes and units fill no whole block of random words, and ones that fill whole tiles and slabs.</summary>
    [Theory]
    [InlineData(41, 5, 7, 11, 8, 0.4)]
    [InlineData(60, 16, 32, 132, 20, 0)]
    [InlineData(150, 4, 8, 4, 140, 0.25)]
    public void Training_follows_the_host(int rows, int inputs, int hidden, int targets, int batch, double dropout)
    {
        CudaDevice gpu = fixture.Require();
        MlpBankOptions options = new(hidden, dropout, batch, 1.2e-3, 1, 0.1, 3);
        using Matrix<float> x = Features(rows, inputs), y = Targets(rows, targets), dx = x.To(gpu), dy = y.To(gpu);
        MlpTask[] exact = Tasks(), plain = Tasks(), ours = Tasks();
        using MlpHostBank<double> reference = new(_host, x, y, options, 2);
        using MlpHostBank<float> host = new(_host, x, y, options, 2);
        using MlpCudaBank device = new(gpu, dx, dy, options, 2);
        Train(reference, exact);
        Train(host, plain);
        Train(device, ours);
        for (int i = 0; i < 2; i++)
        {
            Assert.Equal(plain[i].Steps, ours[i].Steps);
            double[] expected = [.. reference.Network(i).Parameters.View.Host];
            float[] parameters = device.Parameters(i);
            double largest = expected.Max(Math.Abs), error = 0;
            for (int k = 0; k < expected.Length; k++) error = Math.Max(error, Math.Abs(parameters[k] - expected[k]));
            Assert.True(error <= 1e-4 * largest, $"network {i}: parameters differ by {error:E2}, the largest is {largest:E2}");
            Assert.Equal(exact[i].ValidationError, ours[i].ValidationError, 1e-4 * exact[i].ValidationError);
            for (int t = 0; t < targets; t++) Assert.Equal(exact[i].Errors[t], ours[i].Errors[t], 1e-4 * exact[i].Errors[t] + 1e-9);
        }

        MlpTask[] Tasks() => [MlpCases.Task(4, 0, rows, targets, rows - 9, rows - 16), MlpCases.Task(5, 1, rows, targets, rows - 8, rows - 15)];
    }

    /// <summary>A network's bytes depend on neither its place nor its company, and a second model in a place finds nothing of the first.</summary>
    [Fact]
    public void Networks_do_not_know_of_each_other()
    {
        CudaDevice gpu = fixture.Require();
        const int Rows = 37, TargetCount = 6;
        MlpBankOptions options = new(10, 0.3, 12, 1.2e-3, 1, 0.1, 3);
        using Matrix<float> x = Features(Rows, 5), y = Targets(Rows, TargetCount), dx = x.To(gpu), dy = y.To(gpu);
        using MlpCudaBank alone = new(gpu, dx, dy, options, 1), many = new(gpu, dx, dy, options, 3);
        MlpTask single = Task(7, 0), placed = Task(7, 2);
        Train(alone, [single]);
        Train(many, [Task(8, 2), Task(9, 1)]);
        Train(many, [placed, Task(10, 0)]);
        Assert.Equal(alone.Parameters(0), many.Parameters(2));
        Assert.Equal(single.Errors, placed.Errors);
        Assert.Equal(single.ValidationError, placed.ValidationError);

        static MlpTask Task(int number, int slot) => MlpCases.Task(number, slot, Rows, TargetCount, 30, 25);
    }

    /// <summary>A target that does not vary, and predictions far outside of what was seen.</summary>
    [Fact]
    public void Constant_targets_and_the_margin_are_the_hosts()
    {
        CudaDevice gpu = fixture.Require();
        const int Rows = 30, TargetCount = 3;
        // Without a penalty the bias of a unit that is active on every row has a gradient of zero but for rounding, which Adam would make whole steps of.
        MlpBankOptions options = new(6, 0, 10, 1.2e-3, 1, 0.1, 3);
        using Matrix<float> x = Features(Rows, 2), y = Targets(Rows, TargetCount);
        for (int i = 0; i < Rows; i++) y.Row(i)[1] = -3;
        x.Row(29)[0] = 1e7f;
        using Matrix<float> dx = x.To(gpu), dy = y.To(gpu);
        using MlpHostBank<float> host = new(_host, x, y, options, 1);
        using MlpCudaBank device = new(gpu, dx, dy, options, 1);
        MlpTask[] expected = [Last()], actual = [Last()];
        Train(host, expected);
        Train(device, actual);
        for (int t = 0; t < TargetCount; t++) Assert.Equal(expected[0].Errors[t], actual[0].Errors[t], 1e-4 * expected[0].Errors[t] + 1e-6);

        static MlpTask Last()
        {
            MlpTask task = MlpCases.Task(11, 0, Rows, TargetCount, 25, 20);
            for (int i = 0; i < Rows; i++) task.Rows[i] = i;
            return task;
        }
    }

    [Fact]
    public void A_warm_epoch_allocates_nothing()
    {
        CudaDevice gpu = fixture.Require();
        const int Rows = 20;
        using Matrix<float> x = Features(Rows, 3), y = Targets(Rows, 2), dx = x.To(gpu), dy = y.To(gpu);
        using MlpCudaBank bank = new(gpu, dx, dy, new MlpBankOptions(4, 0.2, 8, 0, 1, 0.1, 3), 1);
        MlpTask[] tasks = [MlpCases.Task(12, 0, Rows, 2, 16, 14)];
        bank.Start(tasks);
        bank.Epoch(tasks);
        bank.Keep(tasks);
        long before = GC.GetAllocatedBytesForCurrentThread();
        bank.Epoch(tasks);
        bank.Keep(tasks);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static void Train(MlpBank bank, MlpTask[] tasks)
    {
        bank.Start(tasks);
        for (int epoch = 0; epoch < 2; epoch++)
        {
            foreach (MlpTask task in tasks) task.Shuffle(task.Fitted);
            bank.Epoch(tasks);
            if (epoch == 0) bank.Keep([tasks[0]]);
        }
        bank.Finish(tasks);
    }

    private Matrix<float> Features(int rows, int columns) => Matrix<float>.From(_host, rows, columns, MlpCases.Normal(rows * columns, 11));

    private Matrix<float> Targets(int rows, int columns) => Matrix<float>.From(_host, rows, columns, MlpCases.Normal(rows * columns, 12));
}
