"""The pages of the API: every name of every ``__all__``, with the docstring it has in the sources."""

import functools
import importlib
import inspect
import pkgutil
import re

import sources

import minicv
from minicv.autograd import Op

SINGLE = ("minicv.errors", "minicv.files", "minicv.functional")      # public modules that are no packages


def packages():
    """Dotted names of the public packages, the library itself first."""
    found = [info for info in pkgutil.iter_modules(minicv.__path__, "minicv.")]
    return ["minicv", *(info.name for info in found if info.name in SINGLE or info.ispkg and public(info.name))]


def public(name):
    """Names of ``__all__``; for modules without it what they define themselves."""
    module = importlib.import_module(name)
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [key for key, value in vars(module).items() if not key.startswith("_") and _owned(value, name)]


def _owned(value, name):
    return getattr(value, "__module__", None) == name and (inspect.isclass(value) or callable(value))


def entries(package):
    """(qualified name, kind, object) of everything public in a package; modules in it come with their own."""
    module = importlib.import_module(package)
    for name in public(package):
        value = getattr(module, name)
        yield f"{package}.{name}", kind(value), value
        if inspect.ismodule(value) and value.__name__.startswith("minicv."):
            yield from entries(value.__name__)


def kind(value):
    """What autodoc calls it: class, exception, module, function (ops are functions) or data."""
    if inspect.isclass(value):
        return "exception" if issubclass(value, BaseException) else "class"
    if inspect.ismodule(value):
        return "module"
    return "function" if isinstance(value, Op) or callable(value) else "data"


def homes():
    """{id of an object: the qualified name under which it is documented}, the first one that is met."""
    order = sorted(packages(), key=lambda name: (name == "minicv", name == "minicv.functional"))
    found = {}
    for package in order:
        for name, _, value in entries(package):
            if kind(value) != "data":
                found.setdefault(id(value), name)
    return found


@functools.cache
def documented():
    """{(file, definition): qualified name} of everything that has an entry."""
    found = {}
    for name in homes().values():
        found.setdefault(sources.place(name), name)
    return found


# Pages -------------------------------------------------------------------------------------------------


def pages():
    """{file name: text} of the API part of the book."""
    home = homes()
    texts = {f"api/{_stem(name)}.rst": _page(name, home) for name in packages()}
    listed = "\n".join(f"   {_stem(name)}" for name in packages())
    texts["api/index.rst"] = (_title("Reference", "=") + "Every public name, with the docstring it has in the sources; "
                              "*source* leads to the code.\n\n.. toctree::\n   :maxdepth: 1\n\n" + listed + "\n")
    return texts


def _stem(package):
    return package.removeprefix("minicv.").replace("minicv", "top")


def _page(package, home):
    parts = [_title(package, "="), f".. automodule:: {package}\n\n"]
    if package == "minicv.functional":
        return "".join([*parts, *_families(package, home)])
    for name, sort, value in entries(package):
        if sort == "module":
            parts += [_title(name, "-"), f".. automodule:: {name}\n\n"]
        elif sort == "data":
            parts.append(_data(name, value))
        elif home[id(value)] != name:
            parts.append(_alias(name, home[id(value)]))
        else:
            parts.append(_directive(name, sort))
    return "".join(parts)


def _families(package, home):
    """The flat list by the module that defines each function."""
    by_module = {}
    for name, sort, value in entries(package):
        by_module.setdefault(value.__module__, []).append((name, sort, value))
    for module, items in sorted(by_module.items()):
        yield _title(module.removeprefix("minicv.autograd.").removeprefix("minicv."), "-")
        for name, sort, value in items:
            yield _directive(name, sort) if home[id(value)] == name else _alias(name, home[id(value)])


def _title(text, line):
    return f"{text}\n{line * len(text)}\n\n"


def _directive(name, sort):
    members = "   :members:\n" if sort in ("class", "exception") else ""
    return f".. auto{sort}:: {name}\n{members}\n"


def _data(name, value):
    said = ", ".join(map(str, value)) if isinstance(value, dict) else re.sub(r"\s+", " ", repr(value))
    return f".. py:data:: {name}\n   :type: {type(value).__name__}\n\n   ``{said}``\n\n"


def _alias(name, target):
    return f"``{name}`` is :py:obj:`{target}`.\n\n"
