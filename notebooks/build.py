"""Run the lessons: every source ``NN_name.py`` (py:percent) becomes an executed ``NN_name.ipynb`` beside it.

    python notebooks/build.py                    build what changed
    python notebooks/build.py --only 00_autograd --force
    python notebooks/build.py --check            compare sources and notebooks, run nothing; exit 1 on a difference

Building twice gives the same bytes: fixed environment, one thread for matrix products, numbered cells, no times.
Every picture carries a description for readers who do not see it, made of the caption above it and of its titles, axes
and legend: in the metadata of the output, where notebook programs look for it.
Needs the extra `docs`.
"""

import argparse
import base64
import hashlib
import io
import json
import os
import re
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
sys.path.insert(0, str(ROOT))                       # the lessons run on this checkout

LIMIT = 300_000                                     # bytes of one notebook
COLORS = (32, 48, 96)                               # palettes: charts need few colors, photographs many
NEAR = 3.2                                          # root mean square of levels that a palette may miss
TIMEOUT = 300                                       # seconds for one cell
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0",
    "MINICV_PRESET": "fast", "MINICV_QUIET": "1", "PYTHONPATH": str(ROOT),
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}
STARTUP = """
from IPython.core import pylabtools

def described(figure, *args, plain=pylabtools.print_figure, **options):
    from minicv.plot import alt_text
    picture = plain(figure, *args, **options)
    return (picture, {"alt": alt_text(figure)}) if picture else picture

pylabtools.print_figure = described
"""
METADATA = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"}}


def main(arguments=None):
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare sources with notebooks")
    parser.add_argument("--force", action="store_true", help="build also what did not change")
    parser.add_argument("--only", metavar="NAME", help="one lesson, such as 00_autograd")
    options = parser.parse_args(arguments)
    sources = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
    chosen = [path for path in sources if options.only in (None, path.stem)]
    if not chosen:
        parser.error(f"--only is {options.only!r}, expected one of {', '.join(path.stem for path in sources)}")
    stale = [path for path in chosen if recorded(path.with_suffix(".ipynb")) != source_hash(read(path).cells)]
    if options.check:
        for path in stale:
            print(f"{path.name}: the notebook is older than its source; run notebooks/build.py", file=sys.stderr)
        return 1 if stale else 0
    return 1 if any([build(path) for path in (chosen if options.force else stale)]) else 0


def build(path):
    """Execute one source and write its notebook; returns an error message or None."""
    from minicv.files import atomic_write

    notebook = read(path)
    digest = source_hash(notebook.cells)
    error = execute(notebook) or complaint(notebook)
    if not error:
        text = serialized(notebook, digest)
        size = len(text.encode())
        error = f"{size:,} bytes, expected at most {LIMIT:,}; {largest(notebook)}" if size > LIMIT else None
    if error:
        print(f"{path.name}: {error}", file=sys.stderr)
        return error
    atomic_write(path.with_suffix(".ipynb"), text.encode())
    print(f"{path.stem}: {size / 1000:.0f} kB, outputs {output_hash(notebook)[:12]}")
    return None


def read(path):
    """The source as a notebook without outputs."""
    import jupytext

    return jupytext.read(path, fmt="py:percent")


def execute(notebook):
    """Run all cells in an empty folder; returns the traceback of the first error or None."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    with tempfile.TemporaryDirectory() as folder:
        startup = Path(folder, "profile_default", "startup")
        startup.mkdir(parents=True)
        (startup / "describe.py").write_text(STARTUP)
        os.environ.update(ENVIRONMENT, IPYTHONDIR=folder, MPLCONFIGDIR=folder)      # nobody's own settings
        work = Path(folder, "work")
        work.mkdir()
        client = NotebookClient(notebook, timeout=TIMEOUT, kernel_name="python3", record_timing=False,
                                coalesce_streams=True, resources={"metadata": {"path": str(work)}})
        manager = client.create_kernel_manager()
        if os.name == "posix":                                  # sockets in the folder instead of open ports
            manager.transport, manager.ip = "ipc", str(Path(folder) / "kernel")
        try:
            client.execute()
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            return str(error)
    return None


def complaint(notebook):
    """What no committed output may hold: warnings and paths of this machine."""
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", ()):
            text = json.dumps(output)
            if output.get("name") == "stderr":
                return f"cell {number} wrote to stderr: {output['text']}"
            if str(ROOT) in text or tempfile.gettempdir() + "/" in text:
                return f"cell {number} shows a path of this machine"
    return None


# The file -----------------------------------------------------------------------------------------------


def source_hash(cells):
    """SHA-256 of the kinds and sources of all cells."""
    return digest_of([[cell["cell_type"], text_of(cell["source"])] for cell in cells])


def output_hash(notebook):
    """SHA-256 of all outputs with the pictures left out: equal for two builds on different machines."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    text = re.sub(r"data:image/[a-z+]+;base64,[A-Za-z0-9+/=]+", "", json.dumps(outputs, sort_keys=True))
    text = re.sub(r'"image/png": "[^"]*"', "", text)
    return digest_of(re.sub(r"player-[0-9a-f]{12}", "player", text))


def recorded(path):
    """The source hash kept in a notebook, None without one; also checked against the notebook's own cells."""
    if not path.exists():
        return None
    notebook = json.loads(path.read_text(encoding="utf-8"))
    kept = notebook["metadata"].get("minicv", {}).get("source")
    return kept if kept == source_hash(notebook["cells"]) else None


def serialized(notebook, digest):
    """The notebook as text with nothing in it that differs between builds."""
    import nbformat

    notebook.metadata = nbformat.from_dict({**METADATA, "minicv": {"source": digest}})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    caption = ""
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number:03d}", nbformat.from_dict({})
        caption = caption_of(cell) or caption
        for output in cell.get("outputs", ()):
            compact(output, caption)
    nbformat.validate(notebook)
    return nbformat.writes(notebook)


def caption_of(cell):
    """The last bold words or heading of a cell of text: what the pictures below it show."""
    if cell["cell_type"] != "markdown":
        return ""
    found = re.findall(r"\*\*([^*]+)\*\*|^#+ ([^\n]+)$", text_of(cell["source"]), re.M)
    return " ".join(re.sub(r"[$`\\]", "", "".join(found[-1])).split()).strip(" .:") if found else ""


def compact(output, caption=""):
    """Pictures get a palette and keep their description; their text form says nothing and goes."""
    data = output.get("data", {})
    if "image/png" in data:
        data["image/png"] = with_palette(data["image/png"])
    if data.keys() & {"image/png", "image/svg+xml", "text/html"}:
        data["text/plain"] = ""
    if "metadata" in output:
        said = output["metadata"].get("image/png", {}).get("alt", "figure")
        alt = caption if said == "figure" else f"{caption}: {said}"
        output["metadata"] = {"image/png": {"alt": alt}} if "image/png" in data else {}


def with_palette(png):
    """A base64 PNG with the smallest palette that comes near, or the largest."""
    import numpy as np
    from PIL import Image

    from minicv.plot.embed import reduced

    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    for colors in COLORS:
        small = reduced(image, colors)
        missed = np.subtract(small.convert("RGB"), image, dtype=float)
        if np.sqrt((missed ** 2).mean()) <= NEAR:
            break
    buffer = io.BytesIO()
    small.save(buffer, "png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def largest(notebook, count=3):
    """Where the bytes are."""
    sizes = sorted(((len(json.dumps(cell)), k) for k, cell in enumerate(notebook.cells)), reverse=True)[:count]
    return "largest: " + ", ".join(f"cell {k} ({size:,})" for size, k in sizes)


def text_of(source):
    """A source is one string or a list of lines."""
    return source if isinstance(source, str) else "".join(source)


def digest_of(data):
    """SHA-256 of data written as JSON."""
    return hashlib.sha256(json.dumps(data).encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
