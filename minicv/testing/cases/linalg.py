"""Cases of `minicv.autograd.linalg`: oracles are loops over scalar products, and defining equations."""

import numpy as np

from ...autograd import linalg
from ...errors import ArgError, ShapeError
from ..registry import Bad, OpSpec, Sample


def _matmul_ref(a, b):
    rows = a[None] if a.ndim == 1 else a
    columns = b[:, None] if b.ndim == 1 else b
    lead = np.broadcast_shapes(rows.shape[:-2], columns.shape[:-2])
    rows = np.broadcast_to(rows, lead + rows.shape[-2:])
    columns = np.broadcast_to(columns, lead + columns.shape[-2:])
    y = np.zeros(lead + (rows.shape[-2], columns.shape[-1]))
    for at in np.ndindex(*y.shape):
        for k in range(rows.shape[-1]):
            y[at] += rows[(*at[:-1], k)] * columns[(*at[:-2], k, at[-1])]
    y = y[..., 0, :] if a.ndim == 1 else y
    return y[..., 0] if b.ndim == 1 else y


MATMUL = OpSpec(
    linalg.matmul, _matmul_ref, lambda rng: [
        Sample((rng.standard_normal(a), rng.standard_normal(b))) for a, b in [
            ((2, 3), (3, 4)), ((3,), (3,)), ((1,), (1,)), ((3,), (3, 2)), ((2, 3), (3,)), ((4, 2, 3), (3, 2)),
            ((4, 2, 3), (3,)), ((3,), (2, 3, 2)), ((2, 1, 2, 3), (3, 3, 1)), ((1, 2, 3), (2, 3, 2)),
            ((2, 1), (1, 2)), ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((2, 3), (3, 0)), ((2, 0, 3), (3, 2))]]
    + [Sample((1e8 * rng.standard_normal((2, 3)), rng.standard_normal((3, 2))), note="large values; forward only")],
    lambda: [
        Bad((np.ones((2, 3)), np.ones((4, 2))), {}, ShapeError, "a has 3 columns, b has 4 rows"),
        Bad((np.ones(3), np.ones(4)), {}, ShapeError, "3 columns, b has 4"),
        Bad((np.array(2.0), np.ones(3)), {}, ShapeError, "at least one axis"),
        Bad((np.ones(3), np.array(2.0)), {}, ShapeError, "at least one axis"),
        Bad((np.ones((2, 2, 3)), np.ones((3, 3, 2))), {}, ShapeError, "do not broadcast"),
        Bad((np.ones((2, 3)), np.ones((2, 2, 2))), {}, ShapeError, "3 columns, b has 2")], rtol32=1e-5)


def einsum(*xs, subscripts):
    """`linalg.einsum` with the string as a setting."""
    return linalg.einsum(subscripts, *xs)


def _einsum_ref(*xs, subscripts):
    """NumPy's own loop, without rearrangement into matrix products."""
    return np.einsum(subscripts, *xs, optimize=False)


EINSUM = OpSpec(
    einsum, _einsum_ref, lambda rng: [
        Sample(tuple(rng.standard_normal(s) for s in shapes), dict(subscripts=subscripts))
        for subscripts, *shapes in [
            ("ij,jk->ik", (2, 3), (3, 4)), (",->", (), ()), ("i,i->", (1,), (1,)), ("ij->i", (2, 3)),
            ("ij->ji", (2, 3)), ("ij,kl->", (2, 3), (3, 2)), ("bij,bjk->bik", (2, 2, 3), (2, 3, 2)),
            ("...i,ij->...j", (2, 1, 3), (3, 2)), ("...i,...i->...", (2, 1, 3), (4, 3)), ("...,...", (2, 1), (3,)),
            ("bi,bj,ij->b", (2, 3), (2, 2), (3, 2)), ("i,i,i->i", (3,), (3,), (3,)), ("ij , jk", (2, 3), (3, 2)),
            ("ba", (2, 3)), ("ij,j->i", (0, 3), (3,)), ("ij,j->i", (2, 0), (0,)), ("nhqk,nkhd->nqhd", (1, 2, 2, 3),
                                                                                  (1, 3, 2, 2))]],
    lambda: [
        Bad((np.ones((2, 3)), np.ones((4, 2))), dict(subscripts="ij,jk->ik"), ShapeError, "'j' has size 4"),
        Bad((np.ones((2, 2)),), dict(subscripts="ii->"), ArgError, "repeats a label"),
        Bad((np.ones((2, 2)),), dict(subscripts="ij->ijk"), ArgError, "not in an operand"),
        Bad((np.ones((2, 2)),), dict(subscripts="ij,jk->ik"), ArgError, "for 2 operands, expected 1"),
        Bad((np.ones((2, 2)),), dict(subscripts="i->i"), ArgError, "expected 2"),
        Bad((np.ones((2, 2)),), dict(subscripts="i1->i"), ArgError, "lower-case"),
        Bad((np.ones((2, 2)),), dict(subscripts="ij->ii"), ArgError, "repeats a label"),
        Bad((np.ones((2, 2)),), dict(subscripts="...j->j"), ArgError, "not in the result"),
        Bad((np.ones((2, 3)), np.ones((3, 3))), dict(subscripts="...i,...i->..."), ShapeError, "size 3"),
        Bad((np.ones((2, 2)),), dict(subscripts=None), ArgError, "expected a string")],
    rtol32=1e-5)

CONTRACT = OpSpec(
    linalg.contract, lambda *xs, labels, out: np.einsum(",".join(labels) + "->" + out, *xs), lambda rng: [
        Sample(tuple(rng.standard_normal(s) for s in shapes), dict(labels=labels, out=out))
        for labels, out, *shapes in [
            (("ij", "jk"), "ik", (2, 3), (3, 2)), (("", ""), "", (), ()), (("i",), "", (1,)), (("ij",), "j", (2, 3)),
            (("Ai", "i"), "A", (2, 3), (3,)), (("ABi", "Bi"), "AB", (2, 1, 3), (4, 3)), (("i", "i"), "i", (0,), (0,)),
            (("abc", "cb"), "ac", (2, 3, 2), (2, 3))]],
    lambda: [Bad((np.ones((2, 3)), np.ones((4, 2))), dict(labels=("ij", "jk"), out="ik"), ShapeError, "'j'"),
             Bad((np.ones(2), np.ones(3)), dict(labels=("A", "A"), out="A"), ShapeError, "'A'")],
    rtol32=1e-5)


def _well_conditioned(rng, shape):
    """Matrices near a multiple of the identity: the condition number is below 10."""
    return rng.uniform(-0.5, 0.5, shape) + 2 * np.eye(shape[-1]) if shape[-1] else np.zeros(shape)


def _inv_ref(a):
    """Cramer's rule: signed minors over the determinant."""
    n = a.shape[-1]
    y = np.empty(a.shape)
    for at in np.ndindex(*a.shape[:-2]):
        for i, j in np.ndindex(n, n):
            minor = np.delete(np.delete(a[at], j, 0), i, 1)
            y[(*at, i, j)] = (-1) ** (i + j) * np.linalg.det(minor) / np.linalg.det(a[at])
    return y


_SINGULAR = np.stack([np.eye(2), np.ones((2, 2))])

INV = OpSpec(
    linalg.inv, _inv_ref, lambda rng: [Sample((_well_conditioned(rng, s),)) for s in [
        (3, 3), (1, 1), (2, 2), (2, 3, 3), (1, 2, 2, 2), (0, 2, 2), (0, 0), (4, 4)]]
    + [Sample((1e4 * _well_conditioned(rng, (2, 2)),), note="large values")],
    lambda: [
        Bad((np.ones((2, 3)),), {}, ShapeError, r"a has shape \(2, 3\)"),
        Bad((np.ones(3),), {}, ShapeError, "square"),
        Bad((np.array(1.0),), {}, ShapeError, "square"),
        Bad((np.ones((2, 2)),), {}, ArgError, "inv: a is a singular matrix, "),
        Bad((_SINGULAR,), {}, ArgError, r"singular matrix at \(1,\)"),
        Bad((np.zeros((1, 1)),), {}, ArgError, "singular")], rtol=1e-11, rtol32=1e-5)


def _solve_ref(a, b):
    columns = b[:, None] if b.ndim == 1 else b
    y = _matmul_ref(_inv_ref(a), columns)
    return y[..., 0] if b.ndim == 1 else y


SOLVE = OpSpec(
    linalg.solve, _solve_ref, lambda rng: [
        Sample((_well_conditioned(rng, a), rng.standard_normal(b))) for a, b in [
            ((3, 3), (3, 2)), ((1, 1), (1,)), ((3, 3), (3,)), ((2, 3, 3), (3,)), ((2, 3, 3), (3, 2)),
            ((2, 2, 2), (2, 2, 1)), ((2, 2), (3, 2, 1)), ((2, 1, 2, 2), (3, 2, 2)), ((0, 2, 2), (0, 2, 1)),
            ((3, 3), (3, 0))]],
    lambda: [
        Bad((np.ones((2, 3)), np.ones(2)), {}, ShapeError, r"a has shape \(2, 3\)"),
        Bad((np.eye(2), np.ones(3)), {}, ShapeError, r"b has shape \(3,\)"),
        Bad((np.eye(2), np.ones((3, 2))), {}, ShapeError, r"b has shape \(3, 2\)"),
        Bad((np.eye(2), np.array(1.0)), {}, ShapeError, r"b has shape \(\)"),
        Bad((np.ones((2, 2)), np.ones(2)), {}, ArgError, "solve: a is a singular matrix"),
        Bad((_SINGULAR, np.ones(2)), {}, ArgError, r"at \(1,\)"),
        Bad((np.stack([np.eye(2)] * 2), np.ones((3, 2, 1))), {}, ShapeError, "do not broadcast")],
    rtol=1e-11, rtol32=1e-5)


def specs():
    """One spec per op of the family."""
    return [MATMUL, EINSUM, CONTRACT, INV, SOLVE]
