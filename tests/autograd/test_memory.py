"""What the engine holds, and for how long.

Proved here: backward releases each activation and each gradient as soon as the last rule that reads it has run,
and leaves no saved array alive (A32); retain_graph keeps them; sums of gradients are taken in place only in memory
that nobody else sees, so values, leaves, targets and views never change (A3, A16); memory of a training step of a
small CNN does not grow, with the pool and without; large results come from the pool and have NumPy's layout.
"""

import gc
import tracemalloc
import weakref

import numpy as np
import pytest

from minicv import nn, optim
from minicv.autograd import Tensor, grad, op
from minicv.autograd import engine as walk
from minicv.autograd.activation import relu
from minicv.autograd.elementwise import add, exp, mul, sub, tanh, where
from minicv.autograd.engine import topological
from minicv.kernels import buffers, layout
from minicv.kernels.launch import compiler_runs, load_numba
from minicv.nn import losses

plain_python = load_numba() is not None and not compiler_runs()
trains = pytest.mark.skipif(plain_python, reason="training a convolutional network takes minutes in plain Python")


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(params=[2**20, 0], ids=["pool for large", "pool for all"])
def pooled(request, monkeypatch):
    for module in (buffers, layout):
        monkeypatch.setattr(module, "POOLED", request.param)
    monkeypatch.setattr(walk, "IN_PLACE", 0)


def leaf(*shape, seed=0):
    return Tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=True)


class Network(nn.Module):
    """Convolution, batch norm, a residual connection, pooling, linear."""

    def __init__(self):
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1, rng=0), nn.BatchNorm2d(8)
        self.second, self.last = nn.Conv2d(8, 8, 3, padding=1, rng=1), nn.Linear(8, 5, rng=2)

    def forward(self, x):
        x = relu(self.norm(self.first(x)))
        return self.last((relu(self.second(x)) + x).mean(axis=(2, 3)))


def images():
    rng = np.random.default_rng(0)
    return rng.random((4, 3, 32, 32), np.float32), rng.integers(0, 5, 4)


def training_step(network, optimizer):
    x, target = images()
    for p in network.parameters():
        p.grad = None
    loss = losses.cross_entropy(network(Tensor(x)), target)
    loss.backward()
    optimizer.step()
    return loss


# Release ----------------------------------------------------------------------------------------------------


def spy(alive, name):
    """An op x -> x whose rule notes which of the watched arrays are alive when it runs."""
    @op
    def passing(x):
        return x * 1.0

    def rule(g, y, x):
        alive[name] = {key for key, ref in alive["watched"].items() if ref() is not None}
        return g * 1.0
    return passing.vjp(rule, saves=())


def test_activations_die_during_backward_right_after_their_last_rule(no_collector):
    alive = {"watched": {}}
    x = y = leaf(4)
    for k in range(4):
        y = spy(alive, k)(y)                               # its rule runs after that of the exp behind it
        y = exp(y)
        alive["watched"][k] = weakref.ref(y._array)        # saved by exp itself and by the next spy's x * 1.0
    total = y.sum()
    del y
    total.backward()
    assert [alive[k] for k in range(4)] == [set(), {0}, {0, 1}, {0, 1, 2}]
    assert x.grad is not None


def test_gradients_die_right_after_the_rule_that_reads_them(no_collector):
    seen = []

    @op
    def watched(x):
        return x * 1.0

    def rule(g, y, x):
        assert all(ref() is None for ref in seen[:-1])     # only g itself, which came from the last one
        out = g * 2.0
        seen.append(weakref.ref(out))
        return out
    watched.vjp(rule, saves=())
    y = leaf(4)
    for _ in range(5):
        y = watched(y)
    y.sum().backward()
    assert len(seen) == 5


@pytest.mark.parametrize("way", ["backward", "grad"])
def test_A32_after_backward_no_saved_array_is_alive(way, no_collector):
    network, (x, target) = Network(), images()
    loss = losses.cross_entropy(network(Tensor(x)), target)
    nodes = topological(loss.node)
    kept = {id(p._array) for p in [*network.parameters(), *network.buffers()]}
    arrays = [a for n in nodes for a in (*n.arrays, n.y, *(n.aux or ())) if isinstance(a, np.ndarray)]
    watched = [weakref.ref(a) for a in arrays if id(a) not in kept]
    assert len(watched) > 10
    del arrays
    assert all(ref() is not None for ref in watched)
    loss.backward() if way == "backward" else grad(loss, list(network.parameters()))
    assert sum(ref() is not None for ref in watched) == 0
    assert all(n.freed and n.settings is None for n in nodes)


def test_retain_graph_keeps_what_is_saved(no_collector):
    x = leaf(3)
    y = exp(x)
    ref = weakref.ref(y._array)
    total = y.sum()
    del y
    total.backward(retain_graph=True)
    assert ref() is not None
    total.backward()
    assert ref() is None


# Sums in place ------------------------------------------------------------------------------------------------


def expected(function, *leaves):
    """Gradients by central differences."""
    out = []
    for x in leaves:
        g = np.empty(x.shape)
        for i in np.ndindex(x.shape):
            values = []
            for h in (1e-6, -1e-6):
                moved = [t.data.copy() for t in leaves]
                moved[[t is x for t in leaves].index(True)][i] += h
                values.append(function(*map(Tensor, moved)).item())
            g[i] = (values[0] - values[1]) / 2e-6
        out.append(g)
    return out


FUNCTIONS = {
    "one leaf, many uses": lambda a, b: (a * b + a * a + a + tanh(a) + a * 3.0).sum(),
    "one gradient, two arguments": lambda a, b: ((a + b) * (a + b) + (a + b)).sum(),
    "the same argument twice": lambda a, b: ((a + a) * (b - b + a)).sum(),
    "views": lambda a, b: (a.reshape(6) * b.reshape(6) + a.transpose().reshape(6) + a.reshape(6)).sum()
    + (a.transpose() * b.transpose() + a.transpose()).sum(),
    "broadcast": lambda a, b: (a[:1] * b + a[:, :1] + a).sum() + a.sum() * b.sum() + a.mean(),
    "residual": lambda a, b: (lambda y: (relu(y * b + y) + y + y * y).sum())(exp(a)),
    "pieces": lambda a, b: (a[0] * b[1] + a[1] * a[0] + where(np.array([True, False, True]), a[0], b[0])).sum()}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_A16_sums_of_gradients_are_right_and_repeat(function, pooled):
    a, b = leaf(2, 3), leaf(2, 3, seed=1)
    y = function(a, b)
    first = [g.data.copy() for g in grad(y, [a, b], retain_graph=True)]
    for g, e in zip(first, expected(function, a, b), strict=True):
        np.testing.assert_allclose(g, e, atol=1e-8)
    for _ in range(2):
        for g, again in zip(first, grad(y, [a, b], retain_graph=True), strict=True):
            np.testing.assert_array_equal(g, again.data)


def test_A3_neither_values_nor_the_cotangent_nor_earlier_gradients_change(pooled):
    a, seed = leaf(3), np.ones(3)
    cotangent = Tensor(seed)
    y = (a + a) + (a + a * a) + a
    before = y.data.copy()
    first = grad(y, [a], cotangent, retain_graph=True)[0]
    held = first.data.copy()
    y.backward(cotangent, retain_graph=True)
    shown = a.grad
    y.backward(cotangent)
    np.testing.assert_array_equal(first.data, held)
    np.testing.assert_array_equal(shown.data, held)
    np.testing.assert_array_equal(a.grad.data, 2 * held)
    np.testing.assert_array_equal(y.data, before)
    np.testing.assert_array_equal(cotangent.data, seed)


def test_a_gradient_that_a_rule_keeps_for_itself_is_not_written(pooled):
    kept = []

    @op
    def hoarding(x):
        return x * 1.0

    def rule(g, y, x):
        kept.append(g * 2.0)
        return kept[-1]
    hoarding.vjp(rule, saves=())
    x = leaf(3)
    (hoarding(x) + hoarding(x) + hoarding(x)).sum().backward()
    np.testing.assert_array_equal(x.grad.data, np.full(3, 6.0))
    assert all((g == 2).all() for g in kept)


@pytest.mark.parametrize("view", [lambda g: g[:], lambda g: g.T.T, lambda g: g[::-1]])
@pytest.mark.parametrize("keep", [lambda out, shown: out, lambda out, shown: shown])
@pytest.mark.parametrize("turn", [0, 1])
def test_what_a_rule_keeps_of_a_view_or_its_base_is_not_written(turn, keep, view, pooled):
    kept = []

    @op
    def hoarding(x):
        return x * 1.0

    def rule(g, y, x):
        out = g * 2.0
        kept.append(keep(out, view(out)))
        return out if len(kept) % 2 == turn else view(out)
    hoarding.vjp(rule, saves=())
    x = leaf(3)
    (hoarding(x) + hoarding(x) + hoarding(x) + hoarding(x)).sum().backward()
    np.testing.assert_array_equal(x.grad.data, np.full(3, 8.0))
    assert all((g == 2).all() for g in kept)


def test_the_second_gradient_is_added_into_the_first(monkeypatch):
    monkeypatch.setattr(walk, "IN_PLACE", 0)
    first, second = np.ones(3), np.ones(3)
    address = first.__array_interface__["data"][0]
    grads = {"x": first}
    del first
    total = walk._sum(grads.pop("x"), second)
    assert total.__array_interface__["data"][0] == address and (total == 2).all()
    other = total                                          # a second name
    assert walk._sum(total, second) is not other and (other == 2).all()


# A training step ------------------------------------------------------------------------------------------------


@trains
def test_A32_memory_of_a_training_step_does_not_grow(pooled, no_collector):
    network = Network()
    optimizer = optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    arrays = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
    tracemalloc.start()
    try:
        held, peaks = [], []
        for _ in range(12):
            tracemalloc.reset_peak()
            training_step(network, optimizer)
            peaks.append(tracemalloc.get_traced_memory()[1])
            traces = tracemalloc.take_snapshot().filter_traces([arrays]).traces
            held.append(sum(trace.size for trace in traces))
    finally:
        tracemalloc.stop()
    assert set(held[3:]) == {held[3]} and held[3] > 0      # bytes of array data after each step
    assert max(peaks[3:]) - min(peaks[3:]) < 2**16         # half of one activation


@trains
def test_a_step_with_the_pool_gives_the_same_bytes(monkeypatch):
    def weights(limit):
        for module in (buffers, layout):
            monkeypatch.setattr(module, "POOLED", limit)
        network = Network()
        optimizer = optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
        for _ in range(3):
            training_step(network, optimizer)
        return [p.data.tobytes() for p in network.parameters()]
    without = weights(2**62)
    assert weights(0) == without
    monkeypatch.setattr(buffers, "POISON", True)
    assert weights(0) == without


@trains
def test_large_activations_of_the_next_step_are_those_of_the_last(no_collector):
    """After a step all its blocks are idle, and the next step takes no new one."""
    x = Tensor(np.random.default_rng(0).random((8, 8, 96, 96), np.float32))
    network = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, rng=0), nn.BatchNorm2d(8), nn.ReLU())

    def step():
        (network(x) * 2.0).sum().backward()
    buffers.empty_cache()
    step()
    idle = buffers._pool.idle
    assert idle >= 3 * x.size * 4
    for _ in range(3):
        step()
        assert buffers._pool.idle == idle
    buffers.empty_cache()


# Large results ------------------------------------------------------------------------------------------------


LAYOUTS = {"C": lambda a: a, "Fortran": lambda a: np.asfortranarray(a), "gaps": lambda a: np.repeat(a, 2, 3)[..., ::2],
           "channels last": lambda a: np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)}


@pytest.mark.parametrize("lay", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("function, ufunc", [(add, np.add), (sub, np.subtract), (mul, np.multiply)])
def test_results_from_the_pool_have_the_values_type_and_order_of_numpy(lay, function, ufunc, monkeypatch):
    rng = np.random.default_rng(0)
    a = lay(rng.standard_normal((2, 3, 4, 5)).astype(np.float32))
    others = [lay(rng.standard_normal(a.shape)), rng.standard_normal((5,)).astype(np.float32), 2.5, np.float64(2),
              lay(np.ones(a.shape, bool)), np.arange(5), a]
    plain = [ufunc(a, b) for b in others if not (ufunc is np.subtract and np.asarray(b).dtype == bool)]
    monkeypatch.setattr(layout, "POOLED", 0)
    monkeypatch.setattr(buffers, "POOLED", 0)
    taken = [function(a, b) for b in others if not (ufunc is np.subtract and np.asarray(b).dtype == bool)]
    for x, y in zip(plain, taken, strict=True):
        np.testing.assert_array_equal(x, y)
        assert x.dtype == y.dtype and x.strides == y.strides and buffers.owns_memory(y)


def test_integers_broadcast_memory_and_small_arrays_are_left_to_numpy(monkeypatch):
    assert layout.room(np.ones(3), 2.0) is None and layout.room(2.0, 3.0) is None
    monkeypatch.setattr(layout, "POOLED", 0)
    assert layout.room(np.ones(3, int), np.ones(3, int)) is None
    assert layout.room(np.broadcast_to(1.0, (3, 3))) is None
    assert layout.room(np.ones((3, 1)), np.ones(3)) is None          # nobody shows the order of the result
    assert layout.room(np.ones((3, 3)), np.ones(3)).shape == (3, 3)
