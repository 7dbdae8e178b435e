"""A player for things that move: slider, play, keyboard; one HTML string that works offline.

Frames travel inside the page: pixels as images, drawings as inline SVG, so that what has a ``<title>`` tells its values
to a pointer that rests on it. Drawings pass `clean_svg`; no frame or label is ever part of a script.
"""

import hashlib
import html

import numpy as np

from ..errors import ArgError
from .embed import frame_uri, image_uri
from .sanitize import clean_svg, pictures

_ICONS = {
    "first": "M2 2h2v12H2zM9 2v12L4 8zM14 2v12L9 8z", "back": "M10 2v12L3 8zM12 2h2v12h-2z",
    "play": "M4 2v12l9-6z", "pause": "M3 2h4v12H3zM9 2h4v12H9z", "next": "M6 2v12l7-6zM2 2h2v12H2z",
}

_STYLE = """<style>
.minicv-player{margin:1em 0;font:14px/1.4 system-ui,sans-serif;color:inherit}
.minicv-player:focus-visible{outline:2px solid #0072B2;outline-offset:3px}
.minicv-player .stage{position:relative;background:#fff;color:#000;border-radius:6px;overflow:hidden}
.minicv-player .stage>*{position:relative;display:block;width:100%;height:auto;margin:0}
.minicv-player .stage>.under{position:absolute;inset:0;height:100%}
.minicv-player .stage>figure>svg{display:block;width:100%;height:auto}
.minicv-player .stage>[hidden]{display:none}
.minicv-player .bar{display:flex;gap:.4em;align-items:center;margin-top:.4em}
.minicv-player button{border:1px solid #8888;border-radius:6px;background:transparent;color:inherit;
padding:.35em .5em;line-height:0;cursor:pointer}
.minicv-player button svg{width:16px;height:16px;fill:currentColor}
.minicv-player input{flex:1;min-width:4em;accent-color:#0072B2}
.minicv-player p{margin:.2em 0 0;min-height:1.4em;font-variant-numeric:tabular-nums}
</style>"""

_SCRIPT = """<script>
document.querySelectorAll(".%(id)s:not([data-ready])").forEach(function (root) {
  root.dataset.ready = "yes";
  const frames = root.querySelectorAll("[data-frame]"), slider = root.querySelector("input");
  const caption = root.querySelector("p"), icons = root.querySelectorAll("[data-do=play] svg");
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let at = 0, timer = null;
  if (calm) root.querySelectorAll("figure svg").forEach(function (svg) { svg.pauseAnimations(); });
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
    timer = on ? setInterval(function () { show(at + 1); }, calm ? Math.max(1500, %(interval)d) : %(interval)d) : null;
    caption.setAttribute("aria-live", on ? "off" : "polite");
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
});
</script>"""


class Player:
    """Frames one can step through and play.

    Parameters
    ----------
    frames : list
        Each a matplotlib Figure (kept as a small PNG), an SVG string, an image (3, H, W) or (1, H, W) in [0, 1], or a
        data URI of a PNG, JPEG or GIF. SVG is drawn inline, so the ``<title>`` of a shape is shown on hover.
    title : str
        What the frames show; read out before each label.
    labels : list of str or None
        A line under each frame; "1 of 12" when None.
    interval : int
        Milliseconds between frames, >= 20; at least 1500 for readers who ask their system for less motion.
    width : int
        Largest width in pixels of the page; the player shrinks on a narrow screen.
    background : like a frame, or None
        What lies under all frames and is stored once; frames are then drawings of the same shape.

    Nothing moves before somebody presses play. Keys: space plays and pauses, left and right step, Home and End jump.

    Raises
    ------
    ArgError
        If there is no frame, a frame is none of these, labels do not match, or interval < 20.
    """

    def __init__(self, frames, *, title="animation", labels=None, interval=200, width=640, background=None):
        frames = list(frames)
        if not frames:
            raise ArgError("Player: frames is empty, expected at least one")
        if labels is not None and len(labels) != len(frames):
            raise ArgError(f"Player: labels has {len(labels)} entries, expected {len(frames)}")
        if interval < 20:
            raise ArgError(f"Player: interval is {interval} ms, expected >= 20")
        self.title, self.interval, self.width = title, int(interval), int(width)
        self.labels = [f"{i + 1} of {len(frames)}" for i in range(len(frames))] if labels is None else list(labels)
        self.pixels = any(isinstance(frame, np.ndarray) for frame in [frames[0], background])
        self.frames = [_kept(frame) for frame in frames]
        self.background = None if background is None else _kept(background)

    @classmethod
    def of_page(cls, page, **options):
        """A player of the pictures in an HTML animation, such as matplotlib's ``animation.to_jshtml()``.

        Only the pictures are taken, see `pictures`: no script, style or reference of the page survives.

        Parameters
        ----------
        page : str
        **options
            As `Player`.
        """
        return cls(pictures(page), **options)

    def html(self):
        """The player as one HTML string without any outside reference."""
        content = [self.title, *self.labels, *self.frames, self.background or "", str((self.interval, self.width))]
        id, title = f"player-{_digest(''.join(content))}", html.escape(self.title)
        return (f'{_STYLE}<div class="minicv-player {id}" style="max-width:{self.width}px" tabindex="0" role="group" '
                f'aria-roledescription="player" aria-label="{title}"><div class="stage">{self._under()}'
                f'{"".join(map(self._frame, range(len(self.frames))))}</div>{self._controls()}'
                f'<p aria-live="polite">{html.escape(self.labels[0])}</p></div>'
                f'{_SCRIPT % {"id": id, "interval": self.interval}}')

    _repr_html_ = html

    def _frame(self, i):
        label = html.escape(self.labels[i])
        alt = html.escape(f"{self.title}: {self.labels[i]}")
        rest = f'data-frame="{i}" data-label="{label}"{" hidden" if i else ""}>'
        if self.frames[i].startswith("<svg"):
            return f'<figure role="group" aria-label="{alt}" {rest}{self.frames[i]}</figure>'
        return f'<img src="{self.frames[i]}" alt="{alt}"{self._rendering} {rest}'

    def _under(self):
        """The background; an image element of SVG, because every ``<img>`` in here is a frame."""
        if self.background is None:
            return ""
        if self.background.startswith("<svg"):
            return f'<div class="under" aria-hidden="true">{self.background}</div>'
        return (f'<svg class="under" aria-hidden="true"><image href="{self.background}" width="100%" height="100%" '
                f'preserveAspectRatio="none"{self._rendering}/></svg>')

    @property
    def _rendering(self):
        return ' style="image-rendering:pixelated"' if self.pixels else ""

    def _controls(self):
        buttons = [_button("first", "first frame"), _button("back", "previous frame"),
                   _button("play", "play or pause", "pause"), _button("next", "next frame")]
        return (f'<div class="bar">{"".join(buttons)}<input type="range" min="0" max="{len(self.frames) - 1}" '
                f'value="0" aria-label="frame" aria-valuetext="{html.escape(self.labels[0])}"></div>')


def _button(action, label, hidden=None):
    icons = _icon(action) + (_icon(hidden, ' style="display:none"') if hidden else "")
    return f'<button type="button" data-do="{action}" aria-label="{label}">{icons}</button>'


def _icon(name, extra=""):
    return f'<svg viewBox="0 0 16 16" aria-hidden="true"{extra}><path d="{_ICONS[name]}"/></svg>'


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _kept(frame):
    """A clean ``<svg>`` element, or pixels as a data URI."""
    if isinstance(frame, np.ndarray):
        return image_uri(frame)
    if hasattr(frame, "savefig"):
        return frame_uri(frame)
    if not isinstance(frame, str):
        raise ArgError(f"Player: frame is a {type(frame).__name__}, expected a Figure, an SVG string or an array")
    if frame.startswith("data:"):
        return pictures(f'<img src="{html.escape(frame)}">')[0]
    if not frame.lstrip().startswith(("<svg", "<?xml", "<!")):
        raise ArgError(f"Player: frame is the text {frame[:40]!r}, expected an SVG")
    return clean_svg(frame, prefix=f"f{_digest(frame)[:6]}-")
