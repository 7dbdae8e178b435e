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
