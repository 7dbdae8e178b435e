"""Matrix products, Einstein sums, inverse and linear systems."""

import functools

import numpy as np

from ..errors import ArgError, ShapeError
from ..kernels import product
from .engine import expand
from .op import array, op


def _rows(v):
    """v (..., K) as matrices of one row (..., 1, K)."""
    return v.reshape(v.shape[:-1] + (1,) + v.shape[-1:])


def _columns(v):
    """v (..., M) as matrices of one column (..., M, 1)."""
    return v.reshape(v.shape + (1,))


def _turned(a):
    """Matrices transposed."""
    return a.swapaxes(-1, -2)


# Product ----------------------------------------------------------------------------------------------


@op(broadcast=True)
def matmul(a, b, *, kept=False):
    """Matrix product over the last two axes, leading axes broadcast: (..., M, K) @ (..., K, N) -> (..., M, N).

    A 1-D argument is a row on the left, a column on the right, and its axis is absent from the result. ShapeError
    for scalars and for inner sizes that differ. `kept` says that b is a parameter (or a view of one) that will be used
    again unchanged, as in inference: what is prepared from it is then remembered.

    >>> matmul(np.ones((5, 2, 3)), np.ones(3)).shape
    (5, 2)
    """
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        raise ShapeError(f"matmul: a and b have shapes {np.shape(a)} and {np.shape(b)}, expected at least one axis")
    inner = b.shape[-2] if b.ndim > 1 else b.shape[0]
    if a.shape[-1] != inner:
        raise ShapeError(f"matmul: a has {a.shape[-1]} columns, b has {inner} rows, expected equal sizes "
                         f"(shapes {a.shape} and {b.shape})")
    if b.ndim == 2 and a.ndim > 2:                         # one large product is faster than many small ones
        return product.matmul(a.reshape(-1, inner) if inner else a, b, kept=kept).reshape(*a.shape[:-1], b.shape[1])
    try:
        return np.matmul(a, b) if 1 in (a.ndim, b.ndim) else product.matmul(a, b, kept=kept)
    except ValueError:
        raise ShapeError(f"matmul: leading axes of a {a.shape} and b {b.shape} do not broadcast") from None


def _left_rule(g, y, a, b, kept=False):
    """ga = g b^T."""
    if b.ndim == 1:                                        # (..., M) and (K,): outer product
        return _columns(g) * b
    if a.ndim == 1:                                        # (..., N) and (..., K, N)
        return matmul(b, _columns(g)).sum(axis=-1)
    return matmul(g, _turned(b))


def _right_rule(g, y, a, b, kept=False):
    """gb = a^T g; for one matrix b under many a, the sum over them is one large product."""
    if a.ndim == 1:
        return _columns(a) * _rows(g) if b.ndim > 1 else a * g
    if b.ndim == 1:
        return matmul(_rows(g), a).sum(axis=-2)
    if b.ndim == 2 and a.ndim > 2:
        rows = g.size // g.shape[-1] if g.shape[-1] else 0
        if rows:
            return _outer_sum(a.reshape(rows, a.shape[-1]), g.reshape(rows, g.shape[-1]), b)
    return _outer_sum(a, g, b)


def _outer_sum(a, g, b):
    """a^T g; where b lies by columns, as the weight of a linear layer does, so does the result."""
    by_columns = b.ndim == 2 and array(b).flags.f_contiguous
    return _turned(matmul(_turned(g), a)) if by_columns else matmul(_turned(a), g)


matmul.vjp(_left_rule, _right_rule)


# Einstein sum -----------------------------------------------------------------------------------------


def einsum(subscripts, *xs):
    """Sum of products over repeated labels: ``einsum("bij,bjk->bik", x, y)`` is a batched matrix product.

    Parameters
    ----------
    subscripts : str
        One letter per axis of each operand, operands separated by commas; labels absent from the part behind
        ``->`` are summed over. Without ``->`` the labels that occur once remain, in alphabetical order.
        ``...`` stands for leading axes that broadcast.
    *xs : Tensors or arrays

    Raises
    ------
    ArgError
        For a malformed string, and for a label twice in one operand or in the result (diagonals and traces).
    ShapeError
        When a label has two sizes.

    >>> einsum("ij,j->i", np.ones((2, 3)), np.ones(3))
    array([3., 3.])
    """
    labels, out = _parse(subscripts, [np.ndim(x) if not hasattr(x, "ndim") else x.ndim for x in xs])
    return contract(*xs, labels=labels, out=out)


@op(broadcast=True)
def contract(*xs, labels, out):
    """`einsum` with explicit letters: `labels` has one string per operand, `out` is that of the result.

    Capital letters are the leading axes behind ``...``; along these a size of 1 broadcasts.
    """
    _check_sizes(xs, labels)
    return np.einsum(",".join(labels) + "->" + out, *xs, optimize=len(xs) > 1)


def _contract_rule(g, y, xs, needs, labels, out):
    """The gradient of one operand is the product of g and the others, summed over what that operand lacks."""
    grads = []
    for k, need in enumerate(needs):
        others = [i for i in range(len(xs)) if i != k]
        names = [out, *(labels[i] for i in others)]
        grads.append(_gradient_of(xs[k], labels[k], names, [g, *(xs[i] for i in others)]) if need else None)
    return grads


def _gradient_of(x, own, names, factors):
    known = "".join(c for c in own if any(c in name for name in names))
    part = contract(*factors, labels=tuple(names), out=known)
    if known == own:
        return part
    # A label that only x has was summed over: its gradient is the same all along that axis.
    sizes = dict(zip(known, part.shape, strict=True))
    kept = part.reshape(tuple(sizes.get(c, 1) for c in own))
    return expand(kept, shape=tuple(sizes.get(c, n) for c, n in zip(own, x.shape, strict=True)))


contract.vjp_all(_contract_rule, saves=("all",))


@functools.lru_cache(maxsize=256)
def _parse_cached(subscripts, ndims):
    terms, arrow, out = subscripts.replace(" ", "").partition("->")
    terms = terms.split(",")
    if len(terms) != len(ndims):
        raise ArgError(f"einsum: subscripts is {subscripts!r} for {len(terms)} operands, expected {len(ndims)}")
    lead = max((n - len(t.replace("...", "")) for t, n in zip(terms, ndims, strict=True) if "..." in t), default=0)
    batch = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:max(lead, 0)]
    labels = tuple(_explicit(subscripts, t, n, batch) for t, n in zip(terms, ndims, strict=True))
    if not arrow:
        joined = "".join(terms).replace("...", "")
        out = batch + "".join(sorted(c for c in set(joined) if joined.count(c) == 1))
    else:
        out = _explicit(subscripts, out, len(batch) + len(out.replace("...", "")) if "..." in out else len(out), batch)
    if missing := set(out + batch) - set("".join(labels)) | (set(batch) - set(out)):
        raise ArgError(f"einsum: subscripts is {subscripts!r}: {sorted(missing)} of the result not in an operand, "
                       "or '...' not in the result")
    return labels, out


def _explicit(subscripts, term, ndim, batch):
    """One term with ``...`` replaced by the letters of its leading axes, aligned at the right."""
    named = term.replace("...", "", 1)
    if named and not (named.isascii() and named.isalpha() and named.islower()):
        raise ArgError(f"einsum: subscripts is {subscripts!r}, expected lower-case letters, ',', '->' and '...'")
    if len(set(named)) < len(named):
        raise ArgError(f"einsum: subscripts is {subscripts!r}: term {term!r} repeats a label, expected each once; "
                       "diagonals and traces are not supported")
    lead = ndim - len(named)
    if lead < 0 or (lead and "..." not in term):
        raise ArgError(f"einsum: subscripts is {subscripts!r}: term {term!r} has {len(named)} labels, "
                       f"expected {ndim}, the number of axes")
    return term.replace("...", batch[len(batch) - lead:])


def _parse(subscripts, ndims):
    if not isinstance(subscripts, str):
        raise ArgError(f"einsum: subscripts is {subscripts!r}, expected a string")
    return _parse_cached(subscripts, tuple(ndims))


def _check_sizes(xs, labels):
    sizes = {}
    for k, (x, own) in enumerate(zip(xs, labels, strict=True)):
        for label, n in zip(own, np.shape(x), strict=True):
            if label.isupper() and (n == 1 or sizes.get(label) == 1):
                sizes[label] = max(n, sizes.get(label, 1)) if n else 0
            elif sizes.setdefault(label, n) != n:
                raise ShapeError(f"einsum: label {label!r} has size {n} in operand {k}, expected {sizes[label]}")


# Inverse and linear systems ---------------------------------------------------------------------------


def _check_square(function, a):
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(f"{function}: a has shape {a.shape}, expected square matrices (..., M, M)")


def _raise_singular(function, a):
    """Name the first matrix without an inverse."""
    singular = np.linalg.matrix_rank(np.where(np.isfinite(a), a, 0)) < a.shape[-1]
    at = tuple(int(i) for i in np.argwhere(singular)[0]) if singular.any() else ()
    where = f" at {at}" if at else ""
    raise ArgError(f"{function}: a is a singular matrix{where}, expected an invertible one") from None


@op
def inv(a):
    """Inverse of square matrices a (..., M, M). ArgError for a singular one. Prefer `solve` to ``inv(a) @ b``.

    From ``a y = 1``: dy = -y da y, so the rule is ``-y^T g y^T``.

    >>> inv(np.array([[2.0, 0.0], [0.0, 4.0]]))
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    _check_square("inv", a)
    try:
        return np.linalg.inv(a)
    except np.linalg.LinAlgError:
        _raise_singular("inv", a)


inv.vjp(lambda g, y, a: -matmul(matmul(_turned(y), g), _turned(y)), saves=("y",))


@op(broadcast=True)
def solve(a, b):
    """y with ``a y = b`` for a (..., M, M) and b (M,) or (..., M, K), leading axes broadcast.

    From ``a dy = db - da y``: ``gb = a^-T g`` and ``ga = -gb y^T``. ArgError for a singular a. As in NumPy 2 only a
    1-D b is a vector; write a stack of vectors as (..., M, 1).

    >>> solve(np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([2.0, 2.0]))
    array([1. , 0.5])
    """
    _check_square("solve", a)
    size = b.shape[0 if b.ndim == 1 else -2] if b.ndim else 0
    if b.ndim == 0 or size != a.shape[-1]:
        raise ShapeError(f"solve: b has shape {b.shape}, expected ({a.shape[-1]},) or (..., {a.shape[-1]}, K)")
    try:
        return np.linalg.solve(a, b)
    except np.linalg.LinAlgError:
        _raise_singular("solve", a)
    except ValueError:
        raise ShapeError(f"solve: leading axes of a {a.shape} and b {b.shape} do not broadcast") from None


def _solve_right(g, y, a, b):
    if b.ndim == 1:
        return solve(_turned(a), _columns(g)).sum(axis=-1)
    return solve(_turned(a), g)


def _solve_left(g, y, a, b):
    gb = _solve_right(g, y, a, b)
    return -_columns(gb) * _rows(y) if b.ndim == 1 else -matmul(gb, _turned(y))


solve.vjp(_solve_left, _solve_right, saves=("a", "y"))
