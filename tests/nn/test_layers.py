"""Layers: what is proved here.

Every layer is gradient-checked to second order in its input and in all of its parameters (float64), gives
float32 for float32, the same answer in both memory layouts and on plain arrays, its shape formula, and refuses
bad settings at construction (L1-L3, L5, L7, L10, L14) and bad inputs when called.
"""

import numpy as np
import pytest

from minicv import nn
from minicv.autograd import Tensor, no_grad
from minicv.autograd.gradcheck import gradcheck
from minicv.errors import ArgError, DTypeError, ShapeError
from minicv.nn.cost import shapes

IMAGE, ROWS, SEQUENCE = (2, 4, 4, 3), (3, 4), (2, 3, 4)
IDS = np.array([[0, 2], [2, 1]])

# fmt: off
LAYERS = [          # layer (given rng), input shape, output shape
    (lambda r: nn.Linear(4, 3, rng=r), SEQUENCE, (2, 3, 3)),
    (lambda r: nn.Linear(4, 3, bias=False, rng=r), ROWS, (3, 3)),
    (lambda r: nn.Conv2d(4, 2, 3, padding=1, rng=r), IMAGE, (2, 2, 4, 3)),
    (lambda r: nn.Conv2d(4, 6, (1, 3), stride=(2, 1), padding=(0, 1), groups=2, rng=r),
     IMAGE, (2, 6, 2, 3)),
    (lambda r: nn.Conv2d(4, 4, 2, padding="same", dilation=2, groups=4, bias=False, rng=r), IMAGE, IMAGE),
    (lambda r: nn.ConvTranspose2d(4, 2, 2, stride=2, rng=r), IMAGE, (2, 2, 8, 6)),
    (lambda r: nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1, output_padding=1, groups=2, rng=r),
     IMAGE, (2, 4, 8, 6)),
    (lambda r: nn.Conv1d(3, 2, 2, stride=2, padding=1, rng=r), (2, 3, 4), (2, 2, 3)),
    (lambda r: nn.Conv1d(3, 3, 3, padding="same", groups=3, rng=r), (2, 3, 4), (2, 3, 4)),
    (lambda r: nn.BatchNorm2d(4), IMAGE, IMAGE),
    (lambda r: nn.BatchNorm2d(4, affine=False).eval(), IMAGE, IMAGE),
    (lambda r: nn.BatchNorm2d(4).eval(), IMAGE, IMAGE),
    (lambda r: nn.BatchNorm1d(4), ROWS, ROWS),
    (lambda r: nn.BatchNorm1d(3), (2, 3, 4), (2, 3, 4)),
    (lambda r: nn.FrozenBatchNorm2d(4), IMAGE, IMAGE),
    (lambda r: nn.LayerNorm(4), SEQUENCE, SEQUENCE),
    (lambda r: nn.LayerNorm((4, 3)), IMAGE, IMAGE),
    (lambda r: nn.GroupNorm(2, 4), IMAGE, IMAGE),
    (lambda r: nn.InstanceNorm2d(4, affine=True), IMAGE, IMAGE),
    (lambda r: nn.LocalResponseNorm(3, alpha=0.3), IMAGE, IMAGE),
    (lambda r: nn.MaxPool2d(2), IMAGE, (2, 4, 2, 1)),
    (lambda r: nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True), IMAGE, (2, 4, 3, 2)),
    (lambda r: nn.AvgPool2d(2, stride=1, padding=1, count_include_pad=False), IMAGE, (2, 4, 5, 4)),
    (lambda r: nn.L2Pool2d(2), IMAGE, (2, 4, 2, 1)),
    (lambda r: nn.AdaptiveAvgPool2d((3, 1)), IMAGE, (2, 4, 3, 1)),
    (lambda r: nn.AdaptiveMaxPool2d(2), IMAGE, (2, 4, 2, 2)),
    (lambda r: nn.GlobalAvgPool2d(), IMAGE, (2, 4)),
    (lambda r: nn.Upsample(scale=2), IMAGE, (2, 4, 8, 6)),
    (lambda r: nn.Upsample(size=(3, 5), mode="nearest"), IMAGE, (2, 4, 3, 5)),
    (lambda r: nn.ReLU(), IMAGE, IMAGE),
    (lambda r: nn.ReLU6(), IMAGE, IMAGE),
    (lambda r: nn.LeakyReLU(0.2), IMAGE, IMAGE),
    (lambda r: nn.PReLU(), ROWS, ROWS),
    (lambda r: nn.PReLU(4), IMAGE, IMAGE),
    (lambda r: nn.ELU(0.7), ROWS, ROWS),
    (lambda r: nn.GELU(), ROWS, ROWS),
    (lambda r: nn.GELU(approximate="tanh"), ROWS, ROWS),
    (lambda r: nn.SiLU(), ROWS, ROWS),
    (lambda r: nn.Hardswish(), IMAGE, IMAGE),
    (lambda r: nn.Hardsigmoid(), ROWS, ROWS),
    (lambda r: nn.Mish(), ROWS, ROWS),
    (lambda r: nn.Sigmoid(), ROWS, ROWS),
    (lambda r: nn.Tanh(), ROWS, ROWS),
    (lambda r: nn.Softmax(axis=1), IMAGE, IMAGE),
    (lambda r: nn.Dropout(0.4, rng=r), IMAGE, IMAGE),
    (lambda r: nn.DropPath(0.4, rng=r), IMAGE, IMAGE),
    (lambda r: nn.Identity(), IMAGE, IMAGE),
    (lambda r: nn.Flatten(), IMAGE, (2, 48)),
    (lambda r: nn.Sequential(nn.Linear(4, 3, rng=r), nn.Tanh()), ROWS, (3, 3)),
    (lambda r: nn.MultiHeadAttention(4, 2, rng=r), SEQUENCE, SEQUENCE),
    (lambda r: nn.MultiHeadAttention(4, 1, dropout=0.3, bias=False, rng=r), SEQUENCE, SEQUENCE),
    (lambda r: nn.GRUCell(4, 2, rng=r), ROWS, (3, 2)),
    (lambda r: nn.LSTMCell(4, 2, bias=False, rng=r), ROWS, [(3, 2), (3, 2)]),
    (lambda r: nn.GRU(4, 2, bidirectional=True, rng=r), SEQUENCE, [(2, 3, 4), (2, 2, 2)]),
    (lambda r: nn.LSTM(4, 2, num_layers=2, rng=r), SEQUENCE, [(2, 3, 2), [(2, 2, 2), (2, 2, 2)]]),
]
# fmt: on
CASES = [pytest.param(*case, id=f"{i}-{type(case[0](0)).__name__}") for i, case in enumerate(LAYERS)]


def build(make):
    """The layer in float64 with all parameters away from their special initial values."""
    layer, rng = make(0).astype(np.float64), np.random.default_rng(1)
    layer.load_state_dict({k: v + 0.3 * rng.uniform(0.5, 1, v.shape) if v.dtype.kind == "f" else v
                           for k, v in layer.state_dict().items()})
    return layer


def spaced(shape):
    """Numbers of which no two are closer than 0.1 and none is closer than 0.05 to zero: no kinks nearby."""
    n = int(np.prod(shape))
    return (np.random.default_rng(2).permutation(n).reshape(shape) - n // 2 + 0.5) * 0.1


def with_parameters(layer, names, values, *inputs):
    """Call `layer` with other tensors in the place of its parameters, and the same random numbers each time."""
    kept, random = {}, layer.random_state()
    try:
        for name, value in zip(names, values, strict=True):
            path, _, last = name.rpartition(".")
            owner = dict(layer.named_modules())[path]
            kept[name] = owner, last, getattr(owner, last)
            setattr(owner, last, value)
        return layer(*inputs)
    finally:
        for owner, last, old in kept.values():
            setattr(owner, last, old)
        layer.load_random_state(random)


def flat(y):
    """The tensors of a result, however nested."""
    return [t for part in y for t in flat(part)] if isinstance(y, (tuple, list)) else [y]


@pytest.mark.parametrize("make, shape, out", CASES)
def test_gradients_of_input_and_parameters_are_right_to_second_order(make, shape, out):
    layer = build(make)
    names = [n for n, _ in layer.named_parameters()]
    values = [p.data for p in layer.parameters()]

    def call(x, *parameters):
        return flat(with_parameters(layer, names, parameters, x if isinstance(x, Tensor) else Tensor(x)))
    gradcheck(call, [spaced(shape), *values], order=2)


@pytest.mark.parametrize("make, shape, out", CASES)
def test_shapes_dtypes_and_plain_arrays(make, shape, out):
    layer = make(0)
    x = spaced(shape).astype(np.float32)
    random = layer.random_state()
    y = layer(Tensor(x))
    assert shapes(y) == out
    assert {t.dtype for t in flat(y)} == {np.dtype(np.float32)}
    layer.load_random_state(random)
    with no_grad():
        for a, b in zip(flat(layer(x)), flat(y), strict=True):
            np.testing.assert_array_equal(np.asarray(a), b.data)


@pytest.mark.parametrize("make, shape, out", [c for c in CASES if len(c.values[1]) == 4])
def test_memory_layout_of_images_does_not_matter(make, shape, out):
    layer = build(make)
    results = []
    for x in (spaced(shape), spaced(shape).transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)):
        t = Tensor(x, requires_grad=True)
        y = with_parameters(layer, [], [], t) * 1.0              # a node also for Identity
        y.backward(np.cos(np.arange(y.size)).reshape(y.shape))
        results.append((y.data, t.grad.data))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_an_embedding_looks_up_rows_and_sums_their_gradients():
    layer = nn.Embedding(3, 2, rng=0)
    y = layer(IDS)
    np.testing.assert_array_equal(y.data, layer.weight.data[IDS])
    y.sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.data, [[1, 1], [1, 1], [2, 2]])
    with pytest.raises((ArgError, ShapeError), match="3"):
        layer(np.array([3]))


# Refusals ----------------------------------------------------------------------------------------------------

BAD_INTEGERS = [0, -1, 2 ** 63, -2 ** 63, 1.0, True, None, "3", np.float32(2)]
INTEGERS = [      # every size that a constructor takes (L1, L2)
    (lambda v: nn.Linear(v, 2), "in_features"), (lambda v: nn.Linear(2, v), "out_features"),
    (lambda v: nn.Conv2d(v, 2, 3), "in_channels"), (lambda v: nn.Conv2d(2, v, 3), "out_channels"),
    (lambda v: nn.Conv2d(2, 2, v), "kernel_size"), (lambda v: nn.Conv2d(2, 2, 3, stride=v), "stride"),
    (lambda v: nn.Conv2d(2, 2, 3, dilation=v), "dilation"), (lambda v: nn.Conv2d(2, 2, 3, groups=v), "groups"),
    (lambda v: nn.Conv2d(2, 2, (3, v)), "kernel_size"), (lambda v: nn.Conv1d(2, 2, v), "kernel_size"),
    (lambda v: nn.ConvTranspose2d(2, 2, v), "kernel_size"), (lambda v: nn.ConvTranspose2d(2, 2, 2, stride=v), "stride"),
    (lambda v: nn.BatchNorm2d(v), "num_features"), (lambda v: nn.FrozenBatchNorm2d(v), "num_features"),
    (lambda v: nn.LayerNorm(v), "normalized_shape"), (lambda v: nn.GroupNorm(v, 4), "num_groups"),
    (lambda v: nn.GroupNorm(1, v), "num_channels"), (lambda v: nn.InstanceNorm2d(v), "num_features"),
    (lambda v: nn.LocalResponseNorm(v), "size"), (lambda v: nn.MaxPool2d(v), "kernel_size"),
    (lambda v: nn.MaxPool2d(2, dilation=v), "dilation"), (lambda v: nn.AvgPool2d(v), "kernel_size"),
    (lambda v: nn.AdaptiveAvgPool2d(v), "size"), (lambda v: nn.Embedding(v, 2), "num_embeddings"),
    (lambda v: nn.Embedding(2, v), "embedding_dim"), (lambda v: nn.MultiHeadAttention(v, 1), "embed_dim"),
    (lambda v: nn.MultiHeadAttention(4, v), "num_heads"), (lambda v: nn.GRU(v, 2), "input_size"),
    (lambda v: nn.LSTM(2, v), "hidden_size"), (lambda v: nn.LSTM(2, 2, num_layers=v), "num_layers"),
    (lambda v: nn.GRUCell(2, v), "hidden_size"), (lambda v: nn.PReLU(v), "num_parameters"),
]


@pytest.mark.parametrize("make, name", INTEGERS, ids=[f"{i}-{n}" for i, (_, n) in enumerate(INTEGERS)])
def test_sizes_must_be_positive_integers(make, name):
    """L1, L2."""
    for value in BAD_INTEGERS:
        with pytest.raises(ArgError, match=rf"\w+: {name} is "):
            make(value)


def test_integral_numpy_values_are_accepted():
    """L2."""
    assert nn.Conv2d(np.int64(2), np.uint8(3), np.int32(3), stride=np.int64(2)).weight.shape == (3, 2, 3, 3)
    with pytest.raises(ArgError, match=r"stride is \(1, 1, 1\)"):
        nn.Conv2d(2, 2, 3, stride=(1, 1, 1))
    with pytest.raises(ArgError, match=r"stride is \(1,\)"):
        nn.Conv2d(2, 2, 3, stride=(1,))


REFUSED = [
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ShapeError, "in_channels is 3, expected a multiple of groups = 2"),     # L3
    (lambda: nn.Conv2d(4, 3, 3, groups=2), ShapeError, "out_channels is 3, expected a multiple of groups = 2"),
    (lambda: nn.GroupNorm(3, 4), ShapeError, "num_channels is 4, expected a multiple of num_groups = 3"),
    (lambda: nn.MultiHeadAttention(5, 2), ShapeError, "embed_dim is 5, expected a multiple of num_heads = 2"),
    (lambda: nn.Conv2d(2, 2, 3, padding=-1), ArgError, "padding is -1"),
    (lambda: nn.Conv2d(2, 2, 3, stride=2, padding="same"), ArgError, "padding is 'same'"),                         # L5
    (lambda: nn.Conv2d(2, 2, 3, padding="valid"), ArgError, "padding is 'valid'"),
    (lambda: nn.Conv1d(2, 2, 3, stride=2, padding="same"), ArgError, "padding is 'same'"),
    (lambda: nn.MaxPool2d(2, padding=2), ArgError, r"padding is \(2, 2\), expected at most half"),                 # L7
    (lambda: nn.AvgPool2d(3, padding=(1, 2)), ArgError, r"padding is \(1, 2\), expected at most half"),
    (lambda: nn.Dropout(-0.1), ArgError, "p is -0.1"),                                                             # L14
    (lambda: nn.Dropout(1.5), ArgError, "p is 1.5"),
    (lambda: nn.DropPath(float("nan")), ArgError, "DropPath: p is nan"),
    (lambda: nn.BatchNorm2d(2, momentum=1.1), ArgError, "momentum is 1.1"),
    (lambda: nn.BatchNorm2d(2, eps=-1), ArgError, "eps is -1"),
    (lambda: nn.GELU(approximate="erf"), ArgError, "approximate is 'erf'"),
    (lambda: nn.Softmax(axis=1.0), ArgError, "axis is 1.0"),
    (lambda: nn.LeakyReLU(-1), ArgError, "slope is -1"),
    (lambda: nn.Upsample(), ArgError, "size and scale"),
    (lambda: nn.Upsample(scale=2, mode="cubic"), ArgError, "mode is 'cubic'"),
    (lambda: nn.Upsample(scale=-2), ArgError, "scale is -2"),
    (lambda: nn.Linear(4, 2)(np.ones((2, 3), np.float32)), ShapeError,
     r"Linear: x has shape \(2, 3\), expected \(..., 4\)"),
    (lambda: nn.BatchNorm2d(3)(np.ones((2, 4, 4, 3), np.float32)), ShapeError, "channels-last"),                   # L10
    (lambda: nn.BatchNorm2d(3)(np.ones((2, 3), np.float32)), ShapeError, r"expected \(N, C, H, W\)"),
    (lambda: nn.Conv2d(3, 2, 3)(np.ones((3, 8, 8), np.float32)), ShapeError, "4-D"),
    (lambda: nn.Conv2d(3, 2, 3)(np.ones((1, 8, 8, 3), np.float32)), ShapeError, "channels-last"),
    (lambda: nn.Conv2d(3, 2, 3)(np.ones((1, 3, 2, 2), np.float32)), ShapeError, "output"),                         # L4
    (lambda: nn.Conv2d(3, 2, 3)(np.ones((1, 3, 8, 8), int)), DTypeError, "int64"),
    (lambda: nn.LayerNorm(3)(np.ones((2, 4), np.float32)), ShapeError, r"expected the last sizes \(3,\)"),
    (lambda: nn.GroupNorm(1, 4)(np.ones((2, 3), np.float32)), ShapeError, r"expected \(N, 4, ...\)"),
    (lambda: nn.InstanceNorm2d(2)(np.ones((2, 2, 1, 1), np.float32)), ShapeError, "one pixel"),
    (lambda: nn.MultiHeadAttention(4, 2)(np.ones((2, 3, 5), np.float32)), ShapeError, "query has shape"),
    (lambda: nn.GRU(3, 2)(np.ones((2, 4), np.float32)), ShapeError, r"GRU: x has shape \(2, 4\), expected \(N, T, D\)"),
    (lambda: nn.GRU(3, 2)(np.ones((2, 0, 3), np.float32)), ShapeError, r"\(2, 0, 3\)"),
    (lambda: nn.LSTM(3, 2)(np.ones((2, 4, 3), np.float32), np.ones((1, 2, 2))), ShapeError, "expected 2 of"),
    (lambda: nn.LSTMCell(3, 2)(np.ones((2, 3), np.float32), (np.ones((2, 2)), np.ones((2, 3)))), ShapeError,
     r"\(2, 3\)"),
]


@pytest.mark.parametrize("make, error, text", REFUSED, ids=range(len(REFUSED)))
def test_bad_settings_and_inputs_are_refused(make, error, text):
    with pytest.raises(error, match=text):
        make()
