"""Assignment of rows to columns.

Proved here: the total equals that of brute force over all maps for a thousand small problems; optimality of
larger ones by complementary prices; twins give the same pairs; permutation, transposition, constants, maximize; the
greedy rule equals its definition; empty input, ties, huge and tiny costs; errors.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minicv.errors import ArgError, DTypeError, ShapeError
from minicv.kernels import assignment as loops
from minicv.matching import greedy_assignment, linear_assignment

pytestmark = pytest.mark.ch4
FIXED = settings(deadline=None, derandomize=True, database=None, max_examples=100)
SHAPE = st.tuples(st.integers(0, 6), st.integers(0, 6))


def costs(shape, seed, values):
    rng = np.random.default_rng(seed)
    return rng.integers(-4, 5, shape).astype(float) if values == "few" else rng.standard_normal(shape)


def best_total(cost):
    """Least total over all one-to-one maps, by trying them."""
    cost = cost if cost.shape[0] <= cost.shape[1] else cost.T
    rows = range(cost.shape[0])
    return min(sum(cost[i, s[i]] for i in rows) for s in itertools.permutations(range(cost.shape[1]), len(rows)))


def check_pairs(rows, columns, shape):
    assert rows.dtype == columns.dtype == np.int64 and rows.shape == columns.shape == (min(shape),)
    assert (np.diff(rows) > 0).all() and len(set(columns.tolist())) == len(columns)
    assert all(0 <= i < shape[0] and 0 <= j < shape[1] for i, j in zip(rows, columns))


@pytest.mark.parametrize("values", ["few", "many"])
def test_totals_equal_brute_force(values):
    rng = np.random.default_rng(0)
    for seed in range(500):
        shape = tuple(rng.integers(1, 6, 2)) if seed % 50 else (7, 7)
        cost = costs(shape, seed, values)
        rows, columns = linear_assignment(cost)
        check_pairs(rows, columns, shape)
        assert cost[rows, columns].sum() == pytest.approx(best_total(cost), abs=1e-12)


@pytest.mark.parametrize("shape", [(40, 40), (30, 90), (90, 30)])
@pytest.mark.parametrize("values", ["few", "many"])
def test_no_exchange_along_any_cycle_is_cheaper(shape, values):
    """Optimality by linear programming: no negative cycle among exchanges of columns, or towards a free one, by
    Bellman-Ford on the graph of matched pairs."""
    cost = costs(shape, 1, values)
    cost = cost if shape[0] <= shape[1] else cost.T
    _, columns = linear_assignment(cost)
    step = cost - cost[np.arange(len(cost)), columns][:, None]      # row i leaves its column for another
    distance = np.zeros(cost.shape[1])                              # a free column may be left at no cost
    owner = {int(c): i for i, c in enumerate(columns)}
    for _ in range(len(cost) + 1):
        reach = [min(distance[j], *(distance[c] + step[i, j] for c, i in owner.items())) for j in range(cost.shape[1])]
        changed, distance = not np.allclose(reach, distance, atol=1e-11), np.array(reach)
    assert not changed
    free = [j for j in range(cost.shape[1]) if j not in owner]
    assert all(distance[j] >= -1e-11 for j in free)


@FIXED
@given(SHAPE, st.integers(0, 10**6), st.sampled_from(["few", "many"]))
def test_twins_give_the_same_pairs(shape, seed, values):
    cost = costs((min(shape), max(shape)), seed, values)
    found = [np.full(len(cost), -1), np.full(len(cost), -1)]
    for kernel, columns in zip((loops.shortest_paths, loops.shortest_paths.twin), found):
        kernel(cost, columns)
    assert np.array_equal(*found)


@FIXED
@given(SHAPE, st.integers(0, 10**6))
def test_the_optimum_does_not_depend_on_order_or_on_constants(shape, seed):
    """With costs in general position the optimal pairs are unique."""
    cost, rng = costs(shape, seed, "many"), np.random.default_rng(seed)
    pairs = set(zip(*map(np.ndarray.tolist, linear_assignment(cost))))
    p, q = rng.permutation(shape[0]), rng.permutation(shape[1])
    assert {(p[i], q[j]) for i, j in zip(*linear_assignment(cost[p][:, q]))} == pairs
    assert {(j, i) for i, j in zip(*linear_assignment(cost.T))} == pairs
    if shape[0] == shape[1]:
        moved = cost + rng.standard_normal((shape[0], 1)) + rng.standard_normal(shape[1])
        assert set(zip(*map(np.ndarray.tolist, linear_assignment(moved)))) == pairs
    for function in (linear_assignment, greedy_assignment):
        for a, b in zip(function(cost, maximize=True), function(-cost)):
            assert np.array_equal(a, b)


def test_the_example_of_the_course():
    """B4.13: cost 0.3, the third prediction stays free."""
    cost = np.array([[0.2, 0.9], [0.3, 0.1], [0.4, 0.8]])
    rows, columns = linear_assignment(cost)
    assert rows.tolist() == [0, 1] and columns.tolist() == [0, 1] and cost[rows, columns].sum() == pytest.approx(0.3)


def greedy_by_definition(cost):
    pairs, free = [], set(np.ndindex(cost.shape))
    while free:
        i, j = min(free, key=lambda at: (cost[at], at))
        pairs.append((i, j))
        free = {(a, b) for a, b in free if a != i and b != j}
    return sorted(pairs)


@FIXED
@given(SHAPE, st.integers(0, 10**6), st.sampled_from(["few", "many"]))
def test_the_greedy_rule_equals_its_definition(shape, seed, values):
    cost = costs(shape, seed, values)
    rows, columns = greedy_assignment(cost)
    check_pairs(rows, columns, shape)
    assert list(zip(rows, columns)) == greedy_by_definition(cost)
    assert cost[linear_assignment(cost)].sum() <= cost[rows, columns].sum() + 1e-12


def test_greedy_can_be_arbitrarily_worse():
    cost = np.array([[0, 1], [1, 1000]])
    assert cost[greedy_assignment(cost)].sum() == 1000 and cost[linear_assignment(cost)].sum() == 2


@pytest.mark.parametrize("function", [linear_assignment, greedy_assignment])
@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_nothing_to_assign(function, shape):
    """D-1."""
    for a in function(np.zeros(shape)):
        assert a.shape == (0,) and a.dtype == np.int64


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3)])
def test_among_equal_costs_the_order_of_the_input_decides(shape):
    """D-9: the diagonal, always."""
    for function in (linear_assignment, greedy_assignment):
        rows, columns = function(np.full(shape, 0.1))
        assert rows.tolist() == columns.tolist() == list(range(min(shape)))


@pytest.mark.parametrize("factor", [1e-320, 1e-200, 1e200, 1.7e308])
def test_huge_and_tiny_costs(factor):
    cost = np.array([[0.1, 1.0, -1.0], [0.2, 0.9, -1.0], [0.3, 0.1, 1.0]])
    assert np.array_equal(linear_assignment(cost * factor), linear_assignment(cost))
    assert np.array_equal(greedy_assignment(cost * factor), greedy_assignment(cost))


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int64, np.float16, np.float32])
def test_other_types_are_converted_before_they_are_negated(dtype):
    cost = np.array([[1, 0, 1], [0, 1, 1]]).astype(dtype)
    assert np.array_equal(linear_assignment(cost, maximize=True), linear_assignment(-cost.astype(float)))


@pytest.mark.parametrize("function", [linear_assignment, greedy_assignment])
@pytest.mark.parametrize("cost, error, words", [
    (np.zeros(3), ShapeError, r"cost has shape \(3,\), expected \(N, M\)"),
    (np.zeros((1, 2, 2)), ShapeError, r"cost has shape \(1, 2, 2\)"),
    (0.0, ShapeError, r"cost has shape \(\)"),
    (np.zeros((2, 2), complex), DTypeError, "cost has dtype complex128"),
    ([["a"]], DTypeError, "cost has dtype <U1"),
    ([[0, np.nan], [1, 2]], ArgError, r"cost\[0, 1\] is nan, expected finite numbers"),
    ([[0, 1], [np.inf, 2]], ArgError, r"cost\[1, 0\] is inf"),
    ([[0, 1], [3, -np.inf]], ArgError, r"cost\[1, 1\] is -inf"),
])
def test_bad_costs_are_refused(function, cost, error, words):
    """NaN, infinite or not a matrix; what was given is left as it was."""
    with pytest.raises(error, match=f"{function.__name__}: {words}"):
        function(cost)


@pytest.mark.oracle
def test_scipy_finds_the_same_totals():
    optimize = pytest.importorskip("scipy.optimize")
    for shape in ((100, 100), (100, 300), (300, 100)):
        for values in ("few", "many"):
            cost = costs(shape, 2, values)
            total = cost[optimize.linear_sum_assignment(cost)].sum()
            assert cost[linear_assignment(cost)].sum() == pytest.approx(total, rel=1e-12)
