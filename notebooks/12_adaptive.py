# %% [markdown]
# # 12 Adaptive learning rates
#
# **After this lesson you can** derive AdaGrad, RMSProp, Adam and AdamW from one another, say what each repairs and what
# it breaks, bound the length of Adam's steps, and tell two meanings of "weight decay" apart. About 40 s on two cores.

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

from minicv.autograd import Tensor, no_grad
from minicv.errors import ArgError
from minicv.experiments import asked_preset
from minicv.experiments.ch1.adamw import adam_l2, adamw
from minicv.experiments.ch1.adaptive import adagrad, adam, rmsprop
from minicv.experiments.ch1.comparison import adam_or_nesterov
from minicv.experiments.ch1.sgd import glyphs
from minicv.nn import BatchNorm2d, Conv2d, Linear, ReLU, Sequential, cross_entropy
from minicv.optim import (
    EMA,
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    RMSProp,
    adagrad_update,
    adam_direction,
    adam_l2_update,
    adam_update,
    adamw_update,
    canyon,
    clip_grad_norm,
    decay_groups,
    descend,
    lamb_update,
    momentum_update,
    rmsprop_update,
    rotation,
    sgd_update,
    train_epoch,
)
from minicv.plot import PALETTE, figure_style, paths_player, plot_curves

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
# Now the step under a constant gradient *tends to* $\eta$ and never shrinks. Close to the minimum that is too long. Let a
# coordinate jump between $+\eta/2$ and $-\eta/2$: its gradient always has the same size, so $s_t = g_t^2$, the step is
# exactly $\eta$, and it lands on the other side. **RMSProp hovers in a cycle of $\pm\eta/2$ in every coordinate**, in two
# dimensions at the distance $\eta/\sqrt 2$ from the minimum. And since one term alone makes $s_t \ge (1-\beta) g_t^2$, no
# step is longer than $\eta/\sqrt{1-\beta}$, which is $3.16\,\eta$ for $\beta = 0.9$.
#
# > **Notes, paper, code (E1.8).** Decay constants are often said to lie in $[0, 1]$. At 1 nothing new would ever enter
# > the average: all of $\mu, \beta, \beta_1, \beta_2$ lie in $[0, 1)$, and the library refuses 1.

# %%
taken, _ = walk(rmsprop_update, [0.003] * 200, lr=0.1)
assert np.isclose(taken[-1], 0.1, rtol=1e-4)
spike, _ = walk(rmsprop_update, [0.0] * 50 + [5.0], lr=0.1)
assert np.isclose(spike[-1], 0.1 / np.sqrt(1 - 0.9)) and np.isclose(1 / np.sqrt(1 - 0.9), 3.162, atol=5e-4)
hover = descend(canyon(50), rmsprop_update, START, 2000, lr=0.1).points[-100:]
assert np.allclose(np.abs(hover), 0.1 / 2, rtol=1e-3)                                     # plus or minus half the rate
assert np.allclose(np.linalg.norm(hover, axis=1), 0.1 / np.sqrt(2), rtol=1e-3)            # 0.071
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
# ### Axes are a choice
#
# All these methods multiply the gradient by a diagonal matrix $D_t$, made element by element. Turn the coordinates,
# $x = R\varphi$ with an orthogonal $R$: gradients turn along, $g_\varphi = R^\top g$. SGD and momentum only add
# vectors, so their paths turn along too. A diagonal rescaling does not:
#
# $$R\, D_t(R^\top g)\, R^\top g \;\ne\; D_t(g)\, g. \tag{6}$$
#
# In a canyon along the diagonal both coordinates have gradients of the same size, $D_t$ is nearly a multiple of the
# identity, and nothing is gained. The rates are per *parameter*, not per direction.

# %%
R = rotation(30)
for update, follows in ((momentum_update, True), (adam_update, False), (adagrad_update, False)):
    straight = descend(canyon(50), update, START, 50, lr=0.01).points
    turned = descend(canyon(50, 30), update, R @ START, 50, lr=0.01).points
    assert np.allclose(straight @ R.T, turned) == follows                                 # (6)

# %% [markdown]
# ### Weight decay, twice
#
# An L2 penalty adds $\lambda\theta$ to the gradient. In Adam it then passes through the averages and is divided by
# $\sqrt{\hat s}$: a weight with large gradients is hardly decayed at all. AdamW puts the decay beside the step,
#
# $$\theta_t = \theta_{t-1} - \eta\,\frac{\hat m_t}{\sqrt{\hat s_t} + \varepsilon} - \eta\lambda\,\theta_{t-1}, \tag{7}$$
#
# where it shrinks all weights by the same factor $1 - \eta\lambda$ a step.
#
# > **Notes, paper, code (E1.7).** The notes subtract $\lambda\theta$. The paper scales it with the schedule only,
# > PyTorch with the whole rate as in (7). The same $\lambda$ means decays that are a thousand times apart at
# > $\eta = 10^{-3}$: `decay="plain"` and `decay="lr"`.
#
# > **Notes, paper, code (E1.11).** "For SGD a penalty and a decay are the same" holds for *plain* SGD (with decay
# > $\eta\lambda$). With momentum the penalty is averaged over time, the decay is not.

# %%
shrunk = []
for update in (adam_l2_update, adamw_update):
    theta, state = np.ones(2), {}
    for t in range(200):
        g = np.array([10.0, 0.1]) * (-1) ** t                                             # loud and quiet, mean zero
        theta, state = update(theta, g, state, lr=1e-3, weight_decay=0.1)
    shrunk.append(1 - theta)
print("lost after 200 steps (loud, quiet): penalty", shrunk[0].round(4), " decay", shrunk[1].round(4))
assert shrunk[0][1] > 20 * shrunk[0][0] and np.isclose(*shrunk[1], rtol=1e-6)

theta, state = np.array([1.0, -2.0]), {}
for _ in range(10):
    theta, state = adamw_update(theta, np.zeros(2), state, lr=0.1, weight_decay=0.2)
assert np.allclose(theta, np.array([1.0, -2.0]) * (1 - 0.1 * 0.2) ** 10)                  # (7) without a gradient
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
# AdaGrad stalls, RMSProp is fast and then hovers, Adam is slower at first and arrives. What each does is visible in the
# rate that it gives to each of the two coordinates, $\eta/(\sqrt{s_t} + \varepsilon)$. The gradients start at 10 and 50,
# so the flat coordinate gets the larger rate. AdaGrad's rates only fall. RMSProp's grow as the gradients shrink.

# %%
rates = {}
for name, update, lr in (("AdaGrad", adagrad_update, 0.5), ("RMSProp", rmsprop_update, 0.1)):
    x, state, rates[name] = np.array(START), {}, []
    for _ in range(100):
        x, state = update(x, canyon(50).gradient(x), state, lr=lr)
        rates[name].append(lr / np.sqrt(state["s"]))
    rates[name] = np.array(rates[name])
assert np.isclose(rates["AdaGrad"][0, 0], 0.5 / 10) and np.isclose(rates["AdaGrad"][0, 1], 0.5 / 50)
assert (np.diff(rates["AdaGrad"], axis=0) <= 0).all() and (rates["RMSProp"][-1] > rates["RMSProp"][0]).all()

with figure_style():
    fig, axes = plt.subplots(1, 2, figsize=(8, 2.7), sharey=True, dpi=75)
for ax, (name, curve) in zip(axes, rates.items()):
    for k, label in enumerate(("along the canyon, $x_1$", "across it, $x_2$")):
        ax.semilogy(curve[:, k], ("-", "--")[k], color=PALETTE[k], label=label)
    ax.axhline(0.02, color="0.6", linewidth=1)
    ax.set(title=name, xlabel="step")
axes[0].annotate("SGD, 0.02 for both", (99, 0.022), ha="right", fontsize=8, color="0.4")
axes[0].set_ylabel("learning rate of the coordinate")
axes[1].legend(frameon=False)
plt.show()

# %% [markdown]
# ### Adam in eight lines
#
# Equation (4) written out; the library's is the same plus checks.


# %%
def adam_by_hand(x, steps, lr):
    m = s = np.zeros_like(x)
    for t in range(1, steps + 1):
        g = canyon(50).gradient(x)
        m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g * g
        x = x - lr * (m / (1 - 0.9**t)) / (np.sqrt(s / (1 - 0.999**t)) + 1e-8)            # (4)
    return x


assert np.allclose(adam_by_hand(np.array(START), 100, 0.1), descend(canyon(50), adam_update, START, 100, lr=0.1).points[-1])

# %% [markdown]
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
# Two relatives, in one line each. **AMSGrad** divides by the largest $\hat s$ so far, so a rare large gradient is not
# forgotten. **LAMB** rescales Adam's direction for each layer to the length $\eta\,\|\theta\|$, so that with a huge batch no
# layer is torn apart.

# %%
after = [100.0] + [1.0] * 5000
assert adam_steps(after)[-1] > 0.9                           # the spike has left the average
assert np.isclose(adam_steps(after, amsgrad=True)[-1], 1 / np.sqrt(0.001 * 100**2), rtol=0.01)
theta = np.array([3.0, 4.0])
new, _ = lamb_update(theta, np.array([1e-3, -7.0]), {}, lr=0.01, weight_decay=0.0)
assert np.isclose(np.linalg.norm(new - theta), 0.01 * 5)

# %% [markdown]
# ## Experiment
#
# ### AdaGrad
#
# **Figure 1.4.** A loss that is steep in $w_1$ and shallow in $w_2$: contours with the negative gradient at two points,
# and the surface. The arrows do not point at the minimum; dividing each coordinate by its curvature would turn them.


# %%
def show(draw, dpi, **limits):
    figure = draw()
    figure.set_dpi(dpi)
    figure.axes[0].set(**limits)
    plt.show()


report = adagrad(asked_preset()).check()
steep, figure_1_5, lengths = report.figures.values()
figure = steep()
figure.set_dpi(60)
bowl, (flat, surface) = canyon(1 / 12), figure.axes
for w in np.array([[3.0, 3.0], [-2.0, 3.4]]):
    step = -bowl.gradient(w)
    flat.annotate("", w + step * 0.9, w, arrowprops={"arrowstyle": "-|>", "color": PALETTE[1], "lw": 1.8})
    flat.annotate("", w - w * 0.9, w, arrowprops={"arrowstyle": "-|>", "color": PALETTE[0], "lw": 1.2, "ls": ":"})
    assert abs(step[0] / step[1]) > 6 and np.allclose(step / [1, 1 / 12], -w)
flat.set_title("orange: $-\\nabla f$, blue: rescaled", fontsize=10)
surface.set_zlabel("loss")
plt.show()

# %% [markdown]
# **Figure 1.5.** SGD and AdaGrad in the canyon. With rate 0.1 AdaGrad stops long before the minimum; with 0.5 it comes
# close. Both walk straight: no zigzag.

# %%
show(figure_1_5, 60, xlim=(-1, 11))
assert np.isclose(report.metrics["stalled_distance_500"], 6.05, atol=0.005)

# %% [markdown]
# Under a constant gradient AdaGrad's step falls like $1/\sqrt t$ (2), RMSProp's tends to the rate.

# %%
show(lengths, 66)
assert np.isclose(report.metrics["step_times_root_t"], 1)

# %% [markdown]
# ### RMSProp
#
# **Figure 1.6.** With RMSProp: faster than SGD for a hundred steps, then overtaken, because it hovers. The second
# picture is the cycle of $\pm\eta/2$ and the distance $\eta/\sqrt 2 = 0.071$ derived above.

# %%
report = rmsprop(asked_preset()).check()
figure_1_6, cycle = report.figures.values()
show(figure_1_6, 60, xlim=(-1, 11))
show(cycle, 58)
assert np.isclose(report.metrics["distance_500"], 0.071, atol=5e-4) and report.metrics["lowest_value"] > 1e-6

# %% [markdown]
# ### Adam
#
# **Figure 1.7.** All four in the canyon. Adam overshoots like momentum, is behind for 200 steps, and passes them all.

# %%
report = adam(asked_preset()).check()
figure_1_7, figure_1_8, oblique, debiasing = report.figures.values()
show(figure_1_7, 60, xlim=(-1, 11))
assert report.metrics["distance_500"] < 1e-7

# %% [markdown]
# **Player (a race).** The same four, step by step: AdaGrad slows down, RMSProp comes near and hovers, Adam
# swings across the canyon and wins late.

# %%
racers = {"SGD": (sgd_update, 0.02), "AdaGrad": (adagrad_update, 0.5), "RMSProp": (rmsprop_update, 0.1),
          "Adam": (adam_update, 0.1)}
runs = {name: descend(canyon(50), update, (10.0, 1.0), 200, lr=lr) for name, (update, lr) in racers.items()}
assert runs["RMSProp"].values[100] < runs["SGD"].values[100] and runs["Adam"].points[:, 1].min() < -0.2
paths_player((canyon(50), (-2, 11), (-1.3, 1.3), {name: run.points for name, run in runs.items()}), size=(5.4, 2.6),
             levels=5, steps=[0, 1, 3, 10, 40, 200], title="Four optimizers in a canyon")

# %% [markdown]
# **Figure 1.8.** A least-squares line on batches of 64 and of 4 of 256 points: the smaller the batch, the noisier the
# paths. The variance of the gradient is $(1 - B/N)/B$ in size, 21 times larger for 4 than for 64.

# %%
show(figure_1_8, 58)
assert abs(report.metrics["batch_noise_ratio"] - 21) < 1.5 or asked_preset() == "smoke"
assert np.isclose((1 - 4 / 256) / 4 / ((1 - 64 / 256) / 64), 21)

# %% [markdown]
# **Figure (Adam on a loss that is not aligned with the axes).** Steps to $f < 10^{-4}$. Momentum does not notice the
# turn; Adam and AdaGrad need a third to two thirds more steps, as (6) says.

# %%
show(oblique, 54)
turned = {name: [int(report.metrics[f"{name}_steps_{angle}_degrees"]) for angle in (0, 15, 30, 45)]
          for name in ("momentum", "adam", "adagrad")}
print("angle         0   15   30   45 degrees")
for name, counts in turned.items():
    print(f"{name:9s}", *(f"{count:4d}" for count in counts))
assert turned == {"momentum": [106] * 4, "adam": [261, 254, 310, 351], "adagrad": [193, 225, 284, 330]}

# %% [markdown]
# What the correction in (4) is for: without it Adam's steps start at $3.16\,\eta$, *grow* to more than six times the
# rate, and need about $1/(1-\beta_2) = 1000$ steps to become what they should be.

# %%
show(debiasing, 70)
assert np.isclose(report.metrics["first_step_biased"], 3.162, atol=5e-4) and max(adam_steps([1.0] * 50, debias=False)) > 6

# %% [markdown]
# ### Decay inside and beside
#
# Two weights start at 1 under zero-mean gradients of standard deviation 10 and 0.1. With the penalty inside Adam the
# quiet weight shrinks dozens of times faster than the loud one (in logarithms; the ratio of the gradients is 100); AdamW
# treats both alike.

# %%
report = adam_l2(asked_preset()).check()
show(*report.figures.values(), 64)
print(f"log-shrinkage of the quiet weight over the loud one: Adam with L2 {report.metrics['shrinkage_ratio']:.0f}, "
      f"AdamW {report.metrics['shrinkage_ratio_adamw']:.2f}")
beside = adamw(asked_preset()).check()
show(*beside.figures.values(), 66)

# %% [markdown]
# ### A small network, five optimizers, two batch sizes
#
# 784 pixels, 32 hidden units, 10 digits. Each method gets one rate for both batch sizes, and the same number of epochs,
# so the batch of 64 takes a sixteenth as many steps.

# %%
count, epochs = {"smoke": (128, 1), "fast": (1000, 3), "full": (4000, 6)}[asked_preset()]
train, test = glyphs(count, 0, 0, lambda items, **_: items), glyphs(500, 0, count, lambda items, **_: items)
FIVE = {"SGD": lambda p: SGD(p, 0.1), "Nesterov": lambda p: SGD(p, 0.05, momentum=0.9, nesterov=True),
        "AdaGrad": lambda p: AdaGrad(p, 0.01), "RMSProp": lambda p: RMSProp(p, 0.001), "Adam": lambda p: Adam(p, 0.002)}


def train_network(make, batch_size):
    """Losses of all batches and the accuracy on unseen digits."""
    rng = np.random.default_rng(0)
    net = Sequential(Linear(784, 32, rng=rng), ReLU(), Linear(32, 10, rng=rng))
    optimizer = make(net.parameters())
    losses = [train_epoch(lambda i: cross_entropy(net(Tensor(train[0][i])), train[1][i]), count, optimizer, batch_size,
                          rng=rng) for _ in range(epochs)]
    with no_grad():
        return np.concatenate(losses), np.mean(net(Tensor(test[0])).data.argmax(1) == test[1])


with figure_style():
    fig, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True, dpi=66)
for ax, size in zip(axes, (4, 64)):
    found = {name: train_network(make, size) for name, make in FIVE.items()}
    window = np.ones(128 // size) / (128 // size)
    plot_curves({name: np.convolve(losses, window, "valid") for name, (losses, _) in found.items()}, log=True, ax=ax,
                ylabel="loss, mean over 128 samples")
    ax.set_title(f"batches of {size}")
    print(f"batches of {size:2d}:", ", ".join(f"{name} {accuracy:.3f}" for name, (_, accuracy) in found.items()))
    assert all(np.isfinite(losses).all() for losses, _ in found.values())
plt.show()

# %% [markdown]
# The order depends on the rates, the batch and how long one waits; nothing here is a law. Nesterov's rate, right
# for batches of 64, is too large for the noise of 4; for plain SGD it is the other way round.
#
# ### Adam or Nesterov?
#
# "In vision, well tuned Nesterov momentum beats Adam" is a remark about experience, so here is an experience and no
# target: a small convolutional network on ten shapes, cosine schedule, each method with the better of two rates. Which
# one wins changes with the seed and the budget.

# %%
report = adam_or_nesterov(asked_preset())
for row in report.tables["test accuracy"]:
    print(row)
show(*report.figures.values(), 64)
assert report.finite

# %% [markdown]
# Look at the rows, not at the winner: for both methods the rate matters more than the method. `minicv tour` trains a
# residual network on real handwritten digits with Nesterov's momentum and a one-cycle schedule, and shows its filters,
# its confusion matrix and the digits it gets wrong.
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
# theta, _ = adam_l2_update(np.ones(1), np.zeros(1), {}, lr=0.01, weight_decay=1e-3)
# assert np.isclose(theta[0], 1 - 0.01, atol=1e-6)
# theta, _ = adamw_update(np.ones(1), np.zeros(1), {}, lr=0.01, weight_decay=1e-3)
# assert np.isclose(theta[0], 1 - 0.01 * 1e-3)
# ```
#
# </details>
