"""Run every kernel on small shapes and save all results: ``python lanes.py OUT.npz``.

`test_launch.py` runs this in processes that differ in Numba mode, threads or cache.
"""

import sys

import numpy as np

from minicv import kernels as K


def compute(dtype, scale=1):
    """Results by name; `scale` enlarges the images, so that several threads take part."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 6, 5 * scale, 7 * scale)).astype(dtype)
    x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    grid = rng.uniform(-1.2, 1.2, (2, 4 * scale, 3 * scale, 2)).astype(dtype)
    size, out = x.shape[2:], {}
    for groups in (1, 2, 6):
        w = rng.standard_normal((6, 6 // groups, 3, 2)).astype(dtype)
        settings = dict(groups=groups, stride=(2, 1), padding=((1, 0), (2, 1)))
        y = out[f"conv{groups}"] = K.conv2d(x, w, **settings)
        out[f"conv_input{groups}"] = K.conv2d_input(y, w, size=size, **settings)
        out[f"conv_filter{groups}"] = K.conv2d_filter(x, y, size=(3, 2), **settings)
    y, where = out["max"], out["where"] = K.max_pool(x, size=3, stride=2, padding=1)
    out["gather"], out["scatter"] = K.pool_gather(x, where), K.pool_scatter(y, where, size=size)
    out["mean"] = K.avg_pool(x, size=3, stride=2, padding=1)
    out["mean_input"] = K.avg_pool_input(y, input_size=size, size=3, stride=2, padding=1)
    out["mean2"] = K.avg_pool(x, size=2)
    for mode in ("bicubic", "bilinear", "nearest"):
        y = out["resize " + mode] = K.resize(x, (3 * scale, 11 * scale), mode=mode)
        out["resize_input " + mode] = K.resize_input(y, size, mode=mode)
    y = out["sample"] = K.grid_sample(x, grid)
    out["sample_input"] = K.grid_sample_input(y, grid, size=size)
    out["sample_grid"] = K.grid_sample_grid(y, x, grid)
    out["unfold"] = K.unfold(x, 2)
    return out


def everything():
    return {f"{name}_{dtype.__name__}": value for dtype in (np.float32, np.float64)
            for name, value in compute(dtype).items()}


if __name__ == "__main__":
    np.savez(sys.argv[1], **everything())
