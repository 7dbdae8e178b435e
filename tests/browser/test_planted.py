"""The checks see what they are there to see: each fault is planted on a page and found.

Proved: a script that throws, a request to another host, a file that is missing, a formula that was not set, raw TeX, a
picture without text, faint text, a faint figure, a page too wide for a phone, an element cut off.
"""

import pytest

HOLE = ('data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg" width="80" height="80">'
        '<rect x="10" y="10" width="30" height="30" fill="{}"/></svg>').format


def test_a_script_that_throws_is_heard(opened):
    assert "boom" in opened("<script>throw new Error('boom')</script>").logs().console[0]


@pytest.mark.parametrize("body", ['<img alt="x" src="https://example.org/x.png">',
                                  '<script src="https://example.org/x.js"></script>',
                                  '<style>@import "https://example.org/x.css";</style>',
                                  "<script>fetch('https://example.org/x').catch(() => 0)</script>"])
def test_a_request_to_another_host_is_seen_and_fails(opened, body):
    seen = opened(body).logs()
    assert [url.split("/x")[0] for url in seen.outside] == ["https://example.org"]
    assert "ERR_NAME_NOT_RESOLVED" in seen.failed[0]


def test_a_missing_file_is_seen(browser, serve, tmp_path):
    (tmp_path / "page.html").write_text('<link rel="icon" href="data:,"><link rel="stylesheet" href="lost.css">')
    browser.open(serve(tmp_path) + "page.html")
    assert [fault.rsplit("/", 1)[1] for fault in browser.logs().failed] == ["lost.css: 404"]


@pytest.mark.parametrize("text", [r"\(x\)", r"\[x\]", "$$x$$", r"and $x_i$ is", r"\frac{1}{2}"])
def test_raw_tex_is_seen(opened, text):
    assert opened(f"<p>{text}</p>").look("math")["raw"] == [text]


@pytest.mark.parametrize("text", [r"<code>\(x\)</code>", "costs $5 or $6", "<pre>$x_i$</pre>", r"C:\temp"])
def test_what_is_not_tex_is_left_alone(opened, text):
    assert opened(f"<p>{text}</p>").look("math")["raw"] == []


def test_a_formula_that_was_not_set_is_seen(opened):
    math = opened('<span class="math">x</span><span class="math"><mjx-container><svg><g data-mml-node="merror" '
                  'data-mjx-error="Undefined"></g></svg></mjx-container></span>').look("math")
    assert math["missing"] == ["x"] and math["errors"] == ["Undefined"] and math["places"] == 2


def test_a_picture_without_text_and_a_broken_one_are_seen(opened):
    red = HOLE("red")
    body = f"<img src='{red}'><img alt='a' src='lost.png'><img alt='b' src='{red}'><svg width='9'></svg>"
    pictures = opened(body).look("pictures")
    assert [len(pictures[name]) for name in ("mute", "broken", "mute drawings")] == [1, 1, 1]


@pytest.mark.parametrize("style, faint", [
    ("color:#777", ["4.48"]), ("color:#767676", []), ("opacity:.5", ["3.98"]), ("color:#777;font-size:24px", []),
    ("color:#ccc;display:none", []), ("color:rgb(0 0 0/.4)", ["2.85"]), ("background:#000;color:#333", ["1.66"])])
def test_faint_text_is_seen(opened, style, faint):
    """#777 on white is the classical near miss: 4.48 to 1, #767676 has 4.54; grey of half the strength 1.05/0.264."""
    seen = opened(f'<p style="{style}">words</p><p>more</p>').look("colors")
    assert [f"{one['ratio']:.2f}" for one in seen["faint"]] == faint


def test_faint_text_in_a_drawing_is_seen(opened):
    body = '<svg height="40"><rect width="90" height="40" fill="{}"/><text y="20" fill="#555">word</text></svg>'
    assert [len(opened(body.format(fill)).look("colors")["faint"]) for fill in ("white", "black")] == [0, 1]


def test_a_figure_that_vanishes_in_the_dark_is_seen(opened):
    body = f"<style>body{{background:#131416}}</style><img alt='a' src='{HOLE('black')}'>"
    assert len(opened(body).look("colors")["figures"]) == 1
    assert opened(body.replace("<img", "<img style='background:#fff'")).look("colors")["figures"] == []


def test_what_is_too_wide_for_a_phone_is_seen(opened):
    table = '<table><tr><td style="min-width:900px">wide</td></tr></table>'
    seen = opened(table, size=(360, 740)).look("overflow")
    assert seen["limit"] == 360 and seen["width"] >= 900 and "table" in seen["cut"]
    seen = opened(f'<div style="overflow-x:auto">{table}</div>', size=(360, 740)).look("overflow")
    assert seen["width"] == 360 and seen["cut"] == []
    seen = opened(f'<div style="overflow-x:hidden">{table}</div>', size=(360, 740)).look("overflow")
    assert seen["width"] == 360 and "table" in seen["cut"]
