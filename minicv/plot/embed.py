"""Figures and arrays as data URIs, so that one HTML file carries everything it shows."""

import base64
import html
import io

import numpy as np

from ..errors import ShapeError
from .style import PALETTE, figure_style

SVG_LIMIT = 150_000     # bytes; a figure with more shapes than this is smaller as pixels


def embed(figure, *, alt=None, form="auto"):
    """An ``<img>`` element that carries the figure.

    Parameters
    ----------
    figure : matplotlib Figure
    alt : str or None
        Text for readers who do not see it; `alt_text` of the figure when None.
    form : {"auto", "svg", "png"}
        "auto" is SVG unless that is larger than `SVG_LIMIT` bytes.
    """
    text = html.escape(alt_text(figure) if alt is None else alt, quote=True)
    return f'<img alt="{text}" style="max-width:100%;height:auto" src="{figure_uri(figure, form=form)}">'


def figure_uri(figure, *, form="auto"):
    """The figure as a data URI; `form` as in `embed`."""
    if form != "png":
        data = _saved(figure, "svg")
        if form == "svg" or len(data) <= SVG_LIMIT:
            return data_uri(data, "image/svg+xml")
    return data_uri(_saved(figure, "png"), "image/png")


def frame_uri(figure, *, dpi=90, colors=64):
    """The figure as the data URI of a small PNG with a palette, for films of many frames."""
    from PIL import Image

    pixels = Image.open(io.BytesIO(_saved(figure, "png", dpi=dpi))).convert("RGB")
    return _png_uri(reduced(pixels, colors))


def reduced(picture, colors):
    """A picture of PIL with a palette: the project's colours and white, which must stay, and the commonest others."""
    from PIL import Image

    own = np.array([[int(color[k:k + 2], 16) for k in (1, 3, 5)] for color in (*PALETTE, "#FFFFFF")])
    others = np.reshape(picture.quantize(colors - len(own)).getpalette(), (-1, 3))[:colors - len(own)]
    apart = np.abs(others[:, None] - own).max(axis=2)                  # (others, own)
    others = np.where(apart.min(axis=1, keepdims=True) <= 8, own[apart.argmin(axis=1)], others)
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([own, others]).ravel().tolist())
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def image_uri(image):
    """An image (3, H, W) or (1, H, W) with values in [0, 1] as the data URI of a PNG."""
    from PIL import Image

    image = np.asarray(image)
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        raise ShapeError(f"image_uri: image has shape {image.shape}, expected (3, H, W) or (1, H, W)")
    levels = np.round(255 * np.clip(np.nan_to_num(image), 0, 1)).astype(np.uint8)
    pixels = levels[0] if len(levels) == 1 else levels.transpose(1, 2, 0)
    return _png_uri(Image.fromarray(np.ascontiguousarray(pixels)))


def data_uri(data, kind):
    """Bytes as a data URI of MIME type `kind`."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def alt_text(figure):
    """One sentence made of what the figure itself says: labels, titles, axes and legends.

    A figure without words of its own gets them by ``figure.set_label("...")``, an Axes by ``ax.set_label("...")``.
    """
    parts = [_axes_text(ax) for ax in figure.axes]
    own = [figure.get_label(), figure.get_suptitle()]
    return "; ".join(dict.fromkeys(str(part).strip() for part in [*own, *parts] if part)) or "figure"


def _axes_text(ax):
    named = str(ax.get_label()) if not str(ax.get_label()).startswith(("_", "<")) else ""
    words = [text for text in (named, ax.get_title(), ax.get_title("left")) if text]
    if ax.get_ylabel() and ax.get_xlabel():
        words.append(f"{ax.get_ylabel()} against {ax.get_xlabel()}")
    elif ax.get_xlabel() or ax.get_ylabel():
        words.append(ax.get_xlabel() or ax.get_ylabel())
    names = ax.get_legend_handles_labels()[1]
    return ", ".join(words + [f"curves: {', '.join(names)}"] if names else words).replace("$", "")


def _png_uri(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "png", optimize=True)
    return data_uri(buffer.getvalue(), "image/png")


def _saved(figure, form, dpi=144):
    buffer = io.BytesIO()
    dated = {"metadata": {"Date": None}} if form == "svg" else {}
    with figure_style():                                            # fixed ids, fonts as paths
        figure.savefig(buffer, format=form, dpi=dpi, **dated)
    return buffer.getvalue()
