"""Indexing against NumPy on drawn indices, adjointness, stability of sorting, copies of index arrays.

Values, gradients and errors of every op come from the cases in `minicv/testing/cases/index.py`.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minicv.autograd import Tensor, grad
from minicv.autograd.index import embedding, getitem, one_hot, plain_key, scatter_add, sort, take_along_axis, topk
from minicv.errors import ArgError, DTypeError, MinicvError

SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4)


@st.composite
def arrays_and_indices(draw):
    """An array of distinct values and a valid index: basic, whole rows, integer arrays, masks, and mixtures."""
    shape = draw(SHAPES)
    kind = draw(st.sampled_from(["basic", "rows", "integers", "mask", "mixed"]))
    if kind == "basic":
        index = draw(hnp.basic_indices(shape, allow_newaxis=True))
    elif kind == "rows":
        index = draw(hnp.arrays(np.int64, hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=4),
                                elements=st.integers(-shape[0], shape[0] - 1)))
    elif kind == "integers":
        index = draw(hnp.integer_array_indices(shape))
    elif kind == "mask":
        ndim = draw(st.integers(1, len(shape)))
        index = draw(hnp.arrays(bool, shape[:ndim]))
    else:
        length = draw(st.integers(0, 4))
        index = tuple(draw(st.one_of(st.just(slice(None)), st.integers(-n, n - 1), hnp.arrays(
            np.int64, length, elements=st.integers(-n, n - 1)))) for n in shape)
    return np.arange(float(np.prod(shape))).reshape(shape), index


@settings(max_examples=300, deadline=None)
@given(arrays_and_indices())
def test_any_index_gives_what_NumPy_gives_and_its_adjoint(case):
    """<x[i], g> = <x, scatter_add(g, i)>, and the gradient is the second factor."""
    x, index = case
    t = Tensor(x, requires_grad=True)
    y = t[index]
    np.testing.assert_array_equal(y.data, x[index])
    g = np.random.default_rng(0).integers(-4, 5, y.shape).astype(float)
    back = scatter_add(g, index=plain_key(index), shape=x.shape)
    assert (y.data * g).sum() == (x * back).sum()
    np.testing.assert_array_equal(grad(y, [t], g)[0].data, back)


@settings(max_examples=200, deadline=None)
@given(SHAPES, st.data())
def test_an_index_is_refused_exactly_when_NumPy_refuses_it(shape, data):
    entry = st.one_of(st.integers(-6, 6), st.slices(5), st.none(), st.just(Ellipsis),
                      hnp.arrays(np.int64, st.integers(0, 3), elements=st.integers(-5, 5)),
                      hnp.arrays(bool, st.integers(1, 4)))
    index = tuple(data.draw(st.lists(entry, max_size=4)))
    x = np.zeros(shape)
    try:
        expected = x[index]
    except IndexError:
        with pytest.raises(MinicvError):
            getitem(x, index=index)
    else:
        if expected.size == 0 and any(isinstance(key, np.ndarray) and key.size for key in index):
            return              # NumPy does not look at positions when nothing is picked; getitem does
        assert getitem(x, index=index).shape == expected.shape


def test_indices_of_many_types():
    x = Tensor(np.arange(12.0).reshape(3, 4), requires_grad=True)
    for index in ([0, 2], [[0, 2], [1, 1]], np.int32([2, 0]), np.uint8([2]), Tensor(np.array([1, 2])), np.int64(1),
                  Tensor(1), [True, False, True], Tensor(np.array([True, True, False])), ([0, 1], slice(1, 3)),
                  [], (Ellipsis, None, 0), np.array(2)):
        key = plain_key(index)
        np.testing.assert_array_equal(x[index].data, x.data[key])
        assert grad(x[index], [x], np.ones(x[index].shape))[0].data.sum() == x[index].size


def test_a_float32_gradient_adds_many_small_terms_exactly():
    """R6: sums are taken in float64; in float32, 2**24 + 1 would stick at 2**24."""
    g = np.full(2**16, 1 + 2**-12, np.float32)
    g[0] = 2**24
    total = scatter_add(g, index=np.zeros(len(g), np.int64), shape=(1,))
    exact = np.float32(np.sum(g, dtype=np.float64))
    assert total.dtype == np.float32 and total[0] == exact
    rows = scatter_add(np.stack([g, -g], axis=1), index=np.ones(len(g), np.int64), shape=(3, 2))
    assert rows.dtype == np.float32 and rows.tolist() == [[0, 0], [exact, -exact], [0, 0]]


def test_scatter_add_of_integers_stays_integer():
    y = scatter_add(np.array([1, 2, 3]), index=np.array([1, 1, 0]), shape=(2,))
    assert y.dtype == np.int64 and y.tolist() == [3, 3]
    y = scatter_add(np.array([[1, 2], [3, 4]]), index=np.array([-1, 1]), shape=(2, 2))
    assert y.dtype == np.int64 and y.tolist() == [[0, 0], [4, 6]]


def test_take_along_axis_agrees_with_NumPy_and_copies_its_index():
    rng = np.random.default_rng(0)
    x = Tensor(rng.standard_normal((3, 5)), requires_grad=True)
    index = rng.integers(0, 5, (3, 2))
    y = take_along_axis(x, index, axis=1)
    np.testing.assert_array_equal(y.data, np.take_along_axis(x.data, index, 1))
    kept = index.copy()
    index[...] = 0
    expected = np.zeros((3, 5))
    for i, j in np.ndindex(kept.shape):
        expected[i, kept[i, j]] += 1
    np.testing.assert_array_equal(grad(y, [x], np.ones((3, 2)))[0].data, expected)


def test_the_gradient_of_an_embedding_counts_the_uses_of_a_row():
    weight, ids = Tensor(np.ones((4, 2)), requires_grad=True), Tensor(np.array([[3, 1], [3, 3]]))
    g, = grad(embedding(weight, ids).sum(), [weight])
    np.testing.assert_array_equal(g.data[:, 0], [0, 1, 0, 3])


@settings(max_examples=100, deadline=None)
@given(hnp.arrays(np.int64, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5),
                  elements=st.integers(0, 3)), st.booleans(), st.data())
def test_D8_sorting_is_stable_and_ties_take_the_lower_index_first(x, descending, data):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    values, indices = sort(x, axis=axis, descending=descending)
    sign = -1 if descending else 1
    lines, found = np.moveaxis(x, axis, -1), np.moveaxis(indices, axis, -1)
    for at in np.ndindex(lines.shape[:-1]):
        line = lines[at].tolist()
        assert found[at].tolist() == sorted(range(len(line)), key=lambda i: (sign * line[i], i))
    np.testing.assert_array_equal(values, np.take_along_axis(x, indices, axis))


def test_topk_is_the_head_of_sort():
    x = np.random.default_rng(0).integers(0, 4, (3, 7)).astype(float)
    for largest in (True, False):
        for k in range(8):
            values, indices = topk(x, k=k, axis=1, largest=largest)
            v, i = sort(x, axis=1, descending=largest)
            np.testing.assert_array_equal(values, v[:, :k])
            np.testing.assert_array_equal(indices, i[:, :k])


def test_NaN_sorts_as_the_largest_value():
    x = np.array([1.0, np.nan, 3.0])
    assert sort(x)[1].tolist() == [0, 2, 1] and sort(x, descending=True)[1].tolist() == [1, 2, 0]


def test_the_gradient_of_topk_reaches_only_the_chosen():
    x = Tensor(np.array([3.0, 1.0, 2.0, 3.0]), requires_grad=True)
    values, indices = topk(x, k=2)
    assert indices.tolist() == [0, 3]
    assert grad(values, [x], np.array([5.0, 7.0]))[0].data.tolist() == [5, 0, 0, 7]


def test_one_hot_of_tensors_and_the_ignore_label():
    assert one_hot(Tensor(np.array([1])), num_classes=2).data.tolist() == [[0, 1]]
    with pytest.raises(ArgError, match="labels is -1"):
        one_hot(np.array([0, -1]), num_classes=2)


def test_out_of_range_names_value_and_axis_on_Tensors():
    with pytest.raises(ArgError, match=r"index on axis 1 is 9 .*within \[-4, 4\)"):
        Tensor(np.ones((3, 4)))[:, 9]
    with pytest.raises(DTypeError, match="axis 0 has dtype float64"):
        Tensor(np.ones((3, 4)))[[0.5]]


def test_iterating_and_unpacking_a_tensor():
    x = Tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    a, _, c = x
    assert grad((a * c).sum(), [x])[0].data.tolist() == [[4, 5], [0, 0], [0, 1]]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint64"])
def test_small_index_types_have_gradients_on_long_axes(dtype):
    ids = np.array([1, 2, 2], dtype)
    for shape in [(300,), (300, 2), (70000,)]:
        w = Tensor(np.ones(shape), requires_grad=True)
        (g,) = grad(getitem(w, index=ids).sum(), [w])
        np.testing.assert_array_equal(g.data, np.bincount(ids, minlength=shape[0]).reshape(-1, *[1] * (len(shape) - 1))
                                      * np.ones(shape))
