"""Kernels: arrays in, arrays out, no gradients. Each fast loop has a NumPy twin that explains it.

Reading order: `layout` (channels last), `windows` and `geometry` (sliding windows), `conv_numpy` and `conv` (one
trilinear form and its derivatives), its methods `matrix` with `im2col`, `depthwise`, `direct` with `direct_loops` and
`panels`, `winograd` with `winograd_loops`, `transforms` and `decimate`, `grouped` with `grouped_loops` and
`grouped_tiles`, the rule that picks one (`choose`), and the vector code under them, `simd` and `host`; `pool_loops`
and `pool`, `unfold`, `rows` with `rows_loops` and `resample` (resize), `taps` and `sample` (grid sampling);
`normalize`, `layer`, `softmax_loops`, `elementary`, `dropout`; `exponential` and `attention`; for detection
`overlap`, `nms`, `integral`, `assignment`, `roi`, `haar` and `segment`, whose functions are imported from there; and
under all of them `launch` (the `@kernel` decorator), `threads`, `cache` and `buffers` (memory).

Images are (N, C, H, W) and usually channels-last in memory; float32 stays float32. Public functions
check their arguments; loops never raise. ``MINICV_KERNELS=numpy`` runs everything without Numba.
"""

from . import assignment, attention, coco, haar, integral, nms, overlap, rle, roi, segment  # noqa: F401  (for warm-up)
from .buffers import empty, empty_cache, workspace
from .choose import conv_algo, precision
from .conv import conv2d, conv2d_filter, conv2d_input
from .conv_numpy import conv2d_filter_numpy, conv2d_input_numpy, conv2d_numpy
from .launch import kernel, kernel_names, warmup
from .layout import channels_last, is_channels_last, like_layout
from .pool import (
    adaptive_avg_pool,
    adaptive_avg_pool_input,
    adaptive_bounds,
    adaptive_max_pool,
    avg_pool,
    avg_pool_input,
    max_pool,
    pool_gather,
    pool_scatter,
)
from .resample import resize, resize_input, resize_rows
from .sample import grid_sample, grid_sample_grid, grid_sample_input, grid_taps
from .taps import taps_dot, taps_gather, taps_scatter
from .threads import deterministic, get_num_threads, set_num_threads
from .unfold import fold, unfold

__all__ = [
    "adaptive_avg_pool", "adaptive_avg_pool_input", "adaptive_bounds", "adaptive_max_pool",
    "avg_pool", "avg_pool_input", "channels_last", "conv2d", "conv2d_filter", "conv_algo",
    "conv2d_filter_numpy", "conv2d_input", "conv2d_input_numpy", "conv2d_numpy", "deterministic",
    "empty", "empty_cache", "fold", "get_num_threads", "grid_sample", "grid_sample_grid", "grid_sample_input",
    "grid_taps", "is_channels_last", "kernel", "kernel_names", "like_layout", "max_pool", "pool_gather", "precision",
    "pool_scatter", "resize", "resize_input", "resize_rows", "set_num_threads", "taps_dot",
    "taps_gather", "taps_scatter", "unfold", "warmup", "workspace",
]
