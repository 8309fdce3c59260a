using System.Runtime.InteropServices;

namespace BioSup.Analysis.Prediction;

/// <summary>The part of LightGBM's C interface (LightGBM/c_api.h, version 4) that fits and evaluates regression trees. Names and order of arguments are those of the header.</summary>
internal static unsafe partial class lib_lightgbm
{
    public const int C_API_DTYPE_FLOAT32 = 0;
    public const int C_API_PREDICT_NORMAL = 0;
    private const string Library = "lib_lightgbm";

    [LibraryImport(Library)]
    public static partial byte* LGBM_GetLastError();

    [LibraryImport(Library)]
    public static partial int LGBM_DatasetCreateFromMat(void* data, int data_type, int nrow, int ncol, int is_row_major, byte* parameters, nint reference, nint* @out);

    [LibraryImport(Library)]
    public static partial int LGBM_DatasetSetField(nint handle, byte* field_name, void* field_data, int num_element, int type);

    [LibraryImport(Library)]
    public static partial int LGBM_DatasetFree(nint handle);

    [LibraryImport(Library)]
    public static partial int LGBM_BoosterCreate(nint train_data, byte* parameters, nint* @out);

    [LibraryImport(Library)]
    public static partial int LGBM_BoosterUpdateOneIter(nint handle, int* produced_empty_tree);

    [LibraryImport(Library)]
    public static partial int LGBM_BoosterPredictForMat(
        nint handle, void* data, int data_type, int nrow, int ncol, int is_row_major, int predict_type, int start_iteration, int num_iteration, byte* parameter, long* out_len, double* out_result);

    [LibraryImport(Library)]
    public static partial int LGBM_BoosterFree(nint handle);
}
