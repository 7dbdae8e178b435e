"""A dilated convolution as ordinary ones: pixels that are d apart form an image of their own.

With dilation d and padding a multiple of d, output i sees the inputs i + d k only. All pixels with the same remainder
by d are one sub-image, in which the taps are neighbours; there are d x d of them, and they make up a batch.
"""

from .buffers import empty


def split(x, dilation):
    """x (N, C, H, W) channels-last as (d d N, C, ceil(H / d), ceil(W / d)), with zeros where some are shorter."""
    x = x.transpose(0, 2, 3, 1)
    (N, H, W, C), (d, e) = x.shape, dilation
    parts = empty((d, e, N, -(-H // d), -(-W // e), C), x.dtype)
    for a in range(d):
        for b in range(e):
            part = x[:, a::d, b::e]
            rows, columns = part.shape[1:3]
            parts[a, b, :, :rows, :columns] = part
            parts[a, b, :, rows:] = 0
            parts[a, b, :, :rows, columns:] = 0
    return parts.reshape(-1, *parts.shape[3:]).transpose(0, 3, 1, 2)


def join(parts, dilation, size):
    """The image (N, C, H, W) of `size` (H, W) that `split` takes apart."""
    (d, e), (H, W) = dilation, size
    parts = parts.transpose(0, 2, 3, 1)
    parts = parts.reshape(d, e, -1, *parts.shape[1:])
    x = empty((parts.shape[2], H, W, parts.shape[5]), parts.dtype)
    for a in range(min(d, H)):
        for b in range(min(e, W)):
            whole = x[:, a::d, b::e]
            whole[...] = parts[a, b, :, :whole.shape[1], :whole.shape[2]]
    return x.transpose(0, 3, 1, 2)


def undilated(geometry):
    """The geometry of the sub-images; the padding behind follows from the grid."""
    grid = tuple(-(-n // d) for n, d in zip(geometry.grid, geometry.dilation, strict=True))
    corner = tuple(before // d for before, d in zip(geometry.corner, geometry.dilation, strict=True))
    return geometry._replace(grid=grid, dilation=(1, 1), padding=tuple((before, 0) for before in corner))
