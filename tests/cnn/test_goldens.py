"""Small networks of every family against recorded results of public implementations.

Weights are hashes of their names (`hashed.py`), so names, shapes, order of operations, strides, paddings and
gradients must all be right. `make_goldens.py` made the numbers with torchvision 0.28, timm 1.0.31 and two public
files, in float64.
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
    found = fingerprint(*run(model, image(pair.shape, dtype)))
    assert sum(p.size for p in model.parameters()) == golden["parameters"]
    np.testing.assert_allclose(found["logits"], golden["logits"], rtol=0, atol=tolerance * golden["size"])
    assert found["gradients"].keys() == golden["gradients"].keys()
    for key, (first, size) in golden["gradients"].items():
        np.testing.assert_allclose(found["gradients"][key], (first, size), rtol=0, atol=tolerance * size, err_msg=key)


def test_every_reference_has_its_numbers():
    assert set(GOLDENS) == set(PAIRS)
