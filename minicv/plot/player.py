"""A player for things that move: slider, play, keyboard; one HTML string that works offline.

Frames travel as images inside the page. No frame or label is ever part of a script: labels are
escaped text, and scripts inside an SVG do not run in an ``<img>``.
"""

import hashlib
import html

import numpy as np

from ..errors import ArgError
from .embed import data_uri, frame_uri, image_uri

_ICONS = {
    "first": "M2 2h2v12H2zM9 2v12L4 8zM14 2v12L9 8z", "back": "M10 2v12L3 8zM12 2h2v12h-2z",
    "play": "M4 2v12l9-6z", "pause": "M3 2h4v12H3zM9 2h4v12H9z", "next": "M6 2v12l7-6zM2 2h2v12H2z",
}

_STYLE = """<style>
.minicv-player{max-width:%(width)dpx;margin:1em 0;font:14px/1.4 system-ui,sans-serif;color:inherit}
.minicv-player:focus-visible{outline:2px solid #0072B2;outline-offset:3px}
.minicv-player img{display:block;width:100%%;height:auto;background:#fff;border-radius:6px;
image-rendering:%(rendering)s}
.minicv-player img[hidden]{display:none}
.minicv-player div{display:flex;gap:.4em;align-items:center;margin-top:.4em}
.minicv-player button{border:1px solid #8888;border-radius:6px;background:transparent;color:inherit;
padding:.35em .5em;line-height:0;cursor:pointer}
.minicv-player button svg{width:16px;height:16px;fill:currentColor}
.minicv-player input{flex:1;min-width:4em;accent-color:#0072B2}
.minicv-player p{margin:.2em 0 0;min-height:1.4em;font-variant-numeric:tabular-nums}
</style>"""

_SCRIPT = """<script>
(function () {
  const root = document.getElementById("%(id)s");
  const frames = root.querySelectorAll("img"), slider = root.querySelector("input");
  const caption = root.querySelector("p"), icons = root.querySelectorAll("[data-do=play] svg");
  let at = 0, timer = null;
  function show(i) {
    frames[at].hidden = true;
    at = (i + frames.length) %% frames.length;
    frames[at].hidden = false;
    slider.value = at;
    caption.textContent = frames[at].dataset.label;
    slider.setAttribute("aria-valuetext", frames[at].dataset.label);
  }
  function play(on) {
    clearInterval(timer);
    timer = on ? setInterval(function () { show(at + 1); }, %(interval)d) : null;
    icons[0].style.display = on ? "none" : "";
    icons[1].style.display = on ? "" : "none";
  }
  const act = {
    first: function () { play(false); show(0); },
    back: function () { play(false); show(at - 1); },
    play: function () { play(timer === null); },
    next: function () { play(false); show(at + 1); },
    last: function () { play(false); show(frames.length - 1); }
  };
  const keys = { ArrowLeft: "back", ArrowRight: "next", Home: "first", End: "last", " ": "play" };
  root.addEventListener("keydown", function (event) {
    if (!(event.key in keys) || event.key === " " && event.target.tagName === "BUTTON") return;
    act[keys[event.key]]();
    event.preventDefault();
  });
  root.querySelectorAll("button").forEach(function (button) {
    button.addEventListener("click", function () { act[button.dataset.do](); });
  });
  slider.addEventListener("input", function () { play(false); show(Number(slider.value)); });
})();
</script>"""


class Player:
    """Frames one can step through and play.

    Parameters
    ----------
    frames : list
        Each a matplotlib Figure (kept as a small PNG), an SVG string, or an image (3, H, W) or (1, H, W) in [0, 1].
    title : str
        What the frames show; read out before each label.
    labels : list of str or None
        A line under each frame; "1 of 12" when None.
    interval : int
        Milliseconds between frames, >= 20.
    width : int
        Largest width in pixels of the page; the player shrinks on a narrow screen.

    Keys: space plays and pauses, left and right step, Home and End jump.

    Raises
    ------
    ArgError
        If there is no frame, a frame is none of these, labels do not match, or interval < 20.
    """

    def __init__(self, frames, *, title="animation", labels=None, interval=200, width=640):
        frames = list(frames)
        if not frames:
            raise ArgError("Player: frames is empty, expected at least one")
        if labels is not None and len(labels) != len(frames):
            raise ArgError(f"Player: labels has {len(labels)} entries, expected {len(frames)}")
        if interval < 20:
            raise ArgError(f"Player: interval is {interval} ms, expected >= 20")
        self.title, self.interval, self.width = title, int(interval), int(width)
        self.labels = [f"{i + 1} of {len(frames)}" for i in range(len(frames))] if labels is None else list(labels)
        self.pixels = isinstance(frames[0], np.ndarray)
        self.uris = [_uri(frame) for frame in frames]

    def html(self):
        """The player as one HTML string without any outside reference."""
        id = "player-" + hashlib.sha256("".join([self.title, *self.labels, *self.uris]).encode()).hexdigest()[:12]
        style = _STYLE % {"width": self.width, "rendering": "pixelated" if self.pixels else "auto"}
        title = html.escape(self.title, quote=True)
        return (f'{style}<div class="minicv-player" id="{id}" tabindex="0" role="group" aria-label="{title}">'
                f'{"".join(map(self._frame, range(len(self.uris))))}{self._controls()}'
                f'<p aria-live="off">{html.escape(self.labels[0])}</p></div>'
                f'{_SCRIPT % {"id": id, "interval": self.interval}}')

    _repr_html_ = html

    def _frame(self, i):
        label = html.escape(self.labels[i], quote=True)
        alt = html.escape(f"{self.title}: {self.labels[i]}", quote=True)
        return f'<img src="{self.uris[i]}" alt="{alt}" data-label="{label}"{" hidden" if i else ""}>'

    def _controls(self):
        buttons = [_button("first", "first frame"), _button("back", "previous frame"),
                   _button("play", "play or pause", "pause"), _button("next", "next frame")]
        return (f'<div>{"".join(buttons)}<input type="range" min="0" max="{len(self.uris) - 1}" value="0" '
                f'aria-label="frame"></div>')


def _button(action, label, hidden=None):
    icons = _icon(action) + (_icon(hidden, ' style="display:none"') if hidden else "")
    return f'<button type="button" data-do="{action}" aria-label="{label}">{icons}</button>'


def _icon(name, extra=""):
    return f'<svg viewBox="0 0 16 16" aria-hidden="true"{extra}><path d="{_ICONS[name]}"/></svg>'


def _uri(frame):
    if isinstance(frame, str):
        if not frame.lstrip().startswith(("<svg", "<?xml")):
            raise ArgError(f"Player: frame is the text {frame[:40]!r}, expected an SVG")
        if "xmlns=" not in frame:                       # an <img> needs it, inline SVG does not
            frame = frame.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
        return data_uri(frame.encode(), "image/svg+xml")
    if isinstance(frame, np.ndarray):
        return image_uri(frame)
    if hasattr(frame, "savefig"):
        return frame_uri(frame)
    raise ArgError(f"Player: frame is a {type(frame).__name__}, expected a Figure, an SVG string or an array")
