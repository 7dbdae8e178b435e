"""Build the course book: stage the pages, fetch the script that sets formulas, run Sphinx, check all links.

    python docs/build.py              into docs/_build/html; warnings are errors
    python docs/build.py --lenient    warnings stay warnings

Nothing is executed: lessons come from the committed notebooks, results from docs/results.jsonl. Needs the extra `docs`
and, once, the npm client for MathJax.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
BUILD = DOCS / "_build"
SOURCE, HTML = BUILD / "source", BUILD / "html"
sys.path[:0] = [str(ROOT), str(DOCS / "_ext")]

MATHJAX = "mathjax@3.2.2"                       # version 4 needs its fonts one by one from a host
MATHJAX_FILE = "package/es5/tex-svg.js"
MATHJAX_SHA256 = "d4295dc33744836935c1399feece5159577b34c5c8ffb9f1c6324cd82e03a882"


def main(arguments=None):
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lenient", action="store_true", help="do not stop at warnings")
    options = parser.parse_args(arguments)
    stage()
    mathjax(SOURCE / "_static" / "tex-svg.js")
    code = sphinx(strict=not options.lenient)
    if code == 0:
        from check_links import report
        code = report(HTML)
    return code


def stage():
    """Write all pages into the staging folder."""
    import pages

    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(DOCS / "_static", SOURCE / "_static")
    shutil.copy(DOCS / "conf.py", SOURCE)
    quiet = shutil.ignore_patterns("__pycache__", "*.npz")
    for folder in ("minicv", "tests"):
        shutil.copytree(ROOT / folder, SOURCE / "code" / folder, ignore=quiet)
    for name, text in pages.all_pages(ROOT).items():
        target = SOURCE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    shutil.copy(DOCS / "benchmarks.svg", SOURCE / "benchmarks.svg")


def mathjax(target):
    """Put MathJax's single file at `target`: from the last build if it is there, else from its package."""
    kept = BUILD / "tex-svg.js"
    if not (kept.is_file() and checksum(kept.read_bytes()) == MATHJAX_SHA256):
        data = packed()
        if checksum(data) != MATHJAX_SHA256:
            raise SystemExit(f"build.py: {MATHJAX} has checksum {checksum(data)}, expected {MATHJAX_SHA256}")
        kept.write_bytes(data)
    shutil.copy(kept, target)


def packed():
    """The file out of the package that the npm client fetches."""
    if not shutil.which("npm"):
        raise SystemExit(f"build.py: no npm client found; install one, or put {Path(MATHJAX_FILE).name} of {MATHJAX} "
                         f"into {BUILD}")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["npm", "pack", "--silent", MATHJAX], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"build.py: npm could not fetch {MATHJAX}: {done.stderr.strip()}")
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            return archive.extractfile(MATHJAX_FILE).read()


def checksum(data):
    """SHA-256 as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sphinx(strict):
    """Run Sphinx on the staged pages; returns its exit code."""
    from sphinx.cmd.build import main as build

    shutil.rmtree(HTML, ignore_errors=True)
    flags = ["-W", "--keep-going"] if strict else []
    return build(["-b", "html", "-q", "-j", "2", "-d", str(BUILD / "doctrees"), *flags, str(SOURCE), str(HTML)])


if __name__ == "__main__":
    sys.exit(main())
