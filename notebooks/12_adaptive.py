# %% [markdown]
# # 1.4 Adaptive learning rates
#
# **After this lesson you can** derive AdaGrad, RMSProp, Adam and AdamW from one another, say what each repairs and what
# it breaks, bound the length of Adam's steps, and tell two meanings of "weight decay" apart. About 15 s on two cores.

# %% [markdown]
# ## Goal and sources
#
# One rate for all parameters is a compromise between the steepest and the flattest of them. The methods of this lesson
# give every parameter its own rate, from nothing but the history of its gradients.
#
# * J. Duchi, E. Hazan, Y. Singer, *Adaptive subgradient methods*, JMLR 12, 2011: AdaGrad.
# * T. Tieleman, G. Hinton, *Lecture 6.5*, Coursera 2012: RMSProp.
# * D. Kingma, J. Ba, *Adam: a method for stochastic optimization*, ICLR 2015.
# * I. Loshchilov, F. Hutter, *Decoupled weight decay regularization*, ICLR 2019: AdamW.
#
# In the library: `minicv/optim/adagrad.py`, `adam.py`, `groups.py`, `ema.py`, `clip.py`, `schedules.py`.

# %%
import matplotlib.pyplot as plt
import numpy as np

from minicv.autograd import Tensor
from minicv.errors import ArgError
from minicv.experiments import asked_preset
from minicv.experiments.ch1.adamw import adam_l2, adamw
from minicv.experiments.ch1.adaptive import adagrad, adam, rmsprop
from minicv.nn import BatchNorm2d, Conv2d, Linear, ReLU, Sequential
from minicv.optim import (
    EMA,
    AdamW,
    RMSProp,
    adagrad_update,
    adam_direction,
    adam_update,
    adamw_update,
    canyon,
    clip_grad_norm,
    decay_groups,
    descend,
    momentum_update,
    rmsprop_update,
    sgd_update,
)

# %% [markdown]
# ## Derive
#
# ### What an axis needs
#
# On $f = \tfrac12 \sum_i \lambda_i w_i^2$ the best rate of axis $i$ alone is $1/\lambda_i$. The gradient is
# $g_i = \lambda_i w_i$, so its typical size tells $\lambda_i$: divide by it. AdaGrad divides by the root of the sum of
# all squares so far,
#
# $$s_t = s_{t-1} + g_t^2, \qquad \theta_t = \theta_{t-1} - \frac{\eta}{\sqrt{s_t} + \varepsilon}\, g_t
#   \qquad\text{(element by element)}. \tag{1}$$
#
# Under a constant gradient $s_t = t g^2$, and the step has length
#
# $$\eta\,\frac{|g|}{\sqrt{t}\,|g|} = \frac{\eta}{\sqrt t}. \tag{2}$$
#
# The size of the gradient has dropped out, and the steps shrink for ever, whether or not the minimum is near.
#
# > **Notes, paper, code (E1.12).** $s$ is said to increase monotonically. It never *decreases*: where the gradient is
# > zero it stays as it is.


# %%
def walk(update, gradients, **options):
    """Steps of an update under a given sequence of gradients, and its last state."""
    theta, state, out = np.zeros(np.shape(gradients[0])), {}, []
    for g in gradients:
        new, state = update(theta, np.asarray(g, float), state, **options)
        out.append(theta - new)
        theta = new
    return np.array(out), state


START = (10.0, 1.0)
taken, _ = walk(adagrad_update, [7.0] * 100, lr=0.1)
assert np.allclose(taken, 0.1 / np.sqrt(np.arange(1, 101)))                               # (2)
_, state = walk(adagrad_update, [1.0, 0.0, 0.0], lr=0.1)
assert state["s"] == 1.0                                                                  # E1.12

# %% [markdown]
# ### Forget the past: RMSProp
#
# An exponential average instead of the sum keeps the scale and forgets the age:
#
# $$s_t = \beta s_{t-1} + (1-\beta)\, g_t^2, \qquad 0 \le \beta < 1. \tag{3}$$
#
# Now the step under a constant gradient *tends to* $\eta$ and never shrinks. Close to the minimum that is too long: the
# iterates end in a cycle whose size is about $\eta$.
#
# > **Notes, paper, code (E1.8).** Decay constants are often said to lie in $[0, 1]$. At 1 nothing new would ever enter
# > the average: all of $\mu, \beta, \beta_1, \beta_2$ lie in $[0, 1)$, and the library refuses 1.

# %%
taken, _ = walk(rmsprop_update, [0.003] * 200, lr=0.1)
assert np.isclose(taken[-1], 0.1, rtol=1e-4)
try:
    RMSProp([Tensor(1.0, requires_grad=True)], beta=1.0)
except ArgError as error:
    print(error)
else:
    raise AssertionError("beta = 1 was accepted")

# %% [markdown]
# ### Adam
#
# Average the gradient, too, and divide both averages by the sum of their weights, which is $1 - \beta^t$ after $t$ steps:
#
# $$m_t = \beta_1 m_{t-1} + (1-\beta_1) g_t, \quad s_t = \beta_2 s_{t-1} + (1-\beta_2) g_t^2, \quad
#   \hat m_t = \frac{m_t}{1-\beta_1^t}, \quad \hat s_t = \frac{s_t}{1-\beta_2^t},$$
#
# $$\theta_t = \theta_{t-1} - \eta\,\frac{\hat m_t}{\sqrt{\hat s_t} + \varepsilon}, \qquad t = 1, 2, \dots \tag{4}$$
#
# After one step $\hat m_1 = g_1$ and $\hat s_1 = g_1^2$: the first step is $\eta\,\mathrm{sign}(g_1)$.
#
# > **Notes, paper, code (E1.4).** Without the division Adam is said to start with small steps. $m_1$ is small, but
# > $\sqrt{s_1}$ is smaller: the ratio is $(1-\beta_1)/\sqrt{1-\beta_2} = 3.16$. It starts with steps that are *too long*.
#
# > **Notes, paper, code (E1.5).** The corrected averages are sometimes given the index $t$ on one side and $t+1$ on the
# > other. With $t$ counted from 1, (4) is consistent.
#
# ### How long can a step be?
#
# $\hat m_t$ is a sum over the gradients with weights $a_k = (1-\beta_1)\beta_1^k$, $\hat s_t$ one over their squares with
# weights $b_k = (1-\beta_2)\beta_2^k$ (for large $t$). By Cauchy and Schwarz
#
# $$\frac{|\sum_k a_k g_k|}{\sqrt{\sum_k b_k g_k^2}} \le \sqrt{\sum_k \frac{a_k^2}{b_k}}
#   = \frac{1-\beta_1}{\sqrt{(1-\beta_2)(1-\beta_1^2/\beta_2)}} = 7.27, \tag{5}$$
#
# with equality for $g_k \propto a_k / b_k$, a gradient that grows by $\beta_2/\beta_1$ from step to step.
#
# > **Notes, paper, code (E1.6).** "The ratio is bounded" is right, but the 3.16 that the paper derives from a single
# > spike after silence is not the supremum; 7.27 is.


# %%
def adam_steps(gradients, **options):
    """Steps of Adam in units of the rate."""
    state, out = {}, []
    for g in gradients:
        d, state = adam_direction(np.array(float(g)), state, eps=1e-300, **options)
        out.append(float(d))
    return out


b1, b2 = 0.9, 0.999
assert np.isclose(adam_steps([-0.02])[0], -1)                                             # lr * sign(g)
assert np.isclose(adam_steps([1.0], debias=False)[0], (1 - b1) / np.sqrt(1 - b2))         # E1.4: 3.162
t = 50
m, s = (1 - b1) * sum(b1**k for k in range(t)), (1 - b2) * sum(b2**k for k in range(t))
assert np.isclose(m / (1 - b1**t), 1) and np.isclose(s / (1 - b2**t), 1)                  # E1.5: weights sum to one
spike = adam_steps([0.0] * 20_000 + [1.0])[-1]
growing = adam_steps([(b1 / b2) ** (6000 - k) for k in range(1, 6001)])[-1]
bound = (1 - b1) / np.sqrt((1 - b2) * (1 - b1**2 / b2))
assert abs(spike - 3.162) < 1e-3 and abs(bound - 7.270) < 1e-3 and 7.25 < growing < bound  # (5), E1.6
print(f"spike {spike:.3f}, growing gradient {growing:.3f}, bound {bound:.3f}")

# %% [markdown]
# ### Weight decay, twice
#
# An L2 penalty adds $\lambda\theta$ to the gradient. In Adam it then passes through the averages and is divided by
# $\sqrt{\hat s}$: a weight with large gradients is hardly decayed at all. AdamW puts the decay beside the step,
#
# $$\theta_t = \theta_{t-1} - \eta\,\frac{\hat m_t}{\sqrt{\hat s_t} + \varepsilon} - \eta\lambda\,\theta_{t-1}, \tag{6}$$
#
# where it shrinks all weights by the same factor $1 - \eta\lambda$ a step.
#
# > **Notes, paper, code (E1.7).** The notes subtract $\lambda\theta$. The paper scales it with the schedule only,
# > PyTorch with the whole rate as in (6). The same $\lambda$ means decays that are a thousand times apart at
# > $\eta = 10^{-3}$: `decay="plain"` and `decay="lr"`.
#
# > **Notes, paper, code (E1.11).** "For SGD a penalty and a decay are the same" holds for *plain* SGD (with decay
# > $\eta\lambda$). With momentum the penalty is averaged over time, the decay is not.

# %%
theta, state = np.array([1.0, -2.0]), {}
for _ in range(10):
    theta, state = adamw_update(theta, np.zeros(2), state, lr=0.1, weight_decay=0.2)
assert np.allclose(theta, np.array([1.0, -2.0]) * (1 - 0.1 * 0.2) ** 10)                  # (6) without a gradient
theta, _ = adamw_update(np.ones(1), np.zeros(1), {}, lr=0.1, weight_decay=0.2, decay="plain")
assert np.isclose(theta[0], 1 - 0.2)                                                      # E1.7

gradients = np.random.default_rng(0).standard_normal(40)
for update, equal in ((sgd_update, True), (momentum_update, False)):                      # E1.11
    a = b = np.ones(1)
    state_a, state_b = {}, {}
    for g in gradients:
        a, state_a = update(a, g + 0.3 * a, state_a, lr=0.1)                              # a penalty
        before = b
        b, state_b = update(b, np.array([g]), state_b, lr=0.1)
        b = b - 0.1 * 0.3 * before                                                        # a decay
    assert np.allclose(a, b, atol=1e-12) == equal

# %% [markdown]
# ## Check by hand
#
# Distance to the optimum of the canyon ($\kappa = 50$, from (10, 1)) after 100 and 500 steps:

# %%
expected = {"AdaGrad, lr 0.1": (adagrad_update, 0.1, 8.21, 6.05), "AdaGrad, lr 0.5": (adagrad_update, 0.5, 2.76, 0.078),
            "RMSProp, lr 0.1": (rmsprop_update, 0.1, 0.88, 0.071), "Adam, lr 0.1": (adam_update, 0.1, 2.24, 4e-8),
            "SGD, lr 0.02": (sgd_update, 0.02, 1.33, 4e-4)}
for name, (update, lr, at_100, at_500) in expected.items():
    run = descend(canyon(50), update, START, 500, lr=lr)
    found = [np.linalg.norm(run.points[t]) for t in (100, 500)]
    assert abs(found[0] - at_100) < 0.006 and np.isclose(found[1], at_500, rtol=0.06), (name, found)
    print(f"{name:16s}{found[0]:9.3f}{found[1]:12.2g}")

# %% [markdown]
# AdaGrad stalls, RMSProp is fast and then hovers, Adam is slower at first and arrives.
#
# ## Use the library
#
# A module's weights decay, its biases and normalisation factors had better not: `decay_groups` makes the two groups.
# A moving average of the weights and a limit on the gradient norm cost one line each.

# %%
rng = np.random.default_rng(0)
net = Sequential(Conv2d(1, 4, 3, padding=1, rng=rng), BatchNorm2d(4), ReLU(), Conv2d(4, 2, 3, rng=rng))
optimizer = AdamW(decay_groups(net, 0.05), lr=1e-2)
assert [group["weight_decay"] for group in optimizer.param_groups] == [0.05, 0.0]
assert {p.ndim for p in optimizer.param_groups[0]["params"]} == {4}

average, images = EMA(net.parameters(), 0.9), Tensor(rng.standard_normal((8, 1, 6, 6)).astype(np.float32))
losses = []
for _ in range(30):
    optimizer.zero_grad()
    loss = ((net(images) - 1.0) ** 2).mean()
    loss.backward()
    norm = clip_grad_norm(net.parameters(), 1.0)
    clipped = np.sqrt(sum((p.grad.data ** 2).sum() for p in net.parameters()))
    assert clipped <= min(norm, 1.0) * (1 + 1e-4)
    optimizer.step()
    average.update()
    losses.append(loss.item())
assert losses[-1] < 0.7 * losses[0]
own = net[0].weight.data
with average.applied():
    assert not np.array_equal(net[0].weight.data, own)
assert np.array_equal(net[0].weight.data, own)
print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}")

# %% [markdown]
# The compiled step of the class is the pure function:

# %%
layer, theta, state = Linear(3, 2, rng=1).astype(np.float64), None, {}
optimizer, theta = AdamW([layer.weight], lr=0.05, weight_decay=0.1), layer.weight.data.copy()
for k in range(20):
    g = np.random.default_rng(k).standard_normal((2, 3))
    layer.weight.grad = Tensor(g)
    optimizer.step()
    theta, state = adamw_update(theta, g, state, lr=0.05, weight_decay=0.1)
assert np.allclose(layer.weight.data, theta, rtol=1e-12)

# %% [markdown]
# ## Experiment
#
# ### AdaGrad and RMSProp
#
# **Figure 1.4**: a loss that is steep in $w_1$ and shallow in $w_2$. **Figure 1.5**: SGD and AdaGrad. **Figure 1.6**: with
# RMSProp, and the cycle in which it ends.


# %%
def show(report, dpi=56):
    for draw in report.figures.values():
        draw().set_dpi(dpi)
        plt.show()


show(adagrad(asked_preset()).check())
show(rmsprop(asked_preset()).check())

# %% [markdown]
# ### Adam
#
# **Figure 1.7**: all four in the canyon. **Figure 1.8**: least squares on batches of 64 and of 4: the smaller the batch,
# the noisier the path. Then the weakness: Adam works axis by axis. Turn the canyon by 45 degrees and it needs a third
# more steps, while momentum, which only adds vectors, does not notice.

# %%
report = adam(asked_preset()).check()
show(report)
turned = {name: [int(report.metrics[f"{name}_steps_{angle}_degrees"]) for angle in (0, 15, 30, 45)]
          for name in ("momentum", "adam")}
assert turned == {"momentum": [106] * 4, "adam": [261, 254, 310, 351]}
print(turned)

# %% [markdown]
# ### Decay inside and beside
#
# Two weights start at 1 under zero-mean gradients of standard deviation 10 and 0.1.

# %%
report = adam_l2(asked_preset()).check()
show(report)
beside = adamw(asked_preset()).check()
print(f"log-shrinkage of the small-gradient weight over the other: Adam with L2 {report.metrics['shrinkage_ratio']:.0f}, "
      f"AdamW {report.metrics['shrinkage_ratio_adamw']:.2f}")
assert beside.passed

# %% [markdown]
# Which is better on a real network? Without tuning usually Adam, with tuning often Nesterov's momentum; it depends.
# `minicv run adam-or-nesterov` trains a small convolutional network both ways, and `minicv tour` a residual network on
# real digits with Nesterov's momentum and a one-cycle schedule.
#
# ## Exercises
#
# **1.** Show that Adam's iterates do not change when the loss is multiplied by a constant (with $\varepsilon = 0$).
#
# <details><summary>Answer</summary>
#
# $\hat m$ scales with the constant, $\hat s$ with its square; the ratio in (4) does not see it.
#
# ```python
# a, b, state = descend(canyon(50), adam_update, START, 50, lr=0.1, eps=0.0), np.array(START), {}
# for _ in range(50):
#     b, state = adam_update(b, 1000.0 * canyon(50).gradient(b), state, lr=0.1, eps=0.0)
# assert np.allclose(a.points[-1], b)
# ```
#
# </details>
#
# **2.** With which rate schedule does RMSProp reach the minimum after all? Try $\eta_t \propto 1/\sqrt t$.
#
# <details><summary>Answer</summary>
#
# The cycle has the size of the rate, so any rate that goes to zero lets it close, if it does so slowly enough to arrive.
#
# ```python
# far = {}
# for power in (0.0, 0.5):
#     x, state = np.array(START), {}
#     for t in range(1, 1501):
#         x, state = rmsprop_update(x, canyon(50).gradient(x), state, lr=0.3 / t**power)
#     far[power] = np.linalg.norm(x)
# assert far[0.5] < 0.1 * far[0.0]
# ```
#
# </details>
#
# **3.** What does AdamW do to a parameter whose gradient is always zero? And Adam with L2?
#
# <details><summary>Answer</summary>
#
# AdamW shrinks it by $1 - \eta\lambda$ a step. Adam with L2 sees the gradient $\lambda\theta$ alone and, being blind to its
# size, takes a full step of length $\eta$ at once.
#
# ```python
# from minicv.optim import adam_l2_update
#
# theta, _ = adam_l2_update(np.ones(1), np.zeros(1), {}, lr=0.01, weight_decay=1e-3)
# assert np.isclose(theta[0], 1 - 0.01, atol=1e-6)
# theta, _ = adamw_update(np.ones(1), np.zeros(1), {}, lr=0.01, weight_decay=1e-3)
# assert np.isclose(theta[0], 1 - 0.01 * 1e-3)
# ```
#
# </details>
