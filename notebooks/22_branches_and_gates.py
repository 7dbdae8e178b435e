# %% [markdown]
# # 22 Branches and gates: grouped convolutions, ResNeXt, squeeze and excitation
#
# **After this lesson you can** say what a grouped convolution computes and what it cannot, show that three quite different
# pictures of a ResNeXt block are one function, choose widths that keep the number of weights, and build the gate of a
# squeeze-and-excitation network. About a minute on two cores.

# %% [markdown]
# ## Goal and sources
#
# Inception showed that parallel branches are worth having, but its branches were designed one by one. ResNeXt makes them
# all alike and asks for one number only, how many. Squeeze and excitation asks another question: do all channels matter
# for *this* picture?
#
# * A. Krizhevsky, I. Sutskever, G. Hinton, *ImageNet classification with deep convolutional neural networks*, NIPS 2012.
# * S. Xie, R. Girshick, P. Dollár, Z. Tu, K. He, *Aggregated residual transformations for deep neural networks*, CVPR 2017.
# * J. Hu, L. Shen, G. Sun, *Squeeze-and-excitation networks*, CVPR 2018.
#
# In the library: `minicv/cnn/resnext_forms.py`, `resnet.py`, `squeeze.py`, `senet.py`.

# %%
import math

import matplotlib.pyplot as plt
import numpy as np

from minicv.autograd import Tensor
from minicv.autograd.conv import conv2d
from minicv.cnn.resnet import Bottleneck
from minicv.cnn.resnext_forms import (
    JoinedBranches,
    SummedBranches,
    as_bottleneck,
    block_weights,
    from_bottleneck,
    width_for,
)
from minicv.cnn.senet import SEBasicBlock
from minicv.cnn.squeeze import SqueezeExcite
from minicv.errors import ArgError, ShapeError
from minicv.experiments import asked_preset
from minicv.experiments.ch2.resnext import grouped_conv, resnext, resnext_block
from minicv.experiments.ch2.squeeze import se_module, senet
from minicv.nn import Conv2d, cost
from minicv.plot import module_svg

# %% [markdown]
# ## Derive
#
# ### Grouped convolution
#
# Cut the $C$ input channels into $G$ chunks and give each chunk filters of its own:
#
# $$y = \big[\, w_1 \star x_1,\; \dots,\; w_G \star x_G \,\big], \qquad
#   w_g \in \mathbb{R}^{O/G \times C/G \times k \times k}. \tag{1}$$
#
# There are $G \cdot \frac{O}{G} \cdot \frac{C}{G}\, k^2 = \frac{1}{G}\, O C k^2$ weights, and each is used once for each
# output position, so weights and multiply-adds shrink by exactly $G$. Written as a dense convolution, the weight is
# block-diagonal: what lies outside of the blocks is zero and stays zero.

# %%
rng = np.random.default_rng(0)
G, x, w = 3, rng.standard_normal((2, 6, 8, 7)), rng.standard_normal((9, 2, 3, 3))
y = conv2d(x, w, padding=1, groups=G)
chunks = [conv2d(x[:, 2 * g:2 * g + 2], w[3 * g:3 * g + 3], padding=1) for g in range(G)]
dense = np.zeros((9, 6, 3, 3))
for g in range(G):
    dense[3 * g:3 * g + 3, 2 * g:2 * g + 2] = w[3 * g:3 * g + 3]
assert np.abs(y - np.concatenate(chunks, axis=1)).max() < 1e-10                                 # (1)
assert np.abs(y - conv2d(x, dense, padding=1)).max() < 1e-10
assert np.count_nonzero(dense) * G == dense.size

# %% [markdown]
# ### A block of branches
#
# A ResNeXt block sums $G$ small bottlenecks. With $a^{(g)} = T_g(x)$, $d$ channels after the 3x3 convolution of branch $g$,
#
# $$y_k(j, i) = \sum_{g=1}^{G} w_k^{(g)} \cdot a^{(g)}(j, i) + x_k(j, i). \tag{2}$$
#
# > **Where notes and mathematics differ (E2.10).** The shortcut is read at the same position, $x_k(j, i)$, not $x_k$.
#
# A sum of scalar products is the scalar product of the stacked vectors,
#
# $$\sum_g w_k^{(g)} \cdot a^{(g)} = \big[w_k^{(1)} \dots w_k^{(G)}\big] \cdot \big[a^{(1)} \dots a^{(G)}\big], \tag{3}$$
#
# so the last 1x1 convolutions are one, on concatenated activations. The first ones all read $x$: they are one 1x1
# convolution with $G d$ outputs, cut afterwards. What is left in the middle is (1). **Summed branches, joined branches
# and a bottleneck with a grouped convolution are one function**, and as the weights are the same numbers, the gradients
# are too.
#
# > **Where notes contradict themselves (E2.9).** "Branching must not be confused with grouped convolution" is followed, two
# > pages later, by the proof that it is one. (And the name is ResNeXt.)

# %%
block = Bottleneck(16, 4, groups=4, group_width=32, rng=0).astype(np.float64)                # (c): d = 2
x, weight = rng.standard_normal((2, 3, 16, 6, 6))


def run(form):
    """Result, gradient of x, gradients of all weights named as in form (c)."""
    variable = Tensor(x, requires_grad=True)
    y = form(variable)
    (y * weight).sum().backward()
    named = ({n: p.grad.data for n, p in form.named_parameters()} if isinstance(form, Bottleneck)
             else as_bottleneck(form, lambda p: p.grad.data))
    return y.data, variable.grad.data, named


y, gx, gradients = run(block)
for form in (SummedBranches, JoinedBranches):
    ours, ours_gx, ours_gradients = run(from_bottleneck(form, block))
    assert np.abs(ours - y).max() < 1e-10 and np.abs(ours_gx - gx).max() < 1e-10             # (2) = (3)
    assert all(np.abs(ours_gradients[n] - gradients[n]).max() < 1e-10 for n in gradients)
print(f"{len(gradients)} gradients agree in all three forms")

# %% [markdown]
# ### How wide?
#
# A block on $C$ channels has $2 C G d$ weights in its 1x1 and $9 G d^2$ in its 3x3 convolutions. To compare fairly with a
# bottleneck of $P$ weights, solve
#
# $$9 G d^2 + 2 C G d = P, \qquad d = \frac{\sqrt{C^2 G^2 + 9 G P} - C G}{9 G}. \tag{4}$$
#
# More branches make each narrower, but all together wider: $G d$ grows.

# %%
P = 2 * 256 * 64 + 9 * 64**2
for G in (1, 2, 4, 8, 32):
    d = width_for(256, G, P)
    assert math.isclose(9 * G * d * d + 2 * 256 * G * d, P)                                   # (4)
widths = np.array([width_for(256, G, P) for G in range(1, 65)])
assert (np.diff(widths) < 0).all() and (np.diff(widths * np.arange(1, 65)) > 0).all()

# %% [markdown]
# ### Squeeze and excitation
#
# Average each channel over all positions, let a small network look at the $C$ means, and multiply each channel by what it
# says:
#
# $$z_c = \frac{1}{HW} \sum_{j,i} x_c(j, i), \qquad s = \sigma\big(W_2 \max(0, W_1 z)\big), \qquad
#   \tilde x_c = s_c\, x_c. \tag{5}$$
#
# $W_1$ goes from $C$ to $C/r$, $W_2$ back: $2C^2/r$ weights and hardly any multiply-adds, since they work on a single
# position. The mean does not know where anything is, so **shuffling positions does not change the gate**.
#
# > **What notes leave out (E2.11).** Between the two layers is a ReLU, behind them a sigmoid: $s_c$ lies strictly between 0
# > and 1, so a gate can only damp, and never quite closes.

# %%
module = SqueezeExcite(64, rng=0).astype(np.float64)
x = rng.standard_normal((5, 64, 6, 6)) + 1
W1, W2 = (fc.weight.data[:, :, 0, 0] for fc in (module.fc1, module.fc2))
s = 1 / (1 + np.exp(-np.maximum(x.mean(axis=(2, 3)) @ W1.T, 0) @ W2.T))
assert np.allclose(module(Tensor(x)).data, s[:, :, None, None] * x)                           # (5), biases are zero
assert 0 < s.min() and s.max() < 1                                                            # E2.11
shuffled = rng.permutation(x.reshape(5, 64, 36), axis=2).reshape(x.shape)
assert np.allclose(module.gate(Tensor(shuffled)).data[:, :, 0, 0], s)

# %% [markdown]
# ## Check by hand
#
# ### A grouped layer
#
# 256 to 256 channels, 3x3: $256 \cdot 256 \cdot 9 = 589\,824$ weights; with 32 groups $256 \cdot 8 \cdot 9 = 18\,432$.

# %%
sizes = [cost(Conv2d(256, 256, 3, padding=1, groups=G, bias=False, rng=0), (1, 256, 14, 14)) for G in (1, 32)]
assert [c.parameters for c in sizes] == [589_824, 18_432] and sizes[0].macs == 32 * sizes[1].macs

# %% [markdown]
# ### The widths of ResNeXt-50
#
# On 256 channels the bottleneck has $2 \cdot 256 \cdot 64 + 9 \cdot 64^2 = 69\,632$ weights. For $G = 32$, (4) gives
# $d = (\sqrt{8192^2 + 9 \cdot 32 \cdot 69\,632} - 8192)/288 = 3.97$, rounded to 4: ResNeXt-50 32x4d.

# %%
table = {G: (round(width_for(256, G, 69_632), 2), d, block_weights(256, G, d))
         for G, d in ((1, 64), (2, 40), (4, 24), (8, 14), (32, 4))}
for G, row in table.items():
    print(f"G = {G:2d}: d = {row[0]:5.2f}, rounded {row[1]:2d}, weights {row[2]:,}")
assert [row[2] for row in table.values()] == [69_632, 69_760, 69_888, 71_456, 70_144]
assert np.allclose([row[0] for row in table.values()], [64, 39.95, 23.93, 13.70, 3.97], atol=0.005)

# %% [markdown]
# ### A gate
#
# $C = 64$, $r = 16$: four hidden units, $2 \cdot 64^2/16 = 512$ weights and $4 + 64$ biases. A bias of $+50$ opens it:
# $\sigma(50) = 1$ to machine precision, and the module is the identity.

# %%
assert sorted(p.shape for p in module.parameters()) == [(4,), (4, 64, 1, 1), (64,), (64, 4, 1, 1)]
assert sum(p.size for p in module.parameters()) == 512 + 68
assert 1 / (1 + math.exp(-50)) == 1.0

# %% [markdown]
# ## Use the library
#
# Blocks are ordinary modules, and slips are refused with the value and what was expected.

# %%
y = SEBasicBlock(16, 32, stride=2, rng=0)(Tensor(rng.standard_normal((2, 16, 8, 8)).astype(np.float32)))
assert y.shape == (2, 32, 4, 4)
for attempt in (lambda: Conv2d(30, 30, 3, groups=4), lambda: width_for(256, 32, -1e7), lambda: SqueezeExcite(8),
                lambda: from_bottleneck(SummedBranches, Bottleneck(8, 4, groups=2, group_width=32, rng=0))):
    try:
        attempt()
    except (ArgError, ShapeError) as error:
        print(error)
    else:
        raise AssertionError("accepted")

# %% [markdown]
# ## Experiment
#
# ### Who reads whom
#
# **Figures (grouped convolution).** Channels as dots, and the same as dense weights. *Groups are less expressive*: of a
# random dense convolution $G$ groups keep only the share $1/G$.

# %%
report = grouped_conv(asked_preset()).check()
for draw in report.figures.values():
    draw().set_dpi(85)
    plt.show()
for row in report.tables.popitem()[1]:
    print(f"{row['groups']} groups lose {row['share lost']:.1%}")
assert report.metrics["weights_ratio"] == report.metrics["macs_ratio"] == 32

# %% [markdown]
# ### Three pictures, one function
#
# **Figures (ResNeXt block, its equivalent forms).** Drawn from the modules, with two branches of 40 channels: (a) sums the
# results of the branches; (b) joins them before a single 1x1 convolution; (c) is one branch of 80 channels whose 3x3
# convolution has two groups. The line at the side is the shortcut.

# %%
module_svg(SummedBranches(256, 2, 40, rng=0), (1, 256, 14, 14), depth=2)

# %%
module_svg(JoinedBranches(256, 2, 40, rng=0), (1, 256, 14, 14), depth=2)

# %%
module_svg(Bottleneck(256, 64, groups=2, group_width=40, rng=0), (1, 256, 14, 14))

# %% [markdown]
# **Figures (differences of their results; widths).** The differences are rounding errors.

# %%
report = resnext_block(asked_preset()).check()
for draw in list(report.figures.values())[1:]:
    draw().set_dpi(85)
    plt.show()
print({name: f"{value:.1e}" for name, value in report.metrics.items() if name.endswith("differs")})
assert max(value for name, value in report.metrics.items() if name.endswith("differs")) < 1e-10

# %% [markdown]
# ### ResNeXt
#
# Counts of the published networks, and small ones on ten shapes with equal multiply-adds. *With equal cost, more groups
# are better* was found on ImageNet with 32 groups; networks as small as these need not agree, and the width of their
# branches is a handful of channels.

# %%
report = resnext(asked_preset()).check()
published, small = report.tables.values()
for row in published:
    print(f"{row['network']:18s}{row['parameters']:12,d} parameters {row['GMAC']:7.2f} GMAC")
for row in small:
    print(f"G = {row['G']}, d = {row['d']}: {row['MMAC']} MMAC, accuracy {row['accuracy']:.3f}")
assert report.metrics["parameter_counts_off"] == 0

# %% [markdown]
# ### A gate on noise
#
# **Figure (channels and factors).** Channels of random values, their means, the factors, the products.

# %%
report = se_module(asked_preset()).check()
for draw in report.figures.values():
    draw().set_dpi(85)
    plt.show()
assert report.metrics["permutation_changes"] < 1e-12

# %% [markdown]
# ### A gate that has learned something
#
# **Figure 2.5 (SE-ResNet module).** The gate stands before the sum: what it closes is missing from F(x), not from x.

# %%
module_svg(SEBasicBlock(64, 64, rng=0), (1, 64, 56, 56), depth=2)

# %% [markdown]
# **A toy.** One of two channels has the stripes that matter, the other stripes of its
# own; only its brightness gives it away. Their sum alone cannot be right more often than three times in four. The
# gate, trained with the classifier, closes the distracting channel.
#
# > **Where notes are narrow (E2.19).** Gates fit any network, not just ResNet and ResNeXt. SENet-154 is a ResNeXt-152 with
# > more changes: 64 groups, a deep stem, 3x3 projections.
#
# On the ten shapes the gates bring nothing that one could see in four epochs; they are made for long training on many
# classes. **Figure (factors for each class).** Some channels are gated differently for different classes.

# %%
report = senet(asked_preset()).check()
for draw in list(report.figures.values())[1:]:
    draw().set_dpi(85)
    plt.show()
m = report.metrics
print(f"toy: {m['toy_accuracy_without']:.3f} without, {m['toy_accuracy']:.3f} with a gate; "
      f"shapes: {m['accuracy_without']:.3f} without, {m['accuracy']:.3f} with gates")
assert asked_preset() == "smoke" or m["informative_minus_distractor_gate"] > 0.3

# %% [markdown]
# ## Exercises
#
# **1.** How many weights has a convolution from 96 to 256 channels, 5x5, with two groups (AlexNet's second layer)?
#
# <details><summary>Answer</summary>
#
# $256 \cdot 48 \cdot 25 = 307\,200$, half of 614 400.
#
# ```python
# assert Conv2d(96, 256, 5, groups=2, bias=False, rng=0).weight.size == 256 * 48 * 25 == 307_200
# ```
#
# </details>
#
# **2.** Two grouped convolutions in a row, with the same groups, never mix their chunks. Show it with gradients.
#
# <details><summary>Answer</summary>
#
# The product of block-diagonal matrices is block-diagonal. Outputs of the first group have no gradient in the second chunk.
#
# ```python
# one, two = (Conv2d(4, 4, 3, padding=1, groups=2, rng=k) for k in (0, 1))
# x = Tensor(np.ones((1, 4, 5, 5), np.float32), requires_grad=True)
# two(one(x))[:, :2].sum().backward()
# assert x.grad.data[:, :2].any() and not x.grad.data[:, 2:].any()
# ```
#
# </details>
#
# **3.** How many parameters do the gates add to SE-ResNet-50 (256, 512, 1024, 2048 channels in 3, 4, 6, 3 blocks)?
#
# <details><summary>Answer</summary>
#
# $2C^2/16$ weights and $C/16 + C$ biases each: 2 530 992, the difference of the published counts.
#
# ```python
# total = sum(n * (2 * C * C // 16 + C // 16 + C) for C, n in ((256, 3), (512, 4), (1024, 6), (2048, 3)))
# assert total == 28_088_024 - 25_557_032 == 2_530_992
# ```
#
# </details>
