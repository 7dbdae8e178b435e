# %% [markdown]
# # 00 From a scalar to a tensor
#
# **After this lesson you can** say what one backward pass computes and what it costs, write the rule of a new
# operation, check it against finite differences, differentiate a gradient once more, and train a small network with
# nothing but these parts. About 10 s on two cores.

# %% [markdown]
# ## Goal and sources
#
# Every method of this course is trained by following a gradient. This lesson builds the machine that delivers it,
# first for single numbers, then for arrays.
#
# * S. Linnainmaa, *Taylor expansion of the accumulated rounding error*, BIT 16, 1976: the backward sweep.
# * D. Rumelhart, G. Hinton, R. Williams, *Learning representations by back-propagating errors*, Nature 323, 1986.
# * W. Baur, V. Strassen, *The complexity of partial derivatives*, Theoretical Computer Science 22, 1983: its cost.
# * A. Griewank, A. Walther, *Evaluating Derivatives*, SIAM 2008; A. Baydin et al., JMLR 18, 2018: surveys.
#
# In the library: `minicv/autograd/scalar.py` (one screen), `op.py`, `tensor.py`, `engine.py`, `gradcheck.py`,
# `graph.py`, `transforms.py`.

# %%
import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from minicv.autograd import Tensor, array, grad, keep_values, no_grad, op, sum_to
from minicv.autograd.elementwise import tanh
from minicv.autograd.gradcheck import gradcheck
from minicv.autograd.graph import graph, retain_grad
from minicv.autograd.scalar import Scalar
from minicv.autograd.transforms import hessian, hvp, jacobian
from minicv.data import ArrayDataset, DataLoader, spirals
from minicv.errors import GradientError
from minicv.experiments import Report, Target, asked_preset
from minicv.nn import Linear, Sequential, Tanh, cross_entropy
from minicv.optim import Adam
from minicv.plot import PALETTE, Player, backprop_player, figure_style, plot_curves
from minicv.train import fit

# %% [markdown]
# ## Derive
#
# ### The chain rule on a graph
#
# A program that computes a number $y$ is a directed graph without cycles: a node $v_j$ for every intermediate number,
# an edge $j \to i$ where $v_j$ is used to compute $v_i$. Write $\bar v_j = \partial y / \partial v_j$ for the effect
# of node $j$ on the result. A small change of $v_j$ reaches $y$ through every node that uses it, and to first order
# the effects add:
#
# $$\bar v_j = \sum_{i:\, j \to i} \bar v_i \,\frac{\partial v_i}{\partial v_j}, \qquad \bar y = 1. \tag{1}$$
#
# Unfolding (1) until nothing is left to unfold gives a sum over all paths from $v_j$ to $y$, with the local
# derivatives multiplied along each path:
#
# $$\bar v_j = \sum_{\text{paths } j \to \dots \to y}\;
#   \prod_{\text{edges } k \to i \text{ of the path}} \frac{\partial v_i}{\partial v_k}. \tag{2}$$
#
# Both say the same, but they do not cost the same. A chain of $n$ steps $v_{k+1} = v_k + v_k$ has $2n$ edges and
# $2^n$ paths. All local derivatives are 1 there, so the gradient *is* the number of paths, and (1) finds it in $2n$
# multiplications.

# %%
x = Scalar(1.0)
y = x
for _ in range(50):
    y = y + y
y.backward()
assert x.grad == 2.0 ** 50                       # 10^15 paths, 100 edges

# %% [markdown]
# The sum in (1) is also why gradients are **added** where a number is used more than once. $x \cdot x$ uses $x$
# twice; each use contributes $x$, and overwriting instead of adding would lose one of them.

# %%
x = Scalar(3.0)
(x * x).backward()
assert x.grad == 3.0 + 3.0

# %% [markdown]
# ### Why backwards
#
# Let $y = f_n(\dots f_2(f_1(x)))$ with $d_0$ inputs, layers of width $d_1, \dots, d_{n-1}$ and $d_n$ results. The
# chain rule is a product of Jacobians, $J = J_n \cdots J_2 J_1$ with $J_k$ of size $d_k \times d_{k-1}$, and a matrix
# product may be bracketed either way:
#
# $$\text{from the left: } d_n \sum_{k=1}^{n-1} d_k\, d_{k-1}, \qquad
#   \text{from the right: } d_0 \sum_{k=2}^{n} d_k\, d_{k-1} \quad\text{multiplications.} \tag{3}$$
#
# From the right means forward in time, one sweep for each input. From the left means backward in time, one sweep for
# each *result*. A loss is one number and a network has millions of parameters: backward wins by that factor. Counting
# every operation, the gradient of a scalar costs no more than a small constant times the function itself, however
# many inputs there are (Baur and Strassen).

# %%
widths = [1000, 100, 100, 1]
pairs = list(zip(widths[1:], widths))
backward_cost = widths[-1] * sum(m * n for m, n in pairs[:-1])
forward_cost = widths[0] * sum(m * n for m, n in pairs[1:])
print(f"backward {backward_cost:,} multiplications, forward {forward_cost:,}")

rng = np.random.default_rng(0)
J1, J2, J3 = (rng.standard_normal(size) for size in pairs)
assert np.allclose((J3 @ J2) @ J1, J3 @ (J2 @ J1))           # the same gradient
assert backward_cost * 90 < forward_cost

# %% [markdown]
# The price is memory: every $J_k$ is needed in the opposite order of its creation, so what it depends on must be
# kept until the backward sweep arrives.
#
# ### Vector-Jacobian products
#
# For arrays, no Jacobian is ever built. Stepping back over one operation $y = f(x)$ only needs the product
#
# $$\bar x = J^\top \bar y, \qquad \bar x_j = \sum_i \bar y_i \,\frac{\partial y_i}{\partial x_j}, \tag{4}$$
#
# and for each operation that is a short formula in its own right. An element-wise function has a diagonal $J$, so
# (4) is an element-wise product: $\bar x = \bar y \odot f'(x)$. For $Y = XW$,
#
# $$\bar X = \bar Y W^\top, \qquad \bar W = X^\top \bar Y, \tag{5}$$
#
# because $\partial Y_{ij} / \partial X_{kl} = \delta_{ik} W_{lj}$. We can afford the Jacobian of a 2 by 3 example,
# and (5) must agree with it.

# %%
X, W = rng.standard_normal((2, 3)), rng.standard_normal((3, 4))
gY = rng.standard_normal((2, 4))
J = jacobian(lambda X: X @ W, X).data            # (2, 4, 2, 3): 48 numbers, most of them zero
assert np.allclose(np.tensordot(gY, J, 2), gY @ W.T)
J = jacobian(lambda W: X @ W, W).data
assert np.allclose(np.tensordot(gY, J, 2), X.T @ gY)

# %% [markdown]
# ### The adjoint of broadcasting
#
# NumPy stretches a bias of shape (3,) over a batch of shape (5, 3) by copying. Copying is linear, $y = Bx$ with a
# matrix of zeros and ones, and (4) asks for $B^\top$, defined by
#
# $$\langle g,\, Bx\rangle = \langle B^\top g,\, x\rangle \quad \text{for all } g, x. \tag{6}$$
#
# Every element of $x$ appears once for each copy, so $B^\top$ adds up over the copies: (1) again. The library calls
# it `sum_to`: it sums over the axes that were stretched and over those that were put in front.

# %%
for small, large in [((3,), (5, 3)), ((5, 1), (5, 3)), ((), (2, 2)), ((2, 1, 3), (4, 2, 5, 3))]:
    x, g = rng.standard_normal(small), rng.standard_normal(large)
    left = (g * np.broadcast_to(x, large)).sum()
    right = (sum_to(g, shape=small) * x).sum()
    assert np.isclose(left, right)               # (6)

# %% [markdown]
# ### A derivative without calculus
#
# Rules are written by people, so they need a check that knows no calculus. Values on both sides of $x$ give
#
# $$f'(x) = \frac{8 f(x+h) - 8 f(x-h) - f(x+2h) + f(x-2h)}{12 h} + \frac{h^4}{30} f^{(5)}(x) + \dots \tag{7}$$
#
# The four weights are the ones that cancel $f, f'', f''', f''''$ of the Taylor series. A smaller $h$ lowers the last
# term, but the differences are between almost equal numbers, each known to a relative $\varepsilon \approx 10^{-16}$,
# which costs about $\varepsilon |f| / h$. The sum of both is smallest where they are about equal, at
# $h \approx \varepsilon^{1/5} \approx 10^{-3}$, with an error near $\varepsilon^{4/5} \approx 10^{-13}$.

# %%
f, slope = lambda x: math.exp(math.sin(x)), lambda x: math.cos(x) * math.exp(math.sin(x))


def forward_difference(f, x, h):
    return (f(x + h) - f(x)) / h


def central_difference(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


def five_point(f, x, h):
    return (8 * f(x + h) - 8 * f(x - h) - f(x + 2 * h) + f(x - 2 * h)) / (12 * h)         # (7)


fifth = five_point(lambda x: 1 + x ** 5, 0.0, 0.1)           # f' = 0, f^(5) = 120
assert np.isclose(fifth, -0.1 ** 4 / 30 * 120)               # the error term of (7)

# %% [markdown]
# ### Derivatives of derivatives
#
# If each rule is itself made of operations, then the backward sweep is a program like any other and leaves a graph
# that can be differentiated. The derivative of the gradient along a direction $v$ is a row of (4) applied to
# the gradient,
#
# $$H v = \nabla_x \langle \nabla_x f(x),\, v \rangle, \tag{8}$$
#
# for the price of two sweeps and without the $d \times d$ matrix $H$. The whole Hessian takes $d$ of them.

# %%
x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
(g,) = grad((x * x * x).sum(), [x], create_graph=True)
(gg,) = grad(g.sum(), [x])
assert np.allclose(g.data, 3 * x.data ** 2) and np.allclose(gg.data, 6 * x.data)

# %% [markdown]
# > **Where texts and code differ.** (a) Some books write the Jacobian transposed ("denominator layout"); then the
# > order of all products turns around. Here $J_{ij} = \partial y_i / \partial x_j$. (b) PyTorch and this library
# > *add* into `.grad` over several calls of `backward`, so a training loop clears it; `grad(...)` returns the
# > gradient and leaves `.grad` alone. (c) $\max(x, 0)$ has no derivative at 0. Any slope in $[0, 1]$ is a valid
# > subgradient; nearly all code takes 0.

# %%
x = Scalar(0.0)
x.relu().backward()
assert x.grad == 0.0

w = Tensor(np.array(2.0), requires_grad=True)
for _ in range(3):
    (w * w).backward()
assert w.grad.item() == 3 * 4.0                              # three calls add up

# %% [markdown]
# ## Check by hand
#
# ### A number that remembers
#
# Each number keeps the numbers it was computed from, with the local derivative by each. That is the whole graph.


# %%
class Number:
    def __init__(self, data, sources=()):
        self.data, self.grad, self.sources = data, 0.0, sources

    def __add__(self, other):
        return Number(self.data + other.data, [(self, 1.0), (other, 1.0)])

    def __mul__(self, other):
        return Number(self.data * other.data, [(self, other.data), (other, self.data)])

    def tanh(self):
        y = math.tanh(self.data)
        return Number(y, [(self, 1 - y * y)])


def later_first(y):
    """Nodes in an order in which everybody comes after all who use them."""
    order = []

    def visit(node):
        if node not in order:
            for source, _ in node.sources:
                visit(source)
            order.append(node)

    visit(y)
    return order[::-1]


def backward(order):
    order[0].grad = 1.0
    for node in order:
        for source, slope in node.sources:
            source.grad += node.grad * slope                 # (1)


# %% [markdown]
# The library's `Scalar` is the same with more operations, no recursion (a graph may be deeper than Python's stack),
# and a set instead of the slow `not in order`. Both must agree to the last bit.

# %%
mine = [Number(v) for v in (0.8, -1.5, 0.7)]
theirs = [Scalar(v) for v in (0.8, -1.5, 0.7)]


def program(x, w, b):
    p = x * w
    s = p + b
    t = s.tanh()
    return p, s, t, t + x


*_, y = program(*mine)
backward(later_first(y))
*_, z = program(*theirs)
z.backward()
assert y.data == z.data
assert [n.grad for n in mine] == [n.grad for n in theirs]
assert np.isclose(mine[1].grad, (1 - math.tanh(0.8 * -1.5 + 0.7) ** 2) * 0.8)        # and to a calculation on paper

# %% [markdown]
# **Player (the sweep).** Blue values were computed from left to right, orange gradients arrive from right to left. On
# each edge stands its local derivative; rest the pointer on a node or an edge for all digits. Watch $x$: it is used
# twice, and its gradient is complete only when both contributions are in.

# %%
numbers = [Number(v) for v in (0.8, -1.5, 0.7)]
nodes = dict(zip(["x", "w", "b", "x w", "x w + b", "tanh", "y"], [*numbers, *program(*numbers)], strict=True))
player = backprop_player(nodes["y"], nodes, title="Gradients on the graph of y = tanh(x w + b) + x")
assert player.labels[-1].endswith(f"together {theirs[1].grad:.3g}")                  # what w gets
player

# %% [markdown]
# ### Why the order matters
#
# A node may pass its gradient on only when it is complete. Visiting nodes as soon as they are reached looks natural
# and is wrong: below, $a$ is visited before the contribution through $b$ has arrived.


# %%
def hasty_backward(y):
    y.grad, queue, seen = 1.0, [y], {y}
    while queue:
        node = queue.pop(0)
        for source, slope in node.sources:
            source.grad += node.grad * slope
            if source not in seen:
                seen.add(source)
                queue.append(source)


def diamond(x):
    a = x * Number(2.0)
    b = a * a
    return a + b                                             # 2 x + 4 x^2, derivative 2 + 8 x


right, hasty = Number(3.0), Number(3.0)
backward(later_first(diamond(right)))
hasty_backward(diamond(hasty))
print(f"in order {right.grad:g}, as soon as reached {hasty.grad:g}")
assert right.grad == 2 + 8 * 3
assert hasty.grad == 2                                       # b's share came too late

# %% [markdown]
# ### How good is a finite difference?
#
# The slopes in the double logarithmic picture are the orders of the three formulas. On the left of each minimum
# rounding wins, and all three are equally bad there. The five-point formula at $h = 10^{-3}$ leaves about twelve
# correct digits, which is why `gradcheck` uses it and can demand a relative error below $10^{-6}$ with room to spare.

# %%
steps = np.logspace(-13, -0.5, 60)
formulas = {"forward, order 1": forward_difference, "central, order 2": central_difference,
            "five points, order 4": five_point}
errors = {name: np.array([abs(rule(f, 0.7, h) - slope(0.7)) for h in steps]) for name, rule in formulas.items()}

with figure_style():
    fig, ax = plt.subplots(figsize=(6, 3.4))
    for (name, error), color, dash in zip(errors.items(), PALETTE, ("-", "--", "-.")):
        ax.loglog(steps, np.maximum(error, 1e-17), dash, color=color, label=name)
    ax.loglog(steps, 1e-16 / steps, ":", color="0.4", label=r"rounding, $\varepsilon / h$")
    ax.axvline(1e-3, color="0.8", zorder=0)
    ax.text(8e-4, 2e-16, "gradcheck's h", fontsize=8, color="0.4", ha="right")
    ax.set(xlabel="step h", ylabel="error of the derivative", ylim=(1e-16, 1),
           title=r"Derivative of $e^{\sin x}$ at 0.7")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
plt.show()

orders = {name: np.log10(abs(rule(f, 0.7, 0.1) - slope(0.7)) / abs(rule(f, 0.7, 0.01) - slope(0.7)))
          for name, rule in formulas.items()}
assert [round(order) for order in orders.values()] == [1, 2, 4]
assert abs(five_point(f, 0.7, 1e-3) - slope(0.7)) < 1e-11
assert abs(forward_difference(f, 0.7, 1e-8) - slope(0.7)) > 1e-10                    # its best step

# %% [markdown]
# ## Use the library
#
# ### The Tensor
#
# A `Tensor` is the same idea with arrays for numbers. `retain_grad` keeps the gradient of an intermediate result,
# `keep_values` its value, and `graph` draws what was recorded: thick frames are leaves, round ones operations.

# %%
x = Tensor([0.8, -0.2], requires_grad=True)
w = Tensor([-1.5, 0.5], requires_grad=True)
b = Tensor(0.7, requires_grad=True)
with keep_values():
    s = x * w + b                                            # b is broadcast to two elements
    y = (tanh(s) + x).sum()
retain_grad(s)
y.backward(retain_graph=True)
assert np.isclose(x.grad.data[0], mine[0].grad)              # the first element is the example from above
assert np.isclose(b.grad.data, s.grad.data.sum())            # the adjoint of broadcasting adds up, (6)
graph(y, names={"x": x, "w": w, "b": b})

# %% [markdown]
# ### An operation of your own
#
# An operation is a NumPy function and one rule per array, written below it. The rule is made of operations, so it
# serves all orders of derivative. `gradcheck` compares it with (7), and the derivative of the rule as well. It
# projects a result of many elements on a *random* direction first: with a direction of ones, errors that cancel in
# the sum would go unseen. `saves` names what the rule reads, so that nothing else is kept in memory.


# %%
@op
def bump(x):
    """exp(-x^2)"""
    return np.exp(-x * x)


bump.vjp(lambda g, y, x: g * y * (-2 * x), saves=("x", "y"))

report = gradcheck(bump, [rng.standard_normal((2, 3))], order=2)
assert report.passed
print(report)

# %% [markdown]
# A check must be able to fail. Here is the same function with a rule that forgets the factor 2, and one whose first
# derivative is right but whose second is silently zero, because it computes with plain arrays behind the engine's
# back.


# %%
@op
def careless_bump(x):
    return np.exp(-x * x)


@op
def frozen_bump(x):
    return np.exp(-x * x)


careless_bump.vjp(lambda g, y, x: g * y * -x, saves=("x", "y"))
frozen_bump.vjp(lambda g, y, x: g * (-2 * array(x) * np.exp(-array(x) ** 2)))          # `array`: no Tensor, no graph

for wrong in (careless_bump, frozen_bump):
    try:
        gradcheck(wrong, [np.array([0.3, -1.2])])
    except GradientError as error:
        print(error)
    else:
        raise AssertionError(f"{wrong.name} passed")
assert gradcheck(frozen_bump, [np.array([0.3, -1.2])], order=1).passed

# %% [markdown]
# ### Second order: the Hessian of a valley
#
# Rosenbrock's function $f(a, b) = (1 - a)^2 + 100\,(b - a^2)^2$ has the Hessian
#
# $$H = \begin{pmatrix} 2 - 400\,(b - 3a^2) & -400\,a \\ -400\,a & 200 \end{pmatrix}. \tag{9}$$
#
# At the minimum (1, 1) its eigenvalues differ by a factor of 2500. That ratio, the condition number, decides
# how slow gradient descent is; chapter 1 starts there.


# %%
def rosenbrock(p):
    a, b = p[0], p[1]
    return (1 - a) ** 2 + 100 * (b - a * a) ** 2


for p in (np.array([1.0, 1.0]), np.array([-1.2, 1.0])):
    a, b = p
    H = hessian(rosenbrock, p).data
    assert np.allclose(H, [[2 - 400 * (b - 3 * a * a), -400 * a], [-400 * a, 200]])          # (9)
    v = rng.standard_normal(2)
    assert np.allclose(hvp(rosenbrock, p, v)[1].data, H @ v)                                 # (8)
low, high = np.linalg.eigvalsh(hessian(rosenbrock, np.array([1.0, 1.0])).data)
print(f"eigenvalues at the minimum {low:.3f} and {high:.1f}, condition number {high / low:.0f}")
assert 2500 < high / low < 2520

# %% [markdown]
# ## Experiment
#
# Two spirals cannot be separated by a line, nor by any polynomial of low degree. A network with two hidden layers
# bends the plane until they can. Everything it needs is now in place: operations with rules, a sweep, and steps
# against the gradient (Adam; lesson 12 derives it).

# %%
epochs = {"smoke": 2, "fast": 80, "full": 200}[asked_preset()]
x, y = spirals(400, noise=0.03, rng=0)
unseen_x, unseen_y = spirals(1000, noise=0.03, rng=1)

rng = np.random.default_rng(0)
model = Sequential(Linear(2, 32, rng=rng), Tanh(), Linear(32, 32, rng=rng), Tanh(), Linear(32, 2, rng=rng))
loader = DataLoader(ArrayDataset(x=3 * x, y=y), batch_size=50, shuffle=True, seed=0)


def loss(model, batch):
    return cross_entropy(model(Tensor(batch["x"])), batch["y"])


def predict(points):
    """Scores (M, 2) of points (M, 2) in the plane."""
    with no_grad():
        return model(Tensor(np.float32(3 * points))).data


def validate(model):
    snapshots.append(predict(grid))
    return {"accuracy": np.mean(predict(unseen_x).argmax(1) == unseen_y)}


ticks = np.linspace(-1.2, 1.2, 81)
grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
snapshots = []
history = fit(model, loss, loader, Adam(model.parameters(), lr=1e-2), epochs=epochs, validate=validate)
result = Report({"accuracy": history.last["accuracy"], "loss": history.last["loss"]}, preset=asked_preset(),
                targets=(Target("accuracy", ">=", 0.97),)).check()
print(result.metrics)


# %%
SIDES = LinearSegmentedColormap.from_list("sides", [PALETTE[0], "white", PALETTE[1]])


def draw_boundary(scores, size=3.2, dots=9, ax=None):
    if ax is None:
        with figure_style():
            _, ax = plt.subplots(figsize=(size, size))
    margin = (scores[:, 1] - scores[:, 0]).reshape(len(ticks), -1)
    ax.contourf(ticks, ticks, np.tanh(margin / 2), levels=np.linspace(-1, 1, 9), cmap=SIDES, alpha=0.4)
    if margin.min() < 0 < margin.max():
        ax.contour(ticks, ticks, margin, levels=[0], colors="black", linewidths=1)
    for k, color in enumerate(PALETTE[:2]):
        ax.scatter(*x[y == k].T, s=dots, color=color, edgecolor="white", linewidth=0.3)
    ax.set(xticks=[], yticks=[], aspect="equal", xlim=(-1.2, 1.2), ylim=(-1.2, 1.2))
    ax.grid(False)
    return ax


with figure_style():
    fig, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.2), width_ratios=(1.2, 1))
plot_curves({"training loss": history["loss"], "accuracy, unseen points": history["accuracy"]}, xlabel="epoch",
            ylabel="", ax=left)
left.set_title("Training")
draw_boundary(snapshots[-1], ax=right)
right.set_title("Boundary at the end")
plt.show()
assert snapshots[-1].shape == (81 * 81, 2) and np.isfinite(snapshots[-1]).all()

# %% [markdown]
# The film shows the boundary after chosen epochs: almost straight at first, then an S through the center, and from
# there the cut works its way outwards along the arms. Far from all points the network has an opinion too, and no
# reason for it.

# %%
shown = [k for k in (0, 3, 7, 11, 15, 23, 31, 47, 63, 79) if k < epochs]
frames = [draw_boundary(snapshots[k], size=2.6, dots=5).figure for k in shown]
labels = [f"epoch {k + 1}: accuracy {history['accuracy'][k]:.2f}" for k in shown]
plt.close("all")
assert len(frames) == len(labels) >= 1
Player(frames, title="The boundary during training", labels=labels, interval=500, width=380)

# %% [markdown]
# ## Exercises
#
# **1.** Give `Number` a division, with the two local derivatives, and check it against `Scalar`.
#
# <details><summary>Answer</summary>
#
# $a / b$ has the derivatives $1/b$ and $-a/b^2$.
#
# ```python
# def divide(a, b):
#     return Number(a.data / b.data, [(a, 1 / b.data), (b, -a.data / b.data ** 2)])
#
# a, b = Number(3.0), Number(-4.0)
# backward(later_first(divide(a, b)))
# p, q = Scalar(3.0), Scalar(-4.0)
# (p / q).backward()
# assert np.isclose(a.grad, p.grad) and np.isclose(b.grad, q.grad)
# ```
# </details>
#
# **2.** `np.mean(x)` over $n$ elements is linear in $x$. Which vector-Jacobian product does it have? Check it with
# the engine.
#
# <details><summary>Answer</summary>
#
# All $n$ partial derivatives are $1/n$, so $\bar x$ is the number $\bar y / n$ broadcast to the shape of $x$: the
# adjoint of a sum is a broadcast, as the adjoint of a broadcast is a sum.
#
# ```python
# x = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
# (g,) = grad(x.mean(), [x], np.array(12.0))
# assert np.allclose(g.data, np.full((2, 3), 12.0 / 6))
# ```
# </details>
#
# **3.** Show with (8) that the Hessian of $f(x) = \tfrac12 x^\top A x$ is $\tfrac12 (A + A^\top)$, not $A$, and test
# it on a matrix that is not symmetric.
#
# <details><summary>Answer</summary>
#
# $\nabla f = \tfrac12 (A + A^\top) x$, so $\langle \nabla f, v \rangle$ has the gradient
# $\tfrac12 (A + A^\top) v$.
#
# ```python
# A = np.array([[1.0, 5.0], [-2.0, 3.0]])
# H = hessian(lambda x: 0.5 * (x @ (Tensor(A) @ x)), np.array([0.3, -0.7])).data
# assert np.allclose(H, (A + A.T) / 2)
# ```
# </details>
#
# **4.** Compute $\partial^3 / \partial x^3$ of $e^{\sin x}$ at 0 by taking `grad` three times. On paper it is 0.
#
# <details><summary>Answer</summary>
#
# $e^{\sin x} = 1 + x + x^2/2 + 0 \cdot x^3 + \dots$: the $x^3/6$ of the exponential cancels the $-x^3/6$ of the sine.
#
# ```python
# from minicv.autograd.elementwise import exp, sin
#
# x = Tensor(np.array(0.0), requires_grad=True)
# y = exp(sin(x))
# for expected in (1.0, 1.0, 0.0):
#     (y,) = grad(y, [x], create_graph=True)
#     assert np.isclose(y.item(), expected)
# ```
# </details>
