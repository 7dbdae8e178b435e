"""Files exchanged with the safetensors library in both directions, and real states through the name maps."""

import numpy as np
import pytest

from minicv import weights

from .test_safetensors import ARRAYS

pytestmark = pytest.mark.oracle
library = pytest.importorskip("safetensors.numpy", reason="needs safetensors")


def test_the_library_reads_what_minicv_writes():
    found = library.load(weights.safetensors_bytes(ARRAYS, metadata={"a": "b"}))
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)


def test_minicv_reads_what_the_library_writes():
    found = weights.parse_safetensors(library.save(ARRAYS, metadata={"a": "b"}))
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_torch_tensors_of_all_types_arrive(tmp_path):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    from safetensors.torch import save_file
    x = torch.randn(3, 4)
    save_file({"f": x, "b": x.bfloat16(), "h": x.half(), "i": x.long()}, tmp_path / "w.safetensors")
    found = weights.read(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(found["f"], x.numpy())
    np.testing.assert_array_equal(found["b"], x.bfloat16().float().numpy())
    np.testing.assert_array_equal(found["h"], x.half().numpy())
    np.testing.assert_array_equal(found["i"], x.long().numpy())
