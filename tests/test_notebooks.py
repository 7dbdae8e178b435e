"""Lessons (U7): every source has an executed notebook that agrees with it, and every source runs.

* By default nothing is executed: cells are compared one by one, imports, headings, asserts, sizes and outputs are
  checked with the standard library alone (an own reader of the percent format, so the builder is checked too).
* ``pytest -m notebook`` runs each source as a plain script in smoke mode, and the folded answers after it.
"""

import ast
import contextlib
import hashlib
import json
import re
import runpy
import signal
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
SOURCES = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
MOVEMENTS = ["Goal and sources", "Derive", "Check by hand", "Use the library", "Experiment", "Exercises"]
ALLOWED = {"numpy", "numba", "matplotlib", "minicv", *sys.stdlib_module_names}
LIMIT = 300_000                     # bytes of a notebook
SECONDS = 60                        # a lesson in smoke mode
LOCAL_PATH = re.compile(r"(?<![\w./])/(?:home|root|tmp|usr|work|opt|var|Users|private)/\w|[A-Z]:\\\\")

lessons = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)


def percent_cells(text):
    """[(kind, source)] of a py:percent file."""
    cells = []
    for line in text.splitlines():
        if match := re.fullmatch(r"# %%(?: \[(markdown)\])?", line):
            cells.append((match[1] or "code", []))
        elif cells:
            cells[-1][1].append(line)
        else:
            assert not line.strip(), f"text before the first cell: {line}"
    bare = {"code": lambda line: line, "markdown": lambda line: re.sub("^# ?", "", line)}
    return [(kind, "\n".join(map(bare[kind], lines)).strip("\n")) for kind, lines in cells]


def notebook(path):
    return json.loads(path.with_suffix(".ipynb").read_text(encoding="utf-8"))


def notebook_cells(path):
    return [(cell["cell_type"], "".join(cell["source"])) for cell in notebook(path)["cells"]]


def sections(path):
    """[(heading, code)] of the headings of level 2 and 3."""
    found = []
    for kind, source in percent_cells(path.read_text(encoding="utf-8")):
        heads = re.findall(r"^###? (.+)$", without_fences(source), re.M) if kind == "markdown" else []
        found += [(head, []) for head in heads]
        if kind == "code":
            assert found, f"{path.name}: code before the first heading"
            found[-1][1].append(source)
    return [(head, "\n\n".join(code)) for head, code in found]


def without_fences(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)


def answers(path):
    """Code of the folded answers, one text each."""
    folded = [part for kind, source in percent_cells(path.read_text(encoding="utf-8")) if kind == "markdown"
              for part in re.findall(r"<details>(.*?)</details>", source, re.S)]
    return ["\n".join(re.findall(r"^```python\n(.*?)^```", part, re.S | re.M)) for part in folded]


def digest(data):
    return hashlib.sha256(json.dumps(data).encode()).hexdigest()


def test_there_are_lessons_and_no_notebook_without_a_source():
    assert SOURCES
    assert {p.stem for p in FOLDER.glob("*.ipynb")} <= {p.stem for p in SOURCES}


def test_the_reader_of_the_percent_format_finds_kinds_and_bare_text():
    text = "\n# %% [markdown]\n# # Title\n#\n# text\n\n# %%\nx = 1\n\n\ny = 2\n\n# %%\n"
    assert percent_cells(text) == [("markdown", "# Title\n\ntext"), ("code", "x = 1\n\n\ny = 2"), ("code", "")]


@lessons
def test_the_notebook_holds_exactly_the_cells_of_its_source(path):
    assert path.with_suffix(".ipynb").exists(), f"{path.stem} was never built; run notebooks/build.py"
    source, built = percent_cells(path.read_text(encoding="utf-8")), notebook_cells(path)
    for k, (ours, theirs) in enumerate(zip(source, built)):
        assert digest(ours) == digest(theirs), f"cell {k} differs; run notebooks/build.py"
    assert len(source) == len(built)
    assert notebook(path)["metadata"]["minicv"]["source"] == digest([list(cell) for cell in source])


@lessons
def test_a_lesson_imports_the_card_packages_and_minicv_only(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else \
            [node.module] if isinstance(node, ast.ImportFrom) else []
        assert {name.split(".")[0] for name in names} <= ALLOWED, names
    assert not re.search(r"ipython|get_ipython|^\s*[%!]", path.read_text(encoding="utf-8"), re.I | re.M)


@lessons
def test_a_lesson_has_its_movements_in_order(path):
    heads = re.findall(r"^# ## (.+)$", path.read_text(encoding="utf-8"), re.M)
    assert heads == MOVEMENTS


@lessons
def test_every_section_with_code_makes_a_claim(path):
    parsed = {head: ast.parse(code).body for head, code in sections(path)}
    without = [head for head, body in parsed.items() if not claims(body) and not only_imports(body)]
    assert without == []


def test_imports_need_no_claim_and_an_assert_in_an_uncalled_function_is_none():
    assert only_imports(ast.parse("import numpy\nfrom minicv import nn").body) and only_imports([])
    assert not claims(ast.parse("def f():\n    assert True").body)
    assert claims(ast.parse("for x in y:\n    assert x").body) and claims(ast.parse("r = report().check()").body)


def only_imports(body):
    return all(isinstance(node, ast.Import | ast.ImportFrom) for node in body)


def claims(body):
    """Whether there is an assert outside of functions and classes, or a report is checked."""
    run = [node for node in body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return any(isinstance(node, ast.Assert) or isinstance(node, ast.Call) and
               getattr(node.func, "attr", "") == "check" for part in run for node in ast.walk(part))


@lessons
def test_every_exercise_has_a_folded_answer(path):
    text = path.read_text(encoding="utf-8").split("# ## Exercises")[1]
    exercises = re.findall(r"^# \*\*\d+\.", text, re.M)
    assert exercises and len(exercises) == text.count("<details>") == text.count("</details>")


@lessons
def test_every_answer_is_tested(path):
    for code in answers(path):
        assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(code))), code


@lessons
def test_every_picture_is_described(path):
    """For readers who do not see it: in the metadata of the output, in more than a word."""
    for cell in notebook(path)["cells"]:
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                assert len(output["metadata"]["image/png"]["alt"]) > 10, output["metadata"]


@lessons
def test_equations_are_numbered_once_each(path):
    tags = re.findall(r"\\tag\{(\d+)\}", path.read_text(encoding="utf-8"))
    assert tags == [str(k + 1) for k in range(len(tags))] and tags


@lessons
def test_a_notebook_is_small_executed_and_clean(path):
    file = path.with_suffix(".ipynb")
    assert file.stat().st_size <= LIMIT
    code = [cell for cell in notebook(path)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    for output in outputs:
        assert output["output_type"] != "error" and output.get("name") != "stderr", output
        bare = re.sub(r"[A-Za-z0-9+/=\\n]{200,}", "", json.dumps(output))            # without pictures
        assert not LOCAL_PATH.search(bare), LOCAL_PATH.search(bare)


@pytest.mark.notebook
@lessons
def test_a_lesson_and_its_answers_run_as_a_plain_script(path, tmp_path, monkeypatch):
    import matplotlib
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINICV_PRESET", "smoke")
    monkeypatch.setenv("MINICV_QUIET", "1")
    before = matplotlib.get_backend()
    matplotlib.use("Agg")
    try:
        with limited(SECONDS):
            names = runpy.run_path(str(path))
            for code in answers(path):
                exec(compile(code, f"answer in {path.name}", "exec"), dict(names))
    finally:
        plt.close("all")
        matplotlib.use(before)
    assert list(tmp_path.iterdir()) == []


@contextlib.contextmanager
def limited(seconds):
    """TimeoutError after so many seconds, where the system has alarms."""
    def ring(number, frame):
        raise TimeoutError(f"more than {seconds} s")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
