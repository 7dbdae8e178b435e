"""The command `minicv lesson`: hand-outs hold everything but answers and outputs, and are valid notebooks.

Proved on every lesson of this checkout and on a notebook made here: no answer and no output survives, all other text
and code does, in order; originals are untouched; wrong requests write nothing; without notebooks one is told why.
"""

import json
import re

import pytest

from minicv.__main__ import main
from minicv.experiments import lessons

TOY = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": {"name": "python3"}, "minicv": {"source": "x"}},
       "cells": [
    {"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["# 99 A *toy*\n", "\n", "text"]},
    {"cell_type": "code", "id": "b", "metadata": {}, "execution_count": 3, "source": ["x = 1\n", "x"],
     "outputs": [{"output_type": "stream", "name": "stdout", "text": "secret output"}]},
    {"cell_type": "markdown", "id": "c", "metadata": {}, "source":
     "**1.** Why?\n\n<details><summary>Answer</summary>\n\nsecret one\n</details>\n\n**2.** How?\n\n"
     "<details><summary>Answer</summary>\nsecret two\n</details>\n"}]}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    made = tmp_path / "notebooks"
    made.mkdir()
    (made / "99_toy.ipynb").write_text(json.dumps(TOY), encoding="utf-8")
    monkeypatch.setattr(lessons, "FOLDER", made)
    return tmp_path


def exported(folder, name):
    return json.loads((folder / f"{name}.ipynb").read_text(encoding="utf-8"))


def text_of(notebook, kind):
    return "\n".join("".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == kind)


def test_a_hand_out_has_room_in_the_place_of_each_answer(folder):
    assert main(["lesson", "export", str(folder / "class"), "--no-solutions"]) == 0
    notebook = exported(folder / "class", "99_toy")
    assert [(c["cell_type"], "".join(c["source"])) for c in notebook["cells"]] == [
        ("markdown", "# 99 A *toy*\n\ntext"), ("code", "x = 1\nx"), ("markdown", "**1.** Why?"),
        ("code", "# your answer\n"), ("markdown", "**2.** How?"), ("code", "# your answer\n")]
    assert "secret" not in json.dumps(notebook) and notebook["metadata"] == {"kernelspec": {"name": "python3"}}
    assert [c["outputs"] for c in notebook["cells"] if c["cell_type"] == "code"] == [[], [], []]


def test_without_the_option_the_notebook_is_copied_as_it_is(folder):
    assert main(["lesson", "export", str(folder / "all"), "--only", "99_toy", "--quiet"]) == 0
    assert exported(folder / "all", "99_toy") == TOY
    assert json.loads((folder / "notebooks" / "99_toy.ipynb").read_text()) == TOY


def test_lessons_are_listed(folder, capsys):
    assert main(["lesson", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0] == {"name": "99_toy", "title": "99 A *toy*", "kB": 1}
    assert main(["lesson", "list"]) == 0 and "99_toy" in capsys.readouterr().out


@pytest.mark.parametrize("words, said", [
    ("list extra --jobs 2", "unknown argument"), ("exprot {0}/new", "did you mean 'export'"),
    ("export", "DIR is missing"),
    ("export {0}/new --only 98_toy", "did you mean '99_toy'"), ("export {0}/notebooks", "DIR is"),
    ("export {0}/notebooks/99_toy.ipynb", "expected a folder")])
def test_wrong_requests_write_nothing(folder, capsys, words, said):
    before = sorted(folder.rglob("*"))
    assert main(["lesson", *words.format(folder).split()]) == 2
    out, err = capsys.readouterr()
    assert said in err and out == "" and len(err.splitlines()) == 1 and sorted(folder.rglob("*")) == before


def test_an_export_goes_over_an_earlier_one_and_over_others_only_by_force(folder):
    target = str(folder / "class")
    assert main(["lesson", "export", target, "--quiet"]) == main(["lesson", "export", target, "--quiet"]) == 0
    assert main(["lesson", "export", str(folder / "notebooks"), "--force", "--quiet", "--no-solutions"]) == 0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cells": []}', "<html>"])
def test_a_damaged_notebook_is_named(folder, capsys, text):
    (folder / "notebooks" / "99_toy.ipynb").write_text(text)
    assert main(["lesson", "list"]) == 2 and "99_toy.ipynb is no notebook" in capsys.readouterr().err


def test_an_installed_package_says_where_lessons_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(lessons, "FOLDER", tmp_path / "site-packages" / "notebooks")
    assert main(["lesson", "export", str(tmp_path / "new")]) == 2
    assert "clone the repository" in capsys.readouterr().err and not (tmp_path / "new").exists()


@pytest.mark.parametrize("name, path", [pytest.param(*pair, id=pair[0]) for pair in lessons.notebooks().items()])
def test_of_every_lesson_only_answers_and_outputs_are_missing(name, path):
    nbformat = pytest.importorskip("nbformat", reason="validation of notebooks needs nbformat")
    whole = lessons.read(path)
    given = lessons.handout(whole)
    nbformat.validate(nbformat.from_dict(given))
    assert "<details>" not in json.dumps(given) and "</details>" not in json.dumps(given)
    answers = re.findall(r"<details>.*?</details>", text_of(whole, "markdown"), re.S)
    assert answers and text_of(given, "code").count("# your answer") == len(answers)
    for line in text_of(whole, "markdown").splitlines():
        inside = any(line in answer for answer in answers)
        assert inside or line.strip() in text_of(given, "markdown"), line
    kept = [c["source"] for c in given["cells"] if c["cell_type"] == "code" and c["source"] != ["# your answer\n"]]
    assert ["".join(s) for s in kept] == ["".join(c["source"]) for c in whole["cells"] if c["cell_type"] == "code"]
    assert len({c["id"] for c in given["cells"]}) == len(given["cells"])
