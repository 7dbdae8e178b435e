"""Pictures that come with installed packages.

Proved here: the digits equal what scikit-learn itself loads (oracle), sizes, types and ranges; the
split is fixed, stratified and a partition; a missing package is one line that names the extra;
neither package is imported.
"""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from minicv.data import DataLoader, digits, photographs, portrait
from minicv.errors import ArgError, DataMissingError, MissingExtraError

needs_sklearn = pytest.mark.skipif(importlib.util.find_spec("sklearn") is None,
                                   reason="extra `real` is not installed")


@needs_sklearn
def test_digits_have_documented_fields():
    arrays = digits().arrays()
    image, label = arrays["image"], arrays["label"]
    assert image.shape == (1797, 1, 8, 8) and image.dtype == np.float32
    assert label.shape == (1797,) and label.dtype == np.int64
    assert image.min() == 0 and image.max() == 1
    np.testing.assert_array_equal(image * 16, np.rint(image * 16))
    assert np.bincount(label).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert label[:10].tolist() == list(range(10))


@pytest.mark.oracle
@needs_sklearn
def test_digits_and_photographs_equal_scikit_learn():
    from sklearn.datasets import load_digits, load_sample_images
    images, labels = load_digits(return_X_y=True)
    arrays = digits().arrays()
    np.testing.assert_array_equal(arrays["image"].reshape(1797, 64) * 16, images)
    np.testing.assert_array_equal(arrays["label"], labels)
    theirs = {name.split("/")[-1][:-4].split("\\")[-1]: image for name, image
              in zip(load_sample_images().filenames, load_sample_images().images, strict=True)}
    for name, image in photographs().items():
        np.testing.assert_array_equal(np.rint(image * 255).transpose(1, 2, 0), theirs[name])


@needs_sklearn
def test_the_split_is_a_stratified_partition():
    whole, parts = digits().arrays(), [digits(s).arrays() for s in ("train", "test")]
    assert [len(p["label"]) for p in parts] == [1201, 596]
    for k in range(10):
        of_class = [p["image"][p["label"] == k] for p in parts]
        assert len(of_class[1]) == (whole["label"] == k).sum() // 3
        np.testing.assert_array_equal(np.concatenate(of_class), whole["image"][whole["label"] == k])


@needs_sklearn
def test_digits_can_be_learned_by_their_nearest_neighbour():
    train, test = digits("train").arrays(), digits("test").arrays()
    x, q = (a["image"].reshape(-1, 64) for a in (train, test))
    nearest = ((x * x).sum(1)[None] - 2 * q @ x.T).argmin(1)
    assert (train["label"][nearest] == test["label"]).mean() == pytest.approx(575 / 596)


@needs_sklearn
def test_digits_go_through_the_loader():
    batch = next(iter(DataLoader(digits("train"), 64, shuffle=True)))
    assert batch["image"].shape == (64, 1, 8, 8) and batch["label"].shape == (64,)


def test_an_unknown_split_is_refused():
    with pytest.raises(ArgError, match="split is 'val'"):
        digits("val")


@needs_sklearn
def test_photographs_are_rgb():
    pictures = photographs()
    assert {k: v.shape for k, v in pictures.items()} == {"china": (3, 427, 640),
                                                         "flower": (3, 427, 640)}
    for image in pictures.values():
        assert image.dtype == np.float32 and image.flags.c_contiguous
        assert image.min() >= 0 and image.max() <= 1
    red, green, blue = pictures["china"][:, :60].mean((1, 2))
    assert blue > red  # the sky


def test_the_portrait_is_rgb():
    image = portrait()
    assert image.shape == (3, 600, 512) and image.dtype == np.float32
    assert 0.2 < image.mean() < 0.8 and image.min() >= 0 and image.max() <= 1


@pytest.mark.parametrize("function", [digits, photographs])
def test_a_missing_package_is_one_line_naming_the_extra(monkeypatch, function):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    words = r"scikit-learn is not installed.*minicv\[real\]"
    with pytest.raises(MissingExtraError, match=words) as e:
        function()
    assert "\n" not in str(e.value)


def test_a_package_without_its_pictures_is_named(monkeypatch, tmp_path):
    class Spec:
        submodule_search_locations = [str(tmp_path)]

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: Spec)
    with pytest.raises(DataMissingError, match="grace_hopper.jpg"):
        portrait()


@needs_sklearn
def test_nothing_heavy_is_imported():
    code = ("import sys, minicv.data as d; d.digits(); d.photographs(); d.portrait();"
            "print([m for m in ('sklearn', 'matplotlib', 'scipy', 'numba') if m in sys.modules])")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "[]\n", run.stderr
