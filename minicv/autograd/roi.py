"""Features of regions of interest: RoI pooling and RoI alignment, with their adjoints.

Boxes are rows (n, x1, y1, x2, y2): index of an image of the batch, and a box xyxy, half-open, in pixels of that image;
`scale` = 1 / stride takes them to the feature map. **Boxes get no gradient**: they are a plain array or a Tensor whose
gradient, if it wants one, does not come from here (Fast and Faster R-CNN treat proposals as constants, too).

Both are linear in the features once positions are known, so each comes with its adjoint and both differentiate to
every order: `roi_pool` chooses integers and gathers (`roi_gather`, `roi_scatter`); `roi_align` has fixed weights.

References: Girshick, ICCV 2015 (Fast R-CNN), section 2.1; He et al., ICCV 2017 (Mask R-CNN), section 3.
"""

import numpy as np

from ..kernels import roi as kernels
from .conv import check_image
from .op import array, op

# Pooling ---------------------------------------------------------------------------------------------


@op
def roi_gather(x, where, batch):
    """y[r, c, i, j] = pixel h W + w = where[r, c, i, j] of x[batch[r], c], 0 for -1; where (R, C, I, J), batch (R,)."""
    check_image("roi_gather", "x", x)
    return kernels.roi_gather(x, where, batch)


@op
def roi_scatter(g, where, batch, *, shape):
    """Adjoint of `roi_gather`: adds g[r, c, i, j] to the pixel it came from, of zeros of `shape` = (N, C, H, W)."""
    check_image("roi_scatter", "g", g)
    return kernels.roi_scatter(g, where, batch, shape=shape)


roi_gather.vjp(lambda g, y, x, where, batch: roi_scatter(g, array(where), array(batch), shape=x.shape),
               None, None, saves=("where", "batch"))
roi_scatter.vjp(lambda gx, y, g, where, batch, shape: roi_gather(gx, array(where), array(batch)),
                None, None, saves=("where", "batch"))


@op(aux=True)
def roi_pool(x, boxes, *, size, scale=1.0):
    """Largest value in each cell of a grid over each box.

    The scaled corners are rounded to whole pixels, halves away from zero. Of the h rows between them bin i takes those
    from floor(i h / I) to ceil((i + 1) h / I), columns likewise; bins may overlap by a pixel. A box that rounds to no
    row or column takes one. What lies outside the map does not count; a bin wholly outside is 0.

    Parameters
    ----------
    x : Tensor or array (N, C, H, W), float32 or float64
    boxes : array (R, 5)
        See the module; any real dtype.
    size : int or (I, J)
    scale : float
        1 / stride of the map.

    Returns
    -------
    Tensor or array (R, C, I, J), dtype and memory order of x. The first maximum of a bin gets the gradient; NaN counts
    as largest.

    Raises
    ------
    ShapeError, DTypeError
        For x or boxes of another rank, size or type.
    BoxError
        For a box that is not finite or inverted.
    ArgError
        For an image index that is no integer in [0, N), a size below 1, a scale that is not positive.

    Departures: none. NB: torchvision counts the pixel at (x2, y2) as inside; for the corner (x2 - 1 / scale,
    y2 - 1 / scale) it gives the same.

    >>> import numpy as np
    >>> roi_pool(np.arange(35.0).reshape(1, 1, 5, 7), np.array([[0, 0, 0, 7, 5]]), size=2)[0, 0]
    array([[17., 20.],
           [31., 34.]])
    """
    check_image("roi_pool", "x", x)
    y, where = kernels.roi_pool(x, boxes, size=size, scale=scale)
    return y, (where, np.asarray(boxes)[:, 0].astype(np.int64))


roi_pool.vjp(lambda g, y, x, boxes, aux, **s: roi_scatter(g, *aux, shape=x.shape), None, saves=())


# Alignment -------------------------------------------------------------------------------------------


@op
def roi_align(x, boxes, *, size, scale=1.0, sampling_ratio=None, aligned=True):
    """Mean of bilinear samples in each cell of a grid over each box, without any rounding.

    A bin of the scaled box holds S x S samples at the centres of its sub-cells. Samples up to one pixel outside the
    map take its edge, those farther out are 0.

    Parameters
    ----------
    x : Tensor or array (N, C, H, W), float32 or float64
    boxes : array (R, 5)
        See the module; any real dtype. Not differentiated.
    size : int or (I, J)
    scale : float
        1 / stride of the map.
    sampling_ratio : int, (vertical, horizontal) or None
        S; None takes the least number of samples at most a pixel apart (and at most 4096).
    aligned : bool
        True, the rule of this library: pixel i has its centre at i + 1/2, and a linear image gives exactly its values
        at bin centres. False repeats the original code: half a pixel off, sides of at least one pixel of the map.

    Returns
    -------
    Tensor or array (R, C, I, J), dtype and memory order of x; 0 for a box without area, if aligned.

    Raises
    ------
    ShapeError, DTypeError, BoxError, ArgError
        As `roi_pool`; and for a sampling ratio below 1.

    Departures: a box without area gives 0 (torchvision with a fixed sampling ratio: the value at its place).
    NB: torchvision's default is ``aligned=False``, Detectron2's is True; both write -1 or 0 for None.

    >>> import numpy as np
    >>> roi_align(np.arange(16.0).reshape(1, 1, 4, 4), np.array([[0, 1, 1, 3, 3]]), size=2)[0, 0]
    array([[ 5.,  6.],
           [ 9., 10.]])
    """
    check_image("roi_align", "x", x)
    return kernels.roi_align(x, boxes, size=size, scale=scale, sampling_ratio=sampling_ratio, aligned=aligned)


@op
def roi_align_input(g, boxes, *, shape, scale=1.0, sampling_ratio=None, aligned=True):
    """Adjoint of `roi_align` in x: g (R, C, I, J) -> `shape` = (N, C, H, W)."""
    check_image("roi_align_input", "g", g)
    return kernels.roi_align_input(g, boxes, shape=shape, scale=scale, sampling_ratio=sampling_ratio, aligned=aligned)


roi_align.vjp(lambda g, y, x, boxes, size, **s: roi_align_input(g, boxes, shape=x.shape, **s),
              None, saves=("boxes",))
roi_align_input.vjp(lambda gx, y, g, boxes, shape, **s: roi_align(gx, boxes, size=g.shape[2:], **s),
                    None, saves=("boxes",))
