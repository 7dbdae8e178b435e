# %% [markdown]
# # 1.3 Momentum
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
from minicv.plot import PALETTE, Player, figure_style, plot_contours, plot_path

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
# ### The best two numbers for a quadratic
#
# Along an axis of curvature $\lambda$ the update (1) is a linear recursion of second order,
# $\theta_{t+1} = (1 + \mu - \eta\lambda)\,\theta_t - \mu\,\theta_{t-1}$, with the characteristic equation
#
# $$z^2 - (1 + \mu - \eta\lambda)\,z + \mu = 0. \tag{4}$$
#
# The product of its roots is $\mu$. While they are complex both have size $\sqrt\mu$, whatever the curvature: every
# axis shrinks at the same pace. They are complex as long as $(1-\sqrt\mu)^2 < \eta\lambda < (1+\sqrt\mu)^2$. Let the
# smallest and largest curvature $m$ and $L$ sit on the two ends, and with $\kappa = L/m$
#
# $$\eta = \Big(\frac{2}{\sqrt L + \sqrt m}\Big)^2, \qquad
#   \mu = \Big(\frac{\sqrt\kappa - 1}{\sqrt\kappa + 1}\Big)^2. \tag{5}$$
#
# Each step then shrinks the error by $\sqrt\mu \approx 1 - 2/\sqrt\kappa$; gradient descent at its best rate manages
# only $1 - 2/\kappa$. The number of steps grows like $\sqrt\kappa$ instead of $\kappa$.

# %%
H = canyon(50).hessian(None)
lr, mu = best_momentum(H)
assert np.isclose(lr, (2 / (np.sqrt(50) + 1)) ** 2) and np.isclose(mu, ((np.sqrt(50) - 1) / (np.sqrt(50) + 1)) ** 2)
for curvature in np.linspace(1.001, 49.99, 40):
    roots = np.roots([1, -(1 + mu - lr * curvature), mu])
    assert np.allclose(np.abs(roots), np.sqrt(mu))                                        # (4): one pace for all axes
print(f"canyon with kappa = 50: lr = {lr:.4f}, mu = {mu:.3f}, factor {np.sqrt(mu):.3f} a step")

# %% [markdown]
# ### Nesterov: look first, then correct
#
# After adding $\mu v$ the gradient at $\theta$ is out of date. Nesterov's method asks where the velocity leads *before*
# it evaluates the gradient:
#
# $$v_{t+1} = \mu v_t - \eta\,\nabla f(\theta_t + \mu v_t), \qquad \theta_{t+1} = \theta_t + v_{t+1}. \tag{6}$$
#
# A gradient at a point that is not $\theta$ is awkward in a training loop. Take $\phi = \theta + \mu v$ as the variable
# that is stored. Then $\phi_{t+1} = \theta_{t+1} + \mu v_{t+1} = \theta_t + (1+\mu) v_{t+1}$, and with
# $\theta_t = \phi_t - \mu v_t$
#
# $$v_{t+1} = \mu v_t - \eta\,\nabla f(\phi_t), \qquad
#   \phi_{t+1} = \phi_t - \mu v_t + (1+\mu)\,v_{t+1}. \tag{7}$$
#
# The gradient is now taken where the parameters are. This is the form of every library; the weights it holds are
# $\phi$, a little ahead of $\theta$.

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
         "momentum, (5)": steps(canyon(50), momentum_update, START, lr=lr, momentum=mu),
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
    assert np.abs(phi - (theta + 0.9 * look["v"])).max() < 1e-12                           # (7) is (6)

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

# %%
runs = {"SGD": descend(canyon(50), sgd_update, START, 60, lr=0.02),
        "momentum": descend(canyon(50), momentum_update, START, 60, lr=lr, momentum=mu),
        "Nesterov": descend(canyon(50), nesterov_update, START, 60, lr=0.02, momentum=0.752)}
assert runs["SGD"].values[-1] > runs["Nesterov"].values[-1] > runs["momentum"].values[-1]


def frame(t):
    with figure_style():
        fig, ax = plt.subplots(figsize=(4.6, 2.2))
    plot_contours(canyon(50), (-11, 11), (-2.2, 2.2), levels=5, log=True, resolution=60, ax=ax)
    for i, (name, run) in enumerate(runs.items()):
        plot_path(run.points[:t + 1], label=name, color=PALETTE[i], ax=ax)
    ax.legend(frameon=False, fontsize=7, loc="upper left")
    ax.set(xlabel="$x_1$", ylabel="$x_2$")
    return fig


shown = [0, 1, 2, 4, 8, 16, 30, 60]
frames = [frame(t) for t in shown]
plt.close("all")
labels = [f"after {t} steps: " + ", ".join(f"{n} f = {r.values[t]:.2g}" for n, r in runs.items()) for t in shown]
Player(frames, title="SGD, momentum and Nesterov in a canyon of condition number 50", labels=labels, width=560)

# %% [markdown]
# ## Experiment
#
# ### Sphere, canyon, noise and basins
#
# **Figure 1.1**: plain SGD and momentum on a sphere and in a canyon; then the steps over the condition number, the
# noise filter (3), and two basins: with velocity the ball rolls out of the narrow one.


# %%
def show(draw, dpi=58):
    draw().set_dpi(dpi)
    plt.show()


report = momentum(asked_preset()).check()
for draw in report.figures.values():
    show(draw)
print({name: round(float(value), 4) for name, value in list(report.metrics.items())[-8:]})

# %% [markdown]
# The two lines of the second picture are the point of this lesson: on a problem that is ten thousand times steeper in
# one direction than in another, momentum needs about a hundred times fewer steps. The fitted exponent of momentum lies
# a little above one half: at the double root on both ends of (5) the error shrinks like $t\,(\sqrt\mu)^t$.

# %%
narrow = descend(two_basins(), sgd_update, (-4.0,), 3000, lr=0.05).points[-1, 0]
wide = [descend(two_basins(), update, (-4.0,), 3000, lr=0.05, momentum=0.9).points[-1, 0]
        for update in (momentum_update, nesterov_update)]
assert abs(narrow + 0.9693) < 1e-4 and np.allclose(wide, 4, atol=1e-9)
print(f"SGD stays in the narrow basin at {narrow:.4f}; momentum and Nesterov end at {wide[0]:.4f}, {wide[1]:.4f}")

# %% [markdown]
# ### Looking ahead
#
# **Figure 1.2**: one step of momentum and of Nesterov from the same point with the same velocity. **Figure 1.3**: SGD,
# momentum and Nesterov in the canyon at the same rate.

# %%
report = nesterov(asked_preset()).check()
for draw in report.figures.values():
    show(draw)
report = nesterov_fused(asked_preset()).check()
assert report.passed

# %% [markdown]
# ## Exercises
#
# **1.** Show with (4) that momentum diverges for $\eta\lambda > 2(1 + \mu)$, and check it on a parabola.
#
# <details><summary>Answer</summary>
#
# For $z = -1$ equation (4) reads $1 + (1 + \mu - \eta\lambda) + \mu = 0$, that is $\eta\lambda = 2(1+\mu)$; beyond it
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
