"""Exponential, its relatives and their derivatives in float32, written so that the compiler makes vectors of them.

There is no call and no branch: polynomials, and bits put together. With n = round(x / log 2) and r = x - n log 2,

    e^x = 2^n e^r      e^r = 1 + r + r^2 P(r), |r| <= log(2) / 2                                          (1)

n is found by adding 1.5 * 2^23: the sum has no place for a fraction, and n stands in its lowest bits. 2^n is a
float whose exponent bits are n + 127; it is taken in two factors, so that results fade into subnormal numbers
and infinity like those of a library. The polynomials are interpolants at Chebyshev points (errors below 5e-9).
For x in [-87, 88] all are within 3.5e-7 of the value, relatively, but gelu, a difference left of 0: there it is
3.5e-7 of |x|. silu is 0 from about x = -88 on. NaN stays NaN.
"""

import numpy as np

from .launch import kernel, part

MAGIC, MAGIC_BITS = np.float32(12582912), np.int32(1262485504)          # 1.5 * 2^23 and its bits
PER_LOG2, LOG2_HIGH, LOG2_LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
ONE, TWO, HALF = np.float32(1), np.float32(2), np.float32(0.5)
E4, E3, E2, E1 = np.float32(1.392637612e-3), np.float32(8.363333531e-3), np.float32(4.166655242e-2), np.float32(
    1.666657627e-1)
L4, L3, L2, L1, L0 = (np.float32(0.116121646), np.float32(0.108532879), np.float32(0.142961790),
                      np.float32(0.199998532), np.float32(0.333333337))
ROOT_HALF, DENSITY = np.float32(0.707106781), np.float32(0.398942280)
P5, P4, P3, P2, P1, P0 = (np.float32(2.0419804448433953e-06), np.float32(0.00028480730120872093),
                          np.float32(0.0037795534073960095), np.float32(0.05279011555442448),
                          np.float32(0.1907825354886653), np.float32(1.1283791654091074))
Q5, Q4, Q3, Q2, Q1 = (np.float32(3.80041062463292e-05), np.float32(0.0011651990494748678),
                      np.float32(0.014997326379318266), np.float32(0.1142569873305095),
                      np.float32(0.5024093398823256))
LOWEST, HIGHEST = np.float32(-104), np.float32(89)
ERF_END, TANH_END, MISH_END = np.float32(3.93), np.float32(20), np.float32(20)
GELU_A, GELU_B, GELU_C = np.float32(0.797884561), np.float32(0.044715), np.float32(0.134145)


# Scalar functions --------------------------------------------------------------------------------------


@part(allow="contract")
def power_of_two(n):
    """2^n as a float, |n| < 127, by its exponent bits."""
    return np.int32(np.int32(n + np.int32(127)) << np.int32(23)).view(np.float32)


@part(allow="contract")
def exp32(x):
    """e^x by equation (1)."""
    x = LOWEST if x < LOWEST else x
    x = HIGHEST if x > HIGHEST else x
    t = x * PER_LOG2 + MAGIC
    n = t - MAGIC
    r = x - n * LOG2_HIGH - n * LOG2_LOW
    p = (((E4 * r + E3) * r + E2) * r + E1) * r + HALF
    p = p * r * r + r + ONE
    bits = np.int32(np.float32(t).view(np.int32) - MAGIC_BITS)
    half = np.int32(bits >> np.int32(1))
    return p * power_of_two(half) * power_of_two(np.int32(bits - half))


@part(allow="contract")
def expm1_32(x):
    """e^x - 1 for |x| <= 40: 2^n (e^r - 1) + (2^n - 1), without cancellation near 0."""
    t = x * PER_LOG2 + MAGIC
    n = t - MAGIC
    r = x - n * LOG2_HIGH - n * LOG2_LOW
    p = (((E4 * r + E3) * r + E2) * r + E1) * r + HALF
    two = power_of_two(np.int32(np.float32(t).view(np.int32) - MAGIC_BITS))
    return two * (p * r * r + r) + (two - ONE)


@part(allow="contract")
def log1p32(u):
    """log(1 + u) = 2 artanh(s) for 0 <= u <= 1, s = u / (2 + u)."""
    s = np.divide(u, TWO + u)
    q = s * s
    p = (((L4 * q + L3) * q + L2) * q + L1) * q + L0
    return TWO * (s + s * q * p)


@part(allow="contract")
def erf32(x):
    """Error function, the fit of `special` for float32."""
    x = -ERF_END if x < -ERF_END else x
    x = ERF_END if x > ERF_END else x
    q = x * x
    top = ((((P5 * q + P4) * q + P3) * q + P2) * q + P1) * q + P0
    y = np.divide(x * top, ((((Q5 * q + Q4) * q + Q3) * q + Q2) * q + Q1) * q + ONE)
    y = -ONE if x == -ERF_END else y
    return ONE if x == ERF_END else y


@part(allow="contract")
def sigmoid32(x):
    """1 / (1 + e^-x)."""
    return np.divide(ONE, ONE + exp32(-x))


@part(allow="contract")
def tanh32(x):
    """E / (E + 2) with E = e^2x - 1."""
    x = -TANH_END if x < -TANH_END else x
    x = TANH_END if x > TANH_END else x
    e = expm1_32(x + x)
    return np.divide(e, e + TWO)


@part(allow="contract")
def softplus32(x):
    """max(x, 0) + log(1 + e^-|x|)."""
    return (x if x > ONE - ONE else ONE - ONE) + log1p32(exp32(-abs(x)))


# Loops: y = f(x), and gx = g f'(x), where some derivatives are simplest in y ----------------------------


def _no_twin(*args):
    raise NotImplementedError                               # `elementary` computes the formula in NumPy instead


def _loop(body):
    return kernel(twin=_no_twin, out="gx" if body.__name__.endswith("slope") else "y", allow="contract")(body)


@_loop
def exp(start, stop, x, y):
    """e^x."""
    x, y = x[start:stop], y[start:stop]
    for i in range(x.size):
        y[i] = exp32(x[i])


@_loop
def sigmoid(start, stop, x, y):
    """1 / (1 + e^-x)."""
    x, y = x[start:stop], y[start:stop]
    for i in range(x.size):
        y[i] = sigmoid32(x[i])


@_loop
def tanh(start, stop, x, y):
    """Hyperbolic tangent."""
    x, y = x[start:stop], y[start:stop]
    for i in range(x.size):
        y[i] = tanh32(x[i])


@_loop
def softplus(start, stop, x, y):
    """log(1 + e^x)."""
    x, y = x[start:stop], y[start:stop]
    for i in range(x.size):
        y[i] = softplus32(x[i])


@_loop
def silu(start, stop, x, y):
    """x sigmoid(x)."""
    x, y = x[start:stop], y[start:stop]
    for i in range(x.size):
        y[i] = np.divide(x[i], ONE + exp32(-x[i]))


@_loop
def mish(start, stop, x, y):
    """x tanh(softplus(x)), with one exponential."""
    x, y = x[start:stop], y[start:stop]
    for i in range(x.size):
        n = exp32(MISH_END if x[i] > MISH_END else x[i])
        n *= n + TWO
        y[i] = x[i] * np.divide(n, n + TWO)


@_loop
def gelu(start, stop, x, y):
    """x (1 + erf(x / sqrt 2)) / 2."""
    x, y = x[start:stop], y[start:stop]
    for i in range(x.size):
        y[i] = HALF * x[i] * (ONE + erf32(x[i] * ROOT_HALF))


@_loop
def gelu_tanh(start, stop, x, y):
    """Its form with tanh."""
    x, y = x[start:stop], y[start:stop]
    for i in range(x.size):
        v = x[i]
        y[i] = HALF * v * (ONE + tanh32(GELU_A * (v + GELU_B * (v * v * v))))


@_loop
def sigmoid_slope(start, stop, g, y, gx):
    """g y (1 - y)."""
    g, y, gx = g[start:stop], y[start:stop], gx[start:stop]
    for i in range(g.size):
        gx[i] = g[i] * (y[i] * (ONE - y[i]))


@_loop
def tanh_slope(start, stop, g, y, gx):
    """g (1 - y^2)."""
    g, y, gx = g[start:stop], y[start:stop], gx[start:stop]
    for i in range(g.size):
        gx[i] = g[i] * ((ONE - y[i]) * (ONE + y[i]))


@_loop
def softplus_slope(start, stop, g, x, gx):
    """g sigmoid(x)."""
    g, x, gx = g[start:stop], x[start:stop], gx[start:stop]
    for i in range(g.size):
        gx[i] = g[i] * sigmoid32(x[i])


@_loop
def silu_slope(start, stop, g, x, gx):
    """g s (1 + x (1 - s)), s = sigmoid(x)."""
    g, x, gx = g[start:stop], x[start:stop], gx[start:stop]
    for i in range(g.size):
        s = sigmoid32(x[i])
        gx[i] = g[i] * (s * (ONE + x[i] * (ONE - s)))


@_loop
def mish_slope(start, stop, g, x, gx):
    """g (t + x (1 - t^2) sigmoid(x)), t = tanh(softplus(x)), in powers of n = e^x."""
    g, x, gx = g[start:stop], x[start:stop], gx[start:stop]
    for i in range(g.size):
        n = exp32(MISH_END if x[i] > MISH_END else x[i])
        square = n * (n + TWO)
        t = np.divide(square, square + TWO)
        gx[i] = g[i] * (t + x[i] * ((ONE - t) * (ONE + t)) * np.divide(n, n + ONE))


@_loop
def gelu_slope(start, stop, g, x, gx):
    """g (Phi(x) + x phi(x))."""
    g, x, gx = g[start:stop], x[start:stop], gx[start:stop]
    for i in range(g.size):
        v = x[i]
        gx[i] = g[i] * (HALF * (ONE + erf32(v * ROOT_HALF)) + v * (DENSITY * exp32(-HALF * (v * v))))


@_loop
def gelu_tanh_slope(start, stop, g, x, gx):
    """The derivative of the form with tanh."""
    g, x, gx = g[start:stop], x[start:stop], gx[start:stop]
    for i in range(g.size):
        v = x[i]
        t = tanh32(GELU_A * (v + GELU_B * (v * v * v)))
        inner = GELU_A * (ONE + GELU_C * (v * v))
        gx[i] = g[i] * (HALF * (ONE + t) + HALF * v * ((ONE - t) * (ONE + t)) * inner)


@_loop
def relu(start, stop, x, y):
    """max(x, 0)."""
    x, y = x[start:stop], y[start:stop]
    zero = ONE - ONE
    for i in range(x.size):
        y[i] = zero if x[i] <= zero else x[i]


@_loop
def relu_slope(start, stop, g, y, gx):
    """g where y > 0."""
    g, y, gx = g[start:stop], y[start:stop], gx[start:stop]
    zero = ONE - ONE
    for i in range(g.size):
        gx[i] = g[i] if y[i] > zero else zero
