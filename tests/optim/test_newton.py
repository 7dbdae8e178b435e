"""Newton's method and L-BFGS: exact on quadratics, the known values on Rosenbrock's function, refusals."""

import numpy as np
import pytest

from minicv.autograd import Tensor
from minicv.errors import ArgError, DivergenceError, LimitError, ShapeError
from minicv.optim import (
    Parabola,
    best_lr,
    canyon,
    descend,
    finite_hessian,
    hessian_bytes,
    lbfgs,
    newton,
    newton_1d,
    newton_update,
    rosenbrock,
    sgd_update,
)
from minicv.optim.lbfgs import two_loops

pytestmark = pytest.mark.ch1


def bowl(k, seed=0):
    """A convex quadratic with condition number 1000 and its minimum."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((k, k)))[0]
    A, b = Q @ np.diag(np.geomspace(1, 1000, k)) @ Q.T, rng.standard_normal(k)
    return (lambda x: (x @ Tensor(A) * x).sum() * 0.5 - (x * b).sum()), A, b


@pytest.mark.parametrize("a, b, x", [(2.0, -3.0, 10.0), (0.01, 5.0, -4.0), (123.0, 0.0, 1e3)])
def test_any_parabola_is_solved_in_one_step(a, b, x):
    assert newton_1d(x, a * x + b, a) == pytest.approx(-b / a, abs=1e-12)


def test_on_a_fourth_power_each_step_keeps_two_thirds():
    x = 3.0
    for t in range(1, 30):
        x = newton_1d(x, 4 * x**3, 12 * x**2)
        assert x == pytest.approx(3.0 * (2 / 3) ** t, rel=1e-14)


@pytest.mark.parametrize("slope, curvature", [(1.0, 0.0), (1.0, np.nan), (1.0, np.inf), (np.nan, 1.0)])
def test_no_vertex_is_refused(slope, curvature):
    with pytest.raises(ArgError, match="newton_1d: slope is"):
        newton_1d(0.0, slope, curvature)


def test_a_maximum_is_approached_only_on_request():
    with pytest.raises(ArgError, match="maximum"):
        newton_1d(1.0, 2.0, -2.0)
    assert newton_1d(1.0, 2.0, -2.0, allow_saddle=True) == 2.0


def test_the_parabola_touches_and_its_vertex_is_the_next_point():
    p = Parabola(x=3.0, value=81.0, slope=108.0, curvature=108.0)                     # x^4 at 3
    h = 1e-5
    assert p(3.0) == 81 and (p(3 + h) - p(3 - h)) / (2 * h) == pytest.approx(108)
    assert p.vertex == 2.0 and p(2.0) < p(2.0 + h) and p(2.0) < p(2.0 - h)


@pytest.mark.parametrize("hessian, atol", [("autograd", 1e-12), ("finite", 1e-8)])
def test_a_quadratic_in_20_dimensions_takes_one_step(hessian, atol):
    f, A, b = bowl(20)
    thetas, values = newton(f, np.ones(20), steps=1, hessian=hessian)
    np.testing.assert_allclose(thetas[1], np.linalg.solve(A, b), atol=atol)
    assert values[1] < values[0]


def test_damped_or_shortened_steps_are_not_exact_on_a_quadratic():
    f, A, b = bowl(5)
    exact = np.linalg.solve(A, b)
    half = newton(f, np.ones(5), steps=3, lr=0.5)[0]
    np.testing.assert_allclose(half[3] - exact, (half[0] - exact) / 8, atol=1e-12)     # 1 - lr each step
    damped = newton(f, np.ones(5), steps=1, damping=7.0)[0]
    curvatures, Q = np.linalg.eigh(A)
    np.testing.assert_allclose(Q.T @ (damped[1] - damped[0]), -Q.T @ (A @ np.ones(5) - b) / (curvatures + 7), rtol=1e-9)


@pytest.mark.parametrize("hessian", ["autograd", "finite"])
def test_rosenbrock_from_the_classical_start(hessian):
    values = newton(rosenbrock().value, np.array([-1.2, 1.0]), steps=6, hessian=hessian)[1]
    assert [f"{v:.3g}" for v in values[1:5]] == ["4.73", "1.41e+03", "0.056", "0.313"]
    assert values[5] == pytest.approx(1.9e-11, rel=0.05) and values[6] < 1e-18
    if hessian == "autograd":
        assert f"{values[2]:.0f}" == "1412" and f"{values[6]:.1e}" == "3.4e-20"


def test_the_step_leads_to_a_saddle_where_there_is_one():
    g, H = np.array([2.0, -4.0]), np.diag([2.0, -2.0])                                 # x^2 - y^2 at (1, 2)
    np.testing.assert_array_equal(newton_update(np.array([1.0, 2.0]), g, H), [0, 0])


@pytest.mark.parametrize("H", [np.ones((2, 2)), np.zeros((2, 2)), np.array([[1.0, 2], [2, 4 + 1e-15]]),
                               np.array([[1.0, np.nan], [np.nan, 1]])])
def test_singular_hessians_are_refused_and_damping_helps(H):
    with pytest.raises(ArgError, match="newton_update: H"):
        newton_update(np.ones(2), np.array([1.0, -1.0]), H)
    if np.isfinite(H).all():
        assert np.isfinite(newton_update(np.ones(2), np.array([1.0, -1.0]), H, damping=0.1)).all()


def test_badly_conditioned_is_not_singular():
    H = np.diag([1.0, 1e-10])
    np.testing.assert_allclose(newton_update(np.zeros(2), np.ones(2), H), [-1, -1e10], rtol=1e-12)


@pytest.mark.parametrize("theta, g, H", [
    (np.ones(2), np.ones(2), np.ones((2, 3))), (np.ones(2), np.ones(3), np.eye(2)),
    (np.ones((2, 1)), np.ones((2, 1)), np.eye(2)),
])
def test_shapes_must_fit(theta, g, H):
    with pytest.raises(ShapeError, match="square"):
        newton_update(theta, g, H)


def test_too_many_parameters_are_refused_with_the_byte_count_before_any_work():
    called = []
    with pytest.raises(LimitError, match=r"newton: theta has 2001 .*, expected at most 2000; .* 3\.2e\+07 bytes"):
        newton(called.append, np.zeros(2001), steps=1)
    assert not called and hessian_bytes(2001, np.float64) == 2001 * 2001 * 8


@pytest.mark.parametrize("options", [{"hessian": "exact"}, {"damping": -1.0}, {"lr": 0.0}])
def test_newton_refuses_bad_options(options):
    with pytest.raises(ArgError):
        newton(bowl(3)[0], np.ones(3), steps=1, **options)
    with pytest.raises(ShapeError):
        newton(bowl(3)[0], np.ones((3, 1)), steps=1)


def test_finite_hessian_matches_the_closed_form():
    point = np.array([-1.2, 1.0])
    np.testing.assert_allclose(finite_hessian(rosenbrock().value, point), rosenbrock().hessian(point), rtol=1e-7)


# L-BFGS ------------------------------------------------------------------------------------------------


def test_two_loops_equal_the_bfgs_matrices():
    """Against the definition: H <- (I - r s y')H(I - r y s') + r s s', started from (s'y/y'y) I."""
    rng = np.random.default_rng(0)
    A = np.diag([1.0, 3, 10, 30])
    pairs = [(s, A @ s) for s in rng.standard_normal((3, 4))]
    s, y = pairs[-1]
    H = np.eye(4) * (s @ y) / (y @ y)
    for s, y in pairs:
        r = 1 / (s @ y)
        H = (np.eye(4) - r * np.outer(s, y)) @ H @ (np.eye(4) - r * np.outer(y, s)) + r * np.outer(s, s)
    g = rng.standard_normal(4)
    np.testing.assert_allclose(two_loops(g, pairs), -H @ g, rtol=1e-12)


def test_lbfgs_solves_an_ill_conditioned_bowl_where_gradient_descent_crawls():
    A = bowl(20)[1]
    thetas, values = lbfgs(lambda x: (x @ A * x).sum() * 0.5, np.ones(20), steps=400)
    np.testing.assert_allclose(thetas[-1], 0, atol=1e-9)
    assert len(thetas) < 400 and (np.diff(values) < 0).all()
    crawl = np.ones(20)
    for _ in range(400):
        crawl, _ = sgd_update(crawl, A @ crawl, {}, lr=best_lr(A))
    assert np.abs(crawl).max() > 0.1


def test_lbfgs_follows_the_valley_of_rosenbrock():
    thetas, _ = lbfgs(rosenbrock().value, np.array([-1.2, 1.0]), steps=200)
    np.testing.assert_allclose(thetas[-1], 1, atol=1e-8)
    assert len(thetas) < 60


def test_lbfgs_refuses():
    f = bowl(3)[0]
    with pytest.raises(ShapeError):
        lbfgs(f, np.ones((3, 1)), steps=1)
    with pytest.raises(ArgError):
        lbfgs(f, np.ones(3), steps=1, memory=0)
    with pytest.raises(DivergenceError, match="start"):
        lbfgs(f, np.full(3, np.nan), steps=1)


def test_newton_beats_descent_in_the_canyon():
    run = descend(canyon(50), sgd_update, (10.0, 1.0), 100, lr=0.02)
    assert run.values[-1] > 0.1
    step = newton_update(np.array([10.0, 1.0]), np.array([10.0, 50.0]), canyon(50).hessian(None))
    np.testing.assert_allclose(step, 0, atol=1e-12)
