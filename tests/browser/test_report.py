"""The page that `minicv run --out` writes, opened as a file as its reader does.

Proved: silent console, no request but the page itself, every picture has a text, text stands out in both themes,
nothing is cut off on a narrow screen.
"""

import subprocess
import sys

import pytest


@pytest.fixture(scope="module", params=["sgd"])
def report(request, browser, tmp_path_factory):
    """The page of one small run, visited once."""
    out = tmp_path_factory.mktemp("run") / request.param
    command = [sys.executable, "-m", "minicv", "run", request.param, "--preset", "smoke", "--out", str(out), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page, = out.glob("*.html")
    return page, browser.visit(page.as_uri())


def test_is_silent_and_asks_for_nothing(report):
    page, seen = report
    files = [url for url in seen.requests if not url.startswith("data:")]
    assert seen.console == [] and seen.failed == [] and files == [page.as_uri()]


def test_has_pictures_with_a_text(report):
    pictures = report[1].wide["pictures"]
    assert pictures["count"] > 0
    assert pictures["broken"] == pictures["mute"] == pictures["mute drawings"] == []


def test_stands_out_in_both_themes(report):
    _, seen = report
    assert seen.wide["theme"]["faint"] == seen.dark["faint"] == []
    assert seen.wide["theme"]["figures"] == seen.dark["figures"] == []
    assert min(seen.wide["theme"]["background"][:3]) > 200 and max(seen.dark["background"][:3]) < 60


def test_fits_on_a_narrow_screen(report):
    narrow = report[1].narrow
    assert narrow["limit"] == 360 and narrow["width"] <= 360 and narrow["cut"] == []
