"""Generated data: D1 toy2d, D2 shapes10, D3 glyphs10.

Proved here: fields, shapes, types and ranges as documented; item i depends only on (seed,
first + i), not on order, length, process or hash seed (T4); the geometry of the clouds by their
formulas; the spam example gives the published AdaBoost errors (B4.1); every mask is the shape it
claims to be; classes can be told apart; impossible requests are refused.
"""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from minicv.data import Glyphs10, Shapes10, Stream, blobs, moons, spam8, spirals
from minicv.data.synthetic.glyphs import FONT
from minicv.data.synthetic.shapes import SHAPES
from minicv.errors import ArgError, ShapeError

FIELDS = {
    Shapes10: {"image": ((3, 32, 32), np.float32), "label": ((), np.int64),
               "mask": ((32, 32), bool)},
    Glyphs10: {"image": ((1, 28, 28), np.float32), "label": ((), np.int64)},
}
both = pytest.mark.parametrize("kind", FIELDS)


def digest(data):
    return hashlib.sha256(b"".join(v.tobytes() for s in data for v in s.values())).hexdigest()


@both
def test_samples_follow_their_field_table(kind):
    for sample in kind(50):
        assert sample.keys() == FIELDS[kind].keys()
        for name, (shape, dtype) in FIELDS[kind].items():
            assert sample[name].shape == shape and sample[name].dtype == dtype
        assert sample["image"].min() >= 0 and sample["image"].max() <= 1
        assert 0 <= sample["label"] < 10


@both
def test_an_item_depends_on_seed_and_position_only_T4(kind):
    data = kind(20, seed=3)
    backwards = [data[i] for i in reversed(range(20))][::-1]
    assert digest(data) == digest(backwards) == digest(kind(20, seed=3))
    assert digest(kind(5, seed=3, first=10)) == digest([data[i] for i in range(10, 15)])
    assert digest(kind(20, seed=4)) != digest(data)
    assert len({s["image"].tobytes() for s in kind(100)}) == 100


def test_hash_seed_and_folder_have_no_effect_T4(tmp_path):
    code = ("import hashlib; from minicv.data import Shapes10, Glyphs10, moons;"
            "print(hashlib.sha256(b''.join(v.tobytes() for d in (Shapes10(5), Glyphs10(5)) "
            "for s in d for v in s.values()) + moons(9, rng=0)[0].tobytes()).hexdigest())")
    import os
    path = os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])
    runs = [subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True,
                           env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path})
            for seed, cwd in (("1", "."), ("2", tmp_path))]
    assert runs[0].stdout == runs[1].stdout and len(runs[0].stdout) == 65, runs[0].stderr


@both
def test_arrays_are_the_stacked_items(kind):
    data = kind(7)
    arrays = data.arrays()
    assert arrays["image"].shape == (7, *FIELDS[kind]["image"][0])
    for i, sample in enumerate(data):
        for name in sample:
            np.testing.assert_array_equal(arrays[name][i], sample[name])


@both
def test_all_classes_occur_about_equally_often(kind):
    count = np.bincount(kind(2000).arrays()["label"], minlength=10)
    assert ((count - 200) ** 2 / 200).sum() < 27.9  # chi-square, 9 degrees, 0.001


@both
@pytest.mark.parametrize("options, words", [
    ({"length": 0}, "length is 0"), ({"length": 2.5}, "length is 2.5"),
    ({"seed": -1}, "seed is -1"),
    ({"first": -1}, "first is -1"), ({"size": 4}, "size is 4"), ({"noise": -0.1}, "noise is -0.1"),
    ({"noise": float("nan")}, "noise is nan")])
def test_impossible_requests_are_refused(kind, options, words):
    with pytest.raises(ArgError, match=f"{kind.__name__}: {words}"):
        kind(**{"length": 5, **options})


@both
def test_indices_outside_end_a_loop(kind):
    for i in (-1, 3):
        with pytest.raises(IndexError, match=f"index {i} outside"):
            kind(3)[i]


def test_a_stream_needs_a_draw():
    with pytest.raises(NotImplementedError, match="draw"):
        Stream(3)[0]


# --- shapes ---------------------------------------------------------------------------------

@pytest.mark.parametrize("options, words", [
    ({"radius": (0.3, 0.6)}, "radius"), ({"radius": (0.4, 0.3)}, "radius"),
    ({"radius": (0, 0.3)}, "radius"), ({"classes": ()}, "classes"),
    ({"classes": ("disc", "blob")}, "classes")])
def test_shapes_that_do_not_fit_are_refused(options, words):
    with pytest.raises(ArgError, match=f"Shapes10: {words} is"):
        Shapes10(5, **options)


AREA = {  # by elementary geometry, radius 1
    "disc": np.pi, "square": 1.4**2, "triangle": 0.75 * np.sqrt(3), "cross": 2 * 0.6 * 1.9 - 0.36,
    "ring": np.pi * (1 - 0.56**2), "star": 10 * 0.5 * 0.42 * np.sin(np.pi / 5),
    "diamond": 2 * 0.7, "h-bars": 3 * 0.28 * 1.4, "v-bars": 3 * 0.28 * 1.4,
    "checker": 8 * 0.35**2}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_has_its_area_and_lies_in_the_unit_circle(name):
    t = (np.arange(2000) + 0.5) / 1000 - 1
    inside = SHAPES[name](t[None, :], t[:, None])
    assert inside.mean() * 4 == pytest.approx(AREA[name], rel=3e-3)
    assert np.hypot(t[None, :], t[:, None])[inside].max() <= 1  # so no rotation leaves the circle


def test_the_mask_is_where_the_colour_is():
    """Away from the mask the noiseless picture is a plane; on the mask it is one other colour.

    Shapes without thin tips, whose last pixels are covered by less than half.
    """
    y, x = np.mgrid[:32, :32]
    plane, planes = np.stack([np.ones(1024), x.ravel(), y.ravel()], 1), 0
    for sample in Shapes10(60, noise=0.0, classes=("disc", "square", "ring")):
        far = ~grown(sample["mask"], 2, beyond=False).ravel()
        deep = ~grown(~sample["mask"], 1, beyond=True).ravel()
        for channel in sample["image"].reshape(3, -1).astype(np.float64):
            assert np.ptp(channel[deep]) < 1e-6
            if channel.min() > 0 and channel.max() < 1:  # nothing was clipped
                planes += 1
                fit, *_ = np.linalg.lstsq(plane[far], channel[far], rcond=None)
                assert np.abs(plane @ fit - channel)[far].max() < 1e-6
                assert np.abs(plane @ fit - channel)[deep].min() > 0.02
                cover = (channel - plane @ fit) / (channel[deep][0] - plane @ fit)
                np.testing.assert_array_equal(cover > 0.5, sample["mask"].ravel())
    assert planes > 50


def grown(mask, steps, beyond):
    for _ in range(steps):
        padded = np.pad(mask, 1, constant_values=beyond)
        mask = np.max([padded[i:i + 32, j:j + 32] for i in range(3) for j in range(3)], axis=0)
    return mask


def test_shapes_of_chosen_classes_only():
    data = Shapes10(50, classes=("star", "disc"))
    assert data.class_names == ("star", "disc") and {int(s["label"]) for s in data} == {0, 1}
    discs = [s["mask"] for s in data if s["label"] == 1]
    for mask in discs:  # a disc fills pi / 4 of its frame
        h, w = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        frame = (h[-1] - h[0] + 1) * (w[-1] - w[0] + 1)
        assert mask.sum() / frame == pytest.approx(np.pi / 4, abs=0.06)


def test_noise_is_the_standard_deviation():
    clean, noisy = (Shapes10(30, noise=n).arrays()["image"] for n in (0.0, 0.02))
    middle = (clean > 0.1) & (clean < 0.9)
    assert (noisy - clean)[middle].std() == pytest.approx(0.02, rel=0.02)


# --- glyphs ---------------------------------------------------------------------------------

def test_the_font_has_ten_different_digits():
    assert FONT.shape == (10, 7, 5) and set(np.unique(FONT)) == {0.0, 1.0}
    assert len({d.tobytes() for d in FONT}) == 10


def test_a_still_glyph_is_its_bitmap():
    """Without motion, blur and noise, every font cell's centre can be read from the picture."""
    data = Glyphs10(30, size=280, jitter=0.0, blur=0.0, noise=0.0)
    for sample in data:
        i = 140 + (np.arange(7) - 3) * 195 / 7
        j = 140 + (np.arange(5) - 2) * 136.5 / 5
        read = sample["image"][0][np.round(i - 0.5).astype(int)][:, np.round(j - 0.5).astype(int)]
        np.testing.assert_array_equal(read > 0.5, FONT[sample["label"]] > 0.5)


def test_blur_keeps_the_ink():
    for sharp, soft in zip(Glyphs10(20, blur=0.0, noise=0.0), Glyphs10(20, blur=1.0, noise=0.0),
                           strict=True):
        assert soft["image"].sum() == pytest.approx(sharp["image"].sum(), rel=0.01)
        assert soft["image"].max() < sharp["image"].max()


@pytest.mark.parametrize("options, words", [({"jitter": -1}, "jitter"), ({"jitter": 2}, "jitter"),
                                            ({"blur": -1}, "blur")])
def test_glyphs_that_leave_the_canvas_are_refused(options, words):
    with pytest.raises(ArgError, match=f"Glyphs10: {words} is"):
        Glyphs10(5, **options)


@pytest.mark.parametrize("kind, least", [(Glyphs10, 0.85), (Shapes10, 0.45)])
def test_nearest_neighbours_tell_the_classes_apart(kind, least):
    """A classifier without any training, on pictures (glyphs) or centred masks (shapes)."""
    def features(data):
        a = data.arrays()
        if kind is Glyphs10:
            return a["image"].reshape(len(data), -1), a["label"]
        centred = [np.roll(m, 16 - np.argwhere(m).mean(0).astype(int), (0, 1)) for m in a["mask"]]
        return np.stack(centred).reshape(len(data), -1).astype(np.float32), a["label"]

    x, y = features(kind(1500))
    q, truth = features(kind(300, first=1500))
    distance = (x * x).sum(1)[None] - 2 * q @ x.T
    assert (y[distance.argmin(1)] == truth).mean() >= least


# --- toy2d ----------------------------------------------------------------------------------

def test_clouds_have_documented_types_and_are_reproducible():
    for make in (blobs, moons, spirals):
        x, y = make(31, rng=5)
        assert x.shape == (31, 2) and x.dtype == np.float32 and y.dtype == np.int64
        again, _ = make(31, rng=np.random.default_rng(5))
        np.testing.assert_array_equal(x, again)
        assert np.ptp(np.bincount(y)) <= 1


def test_blobs_scatter_around_their_centers():
    centers = np.array([[0.0, 0], [10, 0], [0, 10]])
    x, y = blobs(3000, centers=centers, spread=0.5, rng=0)
    for k in range(3):
        np.testing.assert_allclose(x[y == k].mean(0), centers[k], atol=0.07)
        np.testing.assert_allclose(x[y == k].std(0), 0.5, atol=0.04)
    x, y = blobs(4, centers=4, spread=0, rng=0)
    np.testing.assert_allclose(np.hypot(*x.T), 3, rtol=1e-6)


def test_moons_are_half_circles():
    x, y = moons(101, noise=0, rng=0)
    upper, lower = x[y == 0], x[y == 1]
    np.testing.assert_allclose(np.hypot(*upper.T), 1, rtol=1e-5)
    np.testing.assert_allclose(np.hypot(lower[:, 0] - 1, lower[:, 1] - 0.5), 1, rtol=1e-5)
    assert upper[:, 1].min() > -1e-6 and lower[:, 1].max() < 0.5 + 1e-6
    assert upper[0].tolist() == [1, 0] and upper[-1, 0] == -1


def test_spirals_are_one_arm_and_its_opposite():
    x, y = spirals(200, turns=2, noise=0, rng=0)
    np.testing.assert_allclose(x[y == 0], -x[y == 1], atol=1e-6)
    radius = np.hypot(*x[y == 0].T)
    angle = np.unwrap(np.arctan2(x[y == 0][:, 1], x[y == 0][:, 0]))
    np.testing.assert_allclose(np.diff(angle) / np.diff(radius), 4 * np.pi, rtol=1e-3)


@pytest.mark.ch4
def test_spam_example_gives_the_errors_of_the_lecture_B4_1():
    x, y = spam8()
    assert x.shape == (8, 2) and x.dtype == np.float32 and y.sum() == 4
    weight, errors = np.full(8, 1 / 8), []
    for feature, threshold in ((0, 3), (0, 10), (1, 20)):
        wrong = (x[:, feature] > threshold) != y
        errors.append(weight[wrong].sum())
        weight = np.where(wrong, weight * (1 - errors[-1]) / errors[-1], weight)
        weight /= weight.sum()
    np.testing.assert_allclose(errors, [1 / 4, 1 / 6, 1 / 4])
    np.testing.assert_allclose(weight, [0.3, 0.1, 1 / 6, 1 / 6, 0.1, 0.1, 1 / 30, 1 / 30])


@pytest.mark.parametrize("call, error, words", [
    (lambda: blobs(2, centers=3), ArgError, "n is 2"),
    (lambda: blobs(5, centers=0), ArgError, "centers is 0, expected at least 1 class"),
    (lambda: blobs(5, centers=np.zeros((2, 3))), ShapeError, "centers has shape"),
    (lambda: blobs(5, spread=-1), ArgError, "spread is -1"),
    (lambda: moons(1), ArgError, "n is 1"), (lambda: moons(5, noise=np.nan), ArgError, "noise"),
    (lambda: spirals(2.5), ArgError, "n is 2.5"), (lambda: spirals(5, turns=-1), ArgError, "turns"),
])
def test_impossible_clouds_are_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
