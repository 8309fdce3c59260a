using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Kernels of the step and the update on one device.</summary>
internal sealed class SaeKernels(CudaDevice device)
{
    private const string Forward = "cuda/kernels/sae_step/sae_forward_any.cu", Aux = "cuda/kernels/sae_step/sae_auxiliary_any.cu",
        Backward = "cuda/kernels/sae_step/sae_backward_any.cu", Update = "cuda/kernels/sae_update/sae_update_any.cu",
        Rule = "cuda/kernels/sae_step/sae_rule_any.cu", Sparse = "cuda/kernels/sae_step/sae_sparse_any.cu", Selection = "cuda/kernels/sae_step/sae_select_any.cu",
        Products = "cuda/kernels/sae_step/sae_product_sm80.cu", WarpgroupProducts = "cuda/kernels/sae_step/sae_product_sm90a.cu";

    private readonly CudaKernel?[,,] _products = new CudaKernel?[2, 2, 3];

    public CudaKernel Norms { get; } = Get(device, Forward, "bs_sae_norms_f32");
    public CudaKernel Classify { get; } = Get(device, Forward, "bs_sae_classify_f32");
    public CudaKernel Activations { get; } = Get(device, Forward, "bs_sae_activations_f32");
    public CudaKernel Decode { get; } = Get(device, Forward, "bs_sae_decode_f32");
    public CudaKernel Residual { get; } = Get(device, Forward, "bs_sae_residual_f32");
    public CudaKernel Select { get; } = Get(device, Aux, "bs_sae_auxiliary_select_f32");
    public CudaKernel Auxiliary { get; } = Get(device, Aux, "bs_sae_auxiliary_f32");
    public CudaKernel StraightThrough { get; } = Get(device, Backward, "bs_sae_straight_through_f32");
    public CudaKernel DecoderGradient { get; } = Get(device, Backward, "bs_sae_decoder_gradient_f32");
    public CudaKernel TokenColumns { get; } = Get(device, Backward, "bs_sae_token_columns_f32");
    public CudaKernel JoinColumns { get; } = Get(device, Backward, "bs_sae_join_columns");
    public CudaKernel JoinTokens { get; } = Get(device, Backward, "bs_sae_join_tokens");
    public CudaKernel Finish { get; } = Get(device, Backward, "bs_sae_finish_f32");
    public CudaKernel Usage { get; } = Get(device, Backward, "bs_sae_usage_f32");
    public CudaKernel NestedDecode { get; } = Get(device, Forward, "bs_sae_nested_decode_f32");
    public CudaKernel Scales { get; } = Get(device, Rule, "bs_sae_scales_f32");
    public CudaKernel Subtract { get; } = Get(device, Rule, "bs_sae_subtract_f32");
    public CudaKernel Differentiate { get; } = Get(device, Rule, "bs_sae_differentiate_f32");
    public CudaKernel Penalty { get; } = Get(device, Rule, "bs_sae_penalty_f32");
    public CudaKernel RuleFinish { get; } = Get(device, Rule, "bs_sae_rule_finish_f32");
    public CudaKernel Length { get; } = Get(device, Rule, "bs_sae_length_f32");
    public CudaKernel CentreGradient { get; } = Get(device, Rule, "bs_sae_centre_gradient_f32");
    public CudaKernel Dead { get; } = Get(device, Rule, "bs_sae_dead");
    public CudaKernel Threshold { get; } = Get(device, Rule, "bs_sae_threshold_f32");
    public CudaKernel Window { get; } = Get(device, Sparse, "bs_sae_window_f32");
    public CudaKernel SparseBackward { get; } = Get(device, Sparse, "bs_sae_sparse_backward_f32");
    public CudaKernel Transposed { get; } = Get(device, Sparse, "bs_sae_transpose_f32");
    public CudaKernel TopK { get; } = Get(device, Selection, "bs_sae_top_k_f32");
    public CudaKernel BatchCount { get; } = Get(device, Selection, "bs_sae_batch_count_f32");
    public CudaKernel BatchCut { get; } = Get(device, Selection, "bs_sae_batch_cut");
    public CudaKernel BatchEqual { get; } = Get(device, Selection, "bs_sae_batch_equal_f32");
    public CudaKernel BatchBefore { get; } = Get(device, Selection, "bs_sae_batch_before");
    public CudaKernel BatchTake { get; } = Get(device, Selection, "bs_sae_batch_take_f32");
    public CudaKernel Turn { get; } = Get(device, Selection, "bs_sae_turn_f32");
    public CudaKernel Project { get; } = Get(device, Update, "bs_sae_project_f32");
    public CudaKernel Squares { get; } = Get(device, Update, "bs_sae_squares_f32");
    public CudaKernel Clip { get; } = Get(device, Update, "bs_sae_clip_f32");
    public CudaKernel Adam { get; } = Get(device, Update, "bs_sae_adam_f32");
    public CudaKernel AdamRows { get; } = Get(device, Update, "bs_sae_adam_rows_f32");

    /// <summary>A product and what follows it: stage 0 encodes, stage 1 forms the gradient of the pre-activations.</summary>
    public CudaKernel Product(int stage, GemmConfig config)
    {
        bool bf16 = config.Form == GemmForm.BFloat16;
        ref CudaKernel? kernel = ref _products[stage, bf16 ? 1 : 0, config.Warpgroups ? 2 : config.Tile == 128 ? 1 : 0];
        if (kernel is not null) return kernel;
        string constants = $"BS_STAGE={stage} BS_FORM={(bf16 ? 1 : 0)}", entry = stage == 0 ? "bs_sae_encode_" : "bs_sae_gradient_";
        return kernel = config.Warpgroups
            ? DeviceKernels.Get(device, new JitRequest(WarpgroupProducts, constants), entry + "wgmma")
            : DeviceKernels.Get(device, new JitRequest(Products, $"{constants} BS_TILE={config.Tile}"), entry + "f32");
    }

    private static CudaKernel Get(CudaDevice device, string source, string entry) => DeviceKernels.Get(device, new JitRequest(source), entry);
}
