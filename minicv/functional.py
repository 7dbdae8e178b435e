"""All operations and losses in one flat list, for notebooks: ``import minicv.functional as F``.

Arrays or Tensors are positional, settings are keywords named as in NumPy. Plain arrays give plain arrays.
"""

from .autograd.activation import (
    elu,
    gelu,
    hardsigmoid,
    hardswish,
    leaky_relu,
    mish,
    prelu,
    relu,
    relu6,
    silu,
)
from .autograd.attention import attention_with_weights, masked_softmax, scaled_dot_product_attention
from .autograd.conv import conv1d, conv2d, conv2d_filter, conv2d_input, conv_transpose2d
from .autograd.elementwise import (
    absolute,
    add,
    arccos,
    arcsin,
    arctan,
    arctan2,
    clip,
    cos,
    div,
    erf,
    exp,
    expm1,
    floor,
    log,
    log1p,
    maximum,
    minimum,
    mul,
    neg,
    power,
    rsqrt,
    sigmoid,
    sign,
    sin,
    softplus,
    sqrt,
    sub,
    tan,
    tanh,
    where,
)
from .autograd.engine import cast, expand, sum_to
from .autograd.index import embedding, getitem, one_hot, scatter_add, sort, take_along_axis, topk
from .autograd.linalg import einsum, inv, matmul, solve
from .autograd.normalize import (
    batch_norm,
    group_norm,
    instance_norm,
    l2_normalize,
    layer_norm,
    local_response_norm,
    normalize,
)
from .autograd.pool import (
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool2d,
    global_avg_pool,
    global_max_pool,
    l2_pool2d,
    max_pool2d,
    max_pool2d_with_indices,
    max_unpool2d,
)
from .autograd.random import dropout
from .autograd.reduce import (
    argmax,
    argmin,
    cumsum,
    logsumexp,
    max,
    mean,
    min,
    norm,
    prod,
    std,
    sum,
    var,
)
from .autograd.resample import (
    affine_grid,
    fold,
    grid_sample,
    pixel_shuffle,
    pixel_unshuffle,
    resize,
    unfold,
)
from .autograd.roi import roi_align, roi_pool
from .autograd.shape import (
    concat,
    crop,
    expand_dims,
    flatten,
    flip,
    moveaxis,
    pad,
    repeat,
    reshape,
    roll,
    split,
    squeeze,
    stack,
    swapaxes,
    tile,
    transpose,
)
from .autograd.softmax import log_softmax, softmax
from .nn.losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    dice_loss,
    focal_loss,
    hinge,
    huber,
    kl_divergence,
    l1,
    mse,
    multiclass_hinge,
    smooth_l1,
)

__all__ = [name for name in dir() if not name.startswith("_") and name not in ("autograd", "nn")]
