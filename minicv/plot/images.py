"""Pictures: one image, a grid of images, the filters of a first layer, the mistakes of a classifier."""

import math

import numpy as np

from ..errors import ArgError, ShapeError
from .style import new_axes


def show_image(image, *, title=None, ax=None):
    """Show an image (3, H, W), (1, H, W) or (H, W) with values in [0, 1].

    Pixel i covers [i, i + 1), so that boxes and points in pixels land where they should.
    """
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[None]
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        hint = "; is it channels-last?" if image.ndim == 3 and image.shape[-1] in (1, 3) else ""
        raise ShapeError(f"show_image: image has shape {image.shape}, expected (3, H, W), "
                         f"(1, H, W) or (H, W){hint}")
    _, height, width = image.shape
    ax = new_axes(ax, size=(4.0, 4.0 * min(max(height / width, 0.3), 2.0)))
    pixels = np.clip(image, 0, 1).transpose(1, 2, 0)
    ax.imshow(pixels[..., 0] if image.shape[0] == 1 else pixels, extent=(0, width, height, 0), cmap="gray",
              vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    if title:
        ax.set_title(title)
    return ax


def tile(images, *, columns=None, pad=1, fill=1.0):
    """Put images (N, C, H, W) side by side with `pad` pixels of `fill` between them.

    Returns
    -------
    array (C, rows * (H + pad) - pad, columns * (W + pad) - pad)
    """
    images = np.asarray(images)
    if images.ndim != 4 or not len(images):
        raise ShapeError(f"tile: images has shape {images.shape}, expected (N, C, H, W) with N >= 1")
    count, channels, height, width = images.shape
    columns = min(count, columns or math.ceil(math.sqrt(count)))
    if columns < 1:
        raise ArgError(f"tile: columns is {columns}, expected >= 1")
    rows = -(-count // columns)
    sheet = np.full((channels, rows * (height + pad) - pad, columns * (width + pad) - pad), fill, images.dtype)
    for n, image in enumerate(images):
        top, left = n // columns * (height + pad), n % columns * (width + pad)
        sheet[:, top:top + height, left:left + width] = image
    return sheet


def show_images(images, *, titles=None, columns=None, ax=None):
    """Show images (N, C, H, W) in one grid, with a few words under each if `titles` is given.

    titles : list of N str or None; row by row
    """
    images = np.asarray(images)
    if titles is not None and len(titles) != len(images):
        raise ShapeError(f"show_images: titles has {len(titles)} entries, expected {len(images)}")
    pad = 1 if titles is None else max(2, math.ceil(0.3 * images.shape[-2]))
    columns = min(len(images), columns or math.ceil(math.sqrt(len(images))))
    sheet = tile(images, columns=columns, pad=pad)
    bottom = 0 if titles is None else pad                # room under the last row
    sheet = np.pad(sheet, ((0, 0), (0, bottom), (0, 0)), constant_values=1)
    height, width = images.shape[-2:]
    ax = new_axes(ax, size=(columns, columns * sheet.shape[1] / sheet.shape[2] + 0.3))
    show_image(sheet, ax=ax)
    for n, title in enumerate(titles or ()):
        top, left = n // columns * (height + pad), n % columns * (width + pad)
        ax.text(left + width / 2, top + height + 0.15 * pad, title, ha="center", va="top", fontsize=9)
    return ax


def show_filters(weight, *, columns=None, ax=None):
    """Show the filters weight (O, C, P, Q) of a first layer, gray meaning zero.

    Each filter is scaled by its own largest magnitude. With C = 3 the channels are colours, with
    C = 1 gray levels; otherwise the mean over channels is shown.
    """
    weight = np.asarray(weight, dtype=float)
    if weight.ndim != 4:
        raise ShapeError(f"show_filters: weight has shape {weight.shape}, expected (O, C, P, Q)")
    if weight.shape[1] not in (1, 3):
        weight = weight.mean(axis=1, keepdims=True)
    largest = np.abs(weight).max(axis=(1, 2, 3), keepdims=True)
    return show_images(0.5 + 0.5 * weight / np.where(largest > 0, largest, 1), columns=columns, ax=ax)


def show_misclassified(images, predicted, true, *, class_names=None, limit=24, columns=6, ax=None):
    """Show the first `limit` images whose predicted label differs from the true one.

    images (N, C, H, W); predicted, true (N,) int labels. The caption reads "predicted (true)".
    """
    predicted, true = np.asarray(predicted), np.asarray(true)
    if not len(images) == len(predicted) == len(true):
        raise ShapeError(f"show_misclassified: images, predicted and true have {len(images)}, "
                         f"{len(predicted)} and {len(true)} entries, expected equal numbers")
    wrong = np.flatnonzero(predicted != true)[:limit]
    if not len(wrong):
        ax = new_axes(ax, size=(4.0, 1.0))
        ax.text(0.5, 0.5, f"all {len(true)} images classified correctly", ha="center", va="center")
        ax.set_axis_off()
        return ax
    name = str if class_names is None else lambda k: class_names[k]
    titles = [f"{name(predicted[n])} ({name(true[n])})" for n in wrong]
    ax = show_images(np.asarray(images)[wrong], titles=titles, columns=columns, ax=ax)
    ax.set_title("predicted (true)")
    return ax
