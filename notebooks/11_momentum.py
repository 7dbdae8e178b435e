# %% [markdown]
# # 11 Momentum
#
# **After this lesson you can** say why a velocity helps in a canyon and against noise, choose its two numbers for a
# quadratic, write Nesterov's variant with and without the look-ahead gradient, and read the momentum of any library
# without being caught by its convention. About 10 s on two cores.

# %% [markdown]
# ## Goal and sources
#
# Gradient descent forgets everything after each step. In a canyon that is a waste: the steps across it cancel, those
# along it agree, and only a memory can tell.
#
# * B. Polyak, *Some methods of speeding up the convergence of iteration methods*, USSR Comp. Math. 4, 1964.
# * Y. Nesterov, *A method of solving a convex programming problem with convergence rate O(1/k²)*, 1983.
# * I. Sutskever et al., *On the importance of initialization and momentum in deep learning*, ICML 2013.
# * Y. Bengio et al., *Advances in optimizing recurrent networks*, ICASSP 2013: the form without look-ahead.
#
# In the library: `minicv/optim/sgd.py` (pure updates and the optimizer), `landscapes.py`, `descent.py`.

# %%
import matplotlib.pyplot as plt
import numpy as np

from minicv.autograd import Tensor
from minicv.experiments import asked_preset
from minicv.experiments.ch1.momentum import momentum, nesterov, nesterov_fused
from minicv.optim import (
    SGD,
    below,
    best_lr,
    best_momentum,
    canyon,
    descend,
    momentum_torch_update,
    momentum_update,
    nesterov_fused_update,
    nesterov_update,
    sgd_update,
    sphere,
    two_basins,
)
from minicv.plot import PALETTE, figure_style, paths_player

# %% [markdown]
# ## Derive
#
# ### A sum with a memory
#
# The velocity collects the steps and forgets them slowly:
#
# $$v_{t+1} = \mu v_t - \eta g_t, \qquad \theta_{t+1} = \theta_t + v_{t+1}, \qquad 0 \le \mu < 1. \tag{1}$$
#
# Unrolled, $v_{t+1} = -\eta \sum_{k=0}^{t} \mu^k g_{t-k}$. The weights add up to
#
# $$\sum_{k \ge 0} \mu^k = \frac{1}{1-\mu}, \tag{2}$$
#
# so a steady gradient is followed with the effective rate $\eta/(1-\mu)$: ten times the rate for $\mu = 0.9$.
#
# > **Notes, paper, code (E1.3).** The velocity is often called a weighted *average* of past steps. It is a weighted
# > *sum*: an average would have weights that add up to one. Polyak and PyTorch both use the sum.

# %%
START = (10.0, 1.0)
theta, state = np.zeros(1), {}
for _ in range(300):
    theta, state = momentum_update(theta, np.ones(1), state, lr=1.0, momentum=0.9)
assert np.isclose(-state["v"][0], 1 / (1 - 0.9))                                         # (2)
print(f"step under a constant gradient of 1: {-state['v'][0]:.4f} times the rate")

# %% [markdown]
# ### A low-pass filter
#
# Let the gradients be noise with variance $s^2$, independent from step to step. The normalised velocity
# $(1-\mu)\sum_k \mu^k g_{t-k}$ has variance
#
# $$s^2 (1-\mu)^2 \sum_k \mu^{2k} = s^2\,\frac{(1-\mu)^2}{1-\mu^2} = s^2\,\frac{1-\mu}{1+\mu}, \tag{3}$$
#
# that is $0.0526\,s^2$ for $\mu = 0.9$: as if the batch were nineteen times larger. What changes slowly passes, what
# flickers is averaged away.

# %%
rng = np.random.default_rng(0)
noise, smooth, state = rng.standard_normal((5000, 100)), [], {}
for g in noise:
    _, state = momentum_update(np.zeros(100), g, state, lr=0.1, momentum=0.9)
    smooth.append(-state["v"])                                                            # lr = 1 - mu normalises
variance = np.var(smooth[200:])
assert abs(variance - (1 - 0.9) / (1 + 0.9)) < 0.05 * 0.0526                             # (3)
print(f"variance 1 of the noise becomes {variance:.4f}")

# %% [markdown]
# How fast is "flickers"? A gradient that oscillates as $e^{i\omega t}$ comes out multiplied by
#
# $$|G(\omega)| = \Big|\frac{1-\mu}{1-\mu e^{-i\omega}}\Big|. \tag{4}$$
#
# A constant ($\omega = 0$) passes unchanged; the fastest possible change, a sign flip in every step
# ($\omega = \pi$, the zigzag of a canyon), is damped to $(1-\mu)/(1+\mu)$: the same 0.0526.

# %%
omega = np.linspace(0, np.pi, 200)
state, flips = {}, []
for t in range(400):
    _, state = momentum_update(np.zeros(1), np.array([(-1.0) ** t]), state, lr=0.1, momentum=0.9)
    flips.append(abs(state["v"][0]))
assert np.isclose(flips[-1], (1 - 0.9) / (1 + 0.9))                                       # (4) at omega = pi

with figure_style():
    fig, ax = plt.subplots(figsize=(5.4, 2.8), dpi=80)
for k, coefficient in enumerate((0.5, 0.9, 0.99)):
    gain = np.abs((1 - coefficient) / (1 - coefficient * np.exp(-1j * omega)))
    ax.semilogy(omega / (2 * np.pi), gain, ("-", "--", "-.")[k], color=PALETTE[k], label=rf"$\mu$ = {coefficient}")
ax.set(xlabel="frequency of the gradient (cycles per step)", ylabel="gain", title="The velocity is a low-pass filter")
ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
plt.show()

# %% [markdown]
# ### The best two numbers for a quadratic
#
# Along an axis of curvature $\lambda$ the update (1) is a linear recursion of second order,
# $\theta_{t+1} = (1 + \mu - \eta\lambda)\,\theta_t - \mu\,\theta_{t-1}$, with the characteristic equation
#
# $$z^2 - (1 + \mu - \eta\lambda)\,z + \mu = 0. \tag{5}$$
#
# The product of its roots is $\mu$. While they are complex both have size $\sqrt\mu$, whatever the curvature: every
# axis shrinks at the same pace. They are complex as long as $(1-\sqrt\mu)^2 < \eta\lambda < (1+\sqrt\mu)^2$. Let the
# smallest and largest curvature $m$ and $L$ sit on the two ends, and with $\kappa = L/m$
#
# $$\eta = \Big(\frac{2}{\sqrt L + \sqrt m}\Big)^2, \qquad
#   \mu = \Big(\frac{\sqrt\kappa - 1}{\sqrt\kappa + 1}\Big)^2. \tag{6}$$
#
# Each step then shrinks the error by $\sqrt\mu \approx 1 - 2/\sqrt\kappa$; gradient descent at its best rate manages
# only $1 - 2/\kappa$. The number of steps grows like $\sqrt\kappa$ instead of $\kappa$.

# %%
H = canyon(50).hessian(None)
lr, mu = best_momentum(H)
assert np.isclose(lr, (2 / (np.sqrt(50) + 1)) ** 2) and np.isclose(mu, ((np.sqrt(50) - 1) / (np.sqrt(50) + 1)) ** 2)
for curvature in np.linspace(1.001, 49.99, 40):
    roots = np.roots([1, -(1 + mu - lr * curvature), mu])
    assert np.allclose(np.abs(roots), np.sqrt(mu))                                        # (5): one pace for all axes
print(f"canyon with kappa = 50: lr = {lr:.4f}, mu = {mu:.3f}, factor {np.sqrt(mu):.3f} a step")

# %% [markdown]
# ### Nesterov: look first, then correct
#
# After adding $\mu v$ the gradient at $\theta$ is out of date. Nesterov's method asks where the velocity leads *before*
# it evaluates the gradient:
#
# $$v_{t+1} = \mu v_t - \eta\,\nabla f(\theta_t + \mu v_t), \qquad \theta_{t+1} = \theta_t + v_{t+1}. \tag{7}$$
#
# A gradient at a point that is not $\theta$ is awkward in a training loop. Take $\phi = \theta + \mu v$ as the variable
# that is stored. Then $\phi_{t+1} = \theta_{t+1} + \mu v_{t+1} = \theta_t + (1+\mu) v_{t+1}$, and with
# $\theta_t = \phi_t - \mu v_t$
#
# $$v_{t+1} = \mu v_t - \eta\,\nabla f(\phi_t), \qquad
#   \phi_{t+1} = \phi_t - \mu v_t + (1+\mu)\,v_{t+1}. \tag{8}$$
#
# The gradient is now taken where the parameters are. This is the form of every library; the weights it holds are
# $\phi$, a little ahead of $\theta$. Written with PyTorch's velocity $b = -v/\eta$ it is
# $b \leftarrow \mu b + g$, $\phi \leftarrow \phi - \eta\,(g + \mu b)$.
#
# What does looking ahead change? Along an axis of curvature $\lambda$ the gradient in (7) is
# $\lambda(\theta + \mu v)$, so
#
# $$v_{t+1} = \mu\,(1 - \eta\lambda)\, v_t - \eta\lambda\,\theta_t. \tag{9}$$
#
# It is momentum with the coefficient $\mu(1-\eta\lambda)$: **extra friction exactly where the curvature is large.** Across
# the canyon the ball is braked, along it it rolls as before.

# %%
theta, v = 0.7, -0.2
for curvature in (1.0, 50.0):
    bowl = canyon(curvature)
    _, ahead = nesterov_update(np.array([0.0, theta]), bowl.gradient, {"v": np.array([0.0, v])}, lr=0.01, momentum=0.9)
    assert np.isclose(ahead["v"][1], 0.9 * (1 - 0.01 * curvature) * v - 0.01 * curvature * theta)    # (9)

# %% [markdown]
# ## Check by hand
#
# ### Steps to one millionth
#
# The tables of the chapter: steps until $f < 10^{-6}$ on the sphere from (10, 5) and in the canyon from (10, 1).


# %%
def steps(landscape, update, start, **options):
    return descend(landscape, update, start, 5000, until=below(1e-6), **options).steps


assert [steps(sphere(), sgd_update, (10.0, 5.0), lr=lr) for lr in (1, 0.5, 0.1, 0.01)] == [1, 13, 86, 894]
assert steps(sphere(), momentum_update, (10.0, 5.0), lr=0.1, momentum=0.5) == 19
assert steps(sphere(), momentum_update, (10.0, 5.0), lr=0.01, momentum=0.9) == 130
assert steps(sphere(), nesterov_update, (10.0, 5.0), lr=0.1, momentum=0.5) == 34

table = {"SGD, lr 2/51": steps(canyon(50), sgd_update, START, lr=best_lr(H)),
         "momentum, (6)": steps(canyon(50), momentum_update, START, lr=lr, momentum=mu),
         "momentum, 0.02, 0.9": steps(canyon(50), momentum_update, START, lr=0.02, momentum=0.9),
         "Nesterov, 0.02, 0.752": steps(canyon(50), nesterov_update, START, lr=0.02, momentum=0.752),
         "Nesterov, 0.02, 0.9": steps(canyon(50), nesterov_update, START, lr=0.02, momentum=0.9)}
assert list(table.values()) == [227, 46, 153, 75, 110]
for name, count in table.items():
    print(f"{name:24s}{count:5d} steps")

# %% [markdown]
# ### Two conventions
#
# > **Notes, paper, code (E1.10).** In (1) the rate is *inside* the velocity. PyTorch keeps it outside:
# > $b \leftarrow \mu b + g$, $\theta \leftarrow \theta - \eta b$. With a constant rate both give the same points. When
# > the rate drops, PyTorch's velocity shrinks at once; in (1) the old, long steps live on for a while.


# %%
def apart(schedule):
    """Largest distance of the two conventions in 100 steps."""
    a, b, va, vb, far = np.array(START), np.array(START), {}, {}, 0.0
    for t in range(100):
        a, va = momentum_update(a, canyon(50).gradient(a), va, lr=schedule(t), momentum=0.9)
        b, vb = momentum_torch_update(b, canyon(50).gradient(b), vb, lr=schedule(t), momentum=0.9)
        far = max(far, np.abs(a - b).max())
    return far


assert apart(lambda t: 0.01) < 1e-12
assert apart(lambda t: 0.01 if t < 50 else 0.001) > 0.1

# %% [markdown]
# ### The fused form is the same method

# %%
theta = phi = np.array(START)
look, fused = {}, {}
for _ in range(200):
    theta, look = nesterov_update(theta, canyon(50).gradient, look, lr=0.01, momentum=0.9)
    phi, fused = nesterov_fused_update(phi, canyon(50).gradient(phi), fused, lr=0.01, momentum=0.9)
    assert np.abs(phi - (theta + 0.9 * look["v"])).max() < 1e-12                           # (8) is (7)

plain = descend(canyon(50), sgd_update, START, 100, lr=0.03).points
assert (plain == descend(canyon(50), nesterov_update, START, 100, lr=0.03, momentum=0.0).points).all()   # mu = 0

# %% [markdown]
# ## Use the library
#
# The optimizer changes parameters in place; its step is the fused, compiled twin of the pure function above.

# %%
p, phi, fused = Tensor(START, requires_grad=True, dtype=np.float64), np.array(START), {}
optimizer = SGD([p], lr=0.01, momentum=0.9, nesterov=True)
for _ in range(50):
    optimizer.zero_grad()
    (0.5 * (p * p * np.array([1.0, 50.0])).sum()).backward()
    optimizer.step()
    phi, fused = nesterov_fused_update(phi, canyon(50).gradient(phi), fused, lr=0.01, momentum=0.9)
    assert np.allclose(p.data, phi, rtol=0, atol=1e-12)
print("after 50 steps:", p.data)

# %% [markdown]
# ### The ball on the landscape
#
# **Player (three balls).** Rest the pointer on a point for its step, its place and its value.

# %%
runs = {"SGD": descend(canyon(50), sgd_update, START, 60, lr=0.02),
        "momentum": descend(canyon(50), momentum_update, START, 60, lr=lr, momentum=mu),
        "Nesterov": descend(canyon(50), nesterov_update, START, 60, lr=0.02, momentum=0.752)}
assert runs["SGD"].values[-1] > runs["Nesterov"].values[-1] > runs["momentum"].values[-1]
paths_player((canyon(50), (-11, 11), (-2.8, 2.8), {name: run.points for name, run in runs.items()}), size=(5.8, 3.0),
             levels=5, steps=[0, 1, 2, 3, 5, 8, 12, 20, 30, 60],
             title="SGD, momentum and Nesterov in a canyon of condition number 50")

# %% [markdown]
# ## Experiment
#
# ### Sphere and canyon
#
# **Figure 1.1.** Plain SGD and momentum on a sphere, both with rate 0.1, and in a canyon, each with its best numbers. In
# both momentum arrives first, although in the canyon its path swings wider.


# %%
def show(draw, dpi):
    draw().set_dpi(dpi)
    plt.show()


report = momentum(asked_preset()).check()
figure_1_1, sweep, low_pass, basins = report.figures.values()
show(figure_1_1, 80)
assert report.metrics["sphere_steps_0.1_0.5"] == 19 and report.metrics["canyon_steps_best"] == 46
assert report.metrics["canyon_steps_0.02_0.9"] == 153 and report.metrics["canyon_steps_0.005_0.9"] == 165

# %% [markdown]
# ### Steps over the condition number
#
# The point of this lesson in one picture: both methods at their best numbers, condition numbers from 1 to 6400. In a
# double logarithmic plot a power law is a line, and its exponent is the slope: 1 for SGD and 1/2 for momentum. The
# fitted exponent of momentum lies a little off one half: at both ends of (6) the roots of (5) coincide, and the error
# there shrinks like $t\,(\sqrt\mu)^t$.

# %%
show(sweep, 85)
print(f"exponent of SGD {report.metrics['exponent_sgd']:.3f}, of momentum {report.metrics['exponent_momentum']:.3f}")
hard = canyon(1000.0)
best = best_momentum(hard.hessian(None))
slow = descend(hard, sgd_update, START, 100_000, until=below(1e-6), lr=best_lr(hard.hessian(None))).steps
fast = descend(hard, momentum_update, START, 100_000, until=below(1e-6), lr=best[0], momentum=best[1]).steps
print(f"condition number 1000: SGD {slow} steps, momentum {fast}")
assert 15 < slow / fast < np.sqrt(1000)

# %% [markdown]
# ### Noise
#
# Equation (3) on the noise of the experiment: the same mean, a twentieth of the variance. (The price is a delay of about
# $1/(1-\mu)$ steps.)

# %%
show(low_pass, 80)
assert abs(report.metrics["noise_variance"] - 0.0526) < 0.05 * 0.0526

# %% [markdown]
# ### Wide and narrow basins
#
# **Figure (wide and narrow basin).** $0.05\,(x-4)^2 - e^{-((x+1)/0.35)^2}$ from $x = -4$ at the rate 0.05. SGD stops in
# the first, narrow basin at $-0.9693$ where $f = 0.242$. With $\mu = 0.9$ the ball is fast enough to roll through and
# ends at 4 with $f = 0$.

# %%
show(basins, 80)
two = two_basins()
narrow = descend(two, sgd_update, (-4.0,), 3000, lr=0.05)
assert abs(narrow.points[-1, 0] + 0.9693) < 1e-4 and abs(narrow.values[-1] - 0.242) < 1e-3

coefficients, ends = np.round(np.arange(0.0, 0.96, 0.05), 2), {}
for name, update in {"momentum": momentum_update, "Nesterov": nesterov_update}.items():
    ends[name] = np.array([descend(two, update, (-4.0,), 3000, lr=0.05, momentum=c).points[-1, 0] for c in coefficients])
    escaped = ends[name] > 0
    print(f"{name} rolls through from mu = {coefficients[escaped.argmax()]} on")
    assert not escaped[0] and escaped[coefficients == 0.9] and np.allclose(ends[name][escaped], 4, atol=1e-6)
    assert (np.diff(escaped.astype(int)) >= 0).all()                                      # one threshold

# %% [markdown]
# This is the sense in which momentum "prefers wide basins": a basin is left if the velocity carries the ball over its
# rim. It is an intuition from one dimension, not a theorem; a wide basin behind which a better narrow one lies would be
# preferred just the same.
#
# ### Looking ahead
#
# **Figure 1.2.** One step of momentum and of Nesterov from the same point with the same velocity. Momentum adds the
# gradient step of where it *is*; Nesterov that of where the velocity leads, which here points back more strongly: the
# brake of (9).

# %%
report = nesterov(asked_preset()).check()
geometry, figure_1_3 = report.figures.values()
show(geometry, 80)
theta, state = np.array(START), {}
for _ in range(3):
    theta, state = momentum_update(theta, canyon(50).gradient(theta), state, lr=0.012, momentum=0.9)
drift = 0.9 * state["v"]
here, ahead = canyon(50).gradient(theta)[1], canyon(50).gradient(theta + drift)[1]
assert abs(ahead) > abs(here) and here * drift[1] > 0                                     # against the drift, and stronger

# %% [markdown]
# **Figure 1.3.** SGD, momentum and Nesterov in the canyon at the same rate 0.02 and $\mu = 0.9$. Nesterov's path swings
# less and is below momentum's loss most of the time: 110 against 153 steps to $10^{-6}$, and 439 for SGD.

# %%
show(figure_1_3, 80)
assert report.metrics["canyon_steps_0.02_0.9"] == 110 and report.metrics["canyon_steps_0.005_0.9"] == 117

# %% [markdown]
# **The two variables of Nesterov's method.** $\theta$ of (7) and the point $\phi = \theta + \mu v$ that a library holds:
# different paths, the same method.

# %%
report = nesterov_fused(asked_preset()).check()
(variables,) = report.figures.values()
figure = variables()
figure.set_dpi(80)
figure.axes[0].set(xlim=(3, 11), ylim=(-0.7, 0.7))
plt.show()
assert report.metrics["apart_from_look_ahead"] < 1e-12 and report.metrics["apart_from_class"] < 1e-12

# %% [markdown]
# ## Exercises
#
# **1.** Show with (5) that momentum diverges for $\eta\lambda > 2(1 + \mu)$, and check it on a parabola.
#
# <details><summary>Answer</summary>
#
# For $z = -1$ equation (5) reads $1 + (1 + \mu - \eta\lambda) + \mu = 0$, that is $\eta\lambda = 2(1+\mu)$; beyond it
# one root lies outside the unit circle. With $\mu = 0.9$ the limit is 3.8.
#
# ```python
# for rate, converges in ((3.79, True), (3.81, False)):
#     run = descend(sphere(), momentum_update, (1.0, 0.0), 400, lr=rate, momentum=0.9)
#     assert (run.values[-1] < 1) == converges
# ```
#
# </details>
#
# **2.** Why does a warm start of the velocity, $v_0 = -\eta g_0/(1-\mu)$, not help in a canyon?
#
# <details><summary>Answer</summary>
#
# The first gradient points across the canyon. A full velocity in that direction is the largest possible swing.
#
# ```python
# warm = {"v": -0.02 * canyon(50).gradient(np.array(START)) / (1 - 0.9)}
# x, _ = momentum_update(np.array(START), canyon(50).gradient(np.array(START)), warm, lr=0.02, momentum=0.9)
# assert abs(x[1]) > 8 * START[1]
# ```
#
# </details>
#
# **3.** With a rate that drops to a tenth, which convention has the shorter next step?
#
# <details><summary>Answer</summary>
#
# PyTorch's: its effective step follows the rate at once. In (1) the velocity still holds steps of the old length, which
# decay only by $\mu$ per step.
#
# ```python
# lengths = []
# for update in (momentum_update, momentum_torch_update):
#     x, state = np.zeros(1), {}
#     for _ in range(100):
#         x, state = update(x, np.ones(1), state, lr=0.1, momentum=0.9)
#     lengths.append(abs(update(x, np.ones(1), state, lr=0.01, momentum=0.9)[0] - x)[0])
# assert lengths[0] > 8 * lengths[1]
# ```
#
# </details>
