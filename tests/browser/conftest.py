"""One browser and one server for all tests here; each page of the book is visited once.

Skipped where there is no Chromium, no selenium, or (pages of the book only) no built book.
"""

import functools
import http.server
import pathlib
import threading

import pytest

from . import chromium

BOOK = pathlib.Path(__file__).resolve().parents[2] / "docs" / "_build" / "html"


def pages(pattern="**/*.html"):
    """Addresses of the book's pages, relative to its root; the landing page stands for a book that is not built."""
    found = sorted(str(path.relative_to(BOOK)) for path in BOOK.glob(pattern))
    return found or ["index.html"]


def pytest_collection_modifyitems(items):
    here = pathlib.Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, without a line for each."""

    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def serve():
    """serve(folder) -> address of a server of that folder on this machine."""
    servers = []

    def start(folder):
        handler = functools.partial(Quiet, directory=str(folder))
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """The one window."""
    if reason := chromium.missing():
        pytest.skip(reason)
    window = chromium.Browser(tmp_path_factory.mktemp("profile"))
    yield window
    window.close()


@pytest.fixture(scope="session")
def book(serve):
    """Address of the built book."""
    if not (BOOK / "index.html").is_file():
        pytest.skip("the book is not built: make book")
    return serve(BOOK)


@pytest.fixture(scope="session")
def visit(browser, book):
    """visit(page) -> chromium.Visit, looked at once."""
    return functools.cache(lambda page: browser.visit(book + page))


@pytest.fixture
def opened(browser, tmp_path):
    """opened(html) loads a page made of this body, from a file."""

    def load(body, **view):
        path = tmp_path / "page.html"
        path.write_text(f'<!doctype html><html lang="en"><meta charset="utf-8"><title>page</title>'
                        f'<body><main>{body}</main></body></html>', encoding="utf-8")
        browser.open(path.as_uri(), **view)
        return browser

    return load
