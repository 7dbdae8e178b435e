"""Reverse-mode differentiation in one screen: a number that remembers where it came from.

The whole idea of `minicv.autograd`, without arrays. Each operation notes its arguments and the derivative of
its result by each of them. Multiplying these local derivatives along a path gives the effect of that path, and
the chain rule for several paths from x to y is a sum:

    dy/dx = sum over the uses u of x:  dy/du * du/dx                                               (1)

* Why gradients are *added* (``+=``): a number that is used twice acts on y in two ways; (1) has a term for each.
* Why the order matters: ``dy/du`` must be complete before it is passed on, so a number is visited after
  everything computed from it. In the order of computation reversed (topological order) this always holds.
* Why there is no recursion: a sum of a million terms is a chain a million deep, Python's stack a thousand.
"""

import math


class Scalar:
    """A number with a gradient: supports ``+ - * / **``, exp, log, tanh and relu.

    >>> x, w = Scalar(3.0), Scalar(-2.0)
    >>> y = (x * w + 1).tanh() + x
    >>> y.backward()
    >>> x.grad == 1 + w.data * (1 - math.tanh(-5.0) ** 2)
    True
    """

    def __init__(self, data, sources=()):
        self.data = float(data)
        self.grad = 0.0
        self.sources = sources              # pairs (argument, derivative of this number by the argument)

    @staticmethod
    def of(x):
        """x as a Scalar."""
        return x if isinstance(x, Scalar) else Scalar(x)

    def __add__(self, other):
        other = Scalar.of(other)
        return Scalar(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        other = Scalar.of(other)
        return Scalar(self.data * other.data, ((self, other.data), (other, self.data)))

    def __pow__(self, exponent):
        """A constant exponent: d(x^n)/dx = n x^(n-1)."""
        slope = exponent * self.data ** (exponent - 1) if exponent != 0 else 0.0
        return Scalar(self.data ** exponent, ((self, slope),))

    def exp(self):
        """Its own derivative."""
        y = math.exp(self.data)
        return Scalar(y, ((self, y),))

    def log(self):
        """Natural logarithm, derivative 1 / x."""
        return Scalar(math.log(self.data), ((self, 1 / self.data),))

    def tanh(self):
        """Hyperbolic tangent, derivative 1 - y^2."""
        y = math.tanh(self.data)
        return Scalar(y, ((self, 1 - y * y),))

    def relu(self):
        """max(x, 0); the slope at 0 is taken as 0."""
        return Scalar(max(self.data, 0.0), ((self, float(self.data > 0)),))

    # Everything else is made of these.
    __radd__, __rmul__ = __add__, __mul__
    __neg__ = lambda x: x * -1
    __sub__ = lambda x, other: x + -Scalar.of(other)
    __rsub__ = lambda x, other: -x + other
    __truediv__ = lambda x, other: x * Scalar.of(other) ** -1
    __rtruediv__ = lambda x, other: x ** -1 * other

    def backward(self):
        """Add d(self)/dx to ``x.grad`` for every x that self was computed from; d(self)/d(self) = 1."""
        passed = {self: 1.0}                               # gradients of this call alone
        for node in self._later_first():
            node.grad += passed[node]
            for source, slope in node.sources:
                passed[source] = passed.get(source, 0.0) + passed[node] * slope         # (1)

    def _later_first(self):
        """Every number that self depends on, each one after all of its uses (depth first, reversed)."""
        finished, seen, stack = [], set(), [(self, False)]
        while stack:
            node, sources_done = stack.pop()
            if sources_done:
                finished.append(node)
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                stack.extend((source, False) for source, _ in node.sources)
        return reversed(finished)

    def __repr__(self):
        return f"Scalar({self.data:g}, grad={self.grad:g})"
