"""Check a folder of HTML pages: every internal link, file and anchor exists, and nothing is loaded from outside.

    python docs/check_links.py [FOLDER]      prints each fault; exit code 1 if there is any

A plain link (``<a href>``) to another host is a reference to read and allowed; scripts, styles, pictures, fonts, frames
and ``url(...)`` in styles must be inside the folder or in the page itself.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"src", "srcset", "poster", "data", "xlink:href", "action", "background"}     # attributes that load something
INLINE = ("data:", "blob:")
STYLE_URL = re.compile(r"(?:url\(\s*|@import\s+(?!url\())[\"']?([^\"')\s;]+)", re.I)


class Page(HTMLParser):
    """The ids of one page, its plain links, and what it loads."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.loads, self.twice = set(), [], [], []
        self._style = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        """Collect the attributes of one element."""
        for name, value in attributes:
            value = (value or "").strip()
            if name == "id" or name == "name" and tag == "a":
                self._add_id(name, value)
            elif name == "href":
                (self.links if tag in ("a", "area") else self.loads).append(value)
            elif name == "srcset":
                self.loads += [part.split()[0] for part in value.split(",") if part.strip()]
            elif name in LOADED:
                self.loads.append(value)
            elif name == "style":
                self.loads += STYLE_URL.findall(value)
        self._style = tag == "style"

    handle_startendtag = handle_starttag

    def handle_data(self, data):
        """Styles written into the page load things too."""
        if self._style:
            self.loads += STYLE_URL.findall(data)

    def handle_endtag(self, tag):
        """A style ends."""
        self._style = False

    def _add_id(self, name, value):
        if name == "id" and value in self.ids:
            self.twice.append(value)
        self.ids.add(value)


def faults(folder):
    """Sorted faults of all pages under `folder`, each one line of text."""
    folder = Path(folder).resolve()
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}
    found = [fault for path in pages for fault in _of_page(path, pages, folder)]
    return found + [fault for path in sorted(folder.rglob("*.css")) for fault in _of_style(path, folder)]


def _of_page(path, pages, folder):
    page, where = pages[path], path.relative_to(folder).as_posix()
    for id in page.twice:
        yield f"{where}: the id {id} is there twice"
    for url in page.links:
        if not outside(url) and (wrong := _missing(url, path, pages, folder)):
            yield f"{where}: link {url}: {wrong}"
    for url in page.loads:
        if outside(url):
            yield f"{where}: loads {url[:80]} from outside"
        elif not url.startswith(INLINE) and (wrong := _missing(url, path, pages, folder)):
            yield f"{where}: loads {url[:80]}: {wrong}"


def _of_style(path, folder):
    where = path.relative_to(folder).as_posix()
    for url in STYLE_URL.findall(path.read_text(encoding="utf-8")):
        if outside(url):
            yield f"{where}: loads {url[:80]} from outside"
        elif not url.startswith((*INLINE, "#")) and not (path.parent / unquote(urlsplit(url).path)).is_file():
            yield f"{where}: loads {url[:80]}: there is no such file"


def outside(url):
    """Does the address name another host or program?"""
    parts = urlsplit(url)
    return bool(parts.netloc) or parts.scheme not in ("", "data", "blob")


def _missing(url, path, pages, folder):
    """What is wrong with an address within the folder; None when it leads somewhere."""
    parts = urlsplit(url)
    if url in ("", "#", "#top") or parts.scheme:
        return None
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_relative_to(folder):
        return "it leaves the folder"
    if not target.is_file():
        return "there is no such file"
    if parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
        return "there is no such anchor"
    return None


def report(folder):
    """Print all faults and a summary; returns the exit code."""
    found = faults(folder)
    for fault in found:
        print(fault, file=sys.stderr)
    count = len(list(Path(folder).rglob("*.html")))
    print(f"{count} pages in {folder}: {len(found)} broken or outside references")
    return 1 if found or not count else 0


if __name__ == "__main__":
    sys.exit(report(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("_build") / "html"))
