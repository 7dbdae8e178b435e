"""The loops of the boosted cascade.

Proved here: feature rows and the verdict on windows equal loops over pixels; the loop, its twin and the compiled form
agree; a window without contrast counts as one with little; no stage, no window; nothing is written outside.
"""

import numpy as np
import pytest

from minicv.kernels import haar

pytestmark = pytest.mark.ch4
CORNER = np.array([0, 4, 4 * 9, 4 * 9 + 4])                      # of windows of 4 x 4 pixels in an image 7 x 8


def problem(seed=0, windows=20, features=6):
    """An image 7 x 8 with random linear forms in windows of 4 x 4, and stages of 1, 2 and 3 features."""
    rng = np.random.default_rng(seed)
    image = rng.random((7, 8))
    ii, sq = (np.pad(x, ((1, 0), (1, 0))).cumsum(0).cumsum(1).ravel() for x in (image, image**2))
    i, j = rng.integers(0, 4, windows), rng.integers(0, 5, windows)
    taps = rng.integers(0, 5, (features, 9, 2))
    offset, coef = taps @ [9, 1], rng.standard_normal((features, 9)) / 8
    vote = rng.standard_normal(features)
    arrays = dict(ii=ii, sq=sq, origin=i * 9 + j, corner=CORNER, area=16.0, offset=offset, coef=coef,
                  threshold=rng.standard_normal(features), vote=vote, ends=np.array([1, 3, 6]),
                  bias=np.array([-0.1, -0.1, 0.3]))
    return image, (i, j), arrays


def empty(count):
    return np.full(count, -7), np.full(count, -7.0), np.full(count, -7)


def by_definition(image, places, a):
    """One window after the other, from pixels."""
    rows = []
    for y, x in zip(*places, strict=True):
        window, total, passed, used = image[y:y + 4, x:x + 4], 0.0, 0, 0
        for s, end in enumerate(a["ends"]):
            total = 0.0
            for f in range(used, end):
                corners = [image[:(t // 9) + y, :(t % 9) + x].sum() for t in a["offset"][f]]
                value = np.dot(a["coef"][f], corners) / max(window.std(), haar.MIN_STD)
                total += a["vote"][f] if value >= a["threshold"][f] else -a["vote"][f]
            used = end
            if total < a["bias"][s]:
                break
            passed += 1
        rows.append((passed, total - a["bias"][passed if passed < 3 else 2], used))
    return map(np.array, zip(*rows, strict=True))


@pytest.mark.parametrize("seed", range(6))
def test_verdict_equals_the_definition(seed):
    image, places, arrays = problem(seed)
    out = empty(20)
    haar.cascade(20, *arrays.values(), *out)
    passed, margin, used = by_definition(image, places, arrays)
    assert out[0].tolist() == passed.tolist() and out[2].tolist() == used.tolist()
    np.testing.assert_allclose(out[1], margin, atol=1e-12)


def test_some_windows_stop_at_every_stage():
    stops = [tuple(by_definition(*problem(seed)))[0] for seed in range(12)]
    assert set(np.concatenate(stops)) == {0, 1, 2, 3}


@pytest.mark.parametrize("seed", range(3))
def test_twin_loop_and_compiled_form_of_the_cascade_agree(seed):
    arrays = problem(seed)[2]
    results = []
    for run, head in ((haar.cascade, (20,)), (haar.cascade.twin, ()), (haar.cascade.body, (0, 20))):
        out = empty(20)
        run(*head, *arrays.values(), *out)
        results.append(out)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)


def test_no_stage_accepts_everything_without_work():
    arrays = problem()[2] | {"ends": np.zeros(0, np.int64), "bias": np.zeros(0)}
    for run, head in ((haar.cascade, (20,)), (haar.cascade.twin, ())):
        passed, margin, used = empty(20)
        run(*head, *arrays.values(), passed, margin, used)
        assert not passed.any() and not margin.any() and not used.any()


def test_a_flat_window_is_divided_by_the_least_deviation():
    arrays = problem()[2]
    flat = np.arange(1, 81, dtype=float) * 0                                       # an image of zeros
    arrays |= {"ii": flat, "sq": flat, "threshold": np.full(6, 1e-9), "ends": np.array([6]), "bias": np.zeros(1)}
    out = empty(20)
    haar.cascade(20, *arrays.values(), *out)
    np.testing.assert_allclose(out[1], -arrays["vote"].sum(), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_feature_rows_equal_loops_and_their_twin(dtype):
    rng = np.random.default_rng(0)
    columns, inv_std = rng.standard_normal((25, 11)), rng.uniform(0.5, 2, 11)
    offset, coef = rng.integers(0, 25, (7, 9)), rng.standard_normal((7, 9))
    coef[::2, 6:] = 0
    expected = [[inv_std[n] * sum(coef[f, t] * columns[offset[f, t], n] for t in range(9)) for n in range(11)]
                for f in range(7)]
    for run, head in ((haar.feature_rows, (7,)), (haar.feature_rows.twin, ()), (haar.feature_rows.body, (0, 7))):
        y = np.empty((7, 11), dtype)
        run(*head, columns, inv_std, offset, coef, y)
        np.testing.assert_allclose(y, expected, atol=1e-5 if dtype == np.float32 else 1e-12)


def test_nothing_is_written_outside_the_outputs():
    arrays = problem()[2]
    guarded = empty(24)
    haar.cascade(20, *arrays.values(), *(array[2:22] for array in guarded))
    assert all((array[[0, 1, 22, 23]] == -7).all() for array in guarded)
