"""Design spaces: draws respect every condition, distributions of errors, surveys that stop, go on and use processes."""

import json
import math
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

from minicv import nn
from minicv.autograd import Tensor
from minicv.cnn import anynet, regnet
from minicv.cnn.anynet import AnyNet, Stage, belongs, check_stage
from minicv.cnn.design_space import Limits, advantage, bootstrap_best, edf, macs, population, sample
from minicv.cnn.survey import read_results, survey
from minicv.errors import ArgError, CheckpointError, DataFormatError, DataMissingError

from .paper import size

pytestmark = pytest.mark.ch2
TINY = Limits(3, 2, 32, (1, 2), (4, 8))


# Sampling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", "ABCDE")
def test_every_draw_respects_every_condition(space):
    for stages in population(space, 60, rng=0):
        assert len(stages) == 4 and belongs(stages, space)
        for s in stages:
            check_stage("test", s)
            assert 1 <= s.depth <= 16 and s.width % 8 == 0 and s.width <= 1024
            assert s.ratio in (1, 2, 4) and 1 <= s.group_width <= 32


@pytest.mark.parametrize("space, name", [("A", "B"), ("B", "C"), ("C", "D"), ("D", "E")])
def test_spaces_are_really_larger_than_the_next(space, name):
    """Not every draw of a space belongs to the narrower one."""
    inside = [belongs(stages, name) for stages in population(space, 60, rng=1)]
    assert sum(inside) < 30


def test_draws_of_the_rule_have_four_stages_of_increasing_width():
    for stages in population("regnet", 30, rng=0):
        assert len(stages) == 4 and belongs(stages, "B") and sum(s.depth for s in stages) < 64
        assert all(a.width <= b.width for a, b in zip(stages, stages[1:], strict=False))


@pytest.mark.parametrize("space", ["A", "E", "regnet"])
def test_complexity_is_within_the_range_asked_for(space):
    """360 to 400 million multiply-adds, counted on the networks themselves."""
    for stages in population(space, 3, between=(360e6, 400e6), rng=2):
        found = size(lambda stages=stages: AnyNet(stages).eval(), (1, 3, 224, 224))[1]
        assert 360e6 <= found <= 400e6


@pytest.mark.parametrize("settings", [{}, dict(se=0.25), dict(side=37, stem_stride=1, stem=16, num_classes=10)])
def test_the_formula_counts_what_the_network_does(settings):
    options = {k: v for k, v in settings.items() if k != "side"}
    side = settings.get("side", 224)
    for stages in population("A", 8, Limits(depth=4, width=256), rng=3):
        assert macs(stages, **settings) == size(lambda s=stages: AnyNet(s, **options).eval(), (1, 3, side, side))[1]


def test_widths_and_depths_are_log_uniform():
    """Shares of ranges, widths in units of 8, to five standard deviations."""
    stages = [s for stages in population("B", 400, Limits(groups=(1,)), rng=4) for s in stages]
    for values, cuts in (([s.width // 8 for s in stages], (1, 5, 25, 129)), ([s.depth for s in stages], (1, 3, 7, 17))):
        shares = np.histogram(values, cuts)[0] / len(values)
        np.testing.assert_allclose(shares, np.diff(np.log(cuts)) / math.log(cuts[-1]),
                                   atol=5 * math.sqrt(0.25 / len(values)))


def test_a_longer_list_begins_with_the_shorter_one():
    a, b = population("C", 3, rng=5), population("C", 6, rng=5)
    assert b[:3] == a and len({str(stages) for stages in b}) == 6


@pytest.mark.parametrize("make, words", [
    (lambda: sample("F"), "sample: space is 'F'"),
    (lambda: population("A", 0), "population: n is 0"),
    (lambda: sample("A", between=(1, 2), rng=0), "sample: between is .1, 2., expected a range"),
    (lambda: sample("A", Limits(stages=0)), "sample: stages is 0"),
    (lambda: sample("A", Limits(width=4)), "sample: width is 4"),
    (lambda: sample("A", Limits(ratios=())), "at least one ratio"),
    (lambda: sample("A", side=0), "macs: side is 0"),
    (lambda: sample("A", stem_stride=-1), "macs: stem_stride is -1"),
])
def test_impossible_samples_are_refused(make, words):
    with pytest.raises(ArgError, match=words):
        make()


# Distributions ------------------------------------------------------------------------------------------------------


def test_the_distribution_counts_strictly_smaller_errors():
    """B2.9, and eq. 1 by counting."""
    assert edf([0.1, 0.2, 0.2, 0.4], [0.2, 0.25, 1]).tolist() == [0.25, 0.75, 1]
    rng = np.random.default_rng(0)
    errors, at = np.round(rng.random(50), 1), np.round(rng.random((4, 5)), 1)
    np.testing.assert_array_equal(edf(errors, at), [[np.mean([e < x for e in errors]) for x in row] for row in at])


def test_the_distribution_rises_from_0_to_1():
    errors = np.random.default_rng(1).random(30)
    found = edf(errors, np.linspace(-1, 2, 200))
    assert (np.diff(found) >= 0).all() and edf(errors, -np.inf) == 0 and edf(errors, np.inf) == 1


def test_spaces_with_a_known_shift_are_ordered():
    rng = np.random.default_rng(2)
    good, bad = 0.3 + 0.2 * rng.random(200), 0.35 + 0.2 * rng.random(200)
    low, value, high = advantage(good, bad, rng=0)
    assert 0 < low < value < high and value == pytest.approx(0.05, abs=0.015)
    at = np.linspace(0, 1, 4001)
    area = np.mean(edf(good, at) - edf(bad, at))
    assert value == pytest.approx(area, abs=1e-3)                               # the area between the curves
    assert advantage(bad, good, rng=0)[1] == -value
    low, _, high = advantage(good, good[::-1], rng=0)
    assert low < 0 < high


def test_the_bootstrap_finds_the_property_of_good_networks():
    """Errors with their least at depth 20: the interval holds it and is narrow. One network is the best of one."""
    rng = np.random.default_rng(3)
    depth = rng.integers(1, 40, 500)
    errors = np.clip(0.2 + 0.0005 * (depth - 20) ** 2 + 0.01 * rng.random(500), 0, 1)
    low, median, high = bootstrap_best(depth, errors, times=2000, rng=0)
    assert low <= 20 <= high and high - low < 10 and abs(median - 20) <= 3
    assert bootstrap_best([7], [0.5], share=1, times=5, rng=0) == (7, 7, 7)
    one_of_101 = bootstrap_best(np.arange(101), np.linspace(0, 1, 101), share=0.01, times=20_000, level=0.9, rng=2)
    np.testing.assert_allclose(one_of_101, (5, 50, 95), atol=2)
    assert bootstrap_best(depth, errors, times=50, rng=1) == bootstrap_best(depth, errors, times=50, rng=1)


@pytest.mark.parametrize("make, words", [
    (lambda: edf([], 0.5), "edf: errors is"), (lambda: edf([0.1, 1.2], 0.5), "edf: errors is"),
    (lambda: edf([0.1, np.nan], 0.5), "edf: errors is"), (lambda: edf([[0.1]], 0.5), "edf: errors is"),
    (lambda: advantage([0.1], [-0.1]), "advantage: errors is"),
    (lambda: advantage([0.1], [0.2], times=0), "advantage: times is 0"),
    (lambda: bootstrap_best([1, 2], [0.1]), "values has shape .2,., expected .1,."),
    (lambda: bootstrap_best([1], [0.1], share=0), "share is 0"),
    (lambda: bootstrap_best([1], [0.1], level=1.5, times=3), "level is 1.5"),
])
def test_impossible_distributions_are_refused(make, words):
    with pytest.raises(ArgError, match=words):
        make()


# Surveys ----------------------------------------------------------------------------------------------------------


def error_of(stages, i):
    """A score that can be computed in another process."""
    return (sum(s.depth * s.width for s in stages) % 97 + i) / 1000


def process_of(stages, i):
    return (os.getpid() % 9973) / 10_000


def failing(stages, i):
    if i == 2:
        raise ArithmeticError("network 2 diverged")
    return error_of(stages, i)


def trained(stages, i):
    """Share of mistakes on eight images after three steps of gradient descent, as a real survey would train."""
    rng = np.random.default_rng([11, i])
    x, t = np.random.default_rng(0).standard_normal((8, 3, 16, 16)).astype(np.float32), np.arange(8) % 2
    net = AnyNet(stages, stem=8, stem_stride=1, num_classes=2, rng=rng)
    for _ in range(3):
        net.zero_grad()
        nn.cross_entropy(net(Tensor(x)), t).backward()
        for p in net.parameters():
            nn.init.assign(p, p.data - 0.1 * p.grad.data)
    return float(np.mean(net(Tensor(x)).data.argmax(axis=1) != t))


@pytest.fixture
def networks():
    return population("C", 5, TINY, rng=0)


def processes(n=2):
    return ProcessPoolExecutor(n, mp_context=multiprocessing.get_context("spawn"))


def test_a_survey_scores_every_network_with_its_number(networks, tmp_path):
    done = []
    found = survey(networks, error_of, tmp_path / "results.jsonl", progress=lambda *n: done.append(n))
    np.testing.assert_array_equal(found, [error_of(s, i) for i, s in enumerate(networks)])
    assert done == [(i, 5) for i in range(1, 6)]
    results = read_results(tmp_path / "results.jsonl")
    assert [results[i]["stages"] for i in range(5)] == networks
    np.testing.assert_array_equal(survey(networks, error_of), found)                            # without a file


def test_stages_of_numpy_integers_are_stored_as_numbers(tmp_path):
    stages = [Stage(*np.array([1, 16, 8, 1]))]
    survey([stages], lambda stages, i: 0.5, tmp_path / "a")
    survey([[Stage(1, 16, 8, 1)]], lambda stages, i: pytest.fail("was computed again"), tmp_path / "a")


def test_what_is_in_the_file_is_not_computed_again(networks, tmp_path):
    path, seen = tmp_path / "results.jsonl", []
    whole = survey(networks, error_of)
    survey(networks[:2], error_of, path)
    count = lambda stages, i: seen.append(i) or error_of(stages, i)
    np.testing.assert_array_equal(survey(networks, count, path), whole)
    assert seen == [2, 3, 4]
    np.testing.assert_array_equal(survey(networks[:3], count, path), whole[:3])
    assert seen == [2, 3, 4] and len(read_results(path)) == 5                                   # nothing is lost


def test_processes_write_the_bytes_of_one(networks, tmp_path):
    """Real training in two processes; and the scores are really computed there."""
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    alone = survey(networks, trained, one)
    with processes() as executor:
        np.testing.assert_array_equal(survey(networks, trained, two, executor=executor), alone)
        assert (os.getpid() % 9973) / 10_000 not in survey(networks, process_of, executor=executor)
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("where", ["here", "threads"])
def test_after_a_failure_the_finished_are_kept_and_the_rest_can_follow(networks, tmp_path, where):
    path = tmp_path / "results.jsonl"
    executor = ThreadPoolExecutor(1) if where == "threads" else None
    with pytest.raises(ArithmeticError, match="network 2 diverged"):
        survey(networks, failing, path, executor=executor)
    kept = read_results(path)
    assert {0, 1} <= set(kept) and 2 not in kept
    np.testing.assert_array_equal(survey(networks, error_of, path, executor=executor), survey(networks, error_of))
    if executor:
        executor.shutdown()


@pytest.mark.parametrize("bad", [float("nan"), -0.1, 1.1, "0.5", None])
def test_an_impossible_error_is_refused_and_not_stored(networks, tmp_path, bad):
    path = tmp_path / "results.jsonl"
    with pytest.raises(ArgError, match="survey: error of network 1 is"):
        survey(networks, lambda stages, i: bad if i == 1 else 0.5, path)
    assert set(read_results(path)) == {0}


def test_a_file_about_other_networks_is_refused_and_left_alone(networks, tmp_path):
    path = tmp_path / "results.jsonl"
    survey(networks, error_of, path)
    before = path.read_bytes()
    with pytest.raises(ArgError, match="whose network 0 is .* another survey needs another file"):
        survey(networks[::-1], error_of, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("line", [
    "", "{}", "[1]", "7", "null", '{"network": 0}', "[" * 100_000, '{"network": 0, "stages": [[1, 8]], "error": NaN}',
    '{"network": 0, "stages": [[1, 8]], "error": 2}', '{"network": -1, "stages": [[1, 8]], "error": 0.5}',
    '{"network": true, "stages": [[1, 8]], "error": 0.5}', '{"network": 0, "stages": [[1]], "error": 0.5}',
    '{"network": 0, "stages": [[1, 8, 8, 1, 1]], "error": 0.5}', '{"network": 0, "stages": 3, "error": 0.5}',
    '{"network": 0, "stages": [[1, 8]], "error": "0.5"}', '{"network": 0, "stages": [[1, 8]], "error": 0.5, "x": 1}',
    '{"network": 1, "stages": [[1, 8]], "error": 0.5}', "\xff\xfe"])
def test_lines_that_are_not_results_are_refused(tmp_path, line):
    path = tmp_path / "results.jsonl"
    good = json.dumps({"network": 1, "stages": [[1, 8]], "error": 0.5})
    path.write_bytes(f"{good}\n{line}\n".encode("latin-1"))
    with pytest.raises(DataFormatError, match="read_results: line 2 of"):
        read_results(path)


def test_paths_are_checked_before_anything_is_trained(networks, tmp_path):
    seen = []
    with pytest.raises(CheckpointError):
        survey(networks, lambda stages, i: seen.append(i) or 0.5, tmp_path / "missing" / "results.jsonl")
    with pytest.raises(ArgError, match="survey: networks is empty"):
        survey([], error_of)
    with pytest.raises(DataMissingError):
        read_results(tmp_path / "results.jsonl")
    assert not seen


def test_published_networks_are_stages_too():
    """A survey takes the stages of any RegNet."""
    stages = regnet.stages(regnet.VARIANTS["regnet_x_200mf"])
    assert macs(stages) == pytest.approx(199.04e6, rel=1e-4) and stages[0] == Stage(1, 24, 8, 1)
    assert anynet.belongs(stages, "E")
