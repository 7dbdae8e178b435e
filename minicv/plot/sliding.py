"""A kernel that slides over a small image: every product, their sum, and the result as it grows."""

import numpy as np

from ..errors import ShapeError
from ..nn.check import integer
from .player import Player
from .style import PALETTE

CELL = 30                       # pixels


def sliding_player(image, kernel, *, stride=1, padding=0, width=560, interval=700):
    """A `Player` of one convolution (without flipping, as in networks) of an image of numbers.

    At the first position each product has a frame of its own with the running sum; from then on a frame shows a whole
    position.

    Parameters
    ----------
    image : array (H, W)
    kernel : array (P, Q)
    stride : int, default 1
    padding : int, default 0
        Zeros on each side.
    width, interval : int
        As `Player`.

    Raises
    ------
    ShapeError
        If one of the arrays is not two-dimensional or empty, or the kernel does not fit.
    ArgError
        For a stride or padding that is no integer or too small.

    >>> sliding_player(np.eye(3), np.ones((2, 2))).labels[-1]
    'position (1, 1): 1·1 + 0·1 + 0·1 + 1·1 = 2'
    """
    image, kernel = np.asarray(image, np.float64), np.asarray(kernel, np.float64)
    stride, padding = (integer("sliding_player", name, value, low=low)
                       for name, value, low in (("stride", stride, 1), ("padding", padding, 0)))
    if image.ndim != 2 or kernel.ndim != 2 or not kernel.size:
        raise ShapeError(f"sliding_player: image, kernel have shapes {image.shape}, {kernel.shape}, expected (H, W), "
                         "(P, Q)")
    padded = np.pad(image, padding)
    if (np.array(padded.shape) < kernel.shape).any():
        raise ShapeError(f"sliding_player: kernel has shape {kernel.shape}, expected at most {padded.shape}")
    frames, labels = zip(*_steps(padded, kernel, stride), strict=True)
    return Player(frames, title="A kernel slides over an image", labels=list(labels), width=width, interval=interval)


def _steps(image, kernel, stride):
    """Yield (SVG, label) of every frame."""
    I, J = ((n - k) // stride + 1 for n, k in zip(image.shape, kernel.shape, strict=True))
    result = np.full((I, J), np.nan)
    for i, j in np.ndindex(I, J):
        top, left = i * stride, j * stride
        window = image[top:top + kernel.shape[0], left:left + kernel.shape[1]].ravel()
        for n in range(1 if i + j == 0 else kernel.size, kernel.size + 1):
            total = window[:n] @ kernel.ravel()[:n]
            if n == kernel.size:
                result[i, j] = total
            products = " + ".join(f"{x:g}·{_signed(w)}" for x, w in zip(window[:n], kernel.ravel()[:n], strict=True))
            yield _frame(image, kernel, result, (top, left), (i, j), n), f"position ({i}, {j}): {products} = {total:g}"


def _signed(w):
    return f"({w:g})" if w < 0 else f"{w:g}"


def _frame(image, kernel, result, corner, position, n):
    """Image, kernel and result side by side; the window and its first n products are marked."""
    tables, x = [], 10
    for values in (image, kernel, result):
        tables.append((values, x))
        x += CELL * values.shape[1] + 40
    height = CELL * max(len(values) for values, _ in tables) + 20
    P, Q = kernel.shape
    (top, left), k = corner, n - 1
    marks = [_mark(10 + CELL * left, 10 + CELL * top, Q, P, PALETTE[0], 0.25),
             _mark(10 + CELL * (left + k % Q), 10 + CELL * (top + k // Q), 1, 1, PALETTE[1], 0.4),
             _mark(tables[1][1] + CELL * (k % Q), 10 + CELL * (k // Q), 1, 1, PALETTE[1], 0.4),
             _mark(tables[2][1] + CELL * position[1], 10 + CELL * position[0], 1, 1, PALETTE[2], 0.4)]
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {x - 30} {height}" text-anchor="middle" '
            f'font-family="sans-serif" font-size="12">{"".join(marks)}{"".join(_table(*t) for t in tables)}</svg>')


def _mark(x, y, columns, rows, color, opacity):
    return (f'<rect x="{x}" y="{y}" width="{CELL * columns}" height="{CELL * rows}" fill="{color}" '
            f'fill-opacity="{opacity}"/>')


def _table(values, x):
    """A grid of numbers whose left edge is at x; NaN stays empty."""
    rows, columns = values.shape
    lines = [f"M{x} {10 + CELL * i}h{CELL * columns}" for i in range(rows + 1)]
    lines += [f"M{x + CELL * j} 10v{CELL * rows}" for j in range(columns + 1)]
    numbers = [f'<text x="{x + CELL * j + CELL // 2}" y="{CELL * i + 29}">{value:g}</text>'
               for (i, j), value in np.ndenumerate(values) if not np.isnan(value)]
    return f'<path d="{"".join(lines)}" fill="none" stroke="#444"/>{"".join(numbers)}'
