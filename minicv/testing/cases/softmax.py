"""Cases of `minicv.autograd.softmax`. Oracles are the definitions in decimals of 80 digits."""

import decimal

import numpy as np

from ...autograd import softmax as s
from ...errors import ArgError, DTypeError
from ..registry import Bad, OpSpec, Sample
from .elementwise import distinct, with_errors


def rows(function):
    """Oracle along one axis from a function of a list of decimals to a list of decimals."""
    def ref(x, axis=-1):
        moved = np.moveaxis(np.array(x), axis, -1)
        out = np.empty(moved.shape)
        with decimal.localcontext(prec=80, traps=[]):
            for at in np.ndindex(moved.shape[:-1]):
                out[at] = [float(v) for v in function([decimal.Decimal(v) for v in moved[at].tolist()])]
        return np.moveaxis(out, -1, axis)
    return ref


def _softmax(row):
    total = sum(v.exp() for v in row)
    return [v.exp() / total for v in row]


def _log_softmax(row):
    return [p.ln() for p in _softmax(row)]


def _samples(rng):
    shapes = [(5,), (1,), (3, 4), (2, 1, 3), (2, 3, 2, 2), (3, 1), (0, 3), (3, 0), (9, 8)]
    cases = [Sample((distinct(rng, shape),), note=str(shape)) for shape in shapes]
    cases += [Sample((distinct(rng, (2, 3, 4)),), dict(axis=axis)) for axis in (0, 1, 2, -1, -3)]
    return cases + [
        Sample((distinct(rng, (2, 3), 999.0, 1003.0),), note="large"),
        Sample((np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]]),), note="L16, forward only"),
        Sample((np.array([[0.0, -np.inf, 1.0]]),), note="masked element, forward only")]


def specs():
    """Specs of softmax and log_softmax."""
    def errors(name):
        x = np.ones((2, 3))
        return with_errors(
            Bad((x,), dict(axis=2), ArgError, f"{name}: axis is 2, expected"),
            Bad((x,), dict(axis=-3), ArgError, f"{name}: axis is -3"),
            Bad((x,), dict(axis=None), DTypeError, f"{name}: axis is None"),
            Bad((x,), dict(axis=(0, 1)), DTypeError, rf"{name}: axis is \(0, 1\)"),
            Bad((x,), dict(axis=0.5), DTypeError, f"{name}: axis is 0.5"),
            Bad((np.array(1.0),), {}, ArgError, f"{name}: axis is -1"))
    return [OpSpec(s.softmax, rows(_softmax), _samples, errors("softmax")),
            OpSpec(s.log_softmax, rows(_log_softmax), _samples, errors("log_softmax"))]
