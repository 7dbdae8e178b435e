# %% [markdown]
# # 01 Convolution and normalisation
#
# **After this lesson you can** write a convolution as a matrix, a sum and a matrix product, derive its two partners,
# predict every output size and cost, derive the gradient of batch and layer normalisation, and say what
# normalisation buys in training. About 20 s on two cores.

# %% [markdown]
# ## Goal and sources
#
# Nearly every network of this course is built from two linear-algebra ideas: a matrix that repeats the same few
# numbers everywhere, and a projection that removes mean and scale.
#
# * Y. LeCun et al., *Gradient-based learning applied to document recognition*, Proc. IEEE 86, 1998.
# * K. Chellapilla, S. Puri, P. Simard, *High performance convolutional neural networks for document processing*,
#   IWFHR 2006: windows as a matrix.
# * V. Dumoulin, F. Visin, *A guide to convolution arithmetic for deep learning*, arXiv 1603.07285, 2016.
# * S. Ioffe, C. Szegedy, *Batch normalization*, ICML 2015; J. Ba et al., *Layer normalization*, arXiv 1607.06450,
#   2016; Y. Wu, K. He, *Group normalization*, ECCV 2018.
#
# In the library: `minicv/autograd/conv.py`, `normalize.py`, `resample.py`; `minicv/kernels/conv_numpy.py` has all
# formulas in a few lines, `kernels/im2col.py` and `kernels/conv.py` the fast version.

# %%
import itertools

import matplotlib.pyplot as plt
import numpy as np

from minicv.autograd import Tensor, grad, gradcheck, jacobian, no_grad
from minicv.autograd.conv import conv2d, conv2d_filter, conv2d_input, conv_transpose2d
from minicv.autograd.normalize import batch_norm, group_norm, instance_norm, layer_norm
from minicv.autograd.resample import fold, resize, unfold
from minicv.data import ArrayDataset, DataLoader, Glyphs10
from minicv.experiments import Report, Target, asked_preset
from minicv.nn import BatchNorm2d, Conv2d, GlobalAvgPool2d, Linear, ReLU, Sequential, cost, cross_entropy
from minicv.optim import SGD
from minicv.plot import PALETTE, Player, figure_style, plot_curves
from minicv.train import fit

# %% [markdown]
# ## Derive
#
# ### One sum
#
# A convolution slides a filter $w$ (O, C, P, Q) over an image $x$ (N, C, H, W). With stride $s$, dilation $d$ and
# $t$ rows and columns of zeros around the image,
#
# $$y_{noij} = b_o + \sum_{c,p,q} x_{n,\,c,\;is + pd - t,\;js + qd - t}\; w_{ocpq}. \tag{1}$$
#
# The last row that is read, $(I-1)s + (P-1)d$, must lie among the $H + 2t$ rows of the padded image. The largest
# such $I$ is
#
# $$I = \left\lfloor \frac{H + 2t - d(P-1) - 1}{s} \right\rfloor + 1. \tag{2}$$

# %%
rng = np.random.default_rng(0)
for H, P, s, t, d in itertools.product((5, 6, 7, 12), (1, 2, 3), (1, 2, 3), (0, 1), (1, 2)):
    starts = [i for i in range(H + 2 * t) if i % s == 0 and i + (P - 1) * d < H + 2 * t]         # windows that fit
    y = conv2d(np.zeros((1, 1, H, H)), np.zeros((1, 1, P, P)), stride=s, padding=t, dilation=d)
    assert len(starts) == y.shape[2] == (H + 2 * t - d * (P - 1) - 1) // s + 1                   # (2)

# %% [markdown]
# > **Where texts and code differ.** (a) Mathematics flips the filter before it slides; (1) does not, and is strictly
# > a cross-correlation. A learned filter does not care, a given one does. (b) For an even filter, "same" padding
# > needs an odd number of zeros: here and in PyTorch the extra one goes to the bottom and right. With a stride,
# > TensorFlow's "SAME" pads by an amount that depends on $H$, while a fixed $t = (P-1)/2$ does not: the same weights
# > then see windows shifted by a pixel. (c) The floor in (2) drops rows: for $H = 6$, $P = 3$, $s = 2$, the last
# > row is never read, and its gradient is 0.

# %%
signal, taps = rng.standard_normal(9), rng.standard_normal(4)
sliding = conv2d(signal[None, None, None], taps[None, None, None])[0, 0, 0]
assert np.allclose(sliding, np.convolve(signal, taps[::-1], mode="valid"))                       # (a)
assert not np.allclose(sliding, np.convolve(signal, taps, mode="valid"))

image = Tensor(rng.standard_normal((1, 1, 6, 6)), requires_grad=True)
conv2d(image, np.ones((1, 1, 3, 3)), stride=2).sum().backward()
assert (image.grad.data[0, 0, 5] == 0).all() and (image.grad.data[0, 0, :5, :5] > 0).all()       # (c)

# %% [markdown]
# ### A matrix
#
# (1) is linear in $x$, so without the bias there is a matrix $A(w)$ with
#
# $$\operatorname{vec} y = A \operatorname{vec} x, \qquad
#   A_{(oij),(chk)} = w_{o,\,c,\,(h + t - is)/d,\,(k + t - js)/d} \ \text{ or } 0. \tag{3}$$
#
# Its columns are the responses to images with a single 1. For one channel and stride 1 it is a Toeplitz matrix of
# Toeplitz blocks: every diagonal holds one number. A dense layer would have a different number in each
# place; here 9 are shared by all.


# %%
def matrix_of(f, *shape):
    """Columns f(unit image), for a linear f on images of this shape."""
    units = np.eye(np.prod(shape)).reshape(-1, *shape)
    return f(units).reshape(len(units), -1).T


w = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
A1 = matrix_of(lambda x: conv2d(x, w, padding=1), 1, 5, 5)
A2 = matrix_of(lambda x: conv2d(x, w, stride=2, padding=1), 1, 5, 5)
assert A1.shape == (25, 25) and A2.shape == (9, 25)
assert set(A1.ravel()) == set(range(10))                                                         # 9 numbers and 0
assert np.array_equal(A2, A1.reshape(5, 5, 25)[::2, ::2].reshape(9, 25))                         # stride skips rows

with figure_style():
    fig, axes = plt.subplots(1, 3, figsize=(8.2, 3.5), width_ratios=(25, 25, 9))
for ax, A, title in zip(axes, (A1, A2, A2.T), (r"$A$, stride 1", r"$A$, stride 2", r"$A^\top$, stride 2")):
    ax.imshow(np.where(A > 0, A, np.nan), cmap="viridis", vmin=1, vmax=9)
    ax.set(title=title, xticks=np.arange(-0.5, A.shape[1], 5 if A.shape[1] == 25 else 3), xticklabels=[],
           yticks=np.arange(-0.5, A.shape[0], 5 if A.shape[0] == 25 else 3), yticklabels=[],
           xlabel=f"{A.shape[1]} pixels in", ylabel=f"{A.shape[0]} pixels out")
    ax.tick_params(length=0)
plt.show()

# %% [markdown]
# The backward pass multiplies by $A^\top$: it takes the small grid back to the large one. Used as a layer of its
# own, $A^\top$ is the **transposed convolution**, the standard way to enlarge feature maps. It is not the inverse
# (the name "deconvolution" misleads): $A^\top A \ne I$, it only has the inverse's shape.

# %%
g = rng.standard_normal((1, 1, 3, 3))
back = conv_transpose2d(g, w, stride=2, padding=1)
assert back.shape == (1, 1, 5, 5) and np.allclose(back.ravel(), A2.T @ g.ravel())
assert np.linalg.matrix_rank(A2.T @ A2) == 9 < 25                                                # no inverse

# %% [markdown]
# ### Three partners
#
# Multiply (1) by a weight for each output and add up. The result is linear in each of its three arguments,
#
# $$T(x, w, g) = \sum_{n,o,i,j} g_{noij} \sum_{c,p,q} x_{n,c,is+pd-t,js+qd-t}\, w_{ocpq}, \tag{4}$$
#
# and a form that is linear in each argument is the scalar product of each argument with the derivative by it:
#
# $$T = \Big\langle g, \frac{\partial T}{\partial g} \Big\rangle
#     = \Big\langle x, \frac{\partial T}{\partial x} \Big\rangle
#     = \Big\langle w, \frac{\partial T}{\partial w} \Big\rangle. \tag{5}$$
#
# $\partial T/\partial g$ is the convolution, $\partial T/\partial x$ its gradient in the image (`conv2d_input`),
# $\partial T/\partial w$ its gradient in the filter (`conv2d_filter`). Differentiating any of the three gives the
# other two, so three operations are closed under differentiation, to any order.

# %%
x, w = rng.standard_normal((2, 4, 7, 6)), rng.standard_normal((6, 2, 3, 2))
s = {"stride": (2, 1), "padding": ((1, 0), (1, 1)), "dilation": (1, 2), "groups": 2}
g = rng.standard_normal(conv2d(x, w, **s).shape)
T = [(g * conv2d(x, w, **s)).sum(), (x * conv2d_input(g, w, size=x.shape[2:], **s)).sum(),
     (w * conv2d_filter(x, g, size=w.shape[2:], **s)).sum()]
print("three ways:", *(f"{value:.12f}" for value in T))
assert np.allclose(T, T[0], rtol=1e-12)                                                          # (5)

xt, wt = Tensor(x, requires_grad=True), Tensor(w, requires_grad=True)
gx, gw = grad(conv2d(xt, wt, **s), [xt, wt], g)
assert np.allclose(gx.data, conv2d_input(g, w, size=(7, 6), **s), rtol=1e-12)
assert np.allclose(gw.data, conv2d_filter(x, g, size=(3, 2), **s), rtol=1e-12)
small = rng.standard_normal((1, 2, 4, 3)), rng.standard_normal((2, 1, 2, 2))
assert gradcheck(lambda x, w: conv2d(x, w, stride=2, padding=1, groups=2), small, order=3).passed

# %% [markdown]
# ### A matrix product, and what it costs
#
# Copy every window into a column: `im2col`, in the library `unfold`. Then (1) is a product of two dense matrices,
# which every processor does near its peak speed,
#
# $$Y = W X, \qquad W: O \times CPQ, \qquad X: CPQ \times NIJ, \tag{6}$$
#
# with the same number of multiplications as (1). The price is memory: every pixel is copied into as many columns as
# there are windows over it,
#
# $$\text{MACs} = \frac{O\,C\,P\,Q\,N I J}{\text{groups}}, \qquad
#   \frac{\text{elements of } X}{\text{elements of } x} = \frac{PQ \cdot IJ}{HW} \approx \frac{PQ}{s^2}. \tag{7}$$
#
# The library copies one block of rows at a time, so that the columns stay in the cache. The way back adds columns
# where windows overlap (`fold`): the adjoint of copying is adding.

# %%
x, w = rng.standard_normal((2, 8, 32, 32)), rng.standard_normal((16, 8, 3, 3))
columns = unfold(x, kernel=3, padding=1)                                                         # (N, C P Q, I J)
assert np.allclose((w.reshape(16, -1) @ columns).reshape(2, 16, 32, 32), conv2d(x, w, padding=1), rtol=1e-12)
assert columns.size == 9 * x.size

g = rng.standard_normal(columns.shape)
assert np.isclose((columns * g).sum(), (x * fold(g, size=(32, 32), kernel=3, padding=1)).sum())
layer = Conv2d(8, 16, 3, padding=1, rng=0)
assert cost(layer, (2, 8, 32, 32)).macs == 16 * 8 * 9 * 2 * 32 * 32                              # (7)
rows = {"3x3": (1, 3), "3x3, 8 groups": (8, 3), "1x1": (1, 1)}
for name, (groups, P) in rows.items():
    counted = cost(Conv2d(8, 16, P, padding=P // 2, groups=groups, rng=0), (1, 8, 32, 32))
    print(f"{name:14} {counted.parameters:5,} parameters {counted.macs:9,} MACs")
    assert counted.macs == 16 * 8 * P * P * 32 * 32 // groups

# %% [markdown]
# ### Normalisation and its gradient
#
# Take $n$ values with mean $m$ and variance $v$, both with $1/n$, and
#
# $$\hat x_k = \frac{x_k - m}{\sigma}, \qquad \sigma = \sqrt{v + \varepsilon}. \tag{8}$$
#
# A change of $x_l$ moves $\hat x_k$ in three ways: directly, through the mean with $\partial m/\partial x_l = 1/n$,
# and through the variance with $\partial v/\partial x_l = \tfrac2n (x_l - m)$, which gives
# $\partial\sigma/\partial x_l = \hat x_l / n$. Together
#
# $$\frac{\partial \hat x_k}{\partial x_l}
#   = \frac1\sigma \Big( \delta_{kl} - \frac1n - \frac{\hat x_k \hat x_l}{n} \Big), \qquad
#   \bar x = \frac1\sigma \big( g - \operatorname{mean}(g) - \hat x \operatorname{mean}(g \hat x) \big), \tag{9}$$
#
# where $g$ is the gradient with respect to $\hat x$. Up to the factor the Jacobian is an orthogonal projection: it
# removes the constant and the component along $\hat x$, the two directions in which $\hat x$ cannot move. The
# learned scale and shift $y = \gamma \hat x + \beta$ give $g = \gamma \bar y$ and
#
# $$\bar\gamma = \sum \bar y\, \hat x, \qquad \bar\beta = \sum \bar y. \tag{10}$$

# %%
x = rng.standard_normal(6)
J = jacobian(lambda x: layer_norm(x, eps=0.0), x).data
hat = (x - x.mean()) / x.std()
P = J * x.std()
assert np.allclose(P, np.eye(6) - 1 / 6 - np.outer(hat, hat) / 6)                                # (9)
assert np.allclose(P @ P, P) and np.allclose(P, P.T) and np.linalg.matrix_rank(P) == 6 - 2       # a projection
assert np.allclose(J @ np.ones(6), 0) and np.allclose(J @ hat, 0)

# %% [markdown]
# Batch, layer, instance and group normalisation are (8) over different sets of values. One consequence is shared:
# weights $W$ in front of a norm have no scale. With $f(W) = L(\operatorname{norm}(Wx))$ and $a > 0$,
#
# $$f(aW) = f(W), \qquad \nabla f(aW) = \tfrac1a \nabla f(W), \qquad \langle \nabla f(W), W \rangle = 0. \tag{11}$$
#
# The second is the derivative of the first by $W$, the third its derivative by $a$. A step that is too large makes
# $W$ longer (it is orthogonal to $W$), and longer weights get smaller gradients: the step size corrects itself. A
# bias in front of the norm is subtracted with the mean and can be left out.

# %%
x, w, target = (rng.standard_normal(size) for size in ((4, 3, 8, 8), (5, 3, 3, 3), (4, 5, 6, 6)))


def f(w, b=None):
    y = batch_norm(conv2d(Tensor(x), w, b), training=True, eps=0.0).y
    return (y * Tensor(target)).mean()


values, slopes = zip(*((f(W).item(), grad(f(W), [W])[0].data)
                       for W in (Tensor(a * w, requires_grad=True) for a in (1, 10))))
assert np.isclose(*values) and np.allclose(slopes[0], 10 * slopes[1])                            # (11)
assert abs((slopes[0] * w).sum()) < 1e-12
assert np.isclose(f(Tensor(w), Tensor(rng.standard_normal(5))).item(), values[0])                # a bias does nothing

# %% [markdown]
# ## Check by hand
#
# ### Three convolutions
#
# Seven loops that read like (1), four lines that read like (6), and the library, which runs compiled loops or its
# blocked matrix product. They must agree to rounding, for every setting.


# %%
def conv_loops(x, w, s, t, d, groups):
    (N, C, H, W), (O, c_in, P, Q) = x.shape, w.shape
    I, J = ((n + 2 * t - d * (k - 1) - 1) // s + 1 for n, k in ((H, P), (W, Q)))
    y = np.zeros((N, O, I, J))
    for n, o, i, j, c, p, q in itertools.product(*map(range, (N, O, I, J, c_in, P, Q))):
        h, k = i * s + p * d - t, j * s + q * d - t
        if 0 <= h < H and 0 <= k < W:                                # outside the image is zero
            y[n, o, i, j] += x[n, o // (O // groups) * c_in + c, h, k] * w[o, c, p, q]
    return y


def conv_columns(x, w, s, t, d, groups):
    N, O = len(x), len(w)
    columns = unfold(x, kernel=w.shape[2:], stride=s, padding=t, dilation=d)
    columns = columns.reshape(N, groups, -1, columns.shape[2])       # the channels of a group are neighbours
    I = (x.shape[2] + 2 * t - d * (w.shape[2] - 1) - 1) // s + 1
    return (w.reshape(groups, O // groups, -1) @ columns).reshape(N, O, I, -1)


worst = 0.0
for s, t, d, groups in [(1, 0, 1, 1), (1, 1, 1, 1), (2, 1, 1, 1), (1, 2, 2, 1), (3, 0, 1, 2), (2, 2, 2, 2), (1, 1, 1, 4)]:
    x, w = rng.standard_normal((2, 4, 8, 7)), rng.standard_normal((4, 4 // groups, 3, 2))
    ours = [conv(x, w, s, t, d, groups) for conv in (conv_loops, conv_columns)]
    y = conv2d(x, w, stride=s, padding=t, dilation=d, groups=groups)
    worst = max(worst, *(abs(y - other).max() for other in ours))
print(f"largest difference {worst:.1e}")
assert worst < 1e-12

# %% [markdown]
# Step through a convolution with stride 2 and one row of zeros on each side. The box is the window, the filter is
# the one that takes the difference between left and right.

# %%
picture = np.array([[0, 0, 1, 1, 1], [0, 0, 1, 1, 1], [0, 1, 1, 1, 0], [1, 1, 1, 0, 0], [1, 1, 0, 0, 0.0]])
sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1.0]])
padded = np.pad(picture, 1)
answer = conv2d(picture[None, None], sobel[None, None], stride=2, padding=1)[0, 0]


def draw_numbers(ax, values, colors, title, known=None):
    ax.imshow(values, **colors)
    for (i, j), v in np.ndenumerate(values):
        if known is None or known[i, j]:
            ax.text(j, i, f"{v:g}", ha="center", va="center", fontsize=9, color="white" if abs(v) > 2 else "0.15")
    ax.set_xticks(np.arange(values.shape[1] + 1) - 0.5, labels=[])
    ax.set_yticks(np.arange(values.shape[0] + 1) - 0.5, labels=[])
    ax.tick_params(length=0)
    ax.grid(color="0.8")
    ax.set_title(title, fontsize=10)


def draw_step(i, j):
    with figure_style():
        fig, axes = plt.subplots(1, 3, figsize=(6.0, 2.5), width_ratios=(7, 3, 3))
    known = np.arange(9).reshape(3, 3) <= 3 * i + j
    draw_numbers(axes[0], padded, {"cmap": "Blues", "vmin": 0, "vmax": 4}, "image, padded")
    draw_numbers(axes[1], sobel, {"cmap": "RdBu_r", "vmin": -4, "vmax": 4}, "filter")
    draw_numbers(axes[2], np.where(known, answer, 0), {"cmap": "RdBu_r", "vmin": -4, "vmax": 4}, "output", known)
    axes[0].add_patch(plt.Rectangle((2 * j - 0.5, 2 * i - 0.5), 3, 3, fill=False, lw=2.5, ec=PALETTE[1]))
    axes[0].add_patch(plt.Rectangle((0.5, 0.5), 5, 5, fill=False, lw=1, ec="0.4", ls=":"))
    axes[2].add_patch(plt.Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, lw=2.5, ec=PALETTE[1]))
    return fig


frames, labels = [], []
for i, j in np.ndindex(3, 3):
    window = padded[2 * i:2 * i + 3, 2 * j:2 * j + 3]
    assert (window * sobel).sum() == answer[i, j]
    frames.append(draw_step(i, j))
    labels.append(f"output ({i}, {j}): right {(window * sobel.clip(0)).sum():g} "
                  f"less left {(window * (-sobel).clip(0)).sum():g} = {answer[i, j]:g}")
plt.close("all")
Player(frames, title="A 3 x 3 filter with stride 2", labels=labels, interval=900)

# %% [markdown]
# ### Stride, dilation, groups
#
# Which inputs does an output read? The gradient knows: differentiate one output with a filter of ones and see where
# the gradient is not zero. Below, blue cells are read by the output marked in the title, and gray corners are the
# windows of its neighbors to the right and below: a stride moves windows apart, dilation moves the taps inside a window apart.
# The fourth picture does the same for channels: with groups, the matrix from input to output channels is block
# diagonal, and with as many groups as channels (depthwise) a diagonal.


# %%
def reads(size, output, **settings):
    x = Tensor(np.zeros((1, 1, size, size)), requires_grad=True)
    y = conv2d(x, np.ones((1, 1, 3, 3)), **settings)[(0, 0, *output)]
    return grad(y, [x])[0].data[0, 0] > 0


def channel_links(groups, C=6):
    w = np.ones((C, C // groups, 1, 1))
    return jacobian(lambda x: conv2d(x, w, groups=groups), np.zeros((1, C, 1, 1))).data.reshape(C, C)


with figure_style():
    fig, axes = plt.subplots(1, 6, figsize=(9.4, 2.0))
for ax, (title, settings) in zip(axes, {"plain": {}, "stride 2": {"stride": 2}, "dilation 2": {"dilation": 2}}.items()):
    here, right = reads(9, (1, 1), **settings), reads(9, (1, 2), **settings)
    ax.imshow(np.where(here, 1.0, 0.08), cmap="Blues", vmin=0, vmax=1.5)
    ax.plot(*np.nonzero(right)[::-1], "o", ms=3, color=PALETTE[1])
    ax.set(title=title, xlabel="9 x 9 pixels")
for ax, groups in zip(axes[3:], (1, 2, 6)):
    ax.imshow(np.where(channel_links(groups) > 0, 1.0, 0.08), cmap="Greens", vmin=0, vmax=1.5)
    ax.set(title=f"groups {groups}", xlabel="6 channels in", ylabel="6 out" if groups == 1 else "")
for ax, cells in zip(axes, (9, 9, 9, 6, 6, 6)):
    ax.set_xticks(np.arange(cells + 1) - 0.5, labels=[])
    ax.set_yticks(np.arange(cells + 1) - 0.5, labels=[])
    ax.tick_params(length=0)
    ax.grid(color="white", alpha=1)
    ax.set_axisbelow(False)
plt.show()
assert np.array_equal(np.argwhere(reads(9, (1, 1), stride=2))[0], [2, 2])
assert np.array_equal(np.unique(np.argwhere(reads(9, (1, 1), dilation=2))), [1, 3, 5])
assert [channel_links(groups).sum() for groups in (1, 2, 6)] == [36, 18, 6]

# %% [markdown]
# ### Batch and layer normalisation in ten lines
#
# (8) to (10) as code. The only difference between the two is the set of axes. The library's version must agree, and
# both must agree with finite differences.


# %%
def norm_forward(x, gamma, beta, axes, eps=1e-5):
    sigma = np.sqrt(x.var(axes, keepdims=True) + eps)
    hat = (x - x.mean(axes, keepdims=True)) / sigma                                              # (8)
    return gamma * hat + beta, hat, sigma


def norm_backward(gy, hat, sigma, gamma, axes):
    g = gamma * gy
    gx = (g - g.mean(axes, keepdims=True) - hat * (g * hat).mean(axes, keepdims=True)) / sigma   # (9)
    others = tuple(a for a, n in enumerate(gamma.shape) if n == 1)
    return gx, (gy * hat).sum(others), gy.sum(others)                                            # (10)


x, gy = rng.standard_normal((2, 4, 3, 5, 5)) * 2 + 1
cases = {"batch": ((0, 2, 3), (1, 3, 1, 1), lambda x, w, b: batch_norm(x, w, b, training=True).y),
         "layer": ((1, 2, 3), (1, 3, 5, 5), lambda x, w, b: layer_norm(x, w, b, axes=(1, 2, 3)))}
for name, (axes, shape, library) in cases.items():
    gamma, beta = rng.standard_normal((2, *shape))
    flat = [a.reshape([n for n in shape if n > 1]) for a in (gamma, beta)]
    y, hat, sigma = norm_forward(x, gamma, beta, axes)
    inputs = [Tensor(a, requires_grad=True) for a in (x, *flat)]
    out = library(*inputs)
    assert np.allclose(out.data, y, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(norm_backward(gy, hat, sigma, gamma, axes), grad(out, inputs, gy)):
        assert np.allclose(mine, theirs.data, rtol=1e-11, atol=1e-11)
    print(f"{name}: {gradcheck(library, [x[:2, :, :2, :2], *(a[..., :2, :2] if a.ndim > 1 else a for a in flat)])}")

# %% [markdown]
# ### Which values share a mean
#
# The engine draws the picture that explains the family. The orange value is differentiated, and its gradient is not
# zero exactly where a value has a part in its statistics (blue). Rows are images, columns channels, and each cell
# holds four pixels.

# %%
x = rng.standard_normal((3, 6, 2, 2))
family = {"batch": lambda x: batch_norm(x, training=True).y, "layer": lambda x: layer_norm(x, axes=(1, 2, 3)),
          "layer, per pixel": lambda x: layer_norm(x, axes=1), "instance": instance_norm,
          "group, 2 groups": lambda x: group_norm(x, groups=2)}
shared = {}
for name, norm in family.items():
    xt = Tensor(x, requires_grad=True)
    shared[name] = grad(norm(xt)[1, 1, 0, 0], [xt])[0].data != 0
assert {name: s.sum() for name, s in shared.items()} == {
    "batch": 3 * 4, "layer": 6 * 4, "layer, per pixel": 6, "instance": 4, "group, 2 groups": 3 * 4}

with figure_style():
    fig, axes = plt.subplots(1, 5, figsize=(9.4, 1.7))
for ax, (name, s) in zip(axes, shared.items()):
    ax.imshow(np.where(s, 1.0, 0.08).transpose(0, 2, 1, 3).reshape(6, 12), cmap="Blues", vmin=0, vmax=1.5)
    ax.add_patch(plt.Rectangle((1.5, 1.5), 1, 1, color=PALETTE[1]))
    ax.set_xticks(np.arange(0, 13, 2) - 0.5, labels=[])
    ax.set_yticks(np.arange(0, 7, 2) - 0.5, labels=[])
    ax.tick_params(length=0)
    ax.grid(color="0.4", alpha=1, lw=0.8)
    ax.set_axisbelow(False)
    ax.set(title=name, xlabel="channels", ylabel="images" if name == "batch" else "")
plt.show()

# %% [markdown]
# > **Where texts and code differ.** (a) Layer norm in its paper averages over all features of an item, (C, H, W)
# > for an image. In a transformer, and in ConvNeXt, every position has its own mean over the channels. (b) Batch norm
# > divides by $n$ in training but keeps a running variance with $n - 1$. The paper's algorithm 2 has $n - 1$ in
# > inference too, many re-implementations have $n$ everywhere. (c) `momentum` is the weight of the new batch (0.1)
# > here and in PyTorch, and the weight of the past (0.99) in Keras. (d) $\varepsilon$ is under the root here;
# > next to it, as in some texts, it is another function.

# %%
xb = rng.standard_normal((2, 3, 2, 2))
_, mean, var = batch_norm(xb, running_mean=np.zeros(3), running_var=np.ones(3), training=True, momentum=0.1)
assert np.allclose(mean, 0.1 * xb.mean((0, 2, 3)))                                               # (c)
assert np.allclose(var, 0.9 + 0.1 * xb.var((0, 2, 3), ddof=1))                                   # (b)
