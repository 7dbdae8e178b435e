# %% [markdown]
# # 23 Small and wide: separable convolutions, MobileNetV2, wide residual networks
#
# **After this lesson you can** split a convolution into filtering and combining and say what that gains and costs, explain
# why MobileNetV2 is narrow outside and wide inside and has no activation at the end of its blocks, reproduce its table row
# by row, and weigh width against depth. About a minute on two cores.

# %% [markdown]
# ## Goal and sources
#
# A network for a telephone must be cheap. Most of its work is in 3x3 convolutions on many channels, so that is where to
# save. At the other end, if there is work to spend, should one buy more layers or wider ones?
#
# * L. Sifre, *Rigid-motion scattering for image classification*, PhD thesis, 2014.
# * A. Howard et al., *MobileNets: efficient convolutional neural networks for mobile vision applications*, 2017.
# * M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen, *MobileNetV2: inverted residuals and linear bottlenecks*,
#   CVPR 2018.
# * S. Zagoruyko, N. Komodakis, *Wide residual networks*, BMVC 2016.
#
# In the library: `minicv/cnn/mobilenet.py`, `wide_resnet.py`.

# %%
import matplotlib.pyplot as plt
import numpy as np

from minicv.autograd import Tensor
from minicv.autograd.conv import conv2d
from minicv.cnn.mobilenet import InvertedResidual, MobileNetV2
from minicv.cnn.squeeze import round_channels
from minicv.cnn.wide_resnet import WideBlock, WideResNet
from minicv.errors import ArgError, ShapeError
from minicv.experiments import asked_preset
from minicv.experiments.ch2.mobile import inverted, mobilenet_v2, residual, separable
from minicv.experiments.ch2.wide import wide_resnet
from minicv.nn import BatchNorm2d, Conv2d, Sequential, cost, init
from minicv.plot import module_svg

# %% [markdown]
# ## Derive
#
# ### Filter, then combine
#
# A dense $k \times k$ convolution filters and combines channels at once, with $k^2 C O$ multiply-adds a pixel. Do one after
# the other: a *depthwise* convolution, one filter $d_c$ for each channel ($G = C$ groups), then a *pointwise* 1x1
# convolution $a$:
#
# $$\text{cost} = k^2 C + C O, \qquad \frac{k^2 C + C O}{k^2 C O} = \frac{1}{O} + \frac{1}{k^2}. \tag{1}$$
#
# > **Where notes and arithmetic differ (E2.12).** "Up to ten times cheaper" is out of reach for 3x3: the gain is below
# > $k^2 = 9$, however many channels there are.

# %%
for C, O, k in ((8, 16, 3), (32, 32, 3), (12, 24, 5)):
    dense = Conv2d(C, O, k, padding=k // 2, bias=False, rng=0)
    split = Sequential(Conv2d(C, C, k, padding=k // 2, groups=C, bias=False, rng=0), Conv2d(C, O, 1, bias=False, rng=0))
    ratio = cost(split, (1, C, 10, 10)).macs / cost(dense, (1, C, 10, 10)).macs
    assert np.isclose(ratio, 1 / O + 1 / k**2)                                                # (1)
    assert ratio > 1 / k**2                                                                   # E2.12

# %% [markdown]
# ### What it cannot do
#
# Together the two are a dense convolution with the weight
#
# $$w_{o,c,p,q} = a_{o,c}\; d_{c,p,q}. \tag{2}$$
#
# For a fixed input channel $c$ this is, as a matrix of $O$ rows and $k^2$ columns, of rank 1: all outputs see the channel
# through the same filter. The nearest such weight of a given dense one keeps the first singular value of each matrix, and
# what is lost is
#
# $$\frac{\sum_c \sum_{i \ge 2} \sigma_{c,i}^2}{\sum_c \sum_i \sigma_{c,i}^2}. \tag{3}$$

# %%
rng = np.random.default_rng(0)
a, d, x = rng.standard_normal((5, 4)), rng.standard_normal((4, 3, 3)), rng.standard_normal((2, 4, 8, 8))
w = a[:, :, None, None] * d                                                                   # (2)
two_steps = conv2d(conv2d(x, d[:, None], groups=4), a[:, :, None, None])
assert np.allclose(conv2d(x, w), two_steps) and residual(w) < 1e-20                           # (3)
matrix = np.array([[1.0, 0], [0, 1]])                                # two outputs, each with a filter of its own
assert np.isclose(residual(matrix.reshape(2, 1, 1, 2)), 0.5)

# %% [markdown]
# ### A ReLU needs room
#
# A ReLU in $d$ dimensions keeps of a point only its positive coordinates. Points on a plane are embedded by a random $d
# \times 2$ matrix. To come back, a point needs two positive coordinates. Each is positive with probability 1/2,
#
# $$P(\text{lost}) = P(\text{none or one positive}) = \frac{1 + d}{2^d}: \tag{4}$$
#
# three quarters in 2 dimensions, and practically none in 15. Hence the **inverted residual**: the block rectifies in $tC$
# channels, where there is room, and the narrow result at its end is linear. With $t = 6$:
#
# $$C \;\xrightarrow{\;1\times1,\ \text{ReLU6}\;}\; tC \;\xrightarrow{\;3\times3\ \text{depthwise},\ \text{ReLU6}\;}\; tC
#   \;\xrightarrow{\;1\times1\;}\; O. \tag{5}$$
#
# > **What notes leave out (E2.13).** It ends with $O$ channels, not always "the original shape". $x$ is added only if the
# > stride is 1 and $O = C$; with $t = 1$ the first convolution is missing; the activation is ReLU6; and the 1x1
# > convolution is called *point-wise* ("context" is a slip of the scanner).

# %%
for d in (2, 3, 5):
    lost = np.mean([((rng.standard_normal((200, 2)) @ rng.standard_normal((2, d)) > 0).sum(axis=1) < 2).mean()
                    for _ in range(2000)])
    assert abs(lost - (1 + d) / 2**d) < 0.02                                                  # (4)
x = Tensor(rng.standard_normal((2, 8, 6, 6)).astype(np.float32))
for stride, O in ((1, 8), (1, 12), (2, 8)):
    block = InvertedResidual(8, O, stride=stride, rng=0)
    assert (block(x).data < 0).any()                                                          # (5): linear at the end
    norm = [m for m in block.modules() if isinstance(m, BatchNorm2d)][-1]
    init.assign(norm.weight, np.zeros(O))                                                     # now F(x) = 0
    assert np.array_equal(block(x).data, x.data) == (stride == 1 and O == 8)                  # E2.13
assert [len([m for m in InvertedResidual(8, 8, t=t, rng=0).modules() if isinstance(m, Conv2d)]) for t in (1, 6)] == [2, 3]

# %% [markdown]
# ### Wide blocks
#
# Take a residual network of $6n + 4$ layers with 16, 32 and 64 channels and multiply the channels by $k$. A 3x3 convolution
# from $kC$ to $kC$ channels has
#
# $$9\,(kC)^2 = k^2 \cdot 9\,C^2 \tag{6}$$
#
# weights and multiply-adds a pixel. Norm and ReLU stand *before* each convolution, so nothing touches the sum: $x$ reaches
# the end unchanged if $F = 0$, negative values included.

# %%
one, four = (cost(Conv2d(16 * k, 16 * k, 3, padding=1, bias=False, rng=0), (1, 16 * k, 8, 8)) for k in (1, 4))
assert four.macs == 16 * one.macs and four.parameters == 16 * one.parameters                  # (6)
block = WideBlock(8, 8, rng=0)
init.assign(block.conv2.weight, np.zeros(block.conv2.weight.shape))
assert np.array_equal(block(x).data, x.data) and (x.data < 0).any()

# %% [markdown]
# ## Check by hand
#
# ### The gain
#
# With $O = C$ and $k = 3$, (1) is a gain of $9C/(9 + C)$: 7.02, 7.89, 8.41, 8.69 and 8.84 for 32 to 512 channels.

# %%
gains = [9 * C / (9 + C) for C in (32, 64, 128, 256, 512)]
assert np.allclose(gains, [7.02, 7.89, 8.41, 8.69, 8.84], atol=0.005) and max(gains) < 9

# %% [markdown]
# ### One inverted residual
#
# The second row of MobileNetV2, 16 to 24 channels with $t = 6$: $16 \cdot 96 + 9 \cdot 96 + 96 \cdot 24 = 4704$ weights
# and twice $96 + 96 + 24$ numbers of the norms, 5136. The next one, 24 to 24: 8832, together 13 968.

# %%
first, second = (sum(p.size for p in InvertedResidual(C, 24, stride=s, rng=0).parameters()) for C, s in ((16, 2), (24, 1)))
assert (first, second, first + second) == (5136, 8832, 13_968)

# %% [markdown]
# ## Use the library
#
# A width multiplier makes all layers thinner; channels are rounded to multiples of 8.

# %%
for width in (0.35, 0.5, 1.0):
    small = MobileNetV2(width=width, rng=0)
    print(f"width {width}: {sum(p.size for p in small.parameters()):,} parameters")
    assert all(m.out_channels % 8 == 0 for m in small.modules() if isinstance(m, Conv2d))
assert round_channels(0.35 * 32) == 16                       # not 8: that would lose more than a tenth
for attempt in (lambda: MobileNetV2(width=0), lambda: InvertedResidual(8, 8, stride=3), lambda: WideResNet(12, 1),
                lambda: Conv2d(8, 4, 3, groups=8)):
    try:
        attempt()
    except (ArgError, ShapeError) as error:
        print(error)
    else:
        raise AssertionError("accepted")

# %% [markdown]
# ## Experiment
#
# ### Students of a dense convolution
#
# **Figures (depthwise separable convolution; gain; students).** Three students imitate a random dense convolution on white
# noise. The separable one ends where (3) says that it must. Random weights are the worst case: filters that were learned
# are much closer to rank 1.

# %%
report = separable(asked_preset()).check()
for draw in report.figures.values():
    draw().set_dpi(85)
    plt.show()
m = report.metrics
print(f"a separable convolution must miss {m['residual_of_dense']:.1%} of a random one")
assert asked_preset() == "smoke" or 0.95 < m["student_over_bound"] < 1.1

# %% [markdown]
# ### A spiral through a ReLU
#
# **Figure (inverted residual).** Narrow at both ends, wide between them, and no activation after the last convolution.

# %%
module_svg(InvertedResidual(24, 24, t=6, rng=0), (1, 24, 56, 56), depth=3)

# %% [markdown]
# **Figure (spirals).** Points on a spiral are embedded in $d$ dimensions, rectified, and mapped back by least squares.

# %%
report = inverted(asked_preset()).check()
for draw in list(report.figures.values())[1:]:
    draw().set_dpi(85)
    plt.show()
for row in report.tables.popitem()[1]:
    print(f"d = {row['dimensions']:2d}: {row['points lost']:6.1%} of the points lost, error {row['error']:.4f}")
assert report.metrics["errors_that_rise"] == 0

# %% [markdown]
# ### Table 2.1, row by row
#
# > **Where the table of the notes is short (E2.14).** "224x3" stands for $224^2 \times 3$, and so on in all rows.

# %%
report = mobilenet_v2(asked_preset()).check()
(rows,) = report.tables.values()
for row in rows:
    print(f"{row['row']:9s}{row['side']:5d}² x {row['channels']:4d}{row['parameters']:12,d}{row['MMAC']:8.2f} MMAC")
for draw in report.figures.values():
    draw().set_dpi(85)
    plt.show()
print(f"a small one on ten shapes: {report.metrics['accuracy']:.3f}")
assert report.metrics["rows_off"] == 0 and sum(row["parameters"] for row in rows) == 3_504_872

# %% [markdown]
# Parameters sit at the end, where pictures are small and channels many; work is spread over the middle.
#
# ### Wide or deep
#
# **Figure (wide block).** Norm and ReLU come first; nothing follows the sum.

# %%
module_svg(WideBlock(160, 160, dropout=0.3, rng=0).train(), (1, 160, 32, 32))

# %% [markdown]
# **Figure (cost against k).** The experiment also measures one training step of three networks with 95 to 101
# million multiply-adds, of 10, 16 and 46 layers (`minicv run wide-resnet` prints the table). *Wide is faster than deep*
# at equal work: a few large products keep a processor busy, many small ones wait for each other.

# %%
report = wide_resnet(asked_preset()).check()
for draw in list(report.figures.values())[1:]:
    draw().set_dpi(85)
    plt.show()
published, _ = report.tables.values()
for row in published:
    print(f"{row['network']:16s}{row['parameters']:12,d} parameters{row['GMAC']:8.3f} GMAC")
assert report.metrics["parameter_counts_off"] == 0 and report.metrics["shortcut_off"] == 0

# %% [markdown]
# ## Exercises
#
# **1.** From how many output channels on is a separable 3x3 convolution at least eight times cheaper?
#
# <details><summary>Answer</summary>
#
# $1/O + 1/9 \le 1/8$ means $O \ge 72$.
#
# ```python
# assert min(O for O in range(1, 200) if 72 + 8 * O <= 9 * O) == 72
# assert cost(Conv2d(10, 72, 3, bias=False, rng=0), (1, 10, 3, 3)).macs == 8 * (9 * 10 + 10 * 72)
# ```
#
# </details>
#
# **2.** How many dimensions does a ReLU need so that at most one point in a hundred is lost, by (4)?
#
# <details><summary>Answer</summary>
#
# Eleven: $12/2048 = 0.6\,\%$, and $11/1024 = 1.07\,\%$ in ten.
#
# ```python
# assert min(d for d in range(2, 30) if (1 + d) / 2**d <= 0.01) == 11
# ```
#
# </details>
#
# **3.** Which $k$ gives a network of 10 layers about the multiply-adds of 16 layers with $k = 2$?
#
# <details><summary>Answer</summary>
#
# Blocks: one for two in each stage, so $k \approx 2\sqrt 2$, that is 3.
#
# ```python
# deep = cost(WideResNet(16, 2, rng=0), (1, 3, 32, 32)).macs
# assert min(range(1, 6), key=lambda k: abs(cost(WideResNet(10, k, rng=0), (1, 3, 32, 32)).macs - deep)) == 3
# ```
#
# </details>
