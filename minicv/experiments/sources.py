"""Which source files a result depends on, found without importing anything.

A result is stale when the code it was made with has changed. The digest covers the experiment's
own file and every minicv file it imports, directly or not, without comments, docstrings and blank
lines: improving the words does not ask for new results. Left out are the packages that draw,
report and run, because no metric depends on them.
"""

import ast
import functools
import hashlib
import re
from pathlib import Path

PACKAGE = "minicv"
IGNORED = ("minicv/plot/", "minicv/train/progress.py", "minicv/testing/")
STRING_OR_COMMENT = re.compile(
    r'("""(?:\\.|[^\\])*?"""|\'\'\'(?:\\.|[^\\])*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')|#[^\n]*', re.S)


def digest(path, root):
    """16 hexadecimal digits of what `dependencies` contain; `path` and `root` as there."""
    total = hashlib.sha256()
    for file in dependencies(path, root):
        total.update(f"{file.relative_to(root).as_posix()}\n{_essence(*_stamp(file))}\n".encode())
    return total.hexdigest()[:16]


def dependencies(path, root):
    """Sorted files under the folder `root` that the Python file `path` needs, itself included."""
    root, found, todo = Path(root), set(), [Path(path)]
    while todo:
        file = todo.pop()
        if file not in found:
            found.add(file)
            todo += [f for f in _imported(*_stamp(file), root) if not _ignored(f, root)]
    return sorted(found)


def _ignored(file, root):
    """Drawing, progress, and the experiment framework itself (but not the chapters' folders)."""
    name = file.relative_to(root).as_posix()
    return name.startswith(IGNORED) or file.parent == Path(root, PACKAGE, "experiments")


def _stamp(file):
    """The file and what changes when it does, as key of the two caches below."""
    stat = file.stat()
    return file, stat.st_mtime_ns, stat.st_size


@functools.cache
def _essence(file, mtime, size):
    source = file.read_text(encoding="utf-8")
    original = source.splitlines()
    lines = STRING_OR_COMMENT.sub(lambda match: match[1] or "", source).splitlines()
    for node in _statements(_tree(file, mtime, size)):
        if _is_docstring(node) and not original[node.lineno - 1][:node.col_offset].strip():
            lines[node.lineno - 1:node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _is_docstring(node):
    """A string that stands alone as a statement."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _statements(node):
    """All statements below a node; expressions hold neither imports nor docstrings."""
    for part in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, part, ()):
            yield child
            yield from _statements(child)


@functools.cache
def _tree(file, mtime, size):
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


@functools.cache
def _imported(file, mtime, size, root):
    """The minicv files that `file` imports anywhere, inside functions too, and their packages."""
    package = file.relative_to(root).parent.parts
    found = {}
    for node in _statements(_tree(file, mtime, size)):
        for name in _names(node, package):
            found |= dict.fromkeys(_files(name, root))
    return tuple(found)


def _names(node, package):
    """Absolute dotted names that an import statement may load, as tuples of parts."""
    if isinstance(node, ast.Import):
        return [tuple(alias.name.split(".")) for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    above = package[:len(package) - node.level + 1] if node.level else ()
    base = above + tuple(node.module.split(".") if node.module else ())
    return [base] + [base + (alias.name,) for alias in node.names]


def _files(name, root):
    """Existing files of the module `name` and of every package above it."""
    if name[:1] != (PACKAGE,):
        return []
    above = [root.joinpath(*name[:i], "__init__.py") for i in range(1, len(name) + 1)]
    return [file for file in [*above, root.joinpath(*name).with_suffix(".py")] if file.is_file()]
