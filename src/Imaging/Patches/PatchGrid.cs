using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>Square patches on a regular grid: left edges at 0, stride, 2 stride, ... as long as the patch lies inside the image.</summary>
/// <param name="Size">Side of a patch in pixels.</param>
/// <param name="Stride">Step between patches in pixels; equal to the size for patches that do not overlap.</param>
public sealed record PatchGrid(int Size, int Stride)
{
    /// <summary>Upper left corners in row order: y outer, x inner.</summary>
    /// <exception cref="DataException">The image is smaller than one patch.</exception>
    public IReadOnlyList<(int X, int Y)> Corners(ImageStack image)
    {
        if (Size < 1 || Stride < 1) throw new UsageException($"Patch size {Size} and stride {Stride}: both are 1 or larger.");
        if (image.Width < Size || image.Height < Size)
            throw new DataException(image.Name, null, $"the image is {image.Width} x {image.Height} pixels, smaller than a patch of {Size} x {Size}");
        List<(int, int)> corners = [];
        for (int y = 0; y + Size <= image.Height; y += Stride)
            for (int x = 0; x + Size <= image.Width; x += Stride)
                corners.Add((x, y));
        return corners;
    }
}
