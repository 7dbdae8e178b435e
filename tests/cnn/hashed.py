"""Weights and images made from names: the same numbers everywhere, without storing them.

Value i of the array called `name` is a hash of both (splitmix64), so that a handful of stored output numbers
pins a whole network, whichever program it was computed with.
"""

import math
import zlib

import numpy as np


def hashed(name, shape):
    """float64 array in [-1, 1) that depends on its name and the position of each element in logical order."""
    with np.errstate(over="ignore"):
        start = np.uint64(zlib.crc32(name.encode())) << np.uint64(32)
        z = start + np.arange(1, math.prod(shape) + 1, dtype=np.uint64)
        z *= np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(11)) * 2.0**-52 - 1).reshape(shape)


def hashed_weight(name, shape):
    """A value for the parameter or buffer called `name` that keeps signals at a healthy size."""
    u, last = hashed(name, shape), name.rpartition(".")[2]
    if last == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if last == "running_var" or (last == "weight" and len(shape) == 1):
        return 1 + 0.3 * u
    if len(shape) == 1:                                     # biases and running means
        return 0.2 * u
    if last == "weight" or last.endswith("_weight"):
        gate = len(shape) == 4 and name.endswith(("fc2.weight", "conv_expand.weight"))
        return u * math.sqrt(6 / math.prod(shape[1:])) * (0.1 if gate else 1)         # He uniform; open gates
    return 0.5 * u                                          # tokens and positions


def hashed_state(shapes):
    """{name: array} for {name: shape}."""
    return {name: hashed_weight(name, tuple(shape)) for name, shape in shapes.items()}


def fill(model, dtype=np.float64):
    """`model` in evaluation mode and in `dtype` with hashed weights."""
    model.astype(dtype).eval()
    state = hashed_state({name: array.shape for name, array in model.state_dict().items()})
    model.load_state_dict({name: a.astype(dtype) if a.dtype.kind == "f" else a for name, a in state.items()})
    return model


def image(shape, dtype=np.float64, number=0):
    """One of many batches of images (N, C, H, W)."""
    return hashed(f"image {number}", shape).astype(dtype)


def fingerprint(logits, gradients):
    """A few numbers of a run: the first logits, and of some gradients the first element and the size.

    logits (N, K) and {name: gradient}, arrays; the gradients are those of sum(hashed("loss") * logits).
    """
    names = sorted(gradients)[::max(1, len(gradients) // 4)]
    return {"logits": logits.reshape(-1)[:4].tolist(), "size": float(np.abs(logits).max()),
            "gradients": {n: [float(gradients[n].reshape(-1)[0]), float(np.abs(gradients[n]).max())] for n in names}}
