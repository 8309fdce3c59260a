using System.Runtime.InteropServices;
using System.Text;
using BioSup.Runtime;

namespace BioSup.Analysis.Prediction;

/// <summary>
/// One fold's features in the hands of LightGBM, binned once for all targets and permutations, and trees fitted to one target after another. One thread at a time may use an
/// instance; LightGBM itself is held to one thread, which makes its sums and so its trees the same everywhere.
/// </summary>
internal sealed unsafe class LightGbmFold : IDisposable
{
    private static readonly byte[] s_label = [.. "label"u8, 0];
    private readonly byte[] _parameters;
    private readonly int _trees;
    private readonly Matrix<float> _test;
    private readonly float[] _labels;
    private nint _dataset;

    public LightGbmFold(Matrix<float> x, int[] trainRows, int[] testRows, TreeOptions options)
    {
        (TrainRows, TestRows, _trees) = (trainRows, testRows, options.Trees);
        _parameters = [.. Encoding.ASCII.GetBytes(options.Parameters()), 0];
        _labels = new float[trainRows.Length];
        Predictions = new double[testRows.Length];
        _test = Rows(x, testRows);
        try
        {
            using Matrix<float> train = Rows(x, trainRows);
            fixed (byte* parameters = _parameters)
            fixed (nint* dataset = &_dataset)
                Require(lib_lightgbm.LGBM_DatasetCreateFromMat(train.View.Pointer, lib_lightgbm.C_API_DTYPE_FLOAT32, train.Rows, train.Columns, 1, parameters, 0, dataset));
        }
        catch (DllNotFoundException e)
        {
            Dispose();
            throw new DeviceException("LightGBM, which fits the boosted trees, could not be loaded; expected the file lib_lightgbm.so beside the program and GCC's OpenMP runtime libgomp.so.1 on this machine.", e);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public int[] TrainRows { get; }
    public int[] TestRows { get; }

    /// <summary>Training targets, to be filled before <see cref="Fit"/>.</summary>
    public Span<float> Labels => _labels;

    /// <summary>What the last trees predict of the test rows.</summary>
    public double[] Predictions { get; }

    public void Fit()
    {
        nint booster = 0;
        try
        {
            fixed (byte* parameters = _parameters, label = s_label)
            fixed (float* labels = _labels)
            fixed (double* predictions = Predictions)
            {
                Require(lib_lightgbm.LGBM_DatasetSetField(_dataset, label, labels, _labels.Length, lib_lightgbm.C_API_DTYPE_FLOAT32));
                Require(lib_lightgbm.LGBM_BoosterCreate(_dataset, parameters, &booster));
                int empty = 0;
                for (int tree = 0; tree < _trees && empty == 0; tree++) Require(lib_lightgbm.LGBM_BoosterUpdateOneIter(booster, &empty));
                long length;
                Require(lib_lightgbm.LGBM_BoosterPredictForMat(booster, _test.View.Pointer, lib_lightgbm.C_API_DTYPE_FLOAT32, _test.Rows, _test.Columns, 1,
                    lib_lightgbm.C_API_PREDICT_NORMAL, 0, -1, parameters, &length, predictions));
            }
        }
        finally
        {
            if (booster != 0) _ = lib_lightgbm.LGBM_BoosterFree(booster);
        }
    }

    public void Dispose()
    {
        _test.Dispose();
        if (_dataset != 0) _ = lib_lightgbm.LGBM_DatasetFree(_dataset);
        _dataset = 0;
    }

    private static Matrix<float> Rows(Matrix<float> x, int[] rows)
    {
        Matrix<float> taken = x.Device.AllocateMatrix<float>(rows.Length, x.Columns);
        for (int i = 0; i < rows.Length; i++) x.Row(rows[i]).CopyTo(taken.Row(i));
        return taken;
    }

    private static void Require(int status)
    {
        if (status != 0) throw new DeviceException($"LightGBM could not fit the trees: {Marshal.PtrToStringUTF8((nint)lib_lightgbm.LGBM_GetLastError())}");
    }
}
