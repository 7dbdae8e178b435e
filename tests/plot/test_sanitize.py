"""Pictures from outside: what comes through is harmless, and what is harmless comes through.

Proved: no planted attack leaves a script, an event attribute, a style sheet, a foreign element or a reference that
leaves the drawing; drawings of matplotlib keep their shapes; of an HTML page only sound pictures survive.
"""

import base64
import re

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from PIL import Image  # noqa: E402

from minicv.errors import ArgError  # noqa: E402
from minicv.plot import Player, clean_svg, image_uri, pictures  # noqa: E402

OPEN = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 9 9"'
ATTACKS = {
    "script": "<script>evil()</script>",
    "script as a link": '<script xlink:href="//evil/x.js"/>',
    "script of HTML": '<script xmlns="http://www.w3.org/1999/xhtml">evil()</script>',
    "event": '<circle r="1" onclick="evil()" ONLOAD="evil()"/>',
    "event of time": '<animate attributeName="r" begin="evil.click" onbegin="evil()"/>',
    "foreign": '<foreignObject><body xmlns="http://www.w3.org/1999/xhtml" onload="evil()"/></foreignObject>',
    "frame": '<iframe src="http://evil/"/>',
    "link": '<a xlink:href="javascript:evil()"><text>evil.example</text></a>',
    "picture elsewhere": '<image href="http://evil/p.png"/>',
    "picture with a program": '<image xlink:href="data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImV2aWwoKSIvPg=="/>',
    "page as a picture": '<image href="data:text/html,evil()"/>',
    "other file": '<use xlink:href="http://evil/s.svg#a"/>',
    "style sheet": "<style>@import url(http://evil/c.css);</style>",
    "style": '<rect style="fill:url(http://evil/);background:url(//evil/);behavior:url(evil)"/>',
    "paint": '<rect fill="url(//evil/#a)" filter="url(http://evil/#f)"/>',
    "escapes": r'<rect style="fill:u\72l(//evil/)"/>',
    "comments": '<rect style="fill:u/**/rl(//evil/)"/>',
    "changed later": '<use href="#a"><set attributeName="href" to="javascript:evil()"/></use>',
    "changed with a prefix": '<use href="#a"><animate attributeName="xlink:href" values="//evil/"/></use>',
    "event planted later": '<circle><set attributeName="onclick" to="evil()"/></circle>',
    "broken out of a title": "<title>&lt;/title&gt;&lt;script&gt;evil()&lt;/script&gt;</title>",
    "elements in a title": '<title><image href="x" onerror="evil()"/><script>evil()</script></title>',
    "base": '<g xml:base="http://evil/"><use href="#a"/></g>',
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_no_attack_comes_through(attack):
    for text in (f"{OPEN}><circle r='1'/>{attack}</svg>", f"{OPEN} onload='evil()'><g>{attack}</g><circle r='1'/></svg>"):
        clean = clean_svg(text)
        assert '<circle r="1"' in clean and not re.search(r"<(script|style|iframe|foreign|a\b|body)", clean, re.I)
        bare = clean.replace("&lt;/title&gt;&lt;script&gt;evil()&lt;/script&gt;", "").replace("evil.example", "")
        assert "evil" not in bare and "javascript" not in bare and not re.search(r"\son\w+=", bare, re.I)
        assert "//" not in bare.replace("http://www.w3.org/2000/svg", "") and "href" not in bare.replace('href="#a"', "")


@pytest.mark.parametrize("text, words", [
    ('<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>', "entities"), ("<html/>", "expected <svg>"), ("<svg>", "well-formed"),
    ('<!DOCTYPE svg PUBLIC "x" "y"><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>', "entities"),
    ("<svg>" * 5000 + "</svg>" * 5000, "nested too deeply"), ("plain", "well-formed")])
def test_what_is_no_plain_drawing_is_refused(text, words):
    with pytest.raises(ArgError, match=f"clean_svg: text .*{words}"):
        clean_svg(text)


def test_shapes_text_and_animations_come_through():
    text = (f'{OPEN}><title>two &amp; more</title><defs><linearGradient id="g"><stop offset="0" stop-color="red"/>'
            '</linearGradient></defs><rect width="4" height="4" style="fill: url(#g); stroke-width:2"/>'
            '<circle r="1"><animate attributeName="r" from="1" to="3" dur="2s" repeatCount="indefinite"/></circle>'
            '<use xlink:href="#g"/><text x="1" y="2">a &lt; b</text></svg>')
    clean = clean_svg(text, prefix="p-")
    for part in ("<title>two &amp; more</title>", 'id="p-g"', 'style="fill:url(#p-g);stroke-width:2"', ">a &lt; b</text>",
                 '<animate attributeName="r" from="1" to="3" dur="2s" repeatCount="indefinite"/>', '<use href="#p-g"/>'):
        assert part in clean, part
    assert clean_svg(clean) == clean                            # nothing more to clean, so it is safe to do it twice


def test_pixels_inside_a_drawing_stay():
    uri = image_uri(np.zeros((1, 2, 2)))
    assert f'href="{uri}"' in clean_svg(f'{OPEN}><image width="2" height="2" xlink:href="{uri}"/></svg>')


def test_a_figure_of_matplotlib_looks_the_same(tmp_path):
    """All paths and references are there, every reference has its target."""
    figure, ax = plt.subplots()
    ax.plot([1, 2, 3], label="a $x^2$")
    ax.imshow(np.eye(3))
    ax.legend()
    figure.savefig(tmp_path / "figure.svg")
    text = (tmp_path / "figure.svg").read_text()
    plt.close(figure)
    clean = clean_svg(text, prefix="q")
    for name in ("path", "use", "g", "image", "clipPath"):
        assert clean.count(f"<{name}") == text.count(f"<{name}") > 0, name
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', clean))
    assert {a or b for a, b in used} <= set(re.findall(r' id="([^"]+)"', clean)) and used


# Pages ------------------------------------------------------------------------------------------------------


def test_only_pictures_survive_of_a_page():
    png, drawing = image_uri(np.ones((3, 2, 2))), '<svg onload="evil()"><circle r="1"/></svg>'
    svg = "data:image/svg+xml;base64," + base64.b64encode(drawing.encode()).decode()
    page = (f'<body onload="evil()"><img src="{png}" onerror="evil()"><script>frames[0] = "{png}"; evil()</script>'
            f'<p>{png}</p><img src="http://evil/x.png"><img src="{svg}">')
    assert pictures(page) == [png, png, clean_svg(drawing)]
    assert "evil" not in Player.of_page(page).html()


def test_lines_that_a_script_continues_are_joined():
    png = image_uri(np.ones((3, 2, 2)))
    half = len(png) // 2
    assert pictures(f'<script>frames[0] = "{png[:half]}\\\n{png[half:]}"</script>') == [png]


@pytest.mark.parametrize("page, words", [
    ("<p>nothing</p>", "no embedded picture"), ('<img src="http://evil/x.png">', "no embedded picture"),
    ('<img src="data:image/png;base64,AAAA">', "starts with"), ('<img src="data:image/png;base64,A">', "damaged"),
    ('<img src="data:image/svg+xml;base64,/w==">', "damaged")])
def test_damaged_and_missing_pictures_are_refused(page, words):
    with pytest.raises(ArgError, match=words):
        pictures(page)


def test_pixels_stay_the_same():
    import io

    image = np.random.default_rng(0).integers(0, 256, (3, 4, 5)) / 255
    data = base64.b64decode(pictures(f"<img src='{image_uri(image)}'>")[0].split(",")[1])
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), np.round(255 * image).transpose(1, 2, 0))
