# %% [markdown]
# # 01 Convolution and normalisation
#
# **After this lesson you can** write a convolution as a matrix and say what its transpose does, derive its two
# gradients from one formula, predict output sizes and costs, derive the backward pass of every normalisation layer,
# and place pixels so that resizing does not shift the picture. About 30 s on two cores.

# %% [markdown]
# ## Goal and sources
#
# Convolution and normalisation are the two layers that nearly all networks of this course are made of. Both are
# simple on paper and easy to get wrong by one: one pixel, one axis, one factor.
#
# * Y. LeCun et al., *Gradient-based learning applied to document recognition*, Proc. IEEE 86, 1998.
# * K. Chellapilla, S. Puri, P. Simard, *High performance convolutional neural networks for document processing*,
#   IWFHR 2006: convolution as a matrix product.
# * V. Dumoulin, F. Visin, *A guide to convolution arithmetic for deep learning*, arXiv 1603.07285.
# * S. Ioffe, C. Szegedy, *Batch normalization*, ICML 2015; J. Ba et al., *Layer normalization*, arXiv 1607.06450;
#   D. Ulyanov et al., arXiv 1607.08022 (instance); Y. Wu, K. He, *Group normalization*, ECCV 2018.
#
# In the library: `minicv/autograd/conv.py`, `normalize.py`, `resample.py`; the fast loops are in
# `minicv/kernels/im2col.py` and `conv.py`, the layers in `minicv/nn/conv.py` and `norm.py`.

# %%
import matplotlib.pyplot as plt
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minicv.autograd import Tensor, grad
from minicv.autograd.conv import conv2d, conv2d_filter, conv2d_input, conv_transpose2d
from minicv.autograd.gradcheck import gradcheck
from minicv.autograd.normalize import batch_norm, group_norm, instance_norm, layer_norm, normalize
from minicv.autograd.resample import resize, unfold
from minicv.autograd.transforms import jacobian
from minicv.data import ArrayDataset, DataLoader, Glyphs10, Shapes10
from minicv.experiments import Report, Target, asked_preset
from minicv.nn import BatchNorm2d, Conv2d, Flatten, GlobalAvgPool2d, Linear, ReLU, Sequential, cost, cross_entropy
from minicv.optim import SGD, Scheduler, cosine
from minicv.plot import PALETTE, figure_style, plot_curves, sliding_player
from minicv.train import fit

# %% [markdown]
# ## Derive
#
# ### A convolution is a matrix
#
# An output pixel is a weighted sum over a window of the input, with the same weights for every window:
#
# $$y_{n,o,i,j} = \sum_{c,p,q} w_{o,c,p,q}\; x_{n,\,c,\;i s + p d - t,\;j s + q d - l}, \tag{1}$$
#
# with stride $s$, dilation $d$, $t$ rows and $l$ columns of zeros put in front, and $x = 0$ outside. This is linear in
# $x$, so for one image written as a long vector it is a matrix:
#
# $$y = A x, \qquad A_{(o,i,j),(c,h,w)} = w_{o,c,p,q} \ \text{ where } h = i s + p d - t,\; w = j s + q d - l. \tag{2}$$
#
# Few entries are not zero, and the same few numbers appear in every row, each time shifted: blocks of Toeplitz
# matrices inside a Toeplitz matrix of blocks.


# %%
def output_length(size, kernel, stride=1, padding=0, dilation=1):
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1                   # (3)


def convolution_matrix(w, size, stride=1, padding=0, dilation=1):
    """The matrix of (2) for w (O, C, P, Q) and images (C, *size)."""
    O, C, P, Q = w.shape
    H, W = size
    I, J = (output_length(n, k, stride, padding, dilation) for n, k in zip(size, (P, Q)))
    A = np.zeros((O, I, J, C, H, W))
    for i, j, p, q in np.ndindex(I, J, P, Q):
        h, v = i * stride + p * dilation - padding, j * stride + q * dilation - padding
        if 0 <= h < H and 0 <= v < W:
            A[:, i, j, :, h, v] = w[:, :, p, q]
    return A.reshape(O * I * J, C * H * W)


rng = np.random.default_rng(0)
for stride, padding, dilation in [(1, 0, 1), (2, 1, 1), (1, 2, 2), (3, 1, 2)]:
    x, w = rng.standard_normal((2, 3, 8, 7)), rng.standard_normal((4, 3, 3, 2))
    settings = {"stride": stride, "padding": padding, "dilation": dilation}
    A = convolution_matrix(w, (8, 7), **settings)
    y = conv2d(x, w, **settings)
    assert np.allclose((A @ x.reshape(2, -1).T).T.reshape(y.shape), y, rtol=0, atol=1e-12)   # (2)

# %% [markdown]
# One color for each of the nine taps of a 3 by 3 filter on a 6 by 6 image. Each row is one output pixel. With stride
# 2 there are fewer rows, and the pattern moves two columns at a time.

# %%
taps = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
with figure_style():
    fig, axes = plt.subplots(1, 2, figsize=(7.0, 3.0), width_ratios=(1, 1))
for ax, stride in zip(axes, (1, 2)):
    A = convolution_matrix(taps, (6, 6), stride=stride, padding=1)
    ax.imshow(np.where(A == 0, np.nan, A), cmap="tab10", vmin=0.5, vmax=10.5)
    ax.set(title=f"stride {stride}: {len(A)} outputs, 36 inputs", xlabel="input pixel", ylabel="output pixel")
    ax.set_xticks(range(0, 37, 6))
    ax.set_yticks(range(0, len(A) + 1, 6))
    ax.set_xticks(np.arange(-0.5, 36, 6), minor=True)
    ax.grid(False)
    ax.grid(True, which="minor", axis="x")
plt.show()
assert np.count_nonzero(convolution_matrix(taps, (6, 6), padding=1)) == (3 * 6 - 2) ** 2      # per axis: 3 taps, 2 lost

# %% [markdown]
# ### The size of the output
#
# The filter with its gaps is $d(P-1)+1$ pixels long. Its first position is 0, its last the largest multiple of $s$
# from which it still fits into $H + t + b$ pixels, so
#
# $$I = \left\lfloor \frac{H + t + b - d\,(P - 1) - 1}{s} \right\rfloor + 1. \tag{3}$$
#
# Counting the positions must give the same number for all settings.

# %%
checked = 0
for size, kernel, stride, padding, dilation in np.ndindex(12, 4, 4, 3, 3):
    size, kernel, stride, dilation = size + 1, kernel + 1, stride + 1, dilation + 1
    padded, reach = size + 2 * padding, dilation * (kernel - 1) + 1
    if reach <= padded:
        count = sum(start + reach <= padded for start in range(0, padded, stride))
        assert count == output_length(size, kernel, stride, padding, dilation)
        checked += 1
print(f"{checked} settings agree")
assert checked > 1000

# %% [markdown]
# ### The transpose
#
# The backward pass needs $\bar x = A^\top \bar y$, the matrix with
#
# $$\langle g,\, A x \rangle = \langle A^\top g,\, x \rangle \quad\text{for all } g, x. \tag{4}$$
#
# Reading (1) the other way round: where the convolution *collects* a window into output pixel $(i, j)$, the transpose
# *spreads* $g_{i,j}$ over that window, weighted by the filter, and adds where windows overlap. That is the
# "transposed convolution" of decoders. It gives back the size of $x$, not its values: $A^\top A \neq 1$.

# %%
x, w = rng.standard_normal((1, 2, 7, 7)), rng.standard_normal((3, 2, 3, 3))
A = convolution_matrix(w, (7, 7), stride=2, padding=1)
g = rng.standard_normal((1, 3, 4, 4))
spread = conv_transpose2d(g, w, stride=2, padding=1)
assert spread.shape == x.shape
assert np.allclose(spread.ravel(), A.T @ g.ravel(), rtol=0, atol=1e-12)
assert np.isclose((g * conv2d(x, w, stride=2, padding=1)).sum(), (spread * x).sum())         # (4)

# %% [markdown]
# > **Where the notes and the arithmetic differ.** The lecture notes (5.1.4) show a transposed convolution with a 3 by 3
# > filter and stride 2 that takes 3 by 3 pixels to 5 by 5. That needs padding 1. Without padding the size is
# > $(3-1)\cdot 2 + 3 = 7$. With a stride $s$, $s$ input sizes share one output size of the convolution, so the
# > transpose must be told which one to return (`output_padding`).

# %%
x, w = np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3))
assert conv_transpose2d(x, w, stride=2).shape[2:] == (7, 7)
assert conv_transpose2d(x, w, stride=2, padding=1).shape[2:] == (5, 5)
assert conv_transpose2d(x, w, stride=2, padding=1, output_padding=1).shape[2:] == (6, 6)
assert output_length(5, 3, 2, 1) == output_length(6, 3, 2, 1) == 3

# %% [markdown]
# ### One form, three operations
#
# Multiply (1) by a weight for each output and add everything up:
#
# $$T(x, w, g) = \sum_{n,o,i,j}\ \sum_{c,p,q} g_{n,o,i,j}\; w_{o,c,p,q}\;
#   x_{n,\,c,\;i s + p d - t,\;j s + q d - l}. \tag{5}$$
#
# $T$ is linear in each of its three arguments. Its derivatives are therefore
#
# $$\frac{\partial T}{\partial g} = \text{conv}(x, w), \qquad
#   \frac{\partial T}{\partial x} = \text{conv}^{\text{input}}(g, w), \qquad
#   \frac{\partial T}{\partial w} = \text{conv}^{\text{filter}}(x, g), \tag{6}$$
#
# the convolution and, with $g = \bar y$, its two gradients. Each of the three is itself linear in the two arguments it
# has left, and differentiating it gives the other two. Nothing new ever appears: three operations carry all orders of
# derivative, and a transposed convolution is the middle one. Since $T$ is linear in each argument, one number ties
# them together:

# %%
x, w, g = (rng.standard_normal(s) for s in [(2, 4, 9, 8), (6, 2, 3, 3), (2, 6, 5, 4)])
s = {"stride": (2, 2), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 2}
T = (g * conv2d(x, w, **s)).sum()
assert np.isclose(T, (x * conv2d_input(g, w, size=(9, 8), **s)).sum())
assert np.isclose(T, (w * conv2d_filter(x, g, size=(3, 3), **s)).sum())

tx, tw = Tensor(x, requires_grad=True), Tensor(w, requires_grad=True)
gx, gw = grad(conv2d(tx, tw, **s), [tx, tw], g)
assert np.allclose(gx.data, conv2d_input(g, w, size=(9, 8), **s))                            # (6)
assert np.allclose(gw.data, conv2d_filter(x, g, size=(3, 3), **s))

# %% [markdown]
# > **Where words and code differ.** Mathematics calls $\sum_p w_p x_{i-p}$ a convolution; (1) has $x_{i+p}$, a
# > *cross-correlation*. All deep learning code computes (1) and calls it convolution. For learned filters the flip
# > makes no difference; for a filter taken from a signal processing book it does.

# %%
signal, filter = rng.standard_normal(10), rng.standard_normal(3)
ours = conv2d(signal.reshape(1, 1, 1, -1), filter.reshape(1, 1, 1, -1)).ravel()
assert np.allclose(ours, np.correlate(signal, filter, "valid"))
assert np.allclose(ours, np.convolve(signal, filter[::-1], "valid"))

# %% [markdown]
# ### Normalisation, forward and backward
#
# Take $n$ numbers that are normalised together, with mean $m$ and variance $v$:
#
# $$m = \frac1n \sum_k x_k, \qquad v = \frac1n \sum_k (x_k - m)^2, \qquad
#   y_k = r\,(x_k - m), \qquad r = \frac{1}{\sqrt{v + \epsilon}}. \tag{7}$$
#
# Every $x_k$ acts on $y_i$ in three ways: directly, through $m$ and through $v$. In $\partial v / \partial x_k$ the
# part through $m$ drops out, because $\sum_i (x_i - m) = 0$:
#
# $$\frac{\partial m}{\partial x_k} = \frac1n, \qquad \frac{\partial v}{\partial x_k} = \frac2n (x_k - m), \qquad
#   \frac{\partial r}{\partial x_k} = -\frac{r^3}{2}\,\frac{\partial v}{\partial x_k} = -\frac{r^2}{n}\, y_k. \tag{8}$$
#
# With the product rule for $y_i = r\,(x_i - m)$,
#
# $$\frac{\partial y_i}{\partial x_k} = r \left(\delta_{ik} - \frac1n - \frac{y_i\,y_k}{n}\right). \tag{9}$$
#
# The matrix is symmetric, and multiplying it by $\bar y$ needs two means instead of $n^2$ entries:
#
# $$\bar x_k = r \left(\bar y_k - \operatorname{mean}(\bar y)
#   - y_k \operatorname{mean}(\bar y \odot y)\right). \tag{10}$$
#
# In words: the gradient loses its component along the constant vector and along $y$. It must, since adding a
# constant to $x$ or stretching it does not change $y$.


# %%
def normalize_by_hand(x, eps=1e-5):
    r = 1 / np.sqrt(x.var() + eps)
    return r * (x - x.mean()), r


def backward_by_hand(g, y, r):
    return r * (g - g.mean() - y * (g * y).mean())                                           # (10)


x, g = 3 + 2 * rng.standard_normal(7), rng.standard_normal(7)
y, r = normalize_by_hand(x)
J = r * (np.eye(7) - 1 / 7 - np.outer(y, y) / 7)                                             # (9)
assert np.allclose(J, jacobian(lambda x: normalize(x, axis=0), x).data)
assert np.allclose(J @ g, backward_by_hand(g, y, r))

y, r = normalize_by_hand(x, eps=0)
gx = backward_by_hand(g, y, r)
assert abs(gx.sum()) < 1e-12 and abs(gx @ y) < 1e-12         # both components are gone (exactly so for eps = 0)

# %% [markdown]
# A layer adds a scale and a shift for each channel, $z = \gamma y + \beta$. Each is used at every position, so its
# gradient is a sum:
#
# $$\bar\gamma = \sum \bar z \odot y, \qquad \bar\beta = \sum \bar z, \qquad \bar y = \gamma\,\bar z. \tag{11}$$
#
# ### Where pixels are
#
# Pixel $i$ covers the interval $[i, i+1)$ and has its center at $i + \frac12$. Stretching an axis from $H$ to $I$
# pixels maps the whole interval $[0, H)$ to $[0, I)$, so the center of output pixel $i$ reads the input at
#
# $$u = \left(i + \tfrac12\right) \frac{H}{I} - \tfrac12, \tag{12}$$
#
# measured in pixel indices, and bilinear interpolation mixes pixels $\lfloor u \rfloor$ and $\lfloor u \rfloor + 1$
# with weights $1 - (u - \lfloor u \rfloor)$ and $u - \lfloor u \rfloor$. The older rule $u = i\,(H-1)/(I-1)$
# ("align corners") pins the centers of the corner pixels instead; its scale is not $H / I$, and a network trained
# with it sees objects move when the image size changes.

# %%
ramp = np.arange(4.0).reshape(1, 1, 1, 4)                    # the value is the position
inside = slice(1, -1)                                        # the ends are held at the edge pixels
for size in (8, 12):
    u = (np.arange(size) + 0.5) * 4 / size - 0.5             # (12)
    assert np.allclose(resize(ramp, size=(1, size)).ravel(), u.clip(0, 3))
corners = resize(ramp, size=(1, 8), align_corners=True).ravel()
assert np.allclose(corners, np.arange(8) * 3 / 7)

# %% [markdown]
# ## Check by hand
#
# ### Three ways to convolve
#
# The definition (1) as loops; the windows laid out as columns of a matrix ("im2col") and one matrix product; and the
# library. They must agree to rounding.


# %%
def conv_loops(x, w, stride=1, padding=0, dilation=1):
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    (N, C, H, W), (O, _, P, Q) = x.shape, w.shape
    I, J = output_length(H, P, stride, 0, dilation), output_length(W, Q, stride, 0, dilation)
    y = np.zeros((N, O, I, J))
    for n, o, i, j, c, p, q in np.ndindex(N, O, I, J, C, P, Q):
        y[n, o, i, j] += w[o, c, p, q] * x[n, c, i * stride + p * dilation, j * stride + q * dilation]
    return y


def im2col(x, kernel, stride=1, padding=0, dilation=1):
    """Windows of x (N, C, H, W) as columns (N, C P Q, I J)."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    reach = [dilation * (k - 1) + 1 for k in kernel]
    windows = sliding_window_view(x, reach, axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride, ::dilation, ::dilation]                      # (N, C, I, J, P, Q)
    N, C, I, J, P, Q = windows.shape
    return windows.transpose(0, 1, 4, 5, 2, 3).reshape(N, C * P * Q, I * J)


def conv_columns(x, w, **settings):
    I, J = (output_length(n, k, **settings) for n, k in zip(x.shape[2:], w.shape[2:]))
    return (w.reshape(len(w), -1) @ im2col(x, w.shape[2:], **settings)).reshape(len(x), len(w), I, J)


x, w = rng.standard_normal((2, 3, 9, 8)), rng.standard_normal((4, 3, 3, 2))
for settings in [{}, {"stride": 2, "padding": 1}, {"dilation": 2, "padding": 2}, {"stride": 3, "dilation": 2}]:
    reference = conv_loops(x, w, **settings)
    assert np.allclose(conv_columns(x, w, **settings), reference, rtol=0, atol=1e-12)
    assert np.allclose(conv2d(x, w, **settings), reference, rtol=0, atol=1e-12)
    assert np.array_equal(im2col(x, (3, 2), **settings), unfold(x, kernel=(3, 2), **settings))

# %% [markdown]
# The multiplications are the same in all three, $N\,O\,I\,J \cdot C P Q$. The columns trade memory for speed: each
# pixel is copied once for every window that sees it, $P Q / s^2$ times. For a whole batch of large images that would
# not fit in memory, so the library builds the columns of a few output rows at a time, while they are in the cache.

# %%
C, H, kernel = 64, 56, 3
image, columns = C * H * H, C * kernel ** 2 * H * H
print(f"image {image * 4 / 1e6:.1f} MB, columns {columns * 4 / 1e6:.1f} MB in float32")
assert im2col(np.zeros((1, 2, H, H), np.float32), (3, 3), padding=1).size == 9 * 2 * H * H
assert columns == 9 * image

# %% [markdown]
# ### Watching the window
#
# **Player (a window slides).** Stride 2 with one row of zeros around a 5 by 5 image; in the middle the filter, at the
# right the output as it grows. Blue: the window; orange: the product at hand; green: the sum. The first position is
# shown product by product.

# %%
picture = np.array([[0, 1, 2, 1, 0], [1, 3, 1, 0, 2], [2, 1, 0, 1, 1], [0, 2, 1, 3, 0], [1, 0, 2, 1, 1]], float)
edges = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], float)
padded = np.pad(picture, 1)
response = conv2d(picture[None, None], edges[None, None], stride=2, padding=1)[0, 0]
places = list(np.ndindex(response.shape))
for i, j in places:
    assert response[i, j] == (padded[2 * i:2 * i + 3, 2 * j:2 * j + 3] * edges).sum()
player = sliding_player(picture, edges, stride=2, padding=1)
assert player.labels[-1].endswith(f"= {response[-1, -1]:g}")
player

# %% [markdown]
# ### Stride, dilation, groups
#
# What the middle output pixel sees, found without drawing anything by hand: the input pixels at which its gradient is
# not zero. For groups, the channels at which it is not zero.


# %%
def seen_pixels(size, kernel, **settings):
    """(input pixels of the middle output, input pixels under the centers of all windows)"""
    x = Tensor(np.zeros((1, 1, size, size)), requires_grad=True)
    y = conv2d(x, np.ones((1, 1, kernel, kernel)), **settings)
    (g,) = grad(y[0, 0, y.shape[2] // 2, y.shape[3] // 2], [x], retain_graph=True)
    middle = np.zeros((1, 1, kernel, kernel))
    middle[..., kernel // 2, kernel // 2] = 1
    starts = conv2d_input(np.ones(y.shape), middle, size=(size, size), stride=(settings.get("stride", 1),) * 2,
                          padding=((settings["padding"],) * 2,) * 2, dilation=(settings.get("dilation", 1),) * 2)
    return g.data[0, 0] != 0, starts[0, 0] != 0


def seen_channels(channels, groups):
    x = np.ones((1, channels, 1, 1))
    w = np.ones((channels, channels // groups, 1, 1))
    return jacobian(lambda x: conv2d(x, w, groups=groups).reshape(channels), x).data.reshape(channels, channels) != 0


cases = {"3x3": {"padding": 1}, "stride 2": {"padding": 1, "stride": 2}, "dilation 2": {"padding": 2, "dilation": 2}}
with figure_style():
    fig, axes = plt.subplots(1, 5, figsize=(8.4, 2.1))
for ax, (title, settings) in zip(axes, cases.items()):
    seen, centers = seen_pixels(9, 3, **settings)
    ax.imshow(np.where(seen, 1.0, 0.0), cmap="Blues", vmin=0, vmax=1.8)
    ax.plot(*np.nonzero(centers)[::-1], ".", color=PALETTE[1], markersize=4)
    ax.set_title(title)
    assert seen.sum() == 9
for ax, groups in zip(axes[3:], (2, 8)):
    seen = seen_channels(8, groups)
    ax.imshow(np.where(seen, 1.0, 0.0), cmap="Greens", vmin=0, vmax=1.8)
    ax.set(title=f"groups {groups}", xlabel="input channel", ylabel="output channel")
    assert seen.sum() == 8 * 8 / groups
for ax in axes:
    ax.set(xticks=[], yticks=[])
    ax.set_xticks(np.arange(-0.5, 9), minor=True)
    ax.set_yticks(np.arange(-0.5, 9), minor=True)
    ax.grid(False)
    ax.grid(True, which="minor", color="0.85", alpha=1)
    ax.tick_params(which="minor", length=0)
    size = 8 if "groups" in ax.get_title() else 9
    ax.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
plt.show()

# %% [markdown]
# Blue: the pixels that one output reads; dots: the centers of all windows. A stride thins out the dots, a dilation the
# blue pixels. Green: in a grouped convolution an output channel reads only the channels of its own group; with as many
# groups as channels it is called depthwise.
#
# ### Batch norm by hand
#
# Per channel, over the batch and all positions, formulas (7), (10) and (11) give the same numbers as the library.

# %%
x, g = rng.standard_normal((4, 3, 5, 5)), rng.standard_normal((4, 3, 5, 5))
gamma, beta = rng.standard_normal(3), rng.standard_normal(3)
tx, tgamma, tbeta = (Tensor(a, requires_grad=True) for a in (x, gamma, beta))
z = batch_norm(tx, tgamma, tbeta, training=True).y
gx, ggamma, gbeta = grad(z, [tx, tgamma, tbeta], g)
for c in range(3):
    y, r = normalize_by_hand(x[:, c])
    assert np.allclose(z.data[:, c], gamma[c] * y + beta[c])
    assert np.allclose(gx.data[:, c], backward_by_hand(gamma[c] * g[:, c], y, r))
    assert np.allclose([ggamma.data[c], gbeta.data[c]], [(g[:, c] * y).sum(), g[:, c].sum()])

# %% [markdown]
# ## Use the library
#
# ### Gradients to second order
#
# The engine's check of lesson 00 on convolutions with every setting, and on the norms.

# %%
x, w, b = rng.standard_normal((2, 4, 6, 5)), rng.standard_normal((6, 2, 3, 2)), rng.standard_normal(6)
settings = {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "dilation": (1, 2), "groups": 2}
assert gradcheck(lambda x, w, b: conv2d(x, w, b, **settings), [x, w, b]).passed
wt = rng.standard_normal((4, 1, 3, 3))
assert gradcheck(lambda g, w: conv_transpose2d(g, w, stride=2, padding=1), [x, wt]).passed
assert gradcheck(lambda x: batch_norm(x, training=True).y, [x]).passed
assert gradcheck(lambda x, w, b: layer_norm(x, w, b), [x, rng.standard_normal(5), rng.standard_normal(5)]).passed

# %% [markdown]
# ### A layer and its cost
#
# `Conv2d` owns the weights; `cost` counts multiply-accumulates by watching one forward pass. Splitting a 3 by 3
# convolution into a depthwise one and a 1 by 1 one is cheaper by a factor of about $1/O + 1/9$. Lesson 22 builds on it.

# %%
full = Sequential(Conv2d(64, 128, 3, padding=1, bias=False, rng=0))
split = Sequential(Conv2d(64, 64, 3, padding=1, groups=64, bias=False, rng=0), Conv2d(64, 128, 1, bias=False, rng=0))
macs = [cost(net, (1, 64, 28, 28)).macs for net in (full, split)]
print(f"full {macs[0]:,} MACs, split {macs[1]:,} MACs")
assert macs[0] == 28 * 28 * 128 * 64 * 9
assert np.isclose(macs[1] / macs[0], 1 / 128 + 1 / 9)

# %% [markdown]
# ### Filters one can read
#
# Three classical filters on a synthetic picture: a mean blurs, a horizontal difference finds vertical edges, the
# Laplacian finds edges of any direction. A network learns such filters in its first layer.

# %%
image = Shapes10(20, seed=3, noise=0.0)[4]["image"]
gray = image.mean(axis=0)[None, None]
filters = {"mean": np.full((5, 5), 1 / 25), "horizontal difference": edges / 8,
           "Laplacian": np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]]) / 2}
maps = {name: conv2d(gray, np.float32(f[None, None]))[0, 0] for name, f in filters.items()}
with figure_style():
    fig, axes = plt.subplots(1, 4, figsize=(8.0, 2.2))
for ax, (name, values) in zip(axes, {"image": gray[0, 0], **maps}.items()):
    signed = name in ("horizontal difference", "Laplacian")
    limit = np.abs(values).max()
    ax.imshow(values, cmap="RdBu_r" if signed else "gray", vmin=-limit if signed else 0, vmax=limit if signed else 1)
    ax.set(title=name, xticks=[], yticks=[])
    ax.grid(False)
plt.show()
flat = np.full((1, 1, 7, 7), 0.4)
for name, f in filters.items():
    level = conv2d(flat, f[None, None])[0, 0]
    assert np.allclose(level, 0.4 if name == "mean" else 0.0)    # differences do not see a constant

# %% [markdown]
# ### Which axes are averaged
#
# All normalisation layers are (7); they differ in which numbers share a mean. In each panel a row is an image of the
# batch, a column a channel, and the small squares are positions. Colored squares are normalised together with the
# top left one. The picture is computed: the squares on which the first output depends.

# %%
norms = {"batch": lambda x: batch_norm(x, training=True).y, "layer (C, H, W)": lambda x: layer_norm(x, axes=(1, 2, 3)),
         "instance": instance_norm, "group, G = 2": lambda x: group_norm(x, groups=2),
         "layer over channels": lambda x: layer_norm(x, axes=1)}
sample = rng.standard_normal((3, 4, 2, 2))


def together(norm):
    """Where the first output depends on the input, (N, C, H, W) booleans."""
    x = Tensor(sample, requires_grad=True)
    (g,) = grad(norm(x)[0, 0, 0, 0], [x])
    return np.abs(g.data) > 1e-12


with figure_style():
    fig, axes = plt.subplots(1, 5, figsize=(8.6, 2.0))
for ax, (name, norm), color in zip(axes, norms.items(), PALETTE):
    marked = together(norm)
    for n, c, h, v in np.ndindex(marked.shape):
        corner = (c * 2.6 + v * 1.05, n * 2.6 + h * 1.05)
        ax.add_patch(plt.Rectangle(corner, 1, 1, fc=color if marked[n, c, h, v] else "0.92", ec="white"))
    ax.set(xlim=(-0.3, 10.2), ylim=(7.6, -0.3), aspect="equal", xticks=[], yticks=[], title=name, xlabel="channels")
    ax.spines[:].set_visible(False)
    ax.title.set_fontsize(9)
axes[0].set_ylabel("images")
plt.show()
assert [together(norm).sum() for norm in norms.values()] == [3 * 4, 4 * 4, 4, 2 * 4, 4]
assert np.allclose(group_norm(sample, groups=1), layer_norm(sample, axes=(1, 2, 3)))
assert np.allclose(group_norm(sample, groups=4), instance_norm(sample))

# %% [markdown]
# > **Where papers and code differ.** (a) The variance inside the normalisation has $1/n$; the *running* variance that
# > batch norm keeps for later has $1/(n-1)$. (b) `momentum` is the weight of the *new* batch here and in PyTorch, and
# > one minus that in TensorFlow. (c) Layer norm of the paper averages over all features of an item; transformers
# > average over the last axis, one token at a time. (d) PyTorch's `nearest` reads pixel $\lfloor i H / I \rfloor$; the
# > rule (12) gives what it calls `nearest-exact`.

# %%
x = rng.standard_normal((4, 3, 5, 5))
result = batch_norm(x, running_mean=np.zeros(3), running_var=np.ones(3), training=True, momentum=0.1)
assert np.allclose(result.running_var, 0.9 * 1 + 0.1 * x.var(axis=(0, 2, 3), ddof=1))        # (a), (b)
assert np.allclose(result.y.var(axis=(0, 2, 3)), 1, atol=1e-4)
three = resize(np.arange(3.0).reshape(1, 1, 1, 3), size=(1, 2), mode="nearest").ravel()
assert list(three) == [0, 2] != [int(np.floor(i * 3 / 2)) for i in range(2)]                 # (d)

# %% [markdown]
# ### Half a pixel
#
# Four pixels become eight. Under rule (12) each input pixel is split into two of equal width, and the new centers sit
# at a quarter and three quarters of it. Pinning the corners spreads the eight centers differently: the pixels no longer
# tile the same interval. So only the first rule keeps the mean.

# %%
values = np.array([1.0, 4.0, 2.0, 3.0])
with figure_style():
    fig, axes = plt.subplots(1, 2, figsize=(7.4, 2.7), sharey=True)
for ax, align in zip(axes, (False, True)):
    u = np.linspace(0, 3, 8) if align else (np.arange(8) + 0.5) / 2 - 0.5
    new = resize(values.reshape(1, 1, 1, 4), size=(1, 8), align_corners=align).ravel()
    ax.bar(np.arange(4) + 0.5, values, width=0.96, color="0.9", label="input pixels")
    ax.plot(np.arange(4) + 0.5, values, "o", color="0.4", markersize=5)
    ax.plot(u + 0.5, new, "D-", color=PALETTE[int(align)], markersize=4, linewidth=1, label="output centers")
    ax.set(title="align corners" if align else "half pixel (this library)", xlabel="position", xticks=range(5))
axes[0].set_ylabel("value")
axes[0].set_ylim(0, 5.6)
for ax in axes:
    ax.legend(loc="upper center", ncols=2)
plt.show()
assert np.isclose(resize(values.reshape(1, 1, 1, 4), size=(1, 8)).mean(), values.mean())
assert not np.isclose(resize(values.reshape(1, 1, 1, 4), size=(1, 8), align_corners=True).mean(), values.mean())

# %% [markdown]
# ## Experiment
#
# A stack of layers multiplies the scale of its weights: six convolutions that are each too small by a factor of 4
# shrink the signal by $4^6 = 4096$. He's initial weights are scaled so that this does not happen; here we scale
# them wrongly on purpose, by 1/4 to 2, and train the same network on small digits with and without batch norm. By
# (7), $y$ does not change when $x$ is multiplied by a constant, so a normalised network hardly notices.

# %%
epochs, count = {"smoke": (1, 64), "fast": (12, 600), "full": (20, 2000)}[asked_preset()]
GAINS = (0.25, 0.5, 1.0, 2.0)


def digits(count, seed):
    source = Glyphs10(count, size=16, seed=seed)
    samples = [source[i] for i in range(count)]
    return {name: np.stack([sample[name] for sample in samples]) for name in ("image", "label")}


def network(gain, normalized, depth=6, width=16):
    rng = np.random.default_rng(0)
    layers, channels = [], 1
    for k in range(depth):
        conv = Conv2d(channels, width, 3, padding=1, stride=2 if k in (1, 3) else 1, bias=not normalized, rng=rng)
        conv.weight.data = gain * conv.weight.data
        layers += [conv, BatchNorm2d(width), ReLU()] if normalized else [conv, ReLU()]
        channels = width
    return Sequential(*layers, GlobalAvgPool2d(), Flatten(), Linear(width, 10, rng=rng))


def train(model, train_data, test_data):
    loader = DataLoader(ArrayDataset(**train_data), batch_size=32, shuffle=True, seed=0)
    optimizer = SGD(model.parameters(), lr=0.03, momentum=0.9)
    return fit(model, lambda model, batch: cross_entropy(model(Tensor(batch["image"])), batch["label"]), loader,
               optimizer, epochs=epochs, scheduler=Scheduler(optimizer, cosine(epochs * len(loader))),
               validate=lambda model: {"accuracy": np.mean(model(Tensor(test_data["image"])).data.argmax(1)
                                                           == test_data["label"])})


train_data, test_data = digits(count, seed=0), digits(300, seed=1)
probe = Tensor(train_data["image"][:32])
plain_scale = [network(gain, False)(probe).data.std() for gain in GAINS]
assert np.isclose(plain_scale[2] / plain_scale[0], 4.0 ** 6, rtol=1e-3)      # six layers, a factor of 4 each
normal_scale = [network(gain, True)(probe).data.std() for gain in GAINS]
assert max(normal_scale) / min(normal_scale) < 1.2

histories = {(gain, normalized): train(network(gain, normalized), train_data, test_data)
             for normalized in (False, True) for gain in GAINS}
final = {key: history.last["accuracy"] for key, history in histories.items()}
result = Report({"worst with batch norm": min(final[gain, True] for gain in GAINS),
                 "plain, weights too small": max(final[gain, False] for gain in GAINS[:2]),
                 "plain, well scaled": final[1.0, False]}, preset=asked_preset(),
                targets=(Target("worst with batch norm", ">=", 0.7), Target("plain, weights too small", "<=", 0.3),
                         Target("plain, well scaled", ">=", 0.5))).check()
print({name: round(value, 2) for name, value in result.metrics.items()})

# %%
with figure_style():
    fig, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.0))
plot_curves({"batch norm": [final[gain, True] for gain in GAINS], "plain": [final[gain, False] for gain in GAINS]},
            x=np.arange(len(GAINS)), xlabel="scale of the initial weights", ylabel="accuracy at the end", ax=left)
left.set(xticks=range(len(GAINS)), ylim=(0, 1.03))
left.set_xticklabels([f"{gain:g}" for gain in GAINS])
left.axhline(0.1, color="0.7", linewidth=1, linestyle=":")
plot_curves({"batch norm": histories[1.0, True]["loss"], "plain": histories[1.0, False]["loss"]},
            xlabel="epoch", ylabel="training loss", ax=right)
right.set_title("well scaled weights")
left.set_title("weights scaled wrongly on purpose")
plt.show()
assert all(len(history["loss"]) == epochs for history in histories.values())

# %% [markdown]
# The network without normalisation learns only near the right scale (the dotted line is guessing). With batch norm all
# four learn; the larger the weights, the slower, because the gradient of a normalised layer shrinks as
# $1/\lVert w \rVert$: the output is the same for $w$ and $a w$, so the slope in $a w$ is $1/a$ of that in $w$.

# %%
x, w = rng.standard_normal((4, 2, 6, 6)), rng.standard_normal((3, 2, 3, 3))
target = Tensor(rng.standard_normal((4, 3, 4, 4)))


def slope(w):
    w = Tensor(w, requires_grad=True)
    y = batch_norm(conv2d(Tensor(x), w), training=True, eps=0.0).y
    return grad((y * target).sum(), [w])[0].data


assert np.allclose(slope(4 * w), slope(w) / 4)

# %% [markdown]
# ## Exercises
#
# **1.** Show that a 1 by 1 convolution is one matrix product over channels at every pixel.
#
# <details><summary>Answer</summary>
#
# With $P = Q = 1$ only the sum over $c$ is left in (1).
#
# ```python
# x, w = rng.standard_normal((2, 5, 4, 4)), rng.standard_normal((3, 5, 1, 1))
# assert np.allclose(conv2d(x, w), np.einsum("oc,nchw->nohw", w[:, :, 0, 0], x))
# ```
# </details>
#
# **2.** Two 3 by 3 convolutions without anything between them are one 5 by 5 convolution. Find its filter.
#
# <details><summary>Answer</summary>
#
# The output reads the input through both filters; weights of equal total offset add up. That is the second filter,
# flipped, correlated with the zero-padded first one: a true convolution of the two filters.
#
# ```python
# first, second = rng.standard_normal((3, 3)), rng.standard_normal((3, 3))
# both = conv2d(np.pad(first, 2)[None, None], second[None, None, ::-1, ::-1])
# x = rng.standard_normal((1, 1, 8, 8))
# assert np.allclose(conv2d(conv2d(x, first[None, None]), second[None, None]), conv2d(x, both))
# ```
# </details>
#
# **3.** Why does a convolution in front of a batch norm have no bias? What is the gradient of such a bias?
#
# <details><summary>Answer</summary>
#
# A bias adds a constant to the channel, and the mean takes it away again. By (10) the gradient has no component along
# constants, so the bias would receive exactly their sum: 0.
#
# ```python
# x, w = Tensor(rng.standard_normal((4, 2, 6, 6))), Tensor(rng.standard_normal((3, 2, 3, 3)))
# b = Tensor(rng.standard_normal(3), requires_grad=True)
# z = batch_norm(conv2d(x, w, b), training=True).y
# (g,) = grad(z, [b], rng.standard_normal(z.shape))
# assert np.abs(g.data).max() < 1e-12
# ```
# </details>
#
# **4.** A transposed convolution of ones with a filter of ones counts how many windows cover each pixel. Compare a
# 3 by 3 with a 4 by 4 filter at stride 2. Which one leaves a checkerboard?
#
# <details><summary>Answer</summary>
#
# Inside, 3 by 3 covers pixels 1, 2 or 4 times in turn: a checkerboard that training has to undo. A size that is a
# multiple of the stride covers all pixels equally often (Odena et al., Distill 2016).
#
# ```python
# ones = np.ones((1, 1, 6, 6))
# uneven = conv_transpose2d(ones, np.ones((1, 1, 3, 3)), stride=2)[0, 0, 2:-2, 2:-2]
# even = conv_transpose2d(ones, np.ones((1, 1, 4, 4)), stride=2)[0, 0, 2:-2, 2:-2]
# assert set(uneven.ravel()) == {1, 2, 4} and set(even.ravel()) == {4}
# ```
# </details>
