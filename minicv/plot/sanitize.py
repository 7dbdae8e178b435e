"""Pictures from outside, made safe to put into a page: SVG of any program, animations of matplotlib or of the web.

Nothing is searched for and struck out: what is not on the lists below is left out. Scripts, event attributes, styles,
foreign elements, links and every reference that leaves the drawing have no place on them.
"""

import base64
import binascii
import html
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

from ..errors import ArgError

ELEMENTS = set("""svg g defs symbol use path rect circle ellipse line polyline polygon text tspan title desc image clipPath
mask pattern marker linearGradient radialGradient stop animate animateTransform animateMotion set""".split())
ATTRIBUTES = set("""id x y x1 y1 x2 y2 dx dy cx cy r rx ry fx fy width height d points transform viewBox
preserveAspectRatio rotate offset pathLength refX refY orient markerWidth markerHeight markerUnits gradientUnits
gradientTransform spreadMethod patternUnits patternTransform patternContentUnits clipPathUnits maskUnits
maskContentUnits attributeName begin dur end from to by values keyTimes keySplines keyPoints calcMode repeatCount
repeatDur additive accumulate type path role aria-label aria-hidden lengthAdjust textLength""".split())
PROPERTIES = set("""fill fill-opacity fill-rule stroke stroke-width stroke-opacity stroke-dasharray stroke-dashoffset
stroke-linecap stroke-linejoin stroke-miterlimit opacity display visibility color font-family font-size font-style
font-weight text-anchor dominant-baseline alignment-baseline baseline-shift letter-spacing clip-path clip-rule mask
marker-start marker-mid marker-end stop-color stop-opacity vector-effect shape-rendering text-rendering paint-order
font font-variant font-stretch text-align image-rendering pointer-events""".split())
STILL = {"id", "role", "begin", "end"}                  # what an animation may not change, and what may name an event
SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
DOCTYPE = re.compile(r"<!DOCTYPE\s+svg[^<>\[\]]*>", re.I)
LOCAL = re.compile(r"url\(\s*(['\"]?)#([\w.:-]+)\1\s*\)")
SUSPICIOUS = re.compile(r"url\(|expression|javascript:|@import|\\|/\*|&", re.I)
PICTURE = re.compile(r"data:image/(png|jpeg|gif|svg\+xml);base64,([A-Za-z0-9+/=\s\\]+)")
MAGIC = {"png": (b"\x89PNG\r\n\x1a\n",), "jpeg": (b"\xff\xd8\xff",), "gif": (b"GIF87a", b"GIF89a")}


def clean_svg(text, *, prefix=""):
    """An SVG document reduced to shapes, text, gradients, embedded pixels and timed animations.

    Parameters
    ----------
    text : str
        A document or the ``<svg>`` element alone.
    prefix : str
        Put before every id and every reference to one, so that drawings on one page do not meet.

    Returns
    -------
    str
        The ``<svg>`` element alone, fit for the middle of an HTML page.

    Raises
    ------
    ArgError
        If it is no well-formed SVG, or declares entities.

    >>> clean_svg('<svg viewBox="0 0 1 1" onload="alert(1)"><script>alert(2)</script><circle r="1"/></svg>')
    '<svg viewBox="0 0 1 1" xmlns="http://www.w3.org/2000/svg"><circle r="1"/></svg>'
    """
    bare = DOCTYPE.sub("", text, count=1)
    if "<!DOCTYPE" in bare.upper() or "<!ENTITY" in bare.upper():
        raise ArgError("clean_svg: text declares a document type with entities, expected a plain SVG")
    try:
        root = ElementTree.fromstring(bare)
    except ElementTree.ParseError as error:
        raise ArgError(f"clean_svg: text is {text[:40]!r}, expected a well-formed SVG; {error}") from None
    if _name(root) != "svg":
        raise ArgError(f"clean_svg: text holds <{_name(root)}>, expected <svg>")
    try:
        return _element(root, prefix, ' xmlns="http://www.w3.org/2000/svg"')
    except RecursionError:
        raise ArgError("clean_svg: text is nested too deeply, expected a drawing") from None


def pictures(page):
    """The embedded pictures of an HTML page, in order: nothing else of the page survives.

    Reads ``<img>`` elements and the frames in the script of matplotlib's ``animation.to_jshtml()``.

    Returns
    -------
    list of str
        SVG elements that `clean_svg` has passed, and data URIs of PNG, JPEG or GIF.

    Raises
    ------
    ArgError
        If there is none, or one is damaged.
    """
    found = [_picture(*match) for match in PICTURE.findall(_Sources(page).text)]
    if not found:
        raise ArgError("pictures: page holds no embedded picture, expected data:image/... in <img> or in a script; "
                       "save the animation with embedded frames")
    return found


class _Sources(HTMLParser):
    """The text in which embedded pictures are looked for: sources of images, and scripts."""

    def __init__(self, page):
        super().__init__()
        self.parts, self.script = [], False
        self.feed(page)
        self.close()

    @property
    def text(self):
        return "\n".join(self.parts)

    def handle_starttag(self, tag, attrs):
        self.script = tag == "script"
        if tag == "img":
            self.parts.append(f'"{dict(attrs).get("src") or ""}"')

    def handle_endtag(self, tag):
        self.script = False

    def handle_data(self, data):
        if self.script:
            self.parts.append(data)


def _picture(kind, data):
    """A cleaned SVG, or the data URI of pixels whose first bytes are those of their kind."""
    try:
        raw = base64.b64decode(re.sub(r"[\s\\]", "", data), validate=True)
        if kind == "svg+xml":
            return clean_svg(raw.decode())
    except (binascii.Error, UnicodeDecodeError):
        raise ArgError(f"pictures: an embedded {kind} is damaged, expected base64") from None
    if not raw.startswith(MAGIC[kind]):
        raise ArgError(f"pictures: an embedded {kind} starts with {raw[:8]!r}, expected {MAGIC[kind][0]!r}")
    return f"data:image/{kind};base64,{base64.b64encode(raw).decode()}"


def _name(element):
    """The name without SVG's namespace; another namespace stays and is on no list."""
    return element.tag.removeprefix(SVG) if isinstance(element.tag, str) else ""


def _element(element, prefix, extra=""):
    """The element and what is in it as text; "" for one that is on no list. Titles hold text only."""
    name = _name(element)
    if name not in ELEMENTS or _changes_what_must_stay(element):
        return ""
    inside = html.escape(element.text or "", quote=False) + "".join(
        ("" if name in ("title", "desc") else _element(child, prefix)) + html.escape(child.tail or "", quote=False)
        for child in element)
    attributes = "".join(f' {key}="{html.escape(value)}"' for key, value in _attributes(element, prefix)) + extra
    return f"<{name}{attributes}>{inside}</{name}>" if inside.strip() else f"<{name}{attributes}/>"


def _changes_what_must_stay(element):
    """Whether an animation aims at something else than looks, such as the target of a reference."""
    aims = _name(element) in ("animate", "set", "animateTransform")
    return aims and element.get("attributeName") not in (ATTRIBUTES | PROPERTIES) - STILL


def _attributes(element, prefix):
    """Yield the attributes that may stay, with ids and references renamed."""
    for key, value in element.attrib.items():
        key = "href" if key == XLINK + "href" else key
        if key == "href":
            value = _reference(_name(element), value.strip(), prefix)
        elif key == "style":
            value = _style(value, prefix)
        elif key in ("begin", "end"):
            value = value if re.fullmatch(r"[\d\s.;:+smh-]*|indefinite", value) else ""
        elif key == "id":
            value = prefix + value
        elif key in ATTRIBUTES or key in PROPERTIES:
            value = _harmless(value, prefix) if key != "aria-label" else value
        else:
            value = ""
        if value:
            yield key, value


def _reference(element, value, prefix):
    """A part of the same drawing, or pixels that an image carries itself; "" otherwise."""
    if re.fullmatch(r"#[\w.:-]+", value) and element != "image":
        return f"#{prefix}{value[1:]}"
    match = PICTURE.fullmatch(value)
    return _picture(*match.groups()) if element == "image" and match and match[1] != "svg+xml" else ""


def _style(text, prefix):
    """The declarations with known properties and harmless values."""
    pairs = [part.partition(":") for part in text.split(";")]
    kept = [(name.strip(), _harmless(value.strip(), prefix)) for name, _, value in pairs if name.strip() in PROPERTIES]
    return ";".join(f"{name}:{value}" for name, value in kept if value)


def _harmless(value, prefix):
    """The value with local references renamed; "" if anything else in it could lead outside."""
    if SUSPICIOUS.search(LOCAL.sub("", value)):
        return ""
    return LOCAL.sub(lambda match: f"url(#{prefix}{match[2]})", value)
