using System.Runtime.CompilerServices;
using BioSup.Runtime.Interop;

namespace BioSup.Runtime.Tests.Cuda;

/// <summary>Sizes and offsets of structs that cross into native code, as the C headers give them on 64-bit Linux.</summary>
public sealed unsafe class InteropLayoutTests
{
    [Fact]
    public void Structs_have_the_sizes_of_C()
    {
        Assert.Equal(72, sizeof(CUlaunchAttribute));
        Assert.Equal(56, sizeof(CUlaunchConfig));
        Assert.Equal(16, sizeof(CUuuid));
        Assert.Equal(24, sizeof(CUgraphExecUpdateResultInfo));
        Assert.Equal(8, sizeof(CUdeviceptr));
        Assert.Equal(4, sizeof(CUdevice));
        Assert.Equal(64, sizeof(cublasLtMatmulAlgo_t));
        Assert.Equal(96, sizeof(cublasLtMatmulHeuristicResult_t));
        Assert.Equal(8, sizeof(DevicePointer));
    }

    [Fact]
    public void Fields_stand_where_C_puts_them()
    {
        CUlaunchConfig config = default;
        Assert.Equal(32, Unsafe.ByteOffset(ref Unsafe.As<CUlaunchConfig, byte>(ref config), ref Unsafe.As<CUstream, byte>(ref config.hStream)));
        CUlaunchAttribute attribute = default;
        Assert.Equal(8, Unsafe.ByteOffset(ref Unsafe.As<CUlaunchAttribute, byte>(ref attribute), ref Unsafe.As<uint, byte>(ref attribute.clusterDimX)));
    }

    [Theory]
    [InlineData(0, 128, 0)]
    [InlineData(1, 128, 1)]
    [InlineData(128, 128, 1)]
    [InlineData(129, 128, 2)]
    [InlineData(5_000_000_000, 1024, 4882813)]
    public void A_grid_covers_every_item(long items, int block, int blocks)
    {
        LaunchShape shape = LaunchShape.For(items, block);
        Assert.Equal(blocks, shape.Grid.Count);
        Assert.Equal(block, shape.Block.Count);
    }
}
