"""Progress on stderr: tqdm where it is installed, else a plain counter on one line.

Nothing is shown when stderr is not a terminal, or when ``CI`` or ``MINICV_QUIET`` is set, so that
log files stay readable.
"""

import os
import sys
import time

QUIET_VARIABLES = ("CI", "MINICV_QUIET")


def shown():
    """Whether a progress bar may be drawn: stderr is a terminal and nobody asked for quiet."""
    asked = any(os.environ.get(name, "0").lower() not in ("", "0", "false") for name in QUIET_VARIABLES)
    return not asked and sys.stderr is not None and sys.stderr.isatty()


def silent(iterable, *, desc="", total=None):
    """The same loop without a bar; what `progress` is when nothing may be shown."""
    return iterable


def progress(iterable, *, desc="", total=None):
    """Iterate over `iterable` while showing how far the loop is.

    Parameters
    ----------
    iterable : iterable
        Passed through item by item, unchanged.
    desc : str
        A few words in front of the bar.
    total : int or None
        Number of items; ``len(iterable)`` where it has a length.

    Returns
    -------
    iterable
        `iterable` itself when nothing may be shown (see `shown`).
    """
    if not shown():
        return iterable
    bar = _tqdm()
    if bar is None:
        return _counter(iterable, desc, _length(iterable) if total is None else total)
    ascii_only = (sys.stderr.encoding or "ascii").lower().replace("-", "") != "utf8"
    return bar(iterable, desc=desc, total=total, file=sys.stderr, leave=False, dynamic_ncols=True, ascii=ascii_only)


def write(line):
    """Print one line of result on stdout without tearing a bar that is being drawn."""
    bar = _tqdm() if shown() else None
    if bar is not None:
        bar.write(line, file=sys.stdout)
    else:
        print(line, flush=True)


def _tqdm():
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm


def _length(iterable):
    try:
        return len(iterable)
    except TypeError:
        return None


def _counter(iterable, desc, total, *, every=0.1):
    """Rewrite ``desc 12/100`` at most ten times a second; the line is wiped at the end."""
    last, of = 0.0, "" if total is None else f"/{total}"
    try:
        for i, item in enumerate(iterable):
            if time.monotonic() - last >= every:
                last = time.monotonic()
                _rewrite(f"{desc} {i}{of}".strip())
            yield item
    finally:
        _rewrite("")


def _rewrite(text):
    sys.stderr.write(f"\r\x1b[K{text}")
    sys.stderr.flush()
