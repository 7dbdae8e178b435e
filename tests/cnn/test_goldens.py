"""Small networks of every family against recorded results of public implementations.

Weights are hashes of their names (`hashed.py`), so names, shapes, order of operations, strides, paddings and
gradients must all be right. `make_goldens.py` made the numbers with torchvision 0.28, timm 1.0.31 and two public
files, in float64.

In float32 the sign of one activation in many thousands may be lost in rounding, and the gradients of that image
jump. Such an accident concerns one image, a mistake concerns all: one of `IMAGES` batches must agree, and the logits
of each that is looked at.
"""

import json
import pathlib

import numpy as np
import pytest

from .hashed import fill, fingerprint, image
from .references import PUBLIC, SMALL, run

pytestmark = pytest.mark.ch2
GOLDENS = json.loads(pathlib.Path(__file__).with_name("goldens.json").read_text(encoding="utf-8"))
PAIRS = SMALL | PUBLIC


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-9), (np.float32, 1e-4)], ids=["float64", "float32"])
def test_the_network_computes_what_its_reference_computes(name, dtype, tolerance):
    compare(PAIRS[name], GOLDENS[name], dtype, tolerance)


def compare(pair, golden, dtype, tolerance):
    model = fill(pair.ours(), dtype)
    assert sum(p.size for p in model.parameters()) == golden["parameters"]
    runs = golden["runs"] if dtype == np.float32 else golden["runs"][:1]
    found = (fingerprint(*run(model, image(pair.shape, dtype, number))) for number in range(len(runs)))
    errors = []
    for ours, theirs in zip(found, runs, strict=True):
        np.testing.assert_allclose(ours["logits"], theirs["logits"], rtol=0, atol=tolerance * theirs["size"])
        assert ours["gradients"].keys() == theirs["gradients"].keys()
        errors.append(max(np.abs(np.subtract(ours["gradients"][name], (first, size))).max() / size
                          for name, (first, size) in theirs["gradients"].items()))
        if errors[-1] < tolerance:
            return
    raise AssertionError(f"gradients differ by {errors} of their size, expected less than {tolerance} for one image")


def test_every_reference_has_its_numbers():
    assert set(GOLDENS) == set(PAIRS)
