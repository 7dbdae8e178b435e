"""Which definitions of minicv a piece of code uses, and which tests use a definition; only imports are executed."""

import ast
import functools
import importlib
import inspect
from pathlib import Path

from sources import ROOT, defined


def imported(tree, package=""):
    """{name: object} of what the imports of a module bring from minicv."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").startswith("minicv"):
            for alias in node.names:
                found[alias.asname or alias.name] = _member(node.module, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "minicv":
                    name = alias.asname or "minicv"
                    found[name] = importlib.import_module(alias.name if alias.asname else "minicv")
    return {name: value for name, value in found.items() if value is not None}


def _member(module, name):
    try:
        value = getattr(importlib.import_module(module), name, None)
        return value if value is not None else importlib.import_module(f"{module}.{name}")
    except ImportError:
        return None


def used(tree, names):
    """[(file, definition)] used in `tree`, in order and without repetition; `names` from `imported`."""
    found = []
    for node in ast.walk(tree):
        value = _value(node, names)
        at = None if value is None or inspect.ismodule(value) else where(value)
        if at and at not in found:
            found.append(at)
    return found


def _value(node, names):
    """The object that a name or a dotted name stands for; None where it is not from minicv."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = _value(node.value, names)
        if inspect.ismodule(owner) or inspect.isclass(owner):
            return getattr(owner, node.attr, None)
    return None


def where(value):
    """(file, qualified name) of the definition of an object of minicv, or None; an experiment is its function."""
    return defined(value.function if type(value).__name__ == "Experiment" else value)


@functools.cache
def tests():
    """{(file, definition) of minicv: [(test file, test function)]}."""
    index = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for test, places in _of_file(path):
            for at in places:
                index.setdefault(at, []).append((path.relative_to(ROOT).as_posix(), test))
    return index


def _of_file(path):
    """(test, what it uses) of one file; what its helpers use counts for the tests that call them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = imported(tree)
    functions = {node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    direct = {name: used(node, names) for name, node in functions.items()}
    for name, node in functions.items():
        if name.startswith("test_"):
            called = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} & functions.keys() - {name}
            yield name, direct[name] + [at for helper in sorted(called) for at in direct[helper]]


@functools.cache
def breadth():
    """{(test file, test): number of definitions it uses}."""
    found = {}
    for users in tests().values():
        for test in users:
            found[test] = found.get(test, 0) + 1
    return found


@functools.cache
def ops():
    """{(file, definition): file with its cases} of everything that the generated suite checks."""
    from minicv.testing import cases

    found = {}
    for path in sorted(Path(cases.__file__).parent.glob("[a-z]*.py")):
        for spec in importlib.import_module(f"{cases.__name__}.{path.stem}").specs():
            found[where(spec.fn)] = path.relative_to(ROOT).as_posix()
    return found
