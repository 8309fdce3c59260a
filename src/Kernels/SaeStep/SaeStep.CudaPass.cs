using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class SaeStep
{
    /// <summary>One tile of tokens, forward and backward.</summary>
    private ref struct CudaPass
    {
        public SaeCudaState State;
        public MatrixView<float> Tokens;
        public SaeParameters Parameters, Gradients;
        public bool Backward, Dense, FirstTile;
        public int Kept;
        public GemmPrecision Precision;
        public DevicePointer AuxBias, Coefficients;
        public float AuxScale, ResidualScale, Bandwidth;
        private SaeTile _tile;
        private GemmConfig _product;
        private bool _fused;

        private readonly int Count => Tokens.Rows;
        private readonly int Chunks => (Count + SaeCudaState.Chunk - 1) / SaeCudaState.Chunk;
        private readonly CudaStream Stream => State.Device.Stream;
        private readonly LaunchShape Squares => new(new Extent(State.Words, Chunks), SquareThreads);
        private readonly MatrixView<float> Error => new((float*)State.Error.Address, Count, State.Width, State.Width, State.Device);
        private readonly MatrixView<float> Work => Tile(State, State.Work, Count);

        /// <summary>Sums over tiles: the first one overwrites.</summary>
        private readonly float Onto => FirstTile ? 0 : 1;

        public void Run()
        {
            bool wide = Wide(Tokens) + Wide(Error) + Wide(Parameters.Decoder) + Wide(Parameters.Tied ? Parameters.Encoder : Parameters.Gate) == 4;
            _fused = State.Fused(Count, Precision, wide, out _product);
            if (_fused) EncodeFused();
            else
            {
                _tile = EncodeTile(State, Tokens, Parameters, Precision);
                State.Kernels.Classify.Launch(Stream, Squares, _tile, State.ByToken, State.ByLatent, State.TokenWords, State.LatentPartials);
            }
            Decode();
            if (Kept > 0) Auxiliary();
            if (Backward) Gradient();
            Join();
        }

        /// <summary>The last product of the encoder and the sets of pairs in one kernel.</summary>
        private void EncodeFused()
        {
            _tile = Describe(State, Count, Parameters);
            MatrixView<float> weights = Parameters.Tied ? Parameters.Encoder : Parameters.Gate;
            if (!Parameters.Tied) Product(Transpose.No, Transpose.No, 1, Tokens, Parameters.Encoder, 0, Tile(State, State.Encoder, Count), Precision);
            CudaKernel kernel = State.Kernels.Product(0, _product);
            if (_product.Warpgroups)
            {
                kernel.Launch(Stream, WarpgroupShape, Lines(Tokens), TensorMap.Create(weights, TensorElement.Float32, BoxLevels, BoxLines), Tokens.Address, Tokens.Stride, weights.Address, weights.Stride,
                    State.Width, _tile, State.Gate, Parameters.Tied ? 1 : 0, State.ByToken, State.Words, State.ByLatent, State.TokenWords, State.LatentPartials);
                return;
            }
            kernel.Launch(Stream, ProductShape(transposed: false), Tokens.Address, Tokens.Stride, Wide(Tokens), weights.Address, weights.Stride, Wide(weights), State.Width,
                _tile, State.Gate, Parameters.Tied ? 1 : 0, State.ByToken, State.Words, State.ByLatent, State.TokenWords, State.LatentPartials);
        }

        /// <summary>Reconstruction minus token, and the decoder's gradient, which a dense tile forms from the same activations.</summary>
        private readonly void Decode()
        {
            if (Dense)
            {
                State.Kernels.Activations.Launch(Stream, Pairs(State, Count), _tile, State.Work, (long)State.Stride);
                Product(Transpose.No, Transpose.No, 1, Work, Parameters.Decoder, 0, Error, Precision);
                State.Kernels.Residual.Launch(Stream, new LaunchShape(Count, RowThreads), State.ByToken, State.Words, Parameters.DecoderBias.Address, Tokens.Address, Tokens.Stride,
                    State.Width, State.Error, (long)State.Width, State.TokenSums);
                if (Backward) Product(Transpose.Yes, Transpose.No, ResidualScale, Work, Error, Onto, Gradients.Decoder, Precision);
                return;
            }
            State.Kernels.Decode.Launch(Stream, new LaunchShape(Count, RowThreads), _tile, State.ByToken, Parameters.Decoder.Address, Parameters.Decoder.Stride,
                Parameters.DecoderBias.Address, Tokens.Address, Tokens.Stride, State.Width, State.Error, (long)State.Width, State.TokenSums);
            if (Backward)
                State.Kernels.DecoderGradient.Launch(Stream, new LaunchShape(State.Latents, RowThreads), _tile, State.ByLatent, State.TokenWords, State.Error, (long)State.Width, State.Width,
                    ResidualScale, Gradients.Decoder.Address, Gradients.Decoder.Stride, FirstTile ? 1 : 0);
        }

        private readonly void Auxiliary()
        {
            State.Kernels.Select.Launch(Stream, new LaunchShape(Count, SelectWarps * 32, SaeCudaState.SelectBytes * Kept), _tile, Kept, State.AuxIndex, State.AuxValue, State.AuxCount);
            State.Kernels.Auxiliary.Launch(Stream, new LaunchShape(Count, RowThreads, State.Width * sizeof(float)), State.AuxIndex, State.AuxValue, State.AuxCount, Kept,
                Parameters.Decoder.Address, Parameters.Decoder.Stride, AuxBias, State.Error, (long)State.Width, State.Width, AuxScale, State.AuxGradient, State.AuxChosen, State.Words, State.TokenSums);
        }

        private readonly void Gradient()
        {
            DevicePointer gate = Parameters.Tied ? DevicePointer.Null : State.Gate;
            SaeAuxiliary auxiliary = new(State.AuxChosen, State.AuxIndex, State.AuxCount, State.AuxGradient, State.Words, Kept);
            if (_fused)
            {
                MatrixView<float> error = Error, decoder = Parameters.Decoder;
                CudaKernel kernel = State.Kernels.Product(1, _product);
                if (_product.Warpgroups)
                    kernel.Launch(Stream, WarpgroupShape, Lines(error), Lines(decoder), error.Address, error.Stride, decoder.Address, decoder.Stride, State.Width, ResidualScale,
                        _tile, State.Work, gate, State.Norms, Coefficients, Bandwidth, auxiliary, State.LatentPartials);
                else kernel.Launch(Stream, ProductShape(transposed: true), error.Address, error.Stride, Wide(error), decoder.Address, decoder.Stride, Wide(decoder), State.Width, ResidualScale,
                    _tile, State.Work, gate, State.Norms, Coefficients, Bandwidth, auxiliary, State.LatentPartials);
            }
            else
            {
                Product(Transpose.No, Transpose.Yes, ResidualScale, Error, Parameters.Decoder, 0, Work, Precision);
                State.Kernels.StraightThrough.Launch(Stream, Squares, _tile, State.Work, gate, State.Norms, Coefficients, Bandwidth, auxiliary, State.LatentPartials);
            }
            Product(Transpose.Yes, Transpose.No, 1, Tokens, Work, Onto, Gradients.Encoder, Precision);
            if (!Parameters.Tied) Product(Transpose.Yes, Transpose.No, 1, Tokens, Tile(State, State.Gate, Count), Onto, Gradients.Gate, Precision);
        }

        // Boxes of the copy engine: 128 lines by 32 levels, as in Gemm.
        private const int BoxLines = 128, BoxLevels = 32, WarpgroupThreads = 288;

        private readonly LaunchShape WarpgroupShape => new(
            new Extent((int)GemmConfig.Tiles(Count, _product.Tile), (int)GemmConfig.Tiles(State.Latents, _product.Tile)), WarpgroupThreads, _product.WarpgroupSharedBytes);

        private static TensorMap Lines(MatrixView<float> matrix) => TensorMap.Create(matrix, TensorElement.Float32, BoxLines, BoxLevels, TensorSwizzle.Bytes128);

        private readonly LaunchShape ProductShape(bool transposed)
        {
            int tile = _product.Tile, squares = tile / SaeCudaState.Side;
            // The finished tile, with padded rows, and sums of 20 bytes for each of its columns of squares take the place of the slabs.
            int finished = tile * (tile + 8) * sizeof(float) + squares * tile * (sizeof(double) + 3 * sizeof(int));
            return new LaunchShape(new Extent((int)GemmConfig.Tiles(Count, tile), (int)GemmConfig.Tiles(State.Latents, tile)), 2 * tile,
                Math.Max(finished, _product.SharedBytes(depthIsContiguousInA: true, depthIsContiguousInB: transposed)));
        }

        /// <summary>Adds the sums of the tile to those of the batch.</summary>
        private readonly void Join()
        {
            int chunks = _fused ? (int)GemmConfig.Tiles(Count, _product.Tile) : Chunks;
            State.Kernels.TokenColumns.Launch(Stream, new LaunchShape(new Extent((State.Width + SaeCudaState.Side - 1) / SaeCudaState.Side, Chunks), SquareThreads), Tokens.Address, Tokens.Stride,
                State.Error, (long)State.Width, Count, State.Width, State.TokenPartials, State.ErrorPartials);
            State.Kernels.JoinColumns.Launch(Stream, LaunchShape.For((long)State.Latents + State.Width, SquareThreads), State.LatentPartials, State.LatentTotals, State.Latents, State.TokenPartials,
                State.ErrorPartials, State.TokenTotals, State.ErrorTotals, State.Width, chunks, Backward ? chunks : 0, Chunks, FirstTile ? 1 : 0);
            State.Kernels.JoinTokens.Launch(Stream, new LaunchShape(1, SquareThreads), State.TokenSums, Count, State.Statistics, FirstTile ? 1 : 0, Kept > 0 ? 1 : 0);
        }
    }
}
