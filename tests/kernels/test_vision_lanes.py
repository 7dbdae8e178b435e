"""Vision kernels in all ways of running: the number of threads changes no byte (D-9, T2), and results without the
compiler, by twins or by plain Python loops, agree with compiled ones (T7, N10)."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from minicv.kernels import launch, threads
from minicv.kernels.integral import integral_image, tilted_integral_image
from minicv.kernels.nms import batched_nms, nms, soft_nms
from minicv.kernels.overlap import pairwise_intersection, pairwise_iou
from minicv.kernels.roi import roi_align, roi_align_input, roi_gather, roi_pool, roi_scatter
from minicv.matching import greedy_assignment, linear_assignment

pytestmark = pytest.mark.ch4
ROOT = pathlib.Path(__file__).resolve().parents[2]


def compute():
    """Results by name on small inputs, with ties."""
    rng, out = np.random.default_rng(0), {}
    corner = rng.uniform(0, 300, (600, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 60, (600, 2))], axis=1).astype(np.float32)
    scores, labels = rng.integers(0, 40, 600) / 40, rng.integers(0, 3, 600)
    out["iou"], out["intersection"] = pairwise_iou(boxes[:50], boxes), pairwise_intersection(boxes[:50], boxes)
    out["nms_pairs"], out["nms_cells"] = nms(boxes[:99], scores[:99]), nms(boxes, scores)
    out["batched"] = batched_nms(boxes, scores, labels)
    out["soft"], out["soft_scores"] = soft_nms(boxes[:99], scores[:99], method="gaussian")
    for dtype in (np.uint8, np.float32):
        x = rng.integers(0, 99, (2, 200, 21)).astype(dtype)
        out[f"integral_{dtype.__name__}"] = integral_image(x, squared=dtype == np.float32)
        out[f"tilted_{dtype.__name__}"] = tilted_integral_image(x)
    cost = rng.integers(0, 9, (20, 30)).astype(float)
    out["columns"], out["greedy"] = linear_assignment(cost)[1], greedy_assignment(cost)[1]
    x, rois = rng.standard_normal((2, 70, 9, 8)).astype(np.float32), boxes[:9] / 10
    rois = np.concatenate([labels[:9, None] % 2, rois], axis=1)
    y = out["align"] = roi_align(x, rois, size=2)
    out["align_input"] = roi_align_input(y, rois, shape=x.shape)
    y, where = out["pool"], out["where"] = roi_pool(x, rois, size=2)
    out["gather"] = roi_gather(x, where, labels[:9] % 2)
    out["scatter"] = roi_scatter(y, where, labels[:9] % 2, shape=x.shape)
    return out


@pytest.mark.skipif(launch.load_numba() is None, reason="twins do not use threads")
def test_the_number_of_threads_does_not_change_a_byte(monkeypatch):
    monkeypatch.setattr(threads, "_chosen", 1)
    expected = compute()
    monkeypatch.setattr(launch, "SERIAL_ELEMENTS", 1)
    for n in (2, 3, 7):
        monkeypatch.setattr(threads, "_chosen", n)
        for name, value in compute().items():
            assert np.array_equal(value, expected[name]), (name, n)


@pytest.mark.parametrize("lane", [{"MINICV_KERNELS": "numpy"}, {"NUMBA_DISABLE_JIT": "1"}], ids=str)
def test_lanes_without_the_compiler_agree(lane, tmp_path):
    done = subprocess.run([sys.executable, __file__, str(tmp_path / "out.npz")], cwd=ROOT, capture_output=True,
                          text=True, env={**os.environ, "PYTHONPATH": str(ROOT), **lane})
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz", allow_pickle=False) as stored:
        for name, value in compute().items():
            exact = value.dtype.kind == "i" or "nms" in name
            np.testing.assert_allclose(stored[name], value, err_msg=name, rtol=0 if exact else 3e-6,
                                       atol=0 if exact else 3e-6)
            assert stored[name].dtype == value.dtype and stored[name].shape == value.shape


if __name__ == "__main__":
    np.savez(sys.argv[1], **compute())
