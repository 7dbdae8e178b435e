"""A tensor as a notebook shows it: what it is, how its values are spread, and a corner of them as a heat table.

Colors lie half transparent on the page, and text has the page's color, so the table fits light and dark pages. However
large the array, at most `SAMPLE` of its elements are read.
"""

import html

import numpy as np

SIDE, SAMPLE = 8, 2**16                                # cells along each side; elements behind the statistics
BLUE, ORANGE = "0,114,178", "213,94,0"                 # from 0 up and from 0 down


def tensor_html(x):
    """The Tensor `x` as HTML: blue is positive, orange negative; a cell tells value and gradient on hover."""
    gradient = None if x.grad is None else x.grad.data
    facts = [f"{type(x).__name__} {x.shape}", str(x.dtype)]
    facts += [f"made by {x.node.op.name}"] if x.node is not None else []
    facts += ["requires a gradient"] if x.requires_grad and x.node is None else []
    said = f"<strong>{html.escape(facts[0])}</strong>, {html.escape(', '.join(facts[1:]))}"
    lines = [said, _spread("values", x.data)]
    lines += [_spread("gradient", gradient)] if gradient is not None else []
    table = _table(x.data, gradient) if x.size else ""
    return f'<div style="color:inherit">{"<br>".join(line for line in lines if line)}{table}</div>'


def _spread(name, values):
    """Least, mean and largest, and how many are not finite."""
    if values.size < 2:
        return f"{name}: {values.item():.6g}" if values.size else f"{name}: none"
    some = _sampled(values)
    finite = some[np.isfinite(some)]
    said = f"{name} from {finite.min():.4g} to {finite.max():.4g}, mean {finite.mean(dtype=np.float64):.4g}" \
        if finite.size else f"{name}: none is finite"
    bad = some.size - finite.size
    return said + (f", {bad:,} not finite" if bad and finite.size else "") + \
        (f" (of {some.size:,} elements in a regular grid)" if some.size < values.size else "")


def _sampled(values):
    """A view of every k-th element along the longest axes, of at most `SAMPLE` elements."""
    while values.size > SAMPLE:
        axis = int(np.argmax(values.shape))
        step = min(-(-values.size // SAMPLE), max(2, values.shape[axis] // SIDE))
        values = values[(slice(None),) * axis + (slice(None, None, step),)]
    return values


def _table(values, gradient):
    """The first `SIDE` rows and columns of the first matrix."""
    first = (0,) * max(values.ndim - 2, 0)
    corner, slope = (None if a is None else np.atleast_2d(a[first])[:SIDE, :SIDE] for a in (values, gradient))
    finite = np.abs(corner[np.isfinite(corner)].astype(np.float64))
    top = finite.max() if finite.size and finite.max() > 0 else 1.0
    more = [f"x[{', '.join(map(str, first))}]"] if first else []
    rows, columns = (1, 1, *values.shape)[-2:]
    if corner.size < rows * columns:
        more.append(f"{corner.shape[0]} of {rows} rows, {corner.shape[1]} of {columns} columns")
    caption = f'<caption style="text-align:left;caption-side:bottom">{": ".join(more)}</caption>' if more else ""
    body = "".join("<tr>" + "".join(_cell(corner[i, j], None if slope is None else slope[i, j], top)
                                    for j in range(corner.shape[1])) + "</tr>" for i in range(corner.shape[0]))
    return f'<table style="color:inherit;font-variant-numeric:tabular-nums">{caption}<tbody>{body}</tbody></table>'


def _cell(value, slope, top):
    told = f"{value!s}" + ("" if slope is None else f", gradient {slope:.6g}")
    share = 0.5 * abs(float(value)) / top if np.isfinite(value) else 0.0
    color = f"rgba({BLUE if value >= 0 else ORANGE},{share:.2f})"
    text = f"{value:.4g}" if np.asarray(value).dtype.kind == "f" else str(value)
    return (f'<td title="{html.escape(told)}" style="background:{color};color:inherit;text-align:right">'
            f'{html.escape(text)}</td>')
