"""The public API changes only on purpose: names in `__all__` of every package are compared with a stored list.

After a wanted change run ``python -m tests.test_public_api`` to rewrite `tests/public_api.txt`.
"""

import importlib
import inspect
import pathlib
import pkgutil

import pytest

import minicv

STORED = pathlib.Path(__file__).with_name("public_api.txt")


def packages():
    yield "minicv"
    for info in pkgutil.iter_modules(minicv.__path__, "minicv."):
        if info.ispkg or info.name in ("minicv.errors", "minicv.files", "minicv.functional"):
            yield info.name


def public_names():
    for package in packages():
        module = importlib.import_module(package)
        names = getattr(module, "__all__", None)
        if names is None and package == "minicv.errors":
            names = [n for n, v in vars(module).items() if inspect.isclass(v)]
        for name in names or ():
            yield f"{package}.{name}"


def test_public_names_are_the_stored_ones():
    assert sorted(public_names()) == STORED.read_text(encoding="utf-8").split()


@pytest.mark.parametrize("name", sorted(public_names()))
def test_public_name_exists_and_is_documented(name):
    package, _, attribute = name.rpartition(".")
    value = getattr(importlib.import_module(package), attribute)
    if callable(value) or inspect.ismodule(value):
        assert (inspect.getdoc(value) or "").strip(), f"{name} has no docstring"


if __name__ == "__main__":
    STORED.write_text("\n".join(sorted(public_names())) + "\n", encoding="utf-8")
