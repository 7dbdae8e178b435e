"""Convolution and its two partners.

The scalar

    T(x, w, g) = sum g[n, o, i, j] w[o, c, p, q] x[n, c, i s + p d - top, j s + q d - left]

is linear in image x, filter w and output weight g. Its partial derivatives with respect to g, x and w
are the three ops `correlate2d`, `conv2d_input` and `conv2d_filter`: differentiating any of them only
ever gives the other two, so every order of derivative comes for free. The transposed convolution is
the second one, and a 1-D convolution is a 2-D one over images of height 1.

Departures: none. NB: as everywhere in this field, "convolution" is cross-correlation; the filter is
not flipped.
"""

import numpy as np

from ..errors import ArgError, DTypeError, ShapeError
from ..kernels import conv as kernels
from ..kernels.windows import pads, pair
from .modes import state
from .op import array, op

# The trilinear form --------------------------------------------------------------------------------


@op
def correlate2d(x, w, b=None, *, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1, kept=False):
    """dT/dg, plus a bias: `conv2d` with settings spelled out as pairs."""
    y = kernels.conv2d(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups,
                       kept=kept)
    if b is not None:
        y = y.astype(np.result_type(y, b), copy=False)
        y += b[:, None, None]
    return y


@op
def conv2d_input(g, w, *, size, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1, kept=False):
    """dT/dx: g (N, O, I, J), w (O, C / groups, P, Q) -> (N, C, *size), the adjoint of `conv2d` in x."""
    return kernels.conv2d_input(g, w, size=size, stride=stride, padding=padding, dilation=dilation, groups=groups,
                                kept=kept)


@op
def conv2d_filter(x, g, *, size, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1):
    """dT/dw: x (N, C, H, W), g (N, O, I, J) -> (O, C / groups, *size), the adjoint of `conv2d` in w."""
    return kernels.conv2d_filter(x, g, size=size, stride=stride, padding=padding,
                                    dilation=dilation, groups=groups)


correlate2d.vjp(
    lambda g, y, x, w, b=None, **s: conv2d_input(g, w, size=x.shape[2:], **s),
    lambda g, y, x, w, b=None, **s: conv2d_filter(x, g, size=w.shape[2:], **s),
    lambda g, y, x, w, b=None, **s: g.sum(axis=(0, 2, 3)), saves=("x", "w"))
conv2d_input.vjp(
    lambda gx, y, g, w, size, **s: correlate2d(gx, w, **s),
    lambda gx, y, g, w, size, **s: conv2d_filter(gx, g, size=w.shape[2:], **s))
conv2d_filter.vjp(
    lambda gw, y, x, g, size, **s: conv2d_input(g, gw, size=x.shape[2:], **s),
    lambda gw, y, x, g, size, **s: correlate2d(x, gw, **s))


# What users call -----------------------------------------------------------------------------------


def conv2d(x, w, b=None, *, stride=1, padding=0, dilation=1, groups=1):
    """Convolution y[n, o, i, j] = b[o] + sum_cpq x[n, c, i s + p d, j s + q d] w[o, c, p, q].

    The output size is I = floor((H + padding - dilation (P - 1) - 1) / stride) + 1, with the padding of
    both sides added up.

    Parameters
    ----------
    x : Tensor or array (N, C, H, W), float32 or float64
    w : Tensor or array (O, C / groups, P, Q)
    b : Tensor or array (O,), optional
    stride, dilation : int or (vertical, horizontal), at least 1
    padding : int, (vertical, horizontal), ((top, bottom), (left, right)) or "same"
        Zero rows and columns around x. "same" keeps H and W (stride 1 only); where an odd number is
        needed, the extra row or column goes to the bottom or right.
    groups : int
        Output channels of group k see the input channels of group k only; groups = C is depthwise.

    Returns
    -------
    Tensor or array (N, O, I, J) of the promoted dtype, channels-last in memory.

    Raises
    ------
    ShapeError
        For wrong ranks, channels that do not fit or divide, or an output size below 1.
    DTypeError
        For arrays other than float32 and float64. (A Tensor made from float16 is float32.)
    ArgError
        For settings that are not positive integers, and "same" with a stride above 1.

    >>> import numpy as np
    >>> conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)))[0, 0]
    array([[4., 4.],
           [4., 4.]])
    """
    settings = _settings("conv2d", x, w, stride, padding, dilation, groups)
    _check_channels("conv2d", x, w, b, settings["groups"], inputs=1, outputs=0)
    return correlate2d(x, w, *_given(b), **settings, **_kept())


def conv1d(x, w, b=None, *, stride=1, padding=0, dilation=1, groups=1):
    """Convolution of sequences: `conv2d` of images of height 1.

    Parameters
    ----------
    x : Tensor or array (N, C, L), float32 or float64
    w : Tensor or array (O, C / groups, Q)
    b : Tensor or array (O,), optional
    stride, dilation, groups : int
    padding : int, (left, right) or "same"

    Returns
    -------
    Tensor or array (N, O, J), J = floor((L + padding - dilation (Q - 1) - 1) / stride) + 1.

    Raises
    ------
    ShapeError, DTypeError, ArgError
        As `conv2d`.
    """
    for name, a in (("x", x), ("w", w)):
        if array(a).ndim != 3:
            raise ShapeError(f"conv1d: {name} has shape {array(a).shape}, expected 3 axes; "
                             "sequences are (N, C, L), filters (O, C / groups, Q)")
    settings = _settings("conv1d", x[:, :, None], w[:, :, None], (1, stride), _sides(padding),
                         (1, dilation), groups)
    _check_channels("conv1d", x, w, b, settings["groups"], inputs=1, outputs=0)
    y = correlate2d(x[:, :, None], w[:, :, None], *_given(b), **settings)        # (N, O, 1, J)
    return y[:, :, 0]


def conv_transpose2d(x, w, b=None, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    """Transposed convolution: every x[n, c, i, j] adds x w[c] to the window (i, j) of the output.

    It is the gradient of `conv2d` with respect to its input. The output size is
    H' = (H - 1) stride - padding + dilation (P - 1) + 1 + output_padding.

    Parameters
    ----------
    x : Tensor or array (N, C, H, W), float32 or float64
    w : Tensor or array (C, O / groups, P, Q)
        Input channels first, as in PyTorch.
    b : Tensor or array (O,), optional
    stride, padding, dilation, groups
        Those of the convolution it is the transpose of; padding rows are cut from the output.
    output_padding : int or (vertical, horizontal)
        Extra rows and columns at the bottom and right, less than stride or dilation: with a stride s,
        s input sizes of the convolution share one output size.

    Returns
    -------
    Tensor or array (N, O, H', W').

    Raises
    ------
    ShapeError, DTypeError, ArgError
        As `conv2d`, and ArgError for an output_padding that is too large.
    """
    name = "conv_transpose2d"
    if isinstance(padding, str):
        raise ArgError(f"{name}: padding is {padding!r}, expected integers")
    settings = _settings(name, x, w, stride, padding, dilation, groups)
    _check_channels(name, x, w, b, settings["groups"], inputs=0, outputs=1)
    size = _transposed_size(name, x, w, output_padding, **settings)
    y = conv2d_input(x, w, size=size, **settings, **_kept())
    return y if b is None else y + b.reshape(1, -1, 1, 1)


# Checks, before any work ----------------------------------------------------------------------------


def check_image(function, name, x, axes="(N, C, H, W)"):
    """ShapeError or DTypeError unless `x` has four axes and is float32 or float64."""
    a = array(x)
    if a.ndim != 4:
        hint = "; add the batch axis with x[None]" if a.ndim == 3 else ""
        raise ShapeError(f"{function}: {name} is {a.ndim}-D of shape {a.shape}, expected 4-D {axes}{hint}")
    if a.dtype.kind != "f" or a.dtype.itemsize < 4:
        raise DTypeError(f"{function}: {name} has dtype {a.dtype}, expected float32 or float64")


def _kept():
    """While nothing is recorded, as in inference, filters stay the same for many images."""
    return {} if state.recording else {"kept": True}


def _given(b):
    return () if b is None else (b,)


def _settings(function, x, w, stride, padding, dilation, groups):
    """Checked settings as pairs."""
    check_image(function, "x", x)
    check_image(function, "w", w, "filters")
    stride, dilation = pair(function, "stride", stride), pair(function, "dilation", dilation)
    groups, _ = pair(function, "groups", groups if not isinstance(groups, tuple | list) else ())
    if isinstance(padding, str):
        padding = _same(function, padding, w.shape[2:], stride, dilation)
    return {"stride": stride, "padding": pads(function, padding), "dilation": dilation, "groups": groups}


def _same(function, padding, kernel, stride, dilation):
    """Padding that keeps the size; the odd row or column goes to the bottom or right."""
    if padding != "same":
        raise ArgError(f'{function}: padding is {padding!r}, expected integers or "same"')
    if max(stride) > 1:
        raise ArgError(f'{function}: padding is "same" with stride {stride}, expected stride 1; '
                       "the size cannot stay the same, so give the padding as numbers")
    totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)


def _sides(padding):
    """Padding of a sequence as that of an image of height 1."""
    return padding if isinstance(padding, str) else (0, padding)


def _check_channels(function, x, w, b, groups, inputs, outputs):
    """Channels of x, w and b fit; w has input channels on axis `inputs`, output channels on the other."""
    C = x.shape[1]
    wanted = w.shape[1] * groups if inputs == 1 else w.shape[0]
    O = w.shape[0] if outputs == 0 else w.shape[1] * groups
    if C != wanted:
        last = x.shape[-1] == wanted
        hint = "; x looks like channels-last, use x.transpose(0, 3, 1, 2)" if last and x.ndim == 4 else ""
        raise ShapeError(f"{function}: w of shape {w.shape} with groups={groups} has {wanted} input channels, "
                         f"x of shape {x.shape} has {C}{hint}")
    if O == 0:
        raise ShapeError(f"{function}: w has shape {w.shape}, expected at least one filter")
    if w.shape[0] % groups:
        raise ShapeError(f"{function}: w has {w.shape[0]} filters, expected a multiple of groups={groups}")
    if b is not None and array(b).shape != (O,):
        raise ShapeError(f"{function}: b has shape {array(b).shape}, expected ({O},), one value per channel of y")


def _transposed_size(function, x, w, output_padding, stride, padding, dilation, groups):
    extra = pair(function, "output_padding", output_padding, least=0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise ArgError(f"{function}: output_padding is {extra}, expected less than stride {stride} "
                       f"or dilation {dilation}")
    size = tuple((n - 1) * s - sum(p) + d * (k - 1) + 1 + e for n, s, p, d, k, e in
                 zip(x.shape[2:], stride, padding, dilation, w.shape[2:], extra, strict=True))
    if min(size) < 1:
        raise ShapeError(f"{function}: output size is {size} from (H - 1) stride - padding + dilation (P - 1) + 1 + "
                         f"output_padding with input {x.shape[2:]}, kernel {w.shape[2:]}, stride {stride}, "
                         f"padding {padding}, dilation {dilation}, expected at least (1, 1)")
    return size
