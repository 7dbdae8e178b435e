"""Cases of attention. The oracle loops over batches and queries and never exponentiates a masked score."""

import numpy as np

from ...autograd.attention import attend, attention_weights, masked_softmax, scaled_dot_product_attention
from ...errors import ArgError, DTypeError, ShapeError
from ..registry import Bad, OpSpec, Sample


def _softmax_of(scores, kept):
    """Weights of one query: exponentials of the kept scores over their sum, 0 elsewhere."""
    weights = np.zeros(len(scores))
    kept = [i for i in range(len(scores)) if kept[i] and scores[i] != -np.inf]
    if kept:
        e = np.exp(scores[kept] - max(scores[kept]))
        weights[kept] = e / sum(e)
    return weights


def masked_softmax_loops(s, keep=None):
    """Row by row."""
    keep = np.broadcast_to(True if keep is None else keep, s.shape)
    y = np.zeros(s.shape)
    for row in np.ndindex(s.shape[:-1]):
        y[row] = _softmax_of(s[row], keep[row])
    return y


def attention_weights_loops(q, k, mask=None, *, scale=None, causal=False):
    """Query by query."""
    lead = np.broadcast_shapes(q.shape[:-2], k.shape[:-2])
    L, S = q.shape[-2], k.shape[-2]
    q = np.broadcast_to(q, (*lead, *q.shape[-2:]))
    k = np.broadcast_to(k, (*lead, *k.shape[-2:]))
    mask = np.broadcast_to(True if mask is None else mask, (*lead, L, S))
    weights = np.zeros((*lead, L, S))
    for index in np.ndindex(*lead, L):
        scores = np.array([q[index] @ key for key in k[index[:-1]]]) * (q.shape[-1] ** -0.5 if scale is None else scale)
        visible = mask[index] if mask.dtype == bool else np.ones(S, bool)
        scores = scores if mask.dtype == bool else scores + mask[index]
        if causal:
            visible = visible & (np.arange(S) <= index[-1])
        weights[index] = _softmax_of(scores, visible)
    return weights


def attention_loops(q, k, v, mask=None, *, scale=None, causal=False):
    """Weighted sums of the values."""
    return np.einsum("...ls,...se->...le", attention_weights_loops(q, k, mask, scale=scale, causal=causal), v)


# Samples ---------------------------------------------------------------------------------------------


def _attend_samples(rng):
    """(B, L, S, D, E): features that fill vectors and features that do not, one query, one key, more than a tile."""
    shapes = ((2, 3, 5, 16, 32), (1, 17, 4, 16, 16), (1, 1, 6, 3, 2), (2, 5, 1, 4, 4), (1, 2, 35, 32, 48),
              (3, 2, 2, 1, 1))
    samples = [Sample((rng.standard_normal((B, L, D)), rng.standard_normal((B, S, D)), rng.standard_normal((B, S, E))),
                      {"scale": D**-0.5}, f"{B, L, S, D, E}") for B, L, S, D, E in shapes]
    q, k, v = samples[0].inputs
    return samples + [Sample((q, k, v), {"scale": 0.3, "causal": True}, "causal"),
                      Sample((9 * q, 9 * k, v), {"scale": 1.0}, "large scores")]


def _samples(rng):
    r = rng.standard_normal
    q, k, v = r((2, 3, 4)), r((2, 5, 4)), r((2, 5, 3))
    seen = rng.random((2, 3, 5)) > 0.4
    seen[:, :, 0] = True
    none = seen.copy()
    none[0, 1] = False
    hidden = np.where(seen, r((2, 3, 5)), -np.inf)
    return [
        Sample((r((1, 1)), r((1, 1)), r((1, 1))), note="one token"),
        Sample((q, k, v)),
        Sample((q, k, v), {"scale": 0.7}),
        Sample((q, k, v), {"causal": True}),
        Sample((q, k, v, seen), note="boolean mask"),
        Sample((q, k, v, none), note="a query that sees nothing"),
        Sample((q, k, v, r((3, 5))), note="position bias"),
        Sample((q, k, v, hidden), note="forward only: mask with -inf"),
        Sample((q, k, v, none), {"causal": True}, "both masks"),
        Sample((r((2, 1, 3, 2)), r((3, 4, 2)), r((1, 3, 4, 2))), note="leading axes broadcast"),
        Sample((q * 1e3, k * 1e3, v), note="forward only: one weight is 1"),
        Sample((np.zeros((0, 3, 4)), np.zeros((0, 5, 4)), np.zeros((0, 5, 2))), note="empty batch"),
        Sample((q, np.zeros((2, 0, 4)), np.zeros((2, 0, 3))), note="no keys"),
    ]


def _weights_samples(rng):
    return [Sample((*s.inputs[:2], *s.inputs[3:]), s.settings, s.note) for s in _samples(rng)]


def _softmax_samples(rng):
    s = rng.standard_normal((2, 3, 4))
    keep = rng.random((2, 3, 4)) > 0.4
    keep[0, 0] = False
    return [
        Sample((rng.standard_normal(1),)),
        Sample((s,)),
        Sample((s, keep)),
        Sample((s, keep[0])),
        Sample((s, np.zeros(4, bool)), note="nothing kept"),
        Sample((s * 300,), note="forward only: large"),
        Sample((np.where(keep, s, -np.inf),), note="forward only: rows of -inf"),
        Sample((np.zeros((2, 0)),)),
    ]


# Errors ----------------------------------------------------------------------------------------------

Q, K, V = np.zeros((2, 3, 4)), np.zeros((2, 5, 4)), np.zeros((2, 5, 6))


def _errors():
    return [
        Bad((Q, np.zeros((2, 5, 3)), V), {}, ShapeError, "k has 3 features, expected 4 as q"),
        Bad((Q, K, V[:, :4]), {}, ShapeError, "v has 4 values, expected 5"),
        Bad((Q, K, V, np.zeros((3, 4))), {}, ShapeError, r"mask has shape \(3, 4\).*\(2, 3, 5\)"),
        Bad((Q, K, V, np.zeros((7, 2, 3, 5))), {}, ShapeError, r"mask has shape \(7, 2, 3, 5\)"),
        Bad((Q, K, V, np.zeros((3, 5), int)), {}, DTypeError, "mask has dtype int64, expected bool"),
        Bad((Q.astype(int), K, V), {}, DTypeError, "q has dtype int64"),
        Bad((Q[0, 0], K, V), {}, ShapeError, r"q has shape \(4,\), expected at least 2 axes"),
        Bad((Q, np.zeros((3, 5, 4)), np.zeros((3, 5, 6))), {}, ShapeError, "leading axes"),
        Bad((Q, K, V), {"scale": float("nan")}, ArgError, "scale is nan"),
    ]


def _weights_errors():
    return [Bad((*b.inputs[:2], *b.inputs[3:]), b.settings, b.error, b.match)
            for b in _errors() if "v has 4" not in b.match]


def _softmax_errors():
    s = np.zeros((2, 3))
    return [
        Bad((s, np.zeros((2, 2), bool)), {}, ShapeError, r"keep has shape \(2, 2\).*\(2, 3\)"),
        Bad((s, np.zeros((4, 2, 3), bool)), {}, ShapeError, r"keep has shape \(4, 2, 3\)"),
        Bad((s, np.zeros((2, 3), int)), {}, DTypeError, "keep has dtype int64, expected bool"),
        Bad((s.astype(int),), {}, DTypeError, "s has dtype int64"),
        Bad((np.zeros((), int),), {}, (DTypeError), "s has dtype int64"),
    ]


def specs():
    """Specs of this family."""
    return [
        OpSpec(masked_softmax, masked_softmax_loops, _softmax_samples, _softmax_errors),
        OpSpec(attention_weights, attention_weights_loops, _weights_samples, _weights_errors),
        OpSpec(attend, attention_loops, _attend_samples),
        OpSpec(scaled_dot_product_attention, attention_loops, _samples, _errors),
    ]
