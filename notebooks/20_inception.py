# %% [markdown]
# # 20 Inception: several filters at once
#
# **After this lesson you can** compute a convolution by hand, count what it costs, explain why 1x1 convolutions make an
# Inception module affordable, say what auxiliary classifiers do in training and at inference, and derive why global
# average pooling needs one weight for a channel. About two minutes on two cores.

# %% [markdown]
# ## Goal and sources
#
# How large should a filter be? GoogLeNet answers: several sizes at once, and let training choose. That would be too
# expensive without one idea, the 1x1 convolution.
#
# * M. Lin, Q. Chen, S. Yan, *Network In Network*, ICLR 2014: 1x1 convolutions, global average pooling.
# * C. Szegedy et al., *Going Deeper with Convolutions*, CVPR 2015: table 1, figures 2 and 3, section 5.
#
# In the library: `minicv/cnn/inception.py`, `minicv/nn/pool.py`, `minicv/nn/cost.py`.

# %%
import matplotlib.pyplot as plt
import numpy as np

from minicv.autograd import Tensor
from minicv.autograd.conv import conv2d
from minicv.cnn.inception import ROWS, AuxiliaryHead, Inception, Row, auxiliary_loss
from minicv.errors import ArgError, ShapeError
from minicv.experiments import asked_preset
from minicv.experiments.ch2.heads import class_maps, gap_head, network
from minicv.experiments.ch2.inception import aux_softmax, inception_module, inception_v1
from minicv.nn import Conv2d, Flatten, GlobalAvgPool2d, Linear, Sequential, cost, cross_entropy
from minicv.plot import sliding_player

# %% [markdown]
# ## Derive
#
# ### What a convolution costs
#
# $O$ filters of $C \times P \times Q$ give an output of $I \times J$ pixels:
#
# $$y_{oij} = b_o + \sum_{c,p,q} w_{ocpq}\, x_{c,\,i+p,\,j+q}, \qquad \text{cost } = O\,I\,J \cdot C\,P\,Q \tag{1}$$
#
# multiply-adds. A layer of $k \times k$ through $R$ channels first costs, for each pixel,
#
# $$C R + R k^2 O \quad\text{in place of}\quad C k^2 O, \tag{2}$$
#
# about $R/C$ of it, because the $C R$ of the 1x1 convolution is small.

# %%
x, w = np.random.default_rng(0).standard_normal((2, 3, 3, 3))
y = conv2d(x[None], w[None])
assert np.isclose(y.item(), (x * w).sum())                                   # (1), one position
C, R, k, O, pixels = 192, 16, 5, 32, 28 * 28
direct, reduced = pixels * C * k * k * O, pixels * (C * R + R * k * k * O)     # (2)
assert cost(Conv2d(C, O, k, padding=2, rng=0), (1, C, 28, 28)).macs == direct

# %% [markdown]
# ### A module
#
# $$y = \mathrm{concat}\big(a(x),\; b_3(b_1(x)),\; c_5(c_1(x)),\; d_1(\mathrm{pool}_3(x))\big) \tag{3}$$
#
# with a ReLU behind every convolution. All branches keep height and width, so channels add up.
#
# > **Where notes and paper differ (E2.1).** The last branch pools *first*; the 1x1 convolution then reduces its channels.
# > In the other order the result is another one.

# %%
module = Inception(192, ROWS["3a"], norm=None, rng=0)
x = Tensor(np.random.default_rng(1).random((1, 192, 7, 9), np.float32))
parts = [getattr(module, name)(x).data for name in module.order]
assert np.array_equal(module(x).data, np.concatenate(parts, axis=1))            # (3)
assert [p.shape[1] for p in parts] == [64, 128, 32, 32] and module(x).shape == (1, 256, 7, 9)

# %% [markdown]
# ### Auxiliary classifiers
#
# Two small classifiers look at maps in the middle. In training
#
# $$L = L_\text{main} + 0.3\,(L_1 + L_2), \tag{4}$$
#
# so that the first layers have a short way to a loss. At inference the heads are gone.
#
# > **Where notes and paper differ (E2.2).** The losses are not simply added: each has the weight 0.3.

# %%
logits = [Tensor(z) for z in np.random.default_rng(2).standard_normal((3, 4, 10))]
target = np.array([1, 2, 3, 4])
main, one, two = (float(cross_entropy(z, target).data) for z in logits)
assert np.isclose(float(auxiliary_loss(tuple(logits), target).data), main + 0.3 * (one + two))      # (4)

# %% [markdown]
# ### Global average pooling
#
# A linear layer and a mean over pixels may change places,
#
# $$W\,\frac{1}{HW}\sum_{ij} x_{\cdot ij} + b = \frac{1}{HW}\sum_{ij}\,(W x_{\cdot ij} + b), \tag{5}$$
#
# so the classifier is a 1x1 convolution whose answers are averaged: it accepts every size, has $CK$ weights in place of
# $HWCK$, and $W x_{\cdot ij} + b$ is a map of the evidence for every class.

# %%
model, images = network("gap", 0), np.random.default_rng(3).random((2, 3, 32, 32), np.float32)
assert np.allclose(class_maps(model, images).mean(axis=(2, 3)), model.eval()(Tensor(images)).data, atol=1e-5)      # (5)

# %% [markdown]
# ## Check by hand
#
# ### A kernel slides
#
# **Player.** A difference from left to right, product by product at the first position. Blue: the window; red: the
# product that is added; green: where the sum goes.

# %%
picture = np.array([[0, 0, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 2, 2, 2], [3, 3, 3, 3, 3], [3, 3, 3, 3, 3]])
edges = np.array([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]])
result = conv2d(picture[None, None] * 1.0, edges[None, None] * 1.0)[0, 0]
print(result)
assert result.tolist() == [[4, 4, 0], [3, 3, 0], [2, 2, 0]]
player = sliding_player(picture, edges, width=460)
assert player.labels[-1].endswith("= 0")
player

# %% [markdown]
# ### The 5x5 branch of module 3a
#
# 192 channels of 28 by 28 pixels to 32: $784 \cdot 192 \cdot 25 \cdot 32 = 120.4$ million multiply-adds. Through 16
# channels $784\,(192 \cdot 16 + 16 \cdot 25 \cdot 32) = 12.4$ million.

# %%
assert (round(direct / 1e6, 1), round(reduced / 1e6, 1)) == (120.4, 12.4)
row = ROWS["3a"]
weights = 192 * (row.one + row.reduce3 + row.reduce5 + row.pool) + 9 * row.reduce3 * row.three + 25 * row.reduce5 * row.five
biases = row.one + row.reduce3 + row.three + row.reduce5 + row.five + row.pool
assert weights + biases == sum(p.size for p in module.parameters()) == 163_696

# %% [markdown]
# ### Heads
#
# Flattening 7x7x1024 for 1000 classes takes 50.2 million weights, averaging first 1.02 million.

# %%
flat = Sequential(Flatten(), Linear(7 * 7 * 1024, 1000, rng=0))
pooled = Sequential(GlobalAvgPool2d(), Linear(1024, 1000, rng=0))
assert (flat[1].weight.size, pooled[1].weight.size) == (50_176_000, 1_024_000)
assert sum(p.size for p in AuxiliaryHead(512, 1000, norm=None, rng=0).parameters()) == 3_188_840

# %% [markdown]
# ## Use the library

# %%
refused = 0
for attempt in (lambda: Inception(8, Row(0, 8, 8, 8, 8, 8), rng=0),
                lambda: Conv2d(8, 8, 5, rng=0)(Tensor(np.zeros((1, 8, 4, 4), np.float32))),
                lambda: AuxiliaryHead(8, 10, norm=None, rng=0)(Tensor(np.zeros((1, 8, 7, 7), np.float32)))):
    try:
        attempt()
    except (ArgError, ShapeError) as error:
        print(error)
        refused += 1
assert refused == 3

# %% [markdown]
# ## Experiment
#
# ### The module
#
# **Figure 2.1 (a module behind the stem)** and what its branches cost.


# %%
def show(report, dpi=80):
    """Draw every figure of a report."""
    for draw in report.figures.values():
        draw().set_dpi(dpi)
        plt.show()


report = inception_module(asked_preset()).check()
show(report)

# %% [markdown]
# ### Global average pooling
#
# The same network with both heads. Under the pictures: the evidence (5) for the class that was chosen.

# %%
report = gap_head(asked_preset()).check()
show(report)
for line in report.tables["Two heads"]:
    print(line)

# %% [markdown]
# ### Auxiliary heads
#
# Six hundred training images, with and without. The heads multiply the gradient that reaches the first layer. Whether
# they regularise, as is often said, is an observation here, not a claim: compare the gaps.

# %%
report = aux_softmax(asked_preset()).check()
show(report)
m = report.metrics
print(f"gradient at the first layer: {m['gradient_gain']:.1f} times; gap without {m['gap_without']:.3f}, with "
      f"{m['gap_with']:.3f}")
assert m["aux_weights_change_answer"] == 0

# %% [markdown]
# ### The network
#
# **Figure 2.2 (the architecture).** *The branches are decision components.* The last picture silences one branch of a
# module at a time and shows what every class loses: branches specialise, and classes rely on different ones.

# %%
report = inception_v1(asked_preset()).check()
show(report)
for line in report.tables["Networks of paper size"]:
    print(line)

# %% [markdown]
# ## Exercises
#
# **1.** For which number of channels $R$ is (2) exactly half of the direct cost, for $C = 192$, $k = 3$, $O = 128$?
#
# <details><summary>Answer</summary>
#
# $R (C + k^2 O) = C k^2 O / 2$.
#
# ```python
# C, k, O = 192, 3, 128
# R = C * k * k * O / 2 / (C + k * k * O)
# assert np.isclose(C * R + R * k * k * O, C * k * k * O / 2) and 82 < R < 83
# ```
#
# </details>
#
# **2.** Replace the 5x5 filters of 3a by two 3x3 filters in a row. What do they see and cost?
#
# <details><summary>Answer</summary>
#
# 5x5 pixels, with 18/25 of the weights if the width between them stays.
#
# ```python
# from minicv.nn import receptive_field
#
# assert receptive_field([(3,), (3,)]).size == (5, 5)
# pair = Sequential(Conv2d(8, 8, 3, bias=False, rng=0), Conv2d(8, 8, 3, bias=False, rng=0))
# assert 25 * sum(p.size for p in pair.parameters()) == 18 * Conv2d(8, 8, 5, bias=False, rng=0).weight.size
# ```
#
# </details>
#
# **3.** Show with numbers that (5) does not hold if a ReLU stands between the linear layer and the mean.
#
# <details><summary>Answer</summary>
#
# ```python
# z = np.array([-1.0, 3.0])
# assert max(z.mean(), 0) != np.maximum(z, 0).mean()
# ```
#
# </details>
