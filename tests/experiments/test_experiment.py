"""The framework: targets, reports, the decorator and its settings.

Proved: every operator of Target, a NaN never passes, `passed` is computed and not stored, smoke judges
finiteness only, malformed declarations are refused, settings are typed by their defaults.
"""

import math

import numpy as np
import pytest

from minicv.errors import ArgError
from minicv.experiments import Report, Target, asked_preset, experiment, run
from minicv.experiments.experiment import REGISTRY, convert
from minicv.experiments.usage import UsageError, nearest

TOY = {"title": "t", "chapter": "1.1", "paper": "p", "module": "m.py", "targets": [Target("a", ">", 0)]}


def declare(id="toy-x", function=None, **fields):
    def body(preset, rng, out, progress):
        return Report({"a": 1})

    return experiment(id, **{**TOY, **fields})(function or body)


@pytest.fixture(autouse=True)
def clean_registry():
    before = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(before)


@pytest.mark.parametrize("op, value, tol, yes, no", [
    (">=", 2, 0, (2, 3, math.nextafter(2, 3)), (math.nextafter(2, 0), -5)),
    ("<=", 2, 0, (2, 1), (math.nextafter(2, 3),)),
    (">", 2, 0, (math.nextafter(2, 3),), (2, 1)),
    ("<", 2, 0, (1,), (2, 3)),
    ("==", 227, 0, (227,), (226, 228, 227.0000001)),
    ("~", 8.21, 0.01, (8.2001, 8.2199, 8.21), (8.23, 8.19)),
])
def test_a_target_passes_exactly_on_its_side(op, value, tol, yes, no):
    target = Target("m", op, value, tol=tol)
    assert all(target.passed({"m": v}) for v in yes)
    assert not any(target.passed({"m": v}) for v in no)


@pytest.mark.parametrize("op", [">=", "<=", ">", "<", "==", "~"])
@pytest.mark.parametrize("got", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_not_finite_never_passes(op, got):
    assert not Target("m", op, 1.0, tol=1.0 if op == "~" else 0).passed({"m": got})


def test_a_missing_metric_never_passes():
    assert not Target("m", "<", 1.0).passed({})


@pytest.mark.parametrize("wrong", [
    {"op": "=>"}, {"value": math.nan}, {"tag": "O"}, {"op": "~"}, {"op": "<", "tol": 0.1},
    {"op": "~", "tol": -1.0}, {"op": "~", "tol": math.nan}, {"op": "~", "tol": math.inf}])
def test_malformed_targets_are_refused(wrong):
    with pytest.raises(ArgError, match="Target: (op|value|tag|tol) is"):
        Target(**{"metric": "m", "op": "<", "value": 1.0, **wrong})


def test_targets_read_as_people_write_them():
    assert str(Target("steps", "==", 227)) == "steps = 227"
    assert str(Target("accuracy", ">=", 0.98)) == "accuracy >= 0.98"
    assert str(Target("distance", "~", 8.21, tol=0.01)) == "distance = 8.21 ± 0.01"
    assert Target("d", "~", 1.0, tol=0.1).as_dict() == {"metric": "d", "op": "~", "value": 1.0, "tag": "T", "tol": 0.1}


def report(preset="fast", **metrics):
    return Report(metrics, preset=preset, targets=(Target("a", ">=", 1),), title="toy")


def test_passed_follows_metrics_and_targets():
    assert report(a=1).passed and not report(a=0.5).passed
    changed = report(a=1)
    changed.metrics["a"] = 0.0
    assert not changed.passed


@pytest.mark.parametrize("preset", ["smoke", "fast", "full"])
def test_a_nan_anywhere_fails_in_every_preset(preset):
    assert not report(preset, a=2, other=math.nan).passed


def test_smoke_judges_only_that_numbers_are_finite():
    assert report("smoke", a=0.5).passed
    report("smoke", a=0.5).check()
    with pytest.raises(AssertionError, match="a is nan, expected a finite"):
        report("smoke", a=math.nan).check()


def test_check_names_every_miss_and_returns_the_report():
    good = report(a=1)
    assert good.check() is good
    with pytest.raises(AssertionError, match=r"toy: b is inf.*; a is 0.5, expected >= 1"):
        report(a=0.5, b=math.inf).check()


def test_lessons_ask_for_a_preset_through_the_environment(monkeypatch):
    monkeypatch.delenv("MINICV_PRESET", raising=False)
    assert asked_preset() == "fast"
    monkeypatch.setenv("MINICV_PRESET", "smoke")
    assert asked_preset() == "smoke"
    monkeypatch.setenv("MINICV_PRESET", "quick")
    with pytest.raises(ArgError, match="asked_preset: MINICV_PRESET is 'quick', expected one of smoke"):
        asked_preset()


def test_an_empty_report_is_refused():
    with pytest.raises(ArgError, match="metrics is empty"):
        Report({})


def test_numpy_scalars_in_tables_become_python_numbers():
    table = [{"n": np.int64(3), "x": np.float32(0.5), "ok": np.True_}]
    row, = Report({"a": np.float32(1)}, tables={"t": table}).tables["t"]
    assert row == {"n": 3, "x": 0.5, "ok": True} and [type(v) for v in row.values()] == [int, float, bool]


def test_figures_are_drawn_only_when_asked_for():
    drawn = []
    made = Report({"a": 1}, {"f": lambda: drawn.append(1)})
    assert made.passed and not drawn


def test_an_experiment_gets_its_generator_and_fills_in_the_report():
    def body(preset, rng, out, progress):
        return Report({"a": rng.random(), "n": len(list(progress(range(3), desc="x")))})

    made = declare(function=body)
    first, again = made("fast", rng=3), made("fast", rng=3)
    assert first.metrics["a"] == again.metrics["a"] == np.random.default_rng(3).random()
    assert (first.title, first.preset, first.targets) == ("t", "fast", (Target("a", ">", 0),))


def test_a_target_without_its_metric_is_an_error_even_in_smoke():
    made = declare(targets=[Target("aa", ">", 0)])
    with pytest.raises(ArgError, match="metric 'aa' has a target but is missing.*did you mean 'a'"):
        made("smoke")


def test_a_function_that_returns_no_report_is_an_error():
    with pytest.raises(ArgError, match="result is a dict, expected a Report"):
        declare(function=lambda preset, rng, out, progress: {"a": 1})("fast")


@pytest.mark.parametrize("fields, match", [
    ({"id": "Toy"}, "id is 'Toy'"), ({"id": "toy_x"}, "id is"), ({"id": ""}, "id is"), ({"id": "-x"}, "id is"),
    ({"chapter": "1"}, "chapter of toy-x is '1'"), ({"chapter": "one.two"}, "chapter"),
    ({"targets": [("a", ">", 1)]}, "targets of toy-x"), ({"targets": []}, "at least one Target"),
    ({"targets": [], "system": False, "tour": 1}, "at least one Target"),
    ({"function": lambda preset, rng, progress, out: 0}, r"takes .*expected \(preset, rng, out, progress"),
    ({"function": lambda preset, rng, out, progress, lr=None: 0}, "lr of toy-x has default None"),
    ({"function": lambda preset, rng, out, progress, sizes=(): 0}, "sizes of toy-x has default"),
    ({"function": lambda preset, rng, out, progress, lr=[1]: 0}, "lr of toy-x has default"),
])
def test_malformed_declarations_are_refused(fields, match):
    with pytest.raises(ArgError, match=match):
        declare(**fields)
    assert "toy-x" not in REGISTRY


def test_an_id_cannot_be_taken_twice_but_a_file_may_be_run_again():
    declare("toy-x")
    declare("toy-x")
    with pytest.raises(ArgError, match="it is taken by"):
        declare("toy-x", lambda preset, rng, out, progress: Report({"a": 2}))


def test_an_unknown_preset_or_setting_suggests_the_right_one():
    def body(preset, rng, out, progress, *, rate=0.1):
        return Report({"a": rate})

    made = declare(function=body)
    with pytest.raises(UsageError, match="preset is 'fats', expected .*did you mean 'fast'"):
        made("fats")
    with pytest.raises(UsageError, match="setting is 'rat', expected .*did you mean 'rate'"):
        made("fast", rat=1)
    assert made("fast", rate=0.5).metrics["a"] == 0.5


@pytest.mark.parametrize("text, default, value", [
    ("3", 1, 3), ("1e-3", 0.1, 1e-3), ("2", 0.1, 2.0), ("yes", False, True), ("OFF", True, False), ("0", True, False),
    ("abc", "x", "abc"), ("", "x", ""), ("1,2, 3", (0,), (1, 2, 3)), ("0.5", (1.0, 2.0), (0.5,))])
def test_settings_take_the_type_of_their_default(text, default, value):
    got = convert(text, default)
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize("text, default", [
    ("1.5", 1), ("x", 0.1), ("maybe", True), ("", 1), ("1,,2", (1,)), ("1,x", (1,))])
def test_settings_of_the_wrong_type_do_not_parse(text, default):
    with pytest.raises(ValueError):
        convert(text, default)


def test_run_finds_the_toys_and_times_them(toys):
    result = run("toy-descent", "fast", 0)
    assert result.passed and result.report.metrics == {"steps": 132, "end": pytest.approx(0.9**132)}
    assert result.seconds > 0 and not run("toy-descent", "fast", 0, settings={"lr": 0.5}).passed


@pytest.mark.parametrize("seed", [-1, 1.5, True, "0", None])
def test_run_refuses_a_seed_that_is_no_natural_number(toys, seed):
    with pytest.raises(UsageError, match="run: seed is"):
        run("toy-mean", "fast", seed)


def test_run_refuses_what_the_experiment_does_not_take(toys):
    with pytest.raises(UsageError, match="data is given, but toy-descent takes none of"):
        run("toy-descent", data="/tmp")
    assert run("toy-mean", data="/tmp").report.metrics["from_data"] == 1


def test_nearest_is_silent_when_nothing_is_near():
    assert nearest("zzz", ["adam"]) == "" and nearest("adm", ["adam", "sgd"]) == "; did you mean 'adam'?"
