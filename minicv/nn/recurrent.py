r"""Recurrent layers: GRU and LSTM, as cells for one step and as layers over sequences.

GRU (Cho et al., EMNLP 2014, eq. 5-8; gate order r, z, n):

    r = σ(W_ir x + b_ir + W_hr h + b_hr)          z = σ(W_iz x + b_iz + W_hz h + b_hz)
    n = tanh(W_in x + b_in + r (W_hn h + b_hn))   h' = (1 - z) n + z h

LSTM (Hochreiter and Schmidhuber, 1997, with the forget gate of Gers et al., 2000; gate order i, f, g, o):

    i, f, o = σ(W x + b + U h + d)   g = tanh(...)   c' = f c + i g   h' = o tanh(c')

Departures: the GRU applies r after the matrix product, as cuDNN and PyTorch do; the paper applies it before.
NB: sequences are (N, T, D), batch first; PyTorch's default is (T, N, D). Names and shapes of parameters are
PyTorch's: `weight_ih` (G H, D), `weight_hh` (G H, H), `bias_ih`, `bias_hh` (G H,), G gates.
"""

import numpy as np

from ..autograd.elementwise import sigmoid, tanh
from ..autograd.shape import concat, stack
from ..errors import ShapeError
from . import init
from .check import integer
from .linear import affine
from .module import Module, Parameter

# One step ----------------------------------------------------------------------------------------------


def gru_step(projected, state, weight_hh, bias_hh):
    """Next state (h',) of a GRU from the projected input W_i x + b_i (N, 3 H) and the state (h,), h (N, H)."""
    (h,) = state
    H = h.shape[1]
    recurrent = affine(h, weight_hh, bias_hh)                         # (N, 3 H)
    r = sigmoid(projected[:, :H] + recurrent[:, :H])
    z = sigmoid(projected[:, H:2 * H] + recurrent[:, H:2 * H])
    n = tanh(projected[:, 2 * H:] + r * recurrent[:, 2 * H:])
    return (n + z * (h - n),)


def lstm_step(projected, state, weight_hh, bias_hh):
    """Next state (h', c') of an LSTM from W_i x + b_i (N, 4 H) and the state (h, c), each (N, H)."""
    h, c = state
    H = h.shape[1]
    a = projected + affine(h, weight_hh, bias_hh)                     # (N, 4 H)
    i, f, o = (sigmoid(a[:, k * H:(k + 1) * H]) for k in (0, 1, 3))
    c = f * c + i * tanh(a[:, 2 * H:3 * H])
    return o * tanh(c), c


class _Cell(Module):
    gates, states, step = 1, 1, None

    def __init__(self, input_size, hidden_size, *, bias=True, rng=None):
        where = type(self).__name__
        self.input_size = integer(where, "input_size", input_size)
        self.hidden_size = integer(where, "hidden_size", hidden_size)
        _add_parameters(self, "", self.gates, self.input_size, self.hidden_size, bias, np.random.default_rng(rng))

    def advance(self, x, state):
        """The next state, a tuple, from x (N, D) and `state` or None for zeros."""
        _check_input(self, x, 2, "(N, D)")
        shape = (x.shape[0], self.hidden_size)
        state = _start(type(self).__name__, x, state, self.states, shape)
        return type(self).step(affine(x, self.weight_ih, self.bias_ih), state, self.weight_hh, self.bias_hh)

    def extra_repr(self):
        """Sizes."""
        return f"{self.input_size}, {self.hidden_size}"


class GRUCell(_Cell):
    """One step of a GRU; equations in the module's docstring.

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool, default True
    rng : numpy Generator, int or None
        Initial values are uniform in ±1/sqrt(hidden_size).
    """

    gates, states, step = 3, 1, staticmethod(gru_step)

    def forward(self, x, h=None):
        """x (N, D), h (N, H) or None for zeros -> h' (N, H)."""
        return self.advance(x, None if h is None else (h,))[0]


class LSTMCell(_Cell):
    """One step of an LSTM; equations in the module's docstring. Parameters as `GRUCell`."""

    gates, states, step = 4, 2, staticmethod(lstm_step)

    def forward(self, x, state=None):
        """x (N, D), state (h, c) each (N, H) or None for zeros -> (h', c')."""
        return self.advance(x, state)


# Whole sequences --------------------------------------------------------------------------------------------


class _Recurrent(Module):
    gates, states, step = 1, 1, None

    def __init__(self, input_size, hidden_size, *, num_layers=1, bidirectional=False, bias=True, rng=None):
        where, rng = type(self).__name__, np.random.default_rng(rng)
        self.input_size = integer(where, "input_size", input_size)
        self.hidden_size = integer(where, "hidden_size", hidden_size)
        self.num_layers, self.bidirectional = integer(where, "num_layers", num_layers), bool(bidirectional)
        width = self.input_size
        for layer in range(self.num_layers):
            for suffix in self._directions():
                _add_parameters(self, f"_l{layer}{suffix}", self.gates, width, self.hidden_size, bias, rng)
            width = self.hidden_size * len(self._directions())

    def _directions(self):
        return ("", "_reverse") if self.bidirectional else ("",)

    def run(self, x, state):
        """Outputs (N, T, directions * H) and the final states, a tuple of (layers * directions, N, H)."""
        where = type(self).__name__
        _check_input(self, x, 3, "(N, T, D)")
        rows = self.num_layers * len(self._directions())
        state = _start(where, x, state, self.states, (rows, x.shape[0], self.hidden_size))
        final = []
        for layer in range(self.num_layers):
            outputs = []
            for suffix in self._directions():
                y, last = self._scan(x, f"_l{layer}{suffix}", tuple(s[len(final)] for s in state), bool(suffix))
                outputs.append(y)
                final.append(last)
            x = concat(*outputs, axis=2) if len(outputs) > 1 else outputs[0]
        return x, tuple(stack(*parts, axis=0) for parts in zip(*final, strict=True))

    def _scan(self, x, suffix, state, backwards):
        """One direction of one layer: outputs (N, T, H) in the order of time, and the last state."""
        projected = affine(x, getattr(self, "weight_ih" + suffix), getattr(self, "bias_ih" + suffix))
        weight, bias = getattr(self, "weight_hh" + suffix), getattr(self, "bias_hh" + suffix)
        outputs = []
        for t in reversed(range(x.shape[1])) if backwards else range(x.shape[1]):
            state = type(self).step(projected[:, t], state, weight, bias)
            outputs.append(state[0])
        return stack(*(reversed(outputs) if backwards else outputs), axis=1), state

    def extra_repr(self):
        """Sizes."""
        more = f", num_layers={self.num_layers}" if self.num_layers > 1 else ""
        return f"{self.input_size}, {self.hidden_size}{more}" + (", bidirectional=True" if self.bidirectional else "")


class GRU(_Recurrent):
    """GRU over sequences; equations in the module's docstring.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int, default 1
        Each layer reads the outputs of the one below.
    bidirectional : bool, default False
        A second set of weights reads backwards; outputs are side by side.
    bias : bool, default True
    rng : numpy Generator, int or None
        Initial values are uniform in ±1/sqrt(hidden_size).
    """

    gates, states, step = 3, 1, staticmethod(gru_step)

    def forward(self, x, h=None):
        """x (N, T, D), h (layers, N, H) or None -> outputs (N, T, H) and last h (layers, N, H)."""
        y, (h,) = self.run(x, None if h is None else (h,))
        return y, h


class LSTM(_Recurrent):
    """LSTM over sequences; equations in the module's docstring. Parameters as `GRU`."""

    gates, states, step = 4, 2, staticmethod(lstm_step)

    def forward(self, x, state=None):
        """x (N, T, D), state (h, c) each (layers, N, H) or None -> outputs (N, T, H) and last (h, c)."""
        return self.run(x, state)


def _add_parameters(module, suffix, gates, width, hidden, bias, rng):
    bound = hidden ** -0.5
    shapes = {"weight_ih": (gates * hidden, width), "weight_hh": (gates * hidden, hidden),
              "bias_ih": (gates * hidden,), "bias_hh": (gates * hidden,)}
    for name, shape in shapes.items():
        wanted = bias or name.startswith("weight")
        values = Parameter(init.uniform(shape, low=-bound, high=bound, rng=rng)) if wanted else None
        setattr(module, name + suffix, values)


def _check_input(module, x, ndim, layout):
    if x.ndim != ndim or x.shape[-1] != module.input_size or 0 in x.shape[1:]:
        raise ShapeError(f"{type(module).__name__}: x has shape {x.shape}, expected {layout} "
                         f"with D = {module.input_size}")


def _start(where, x, state, count, shape):
    """The given state, checked, or zeros."""
    if state is None:
        return (np.zeros(shape, x.dtype),) * count
    if not isinstance(state, (tuple, list)) or len(state) != count or any(s.shape != shape for s in state):
        got = [getattr(s, "shape", type(s).__name__) for s in state]
        raise ShapeError(f"{where}: state has shapes {got}, expected {count} of {shape}")
    return tuple(state)
