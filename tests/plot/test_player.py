"""Embedding and the player: one HTML string that needs nothing else and trusts no label.

Proved: pixels survive the data URI, figures embed the same bytes twice, alt texts are there, labels are
escaped (U8), no outside reference, the player has its controls and each frame exactly once, drawings are inline and
keep their titles, what lies under all frames is stored once, animations of matplotlib can be played.
"""

import base64
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from PIL import Image  # noqa: E402

from minicv.plot import Player, alt_text, embed, image_uri, plot_curves  # noqa: E402

EVIL = '"><script>alert(1)</script>&\''


class Reader(HTMLParser):
    """Elements with their attributes, and the text outside scripts and styles."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.text, self.open = [], "", []
        self.feed(page)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("img", "input", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag != "path":
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.open[-1:] not in (["script"], ["style"]):
            self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def decoded(uri):
    return base64.b64decode(uri.split(",", 1)[1])


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_survives_its_data_uri(channels):
    image = np.random.default_rng(0).integers(0, 256, (channels, 5, 7)) / 255
    read = np.asarray(Image.open(io.BytesIO(decoded(image_uri(image)))))
    np.testing.assert_array_equal(read.reshape(5, 7, channels), np.round(image * 255).transpose(1, 2, 0))


def test_values_outside_the_range_are_clipped():
    image = np.array([[[-1.0, 2.0, np.nan]]])
    assert np.asarray(Image.open(io.BytesIO(decoded(image_uri(image))))).tolist() == [[0, 255, 0]]


def curves():
    ax = plot_curves({"SGD": [3, 2], "Adam": [1, 2]}, xlabel="step", ylabel="loss")
    ax.set_title("Two optimizers")
    return ax.figure


def test_the_alt_text_is_made_of_the_figures_own_words():
    assert alt_text(curves()) == "Two optimizers, loss against step, curves: SGD, Adam"
    assert alt_text(plt.figure()) == "figure"


def test_a_figure_embeds_as_svg_with_the_same_bytes_twice():
    first, again = embed(curves()), embed(curves())
    assert first == again
    img = Reader(first).all("img")[0]
    assert img["alt"].startswith("Two optimizers") and b"<svg" in decoded(img["src"])


def test_a_crowded_figure_embeds_as_png():
    ax = plt.figure().add_subplot()
    ax.scatter(*np.random.default_rng(0).random((2, 20000)))
    src = Reader(embed(ax.figure)).all("img")[0]["src"]
    assert src.startswith("data:image/png;base64,") and decoded(src).startswith(b"\x89PNG")


def test_an_alt_text_cannot_break_out():
    parsed = Reader(embed(curves(), alt=EVIL))
    assert parsed.all("img")[0]["alt"] == EVIL and not parsed.all("script")


def player(**options):
    images = [np.full((3, 4, 4), v) for v in (0.0, 0.5, 1.0)]
    return Player(images, **{"title": "fading", **options})


def test_the_player_shows_each_frame_once_and_only_the_first_at_first():
    parsed = Reader(player(labels=["a", "b", "c"]).html())
    frames = parsed.all("img")
    assert [f["data-label"] for f in frames] == ["a", "b", "c"]
    assert [f["alt"] for f in frames] == ["fading: a", "fading: b", "fading: c"]
    assert ["hidden" in f for f in frames] == [False, True, True]
    assert len({f["src"] for f in frames}) == 3 and [f["data-frame"] for f in frames] == ["0", "1", "2"]


def test_the_player_has_slider_buttons_and_names_for_all_of_them():
    parsed = Reader(player().html())
    slider = parsed.all("input")[0]
    assert (slider["type"], slider["min"], slider["max"], slider["value"]) == ("range", "0", "2", "0")
    assert [b["data-do"] for b in parsed.all("button")] == ["first", "back", "play", "next"]
    assert all(b["aria-label"] for b in [*parsed.all("button"), slider]) and "1 of 3" in parsed.text
    root = parsed.all("div")[0]
    assert root["aria-label"] == "fading" and root["tabindex"] == "0"


def test_labels_are_text_and_never_part_of_a_script():
    page = player(title=EVIL, labels=[EVIL, "b", "c"]).html()
    parsed = Reader(page)
    assert len(parsed.all("script")) == 1 and "alert" not in re.search("<script>(.*)</script>", page, re.S)[1]
    assert parsed.all("img")[0]["data-label"] == EVIL and EVIL in parsed.text


def test_the_player_refers_to_nothing_outside():
    page = player().html()
    for _, attrs in Reader(page).elements:
        assert attrs.get("src", "data:").startswith("data:") and "href" not in attrs
    assert "http" not in page and "@import" not in page and "url(" not in page


def test_figures_and_svg_strings_are_frames_too():
    pixels, drawing = Player([curves(), '<svg viewBox="0 0 1 1"><circle r="1"/></svg>']).frames
    assert decoded(pixels).startswith(b"\x89PNG")
    assert drawing == '<svg viewBox="0 0 1 1" xmlns="http://www.w3.org/2000/svg"><circle r="1"/></svg>'
    assert Player([pixels]).frames == [pixels]


def test_a_drawing_is_inline_with_its_titles_and_a_name():
    svg = '<svg viewBox="0 0 2 2"><circle r="1"><title>weight 0.25</title></circle></svg>'
    parsed = Reader(Player([svg, svg], title="dots", labels=["one", "two"]).html())
    assert [f["aria-label"] for f in parsed.all("figure")] == ["dots: one", "dots: two"]
    assert ["hidden" in f for f in parsed.all("figure")] == [False, True]
    assert parsed.text.count("weight 0.25") == 2 and len(parsed.all("circle")) == 2


def test_ids_of_different_drawings_do_not_meet():
    make = '<svg viewBox="0 0 1 1"><defs><clipPath id="a"/></defs><g clip-path="url(#a)"><circle r="{}"/></g></svg>'
    parsed = Reader(Player([make.format(1), make.format(2)]).html())
    ids, uses = [c["id"] for c in parsed.all("clippath")], [g["clip-path"] for g in parsed.all("g")]
    assert len(set(ids)) == 2 and uses == [f"url(#{i})" for i in ids]


def test_what_lies_under_all_frames_is_stored_once_and_is_no_frame():
    svg = '<svg viewBox="0 0 1 1"><circle r="1"/></svg>'
    page = Player([svg, svg, svg], background=np.zeros((1, 2, 2))).html()
    assert page.count("data:image/png") == 1 and page.count("data-frame") == 4        # three frames, and the script
    assert Reader(page).all("image")[0]["style"] == "image-rendering:pixelated"
    assert 'class="under" aria-hidden="true"><svg' in Player([svg], background=svg).html()


def test_an_animation_of_matplotlib_becomes_a_player():
    from matplotlib.animation import FuncAnimation

    figure, ax = plt.subplots(figsize=(1, 1))
    (line,) = ax.plot([0, 1], [0, 1])
    movie = FuncAnimation(figure, lambda t: line.set_ydata([0, t]), frames=3, blit=False)
    made = Player.of_page(movie.to_jshtml(), title="a line turns")
    assert len(made.frames) == 3 and len(set(made.frames)) == 3
    sizes = {Image.open(io.BytesIO(decoded(uri))).size for uri in made.frames}
    assert sizes == {(100, 100)} and "class Animation" not in made.html()


def test_a_film_of_figures_stays_small_and_keeps_its_colours():
    uri = Player([curves()]).frames[0]
    colours = np.asarray(Image.open(io.BytesIO(decoded(uri))).convert("RGB")).reshape(-1, 3)
    assert len(decoded(uri)) < 20_000
    assert (np.abs(colours - np.array([0x00, 0x72, 0xB2])).max(axis=1) < 12).any()       # the first line


def test_two_players_on_one_page_do_not_meet():
    ids = {Reader(p.html()).all("div")[0]["class"] for p in (player(), player(title="other"), player(), player(width=9))}
    assert len(ids) == 3
    assert "max-width:9px" in player(width=9).html() and "max-width" not in player()._repr_html_().split("</style>")[0]


@pytest.mark.parametrize("call, match", [
    (lambda: Player([]), "frames is empty"), (lambda: player(labels=["a"]), "labels has 1 entries, expected 3"),
    (lambda: player(interval=5), "interval is 5"), (lambda: Player(["<p>"]), "frame is the text"),
    (lambda: Player([3]), "frame is a int"), (lambda: Player([np.zeros((4, 4))]), "image has shape")])
def test_malformed_frames_are_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


@pytest.mark.skipif(not shutil.which("node"), reason="needs node to run the script")
@pytest.mark.parametrize("calm, pace", [("false", 200), ("true", 1500)])
def test_the_script_steps_plays_wraps_around_and_keeps_calm_when_asked(calm, pace):
    script = re.search("<script>(.*)</script>", player().html(), re.S)[1]
    harness = """
    const make = n => ({hidden: n > 0, dataset: {label: "f" + n}, style: {}});
    const frames = [0, 1, 2].map(make), slider = {value: 0, on: {}, setAttribute() {},
      addEventListener(e, f) { this.on[e] = f; }}, icons = [make(0), make(0)], on = {};
    const caption = {setAttribute(k, v) { this[k] = v; }};
    const root = {dataset: {}, querySelector: s => s === "input" ? slider : caption, addEventListener(e, f) { on[e] = f; },
      querySelectorAll: s => s === "[data-frame]" ? frames : s === "button" || s === "figure svg" ? [] : icons};
    globalThis.document = {querySelectorAll: s => { globalThis.asked = s; return [root]; }};
    globalThis.matchMedia = () => ({matches: CALM});
    globalThis.setInterval = (f, ms) => { globalThis.tick = f; globalThis.pace = ms; return 7; };
    globalThis.clearInterval = () => {};
    SCRIPT
    const at = () => frames.findIndex(f => !f.hidden), seen = [];
    const key = (k, tag) => {
      on.keydown({key: k, target: {tagName: tag || "DIV"}, preventDefault() {}});
      seen.push(at());
    };
    key("ArrowRight"); key("End"); key("ArrowRight"); key("ArrowLeft"); key("Home"); key("x");
    key(" "); tick(); seen.push(at()); key(" ", "BUTTON");
    slider.value = "2"; slider.on.input(); seen.push(at());
    console.log(JSON.stringify([seen, caption.textContent, caption["aria-live"], pace, root.dataset.ready]));
    """.replace("SCRIPT", script).replace("CALM", calm)
    out = subprocess.run(["node", "-e", harness], capture_output=True, text=True, check=True).stdout
    assert json.loads(out) == [[1, 2, 0, 2, 0, 0, 0, 1, 1, 2], "f2", "polite", pace, "yes"]
