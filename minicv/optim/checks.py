"""What a hyper-parameter may be: one table for all optimizers, and the error that says so."""

import math
from numbers import Real

from ..errors import ArgError


def _number(low, high, *, open_low=False):
    """Predicate: a real number in [low, high), or in (low, high) with `open_low`."""
    def holds(x):
        real = isinstance(x, Real) and not isinstance(x, bool)
        return real and (low < x if open_low else low <= x) and x < high
    return holds


_fraction, _positive, _not_negative = _number(0, 1), _number(0, math.inf, open_low=True), _number(0, math.inf)

ALLOWED = {  # option: (predicate, words for the error)
    "lr": (_positive, "a finite number > 0"),
    "momentum": (_fraction, "a number in [0, 1)"),
    "dampening": (_fraction, "a number in [0, 1)"),
    "beta": (_fraction, "a number in [0, 1)"),
    "betas": (lambda b: isinstance(b, (tuple, list)) and len(b) == 2 and all(map(_fraction, b)),
              "two numbers in [0, 1)"),
    "eps": (_not_negative, "a finite number >= 0"),
    "weight_decay": (_not_negative, "a finite number >= 0"),
    "trust": (_positive, "a finite number > 0"),
    "decay": (lambda d: d in ("lr", "plain"), "'lr' (scaled by the learning rate) or 'plain'"),
    "nesterov": (lambda x: isinstance(x, bool), "True or False"),
    "amsgrad": (lambda x: isinstance(x, bool), "True or False"),
    "adapt": (lambda x: isinstance(x, bool), "True or False"),
}


def check(function, **options):
    """Raise an ArgError for the first option outside its allowed values.

    >>> check("SGD", lr=-1.0)
    Traceback (most recent call last):
    ...
    minicv.errors.ArgError: SGD: lr is -1.0, expected a finite number > 0
    """
    for name, value in options.items():
        holds, expected = ALLOWED[name]
        if not holds(value):
            raise ArgError(f"{function}: {name} is {value!r}, expected {expected}")


def check_nesterov(function, momentum, dampening=0.0):
    """Nesterov's look-ahead needs a velocity that is the plain sum of past steps."""
    if momentum == 0 or dampening != 0:
        raise ArgError(f"{function}: momentum is {momentum!r} and dampening {dampening!r}, expected momentum > 0 "
                       "and dampening 0 with Nesterov's form; without momentum it is plain SGD")
