"""The index: up to date, complete, readable without importing an experiment."""

import subprocess
import sys

import pytest

from minicv.experiments import catalog, index
from minicv.experiments.usage import UsageError


def test_the_stored_index_is_what_the_code_says():
    assert catalog.PATH.read_text(encoding="utf-8") == index.render(index.build()), \
        "out of date: run `python -m minicv.experiments.index`"


def test_every_listed_file_exists():
    for row in catalog.load().values():
        assert catalog.source_file(row).is_file(), row["id"]
        assert (catalog.ROOT / row["module"]).is_file(), row["id"]


def test_rows_are_ordered_by_section_and_carry_everything(toys):
    rows = list(catalog.load().values())
    assert [row["section"] for row in rows] == sorted(row["section"] for row in rows)
    assert rows[0]["id"] == "toy-mean" and rows[0]["provided"] == ["data", "resume"]
    descent = catalog.load()["toy-descent"]
    assert descent["settings"] == {"lr": 0.1, "start": 1.0, "noisy": False, "name": "x", "sizes": [1, 2]}
    assert descent["targets"][0] == {"metric": "steps", "op": "==", "value": 132, "tag": "E"}
    assert (descent["chapter"], descent["system"], descent["tour"]) == (1, True, 1)


def test_a_new_experiment_makes_the_index_out_of_date(toys):
    before = catalog.PATH.read_text()
    assert before == index.render(index.build("toys"))
    (toys / "toys/ch1/more.py").write_text(
        "from minicv.experiments import Report, Target, experiment\n"
        "@experiment('toy-more', title='t', chapter='1.9', paper='p', module='m', targets=[Target('a', '>', 0)])\n"
        "def more(preset, rng, out, progress):\n    return Report({'a': 1})\n")
    assert index.modules("toys") == ["toys.ch1.basics", "toys.ch1.more"]
    assert index.render(index.build("toys")) != before


def test_find_suggests_the_nearest_id(toys):
    with pytest.raises(UsageError, match="show: id is 'toy-decsent', .*did you mean 'toy-descent'"):
        catalog.find("show", "toy-decsent")


def test_a_row_whose_function_is_gone_says_how_to_repair_the_index(toys):
    row = {**catalog.find("run", "toy-mean"), "id": "toy-gone"}
    with pytest.raises(ValueError, match="python -m minicv.experiments.index"):
        catalog.entry(row)


def test_listing_loads_neither_numba_nor_matplotlib_nor_an_experiment():
    code = ("import sys; from minicv.__main__ import main; assert main(['list', '--json', '--quiet']) == 0; "
            "bad = [m for m in sys.modules if m.split('.')[0] in ('numba', 'matplotlib', 'llvmlite') "
            "or m.startswith('minicv.experiments.ch')]; assert not bad, bad")
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_generator_is_a_command_without_warnings(tmp_path):
    code = ("import pathlib; from minicv.experiments import catalog; "
            f"catalog.PATH = pathlib.Path({str(tmp_path)!r}, 'i.json'); "
            "from minicv.experiments import index; index.main()")
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "experiments" in done.stdout and done.stderr == ""
    assert (tmp_path / "i.json").read_text() == catalog.PATH.read_text()
