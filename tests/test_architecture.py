"""Rules of the code base as tests.

Imports point down the rows of CONTRIBUTING.md; `import minicv` loads neither Numba nor matplotlib; nothing reads
pickles; files are written in one place; input checks are not `assert`; no file is too long to read.
"""

import ast
import functools
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "minicv"
ROWS = [
    {"errors"}, {"files"}, {"kernels"}, {"autograd", "matching"}, {"nn", "geometry"},
    {"optim", "data", "metrics", "ensembles", "functional"}, {"cnn", "vit"}, {"detection"},
    {"segmentation", "depth", "metric_learning"}, {"weights", "plot"}, {"train"},
    {"experiments", "testing"}, {"__main__"}]
RANK = {name: i for i, row in enumerate(ROWS) for name in row}
SOURCES = sorted(PACKAGE.rglob("*.py"))


@functools.cache
def nodes(path):
    """All nodes of the syntax tree of a source file, parsed once for all rules."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def package_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imported_packages(path):
    """Packages of minicv that a source file imports, also inside functions."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = parts[:len(parts) - node.level]
            names = [node.module.split(".")] if node.module else [[a.name] for a in node.names]
            for name in names:
                full = [*base, *name]
                if full:
                    yield full[0]
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            for module in modules:
                if module and module.startswith("minicv."):
                    yield module.split(".")[1]


def test_every_package_has_a_row():
    found = {package_of(p) for p in SOURCES} - {"__init__"}
    assert found <= set(RANK), found - set(RANK)


def test_imports_point_down():
    wrong = [f"{path.relative_to(ROOT)} imports {target}" for path in SOURCES if package_of(path) != "__init__"
             for target in imported_packages(path) if target in RANK and target != package_of(path)
             and RANK[target] >= RANK[package_of(path)]]
    assert not wrong, wrong


def test_the_direction_test_sees_a_planted_import(tmp_path, monkeypatch):
    planted = PACKAGE / "autograd" / "planted.py"
    tree = "from ..nn import Module\nimport minicv.plot\n"
    monkeypatch.setattr(pathlib.Path, "read_text", lambda self, encoding=None: tree)
    assert {RANK[t] > RANK["autograd"] for t in imported_packages(planted)} == {True}


def test_import_is_light():
    heavy = ("numba", "matplotlib", "scipy", "sklearn", "PIL")
    code = f"import sys, minicv; print(*[m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == ""


@pytest.mark.parametrize("package", ["autograd", "nn", "optim", "data", "kernels", "train", "testing",
                                     "experiments", "plot", "geometry", "matching", "metrics", "ensembles",
                                     "cnn", "vit", "detection", "weights"])
def test_packages_import_without_numba_and_matplotlib(package):
    code = f"import sys, minicv.{package}; print(*[m for m in ('numba', 'matplotlib') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    assert out.stdout.strip() == ""


def calls(path):
    for node in nodes(path):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func)


def test_nothing_unpickles():
    """R7: no pickle in any load path."""
    wrong = []
    for path in SOURCES:
        for node, name in calls(path):
            if name in ("pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "eval", "exec"):
                wrong.append(f"{path.name}:{node.lineno} {name}")
            if name in ("np.load", "numpy.load", "np.lib.format.read_array") and not any(
                    k.arg == "allow_pickle" and getattr(k.value, "value", None) is False for k in node.keywords):
                wrong.append(f"{path.name}:{node.lineno} {name} without allow_pickle=False")
    assert not wrong, wrong


def test_files_are_written_in_one_place():
    """R8: only minicv/files opens files for writing."""
    wrong = []
    for path in SOURCES:
        if package_of(path) == "files":
            continue
        for node, name in calls(path):
            mode = [a.value for a in [*node.args[1:2], *[k.value for k in node.keywords if k.arg == "mode"]]
                    if isinstance(a, ast.Constant)]
            opens = name in ("open", "io.open") and mode and re.search("[wax+]", str(mode[0]))
            if opens or name.split(".")[-1] in ("write_text", "write_bytes") or name in (
                    "np.save", "np.savez", "np.savez_compressed", "np.savetxt"):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
    assert not wrong, wrong


def test_input_checks_are_not_asserts():
    """R4: assert disappears under -O, so only the testing package may use it."""
    wrong = [f"{path.relative_to(ROOT)}:{node.lineno}" for path in SOURCES if package_of(path) != "testing"
             for node in nodes(path) if isinstance(node, ast.Assert)]
    assert not wrong, wrong


def test_no_global_random_state():
    """R9: randomness comes from rng arguments; of np.random only constructors of streams are called."""
    allowed = ("default_rng", "SeedSequence", "Generator", "PCG64")
    wrong = [f"{path.relative_to(ROOT)}:{node.lineno} {name}" for path in SOURCES for node, name in calls(path)
             if re.match(r"(np|numpy)\.random\.", name) and name.split(".")[2].split("(")[0] not in allowed]
    wrong += [f"{path.relative_to(ROOT)} imports random" for path in SOURCES
              for node in nodes(path)
              if isinstance(node, ast.Import) and any(a.name == "random" for a in node.names)]
    assert not wrong, wrong


def test_files_can_be_read_in_one_sitting():
    long = {str(path.relative_to(ROOT)): n for path in SOURCES
            if (n := path.read_text(encoding="utf-8").count("\n")) > 400}
    assert not long, long


def test_no_bare_except_E16():
    wrong = [f"{path.relative_to(ROOT)}:{node.lineno}" for path in SOURCES
             for node in nodes(path)
             if isinstance(node, ast.ExceptHandler) and node.type is None]
    assert not wrong, wrong


def test_the_package_works_from_a_path_with_a_space_and_an_umlaut(tmp_path):
    """U10."""
    home = tmp_path / "ein Ordner ü"
    shutil.copytree(PACKAGE, home / "minicv", ignore=shutil.ignore_patterns("__pycache__"))
    code = ("import minicv.functional as F, numpy as np\n"
            "print(F.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3))).item())")
    out = subprocess.run([sys.executable, "-c", code], cwd=home, capture_output=True, text=True)
    assert out.returncode == 0 and out.stdout.strip() == "9.0", out.stderr
