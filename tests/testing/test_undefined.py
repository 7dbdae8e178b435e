"""No op reads memory that it did not write.

`buffers.empty` promises nothing about contents. Here every array it makes is filled with NaN (or the largest
integer) first, and every large-result path is switched on for the smallest arrays; each op of the registry must
give the values and gradients that it gives on ordinary memory.
"""

import numpy as np
import pytest

from minicv.autograd import engine
from minicv.kernels import buffers, layout
from minicv.testing import checks
from minicv.testing.registry import specs

CASES = [pytest.param(spec, sample, id=f"{name}-{i}") for name, spec in specs().items()
         for i, sample in enumerate(spec.samples(np.random.default_rng(0))[:4])]


@pytest.mark.parametrize("spec, sample", CASES)
def test_results_on_poisoned_memory_are_those_on_ordinary_memory(spec, sample, monkeypatch):
    run = checks.run if spec.order and checks.differentiable(sample) else forward
    expected = run(spec, sample.inputs, sample.settings)
    for module in (buffers, layout):
        monkeypatch.setattr(module, "POOLED", 0)
    monkeypatch.setattr(engine, "IN_PLACE", 0)
    monkeypatch.setattr(buffers, "POISON", True)
    y, gradients = run(spec, sample.inputs, sample.settings)
    for a, b in zip([y, *gradients], [expected[0], *expected[1]], strict=True):
        if b is not None:
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def forward(spec, inputs, settings):
    return checks.values(checks.on_tensors(spec, inputs, settings)[0]), []
