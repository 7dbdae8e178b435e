"""Sources as pages: every file of the library and its tests, with an anchor for each function, class and method.

Documented names link to their source and back; the role ``source`` links from anywhere: the file, or after ``#`` one
definition in it, as in ``minicv/optim/adam.py#adam_update``.
"""

import ast
import functools
import html
import importlib
import inspect
from pathlib import Path

ROOT = next(folder for folder in Path(__file__).resolve().parents if (folder / "setup.cfg").is_file())
FOLDERS = ("minicv", "tests")


def files():
    """All Python files that become pages, as paths from the root."""
    return sorted(path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


@functools.cache
def definitions(file):
    """{qualified name: first line} of one file, decorators included."""
    found = {}

    def visit(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                first = min([child.lineno, *(d.lineno for d in child.decorator_list)])
                found.setdefault(prefix + child.name, first)
                visit(child, f"{prefix}{child.name}.")

    visit(ast.parse((ROOT / file).read_text(encoding="utf-8")), "")
    return found


def page(file):
    """Name of the page of a file."""
    return "sources/" + file.removesuffix(".py")


def address(file, name=None):
    """Address of a source page from the top of the book. ValueError if there is no such file or definition."""
    if not (ROOT / file).is_file():
        raise ValueError(f"there is no file {file}")
    if name and name not in definitions(file):
        raise ValueError(f"{file} does not define {name}")
    return page(file) + ".html" + (f"#{name}" if name else "")


def place(name):
    """(file, name in it) of a documented object such as minicv.nn.Linear.forward; None where that is not ours."""
    module, rest = split(name)
    try:
        value = functools.reduce(getattr, rest, module)
    except AttributeError:
        return None
    return defined(getattr(value, "fget", None) or value)


def defined(value):
    """(file, name in it) of the definition of an object; None where it is not ours."""
    value = inspect.unwrap(value)
    home, qualified = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not (isinstance(home, str) and home.split(".")[0] == "minicv" and isinstance(qualified, str)):
        return None
    file = Path(inspect.getfile(importlib.import_module(home))).relative_to(ROOT).as_posix()
    return (file, qualified) if qualified in definitions(file) else None


def split(name):
    """The longest importable part of a dotted name, as a module, and what is left of it."""
    parts = name.split(".")
    for k in range(len(parts), 0, -1):
        try:
            return importlib.import_module(".".join(parts[:k])), parts[k:]
        except ModuleNotFoundError:
            continue
    raise ValueError(f"{name} cannot be imported")


# Sphinx ------------------------------------------------------------------------------------------------


def linkcode_resolve(domain, info):
    """For `sphinx.ext.linkcode`: API pages are one folder deep."""
    found = place(f"{info['module']}.{info['fullname']}") if domain == "py" and info["module"] else None
    return "../" + address(*found) if found else None


def collect(app):
    """The pages, for Sphinx to render."""
    documented = {place(name): (entry.docname, entry.node_id)
                  for name, entry in app.env.domains["py"].objects.items() if entry.objtype != "module"}
    for file in files():
        links = {name: documented[file, name] for name in definitions(file) if (file, name) in documented}
        links = {name: f"{app.builder.get_relative_uri(page(file), doc)}#{id}" for name, (doc, id) in links.items()}
        yield page(file), {"title": file, "body": body(file, links)}, "page.html"


def body(file, links):
    """One file as HTML: highlighted, with anchors and links back to the documentation."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    text = (ROOT / file).read_text(encoding="utf-8")
    lines = highlight(text, PythonLexer(stripnl=False), HtmlFormatter(nowrap=True)).splitlines()
    for name, line in definitions(file).items():
        back = f'<a class="back" href="{html.escape(links[name])}">[docs]</a>' if name in links else ""
        lines[line - 1] = f'<span class="anchor" id="{name}"></span>{lines[line - 1]}{back}'
    return f'<h1>{file}</h1><div class="highlight"><pre>{chr(10).join(lines)}\n</pre></div>'


def role(name, rawtext, text, lineno, inliner, options=None, content=None):
    """``source``: the shown text is the definition, or the file."""
    from docutils import nodes

    shown, _, target = text.rpartition("<")
    file, _, definition = (target.rstrip(">") if shown else text).partition("#")
    try:
        url = address(file, definition or None)
    except ValueError as error:
        return [], [inliner.reporter.error(f"source: {error}", line=lineno)]
    node = nodes.reference(rawtext, "", internal=True, refuri=_up(inliner) + url)
    node += nodes.literal("", shown.strip() or definition or file) if not shown else nodes.inline("", shown.strip())
    return [node], []


def lesson_role(name, rawtext, text, lineno, inliner, options=None, content=None):
    """``lesson``: the page of a lesson by its number."""
    from docutils import nodes

    found = list((ROOT / "notebooks").glob(f"{text}_*.ipynb"))
    if len(found) != 1:
        return [], [inliner.reporter.error(f"lesson: there is no lesson {text}", line=lineno)]
    url = f"{_up(inliner)}lessons/{found[0].stem}.html"
    return [nodes.reference(rawtext, f"lesson {text}", internal=True, refuri=url)], []


def _up(inliner):
    return "../" * inliner.document.settings.env.docname.count("/")


def setup(app):
    """Needs `sphinx.ext.linkcode` for the links from the API."""
    app.add_role("source", role)
    app.add_role("lesson", lesson_role)
    app.connect("html-collect-pages", collect)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
