"""The steps of the optimizers in place: one pass over parameter, gradient and state.

Each loop does the arithmetic of its `*_update` function element by element; its NumPy twin does it
on blocks that stay in the cache. Both round in the same order, so they agree to the last bit.
Arguments are flat arrays of one dtype and float scalars. Two habits let the compiler use vector
instructions: a loop over a slice from 0 needs no test for negative positions, and `np.divide`, unlike
``/``, never raises.
"""

import numpy as np

from ..kernels.launch import example, kernel

BLOCK = 1 << 13             # elements a twin works on at a time: parameter, gradient and state stay in the cache


def flat(*arrays):
    """One-dimensional views of dense arrays, in memory order."""
    return [a.ravel(order="K") for a in arrays]


def pieces(*arrays):
    """Matching flat views of the arrays, `BLOCK` elements at a time, and a scratch array as last one.

    arrays : dense, of one shape and one memory order
    """
    arrays = flat(*arrays)
    scratch = np.empty(min(BLOCK, arrays[0].size), arrays[0].dtype)
    for i in range(0, arrays[0].size, BLOCK):
        views = [a[i:i + BLOCK] for a in arrays]
        yield *views, scratch[:views[0].size]


# Gradient descent ----------------------------------------------------------------------------------------


def sgd_numpy(theta, g, lr, weight_decay):
    """theta -= lr (g + weight_decay theta)."""
    for a, d, w in pieces(theta, g):
        np.multiply(a, weight_decay, out=w)
        w += d
        w *= lr
        a -= w


@kernel(twin=sgd_numpy, out="theta")
def sgd_step(start, stop, theta, g, lr, weight_decay):
    """theta -= lr (g + weight_decay theta)."""
    real = theta.dtype.type
    rate, decay = real(lr), real(weight_decay)
    theta, g = theta[start:stop], g[start:stop]
    for i in range(theta.size):
        theta[i] -= rate * (g[i] + decay * theta[i])


def momentum_numpy(theta, g, b, lr, momentum, kept, weight_decay, ahead, along):
    """b = momentum b + kept g; theta -= lr (ahead g + along b), with the L2 penalty in g."""
    for a, d, v, w in pieces(theta, g, b):
        np.multiply(a, weight_decay, out=w)
        w += d
        v *= momentum
        v += w * kept
        w *= ahead
        w += along * v
        w *= lr
        a -= w


@kernel(twin=momentum_numpy, out="theta b")
def momentum_step(start, stop, theta, g, b, lr, momentum, kept, weight_decay, ahead, along):
    """(ahead, along) is (0, 1) for the heavy ball and (1, momentum) for Nesterov's form."""
    real = theta.dtype.type
    rate, mu, new, decay = real(lr), real(momentum), real(kept), real(weight_decay)
    direct, past = real(ahead), real(along)
    theta, g, b = theta[start:stop], g[start:stop], b[start:stop]
    for i in range(theta.size):
        d = g[i] + decay * theta[i]
        velocity = mu * b[i] + new * d
        b[i] = velocity
        theta[i] -= rate * (direct * d + past * velocity)


# Adaptive rates --------------------------------------------------------------------------------------------


def scaled_numpy(theta, g, s, lr, keep, new, eps, weight_decay):
    """s = keep s + new g g; theta -= lr g / (sqrt(s) + eps), with the L2 penalty in g."""
    for a, d, history, w in pieces(theta, g, s):
        d = d + weight_decay * a
        history *= keep
        np.multiply(d, new, out=w)
        w *= d
        history += w
        np.sqrt(history, out=w)
        w += eps
        d *= lr
        np.divide(d, w, out=w)
        a -= w


@kernel(twin=scaled_numpy, out="theta s")
def scaled_step(start, stop, theta, g, s, lr, keep, new, eps, weight_decay):
    """(keep, new) is (1, 1) for AdaGrad and (beta, 1 - beta) for RMSProp."""
    real = theta.dtype.type
    rate, old, fresh, small, decay = real(lr), real(keep), real(new), real(eps), real(weight_decay)
    theta, g, s = theta[start:stop], g[start:stop], s[start:stop]
    for i in range(theta.size):
        d = g[i] + decay * theta[i]
        history = old * s[i] + fresh * d * d
        s[i] = history
        theta[i] -= np.divide(rate * d, np.sqrt(history) + small)


def adam_numpy(theta, g, m, s, b1, b2, c1, c2, lr, eps, weight_decay, shrink):
    """Moments, then theta = shrink theta - lr (m/c1) / (sqrt(s/c2) + eps), with the L2 penalty in g."""
    for a, d, first, second, w in pieces(theta, g, m, s):
        moments_numpy(d + weight_decay * a, first, second, w, b1, b2)
        a *= shrink
        a -= lr * direction_numpy(first, second, w, c1, c2, eps)


def moments_numpy(g, m, s, w, b1, b2):
    """m and s become their next moving averages; w is scratch."""
    m *= b1
    m += np.multiply(g, 1 - b1, out=w)
    s *= b2
    np.multiply(g, 1 - b2, out=w)
    w *= g
    s += w


def direction_numpy(m, s, w, c1, c2, eps):
    """(m/c1) / (sqrt(s/c2) + eps), in the scratch array w."""
    np.divide(s, c2, out=w)
    np.sqrt(w, out=w)
    w += eps
    return np.divide(m / c1, w, out=w)


@kernel(twin=adam_numpy, out="theta m s")
def adam_step(start, stop, theta, g, m, s, b1, b2, c1, c2, lr, eps, weight_decay, shrink):
    """c1, c2 are 1 - b1^t, 1 - b2^t; `shrink` is 1 except for AdamW."""
    real = theta.dtype.type
    keep1, new1, keep2, new2 = real(b1), real(1 - b1), real(b2), real(1 - b2)
    debias1, debias2, small = real(c1), real(c2), real(eps)
    rate, decay, kept = real(lr), real(weight_decay), real(shrink)
    theta, g, m, s = theta[start:stop], g[start:stop], m[start:stop], s[start:stop]
    for i in range(theta.size):
        d = g[i] + decay * theta[i]
        first = keep1 * m[i] + new1 * d
        second = keep2 * s[i] + new2 * d * d
        m[i], s[i] = first, second
        root = np.sqrt(np.divide(second, debias2)) + small
        theta[i] = kept * theta[i] - rate * np.divide(np.divide(first, debias1), root)


@example
def _compile(dtype):
    theta, g, m, s = np.zeros((4, 2), dtype)
    sgd_step(2, theta, g, 0.1, 0.0)
    momentum_step(2, theta, g, m, 0.1, 0.9, 1.0, 0.0, 0.0, 1.0)
    scaled_step(2, theta, g, s, 0.1, 1.0, 1.0, 1e-8, 0.0)
    adam_step(2, theta, g, m, s, 0.9, 0.999, 0.1, 0.001, 0.1, 1e-8, 0.0, 1.0)
