"""Text for a terminal: tables that fit, and ASCII where nothing else can be shown."""

import codecs
import os
import shutil
import sys

ASCII = {"±": "+-", "≥": ">=", "≤": "<=", "×": "x", "·": "*", "–": "-", "—": "-", "…": "...", "²": "^2",
         "α": "alpha", "β": "beta", "γ": "gamma", "ε": "eps", "λ": "lambda", "μ": "mu", "κ": "kappa",
         "θ": "theta", "σ": "sigma", "√": "sqrt", "∞": "inf", "→": "->", "’": "'", "§": "sec. ", "∂": "d"}


def setup():
    """Let stdout and stderr replace what they cannot encode; a closed one becomes the null device."""
    codecs.register_error("minicv", _to_ascii)
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="minicv")


def _to_ascii(error):
    text = error.object[error.start:error.end]
    return "".join(ASCII.get(letter, "?") for letter in text), error.end


def width():
    """Columns of the terminal, or None when stdout is a file or pipe: then nothing is cut."""
    if not (sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()):
        return None
    return max(10, shutil.get_terminal_size().columns)


def table(header, rows, limit=None):
    """Lines of a left-aligned table no wider than `limit`.

    The widest columns are cut first; when even cut columns do not fit, each row becomes a block of
    ``name value`` lines, cut to the limit.
    """
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = fit([max(map(len, column)) for column in zip(*cells)], limit)
    if widths is None:
        return [cut(f"{name} {cell}", limit) for row in cells[1:] for name, cell in zip(header, row) if cell]
    return [line(row, widths) for row in cells]


def line(cells, widths):
    """One row of a table whose columns have the given widths."""
    return "  ".join(cut(str(cell), size).ljust(size) for cell, size in zip(cells, widths)).rstrip()


def cut(text, size):
    """`text` in at most `size` letters (None: all of it), with ".." where something is missing."""
    return text if size is None or len(text) <= size else text[:max(size - 2, 0)] + ".."[:size]


def fit(widths, limit, *, least=8):
    """Shrink the largest widths until the row fits into `limit`; None if that needs less than `least`."""
    widths = list(widths)
    while limit is not None and sum(widths) + 2 * (len(widths) - 1) > limit:
        largest = widths.index(max(widths))
        if widths[largest] <= least:
            return None
        widths[largest] -= 1
    return widths
