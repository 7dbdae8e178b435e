"""The cascade: verdicts, rates, files, training.

Proved here: verdicts on patches follow the definition; prefixes of a cascade; B4.8; expected features equal a
simulation; files round-trip and damaged ones are refused; the bias is the largest that keeps d_min; boosting follows
the weights of the paper's form with answers 0 and 1 (E4.5), from half of the weight for each class (E4.6); mined
negatives are accepted windows away from faces; training reaches its rates or says so; errors.
"""

import math

import numpy as np
import pytest

from minicv.data import FacePatches, FaceScenes
from minicv.detection.viola_jones import (
    Cascade,
    expected_features,
    feature_values,
    load_cascade,
    mine,
    overall_rates,
    sample_features,
    save_cascade,
    train_cascade,
    train_stage,
)
from minicv.detection.viola_jones.training import Booster, bias_for
from minicv.errors import ArgError, DataFormatError, DataMissingError, ShapeError, UnsafeFileError
from minicv.files import npz_bytes

pytestmark = pytest.mark.ch4


def faces(count, seed, share=1.0):
    return FacePatches(count, faces=share, seed=seed).arrays()["image"][:, 0].astype(np.float64)


def some_cascade(seed=0, sizes=(2, 3, 4)):
    """Random features with median thresholds: every stage lets some pass."""
    rng = np.random.default_rng(seed)
    cascade, patches = Cascade.empty(), faces(60, 5, share=0.5)
    for n in sizes:
        features = sample_features(n, rng=rng)
        threshold = np.median(feature_values(features, patches), axis=1).astype(float)
        cascade = cascade.with_stage(features, threshold, rng.choice([-1, 1], n) * rng.uniform(0.5, 2, n), -0.6)
    return cascade


@pytest.fixture(scope="module")
def trained():
    scenes = [FaceScenes(10, seed=3)[i] for i in range(10)]
    return train_cascade(faces(150, 1), faces(100, 2), scenes, pool=sample_features(400, rng=0), stages=3,
                         d_min=0.97, f_max=0.3, budget=(4, 8, 12), negatives=300, rng=0)


# Verdicts ---------------------------------------------------------------------------------------------------


def test_verdicts_follow_the_definition():
    cascade, patches = some_cascade(), faces(80, 6, share=0.5)
    values = feature_values(cascade.features, patches)
    votes = np.where(values >= cascade.threshold[:, None], cascade.vote[:, None], -cascade.vote[:, None])
    got = cascade.judge(patches)
    for n in range(80):
        sums = [votes[a:b, n].sum() for a, b in zip([0, 2, 5], [2, 5, 9], strict=True)]
        passed = next((s for s in range(3) if sums[s] < -0.6), 3)
        assert got.passed[n] == passed and got.used[n] == [2, 5, 9, 9][passed]
        assert got.margin[n] == pytest.approx(sums[min(passed, 2)] + 0.6)
    assert len(set(got.passed)) == 4


def test_a_prefix_of_a_cascade_decides_as_its_stages_do():
    cascade, patches = some_cascade(), faces(50, 7, share=0.5)
    assert (cascade.first(2).judge(patches).passed == np.minimum(cascade.judge(patches).passed, 2)).all()
    assert cascade.first(0).num_stages == 0 and (cascade.first(0).judge(patches).passed == 0).all()
    assert cascade.stage_sizes.tolist() == [2, 3, 4] and cascade.num_stages == 3


def test_rates_of_ten_stages_multiply():
    """B4.8."""
    D, F = overall_rates([0.99] * 10, [0.3] * 10)
    assert D == pytest.approx(0.904, abs=5e-4) and F == pytest.approx(5.9e-6, abs=1e-8)
    with pytest.raises(ArgError, match="false_positive"):
        overall_rates([0.9], [1.2])


def test_expected_features_equal_a_simulation():
    rng, sizes, rates = np.random.default_rng(0), [2, 5, 10], [0.5, 0.3, 0.2]
    used = np.zeros(20000)
    alive = np.ones(20000, bool)
    for n, f in zip(sizes, rates, strict=True):
        used[alive] += n
        alive &= rng.random(20000) < f
    assert expected_features(sizes, rates) == pytest.approx(2 + 0.5 * 5 + 0.15 * 10)
    assert used.mean() == pytest.approx(expected_features(sizes, rates), rel=0.03)


def test_expected_features_need_a_rate_for_every_stage_but_the_last():
    with pytest.raises(ShapeError, match="false_positive has 1 rates"):
        expected_features([2, 5, 10], [0.5])
    with pytest.raises(ArgError, match="false_positive"):
        expected_features([2, 5], [5.0, 2.0])


# Files ------------------------------------------------------------------------------------------------------


def test_a_cascade_comes_back_from_its_file(tmp_path):
    cascade = some_cascade()
    save_cascade(tmp_path / "c.npz", cascade)
    back = load_cascade(tmp_path / "c.npz")
    for name in Cascade._fields:
        a, b = getattr(cascade, name), getattr(back, name)
        assert a.dtype == b.dtype and np.array_equal(a, b), name
    save_cascade(tmp_path / "empty.npz", Cascade.empty())
    assert load_cascade(tmp_path / "empty.npz").num_stages == 0


@pytest.mark.parametrize("change, words", [
    (dict(version=np.array(9)), "version"), (dict(extra=np.zeros(1)), "expected"),
    (dict(ends=np.array([2, 5, 8])), "ends"), (dict(ends=np.array([5, 2, 9])), "ends"),
    (dict(ends=np.array([2.0, 5, 9])), "ends"), (dict(bias=np.zeros(2)), "bias"),
    (dict(vote=np.full(9, np.nan)), "not finite"), (dict(vote=np.ones(9, complex)), "reals"),
    (dict(ends=np.array(9)), "ends"), (dict(threshold=np.zeros(8)), "threshold"),
    (dict(features=np.full((9, 5), 30)), "larger than the window"), (dict(features=np.zeros((9, 4), int)), "shape")])
def test_a_damaged_file_is_refused(tmp_path, change, words):
    arrays = {"version": np.array(1), **some_cascade()._asdict(), **change}
    (tmp_path / "c.npz").write_bytes(npz_bytes(arrays))
    with pytest.raises(DataFormatError, match=words):
        load_cascade(tmp_path / "c.npz")


def test_missing_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(DataMissingError):
        load_cascade(tmp_path / "none.npz")
    (tmp_path / "p.npz").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(UnsafeFileError):
        load_cascade(tmp_path / "p.npz")


# Training ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d_min", [0.5, 0.9, 0.95, 0.999])
def test_the_bias_is_the_largest_that_keeps_enough(d_min):
    scores = np.random.default_rng(0).standard_normal(40) - 1
    bias = bias_for(scores, d_min)
    assert bias <= 0 and (scores >= bias).mean() >= d_min
    nearest = scores[scores > bias].min()
    assert (scores > nearest).mean() < d_min or bias > -1e-6
    assert bias_for(np.array([3.0, 4.0]), 0.9) == 0                              # lowered, never raised


def test_boosting_equals_the_form_with_answers_zero_and_one():
    """E4.5, E4.6: the paper shrinks the weights of correct samples by eps / (1 - eps) and compares with half of the
    sum of votes; each class starts with half of the weight."""
    rng = np.random.default_rng(0)
    values, label = rng.standard_normal((30, 40)).astype(np.float32), np.repeat([1, -1], [12, 28])
    booster = Booster(values, label)
    w = np.repeat([1 / 24, 1 / 56], [12, 28])
    ours, theirs, half = np.zeros(40), np.zeros(40), 0.0
    for _ in range(8):
        np.testing.assert_allclose(booster.weight, w, rtol=1e-9)
        f, threshold, vote = booster.step()
        h = (values[f] >= threshold) == (vote > 0)
        eps = w[h != (label > 0)].sum()
        w = w * np.where(h == (label > 0), eps / (1 - eps), 1)
        w /= w.sum()
        alpha = math.log((1 - eps) / eps)
        assert abs(vote) == pytest.approx(alpha, rel=1e-9) and eps < 0.5
        ours += np.where(values[f] >= threshold, vote, -vote)
        theirs, half = theirs + alpha * h, half + alpha / 2
        np.testing.assert_allclose(ours, 2 * (theirs - half), atol=1e-9)


def test_the_first_stump_is_the_best_of_all_thresholds():
    rng = np.random.default_rng(1)
    values, label = rng.standard_normal((6, 15)).astype(np.float32), np.where(rng.random(15) < 0.4, 1, -1)
    w = np.where(label > 0, 0.5 / (label > 0).sum(), 0.5 / (label < 0).sum())
    errors = [w[np.where(row >= t, p, -p) != label].sum() for row in values for t in row for p in (1, -1)]
    f, threshold, vote = Booster(values, label).step()
    got = w[np.where(values[f] >= threshold, np.sign(vote), -np.sign(vote)) != label].sum()
    assert got == pytest.approx(min(errors))


def test_mined_windows_are_accepted_and_away_from_faces():
    cascade = some_cascade().first(1)
    scenes = [FaceScenes(6, size=(50, 60), faces=(1, 1), side=(24, 40), seed=9)[i] for i in range(6)]
    patches, scanned = mine(cascade, scenes, 50, rng=0)
    assert patches.shape == (50, 24, 24) and 0 <= patches.min() and patches.max() <= 1 and scanned > 50
    assert (cascade.judge(patches).passed == 1).all()                 # windows of 24 pixels, as scenes are so small
    whole = {"image": np.random.default_rng(0).random((1, 48, 48)).astype(np.float32),
             "boxes": np.array([[0, 0, 24, 24.0]], np.float32)}
    everything, count = mine(Cascade.empty(), [whole], 10**4, rng=0)
    assert len(everything) < count                                                # windows on the face are left out


def test_a_stage_reports_what_it_reaches():
    positive, negative = faces(80, 1), faces(200, 2, share=0.0)
    pool = sample_features(300, rng=0)
    (features, threshold, vote, bias), report = train_stage(
        positive, negative[:100], faces(60, 3), negative[100:], pool, d_min=0.95, f_max=0.2, budget=20)
    assert report.reached and report.features == len(features) == len(threshold) == len(vote) <= 20
    alone = Cascade.empty().with_stage(features, threshold, vote, bias)
    assert (alone.judge(faces(60, 3)).passed == 1).mean() == report.detection >= 0.95
    assert (alone.judge(negative[100:]).passed == 1).mean() == report.false_positive <= 0.2


def test_a_budget_that_is_too_small_is_reported():
    positive, negative = faces(40, 1), faces(80, 2, share=0.0)
    _, report = train_stage(positive, negative[:40], positive, negative[40:], sample_features(20, rng=0), d_min=0.999,
                            f_max=1e-9, budget=2)
    assert not report.reached and report.features == 2 and report.false_positive > 1e-9


def test_training_finds_faces_and_rejects_most_windows(trained):
    cascade, reports = trained
    assert cascade.num_stages == len(reports) == 3 and (cascade.stage_sizes <= [4, 8, 12]).all()
    assert all(r.detection >= 0.97 for r in reports) and [r.features for r in reports] == cascade.stage_sizes.tolist()
    assert (cascade.judge(faces(200, 8)).passed == 3).mean() > 0.85
    assert (cascade.judge(faces(400, 9, share=0.0)).passed == 3).mean() < 0.1
    assert [r.scanned for r in reports] == sorted(r.scanned for r in reports)     # later negatives are rarer


def test_the_rate_of_a_stage_is_that_among_the_faces_that_reach_it(trained):
    cascade, reports = trained
    passed = cascade.judge(faces(100, 2)).passed
    reach = [(passed >= s).sum() for s in range(4)]
    assert reach[2] < reach[1] < 100                               # stages lose faces, or nothing would be shown here
    assert [r.detection for r in reports] == pytest.approx([b / a for a, b in zip(reach, reach[1:])])


def test_training_repeats_with_the_seed(trained):
    scenes = [FaceScenes(10, seed=3)[i] for i in range(10)]
    again, _ = train_cascade(faces(150, 1), faces(100, 2), scenes, pool=sample_features(400, rng=0), stages=1,
                             d_min=0.97, f_max=0.3, budget=(4, 8, 12), negatives=300, rng=0)
    assert all(np.array_equal(a, b) for a, b in zip(again, trained[0].first(1), strict=True))


@pytest.mark.parametrize("settings, error, words", [
    (dict(d_min=0), ArgError, "d_min"), (dict(d_min=1), ArgError, "d_min"), (dict(f_max=1), ArgError, "f_max"),
    (dict(f_max=-0.1), ArgError, "f_max"), (dict(stages=0), ArgError, "stages"),
    (dict(negatives=3), ArgError, "negatives"), (dict(budget=(0,)), ArgError, "budget"),
    (dict(budget=()), ShapeError, "budget is empty"), (dict(scenes=[]), ShapeError, "scenes is empty"),
    (dict(faces=np.zeros((0, 24, 24))), ShapeError, "faces is empty"),
    (dict(faces=np.zeros((3, 20, 20))), ShapeError, "patches has shape"),
    (dict(pool=np.zeros((0, 5), int)), ShapeError, "pool is empty")])
def test_bad_settings_are_refused(settings, error, words):
    good = dict(faces=faces(4, 1), scenes=[None], pool=sample_features(3, rng=0), stages=1)
    given = good | settings
    with pytest.raises(error, match=words):
        train_cascade(given.pop("faces"), faces(4, 2), given.pop("scenes"), **given)
