# %% [markdown]
# # 21 Residual learning
#
# **After this lesson you can** derive the gradient of a residual block, say why depth hurts plain networks, build both
# kinds of blocks and count them, and tell Inception-v4 from Inception-ResNet. About two minutes on two cores.

# %% [markdown]
# ## Goal and sources
#
# A deeper network can copy a shallower one and set its other layers to the identity, so it should never be worse. Plain
# networks are: even their *training* loss grows. Residual blocks make the identity easy.
#
# * A. Krizhevsky et al., NIPS 2012 (AlexNet). K. Simonyan, A. Zisserman, ICLR 2015 (VGG).
# * K. He et al., *Deep Residual Learning for Image Recognition*, CVPR 2016: equations 1 and 2, table 1, figures 5 and 6.
# * P. Goyal et al., *Accurate, Large Minibatch SGD*, 2017: section 5.1, the zero gamma.
# * C. Szegedy et al., *Inception-v4, Inception-ResNet and the Impact of Residual Connections*, AAAI 2017.
#
# In the library: `minicv/cnn/resnet.py`, `resnet_cifar.py`, `inception_resnet.py`, `inception_v4.py`, `alexnet.py`, `vgg.py`.

# %%
import matplotlib.pyplot as plt
import numpy as np

from minicv.autograd import Tensor, grad
from minicv.cnn import resnet
from minicv.cnn.inception_resnet import BLOCK_A, BLOCK_B, ResidualMixed
from minicv.cnn.resnet import BasicBlock, Bottleneck
from minicv.errors import ArgError
from minicv.experiments import asked_preset
from minicv.experiments.ch2.backbones import alexnet, vgg_16
from minicv.experiments.ch2.inception_resnet import factorized_share, inception_resnet, inception_v4
from minicv.experiments.ch2.residual import bottleneck_block, gradient_flow, increments, residual_block, weights
from minicv.experiments.ch2.resnets import resnet_18, resnet_50
from minicv.nn.init import zero_gamma

# %% [markdown]
# ## Derive
#
# ### The identity carries the gradient
#
# $$y = \mathrm{relu}\big(F(x) + S(x)\big), \tag{1}$$
#
# $S$ is the identity, or a 1x1 convolution where the shape changes. Without the last ReLU the gradient is
#
# $$\bar x = \bar y\,(I + J_F), \tag{2}$$
#
# and through $L$ blocks $\prod_l (I + J_l)$: with small $J_l$ about 1, where a plain stack has $\prod_l J_l$.
#
# > **Where notes and practice differ (E2.5).** "Small weights let it start as the identity" is not what happens behind a
# > batch norm: scaling the weights changes nothing. It starts as relu(x) if the *gamma* of the last norm is 0.

# %%
rng = np.random.default_rng(0)
x = Tensor(rng.standard_normal((4, 16, 6, 6)).astype(np.float32), requires_grad=True)
block = BasicBlock(16, 16, rng=0)
zero_gamma(block, "bn2")
y = block(x)
assert np.abs(y.data - np.maximum(x.data, 0)).max() <= 1e-7
(g,) = grad(y.sum(), [x])
assert np.array_equal(g.data, (x.data > 0).astype(np.float32))                 # (2) with J = 0, behind ReLU

# %%
flows = gradient_flow(12, np.random.default_rng(0))
kept = {kind: norms[0] / norms[-1] for kind, norms in flows.items()}
print({kind: f"{share:.2g}" for kind, share in kept.items()})
assert kept["residual, batch norm"] > 100 * kept["plain, Glorot"]

# %% [markdown]
# ### Add in front of ReLU, not behind it
#
# Behind a ReLU every increment is $\ge 0$: a stack could only grow. In front of it the increments have both signs.

# %%
after, before = increments(BasicBlock(16, 16, rng=0), x)
assert after.min() >= 0 and 0.3 < (before < 0).mean() < 0.7
print(f"mean increment behind ReLU {after.mean():.2f}, in front of it {before.mean():.2f}")

# %% [markdown]
# ### A bottleneck
#
# $1\times1$ from $C$ to $C/4$ channels, $3\times3$, $1\times1$ back to $C$:
#
# $$2 \cdot 9\,c^2 \;\text{(basic, } c \text{ channels)}, \qquad \tfrac{2 C^2}{4} + \tfrac{9 C^2}{16} = \tfrac{17}{16} C^2
#   = 17\,c^2 \;\text{(bottleneck, } C = 4c\text{)}. \tag{3}$$
#
# Three layers on four times the channels for slightly less.
#
# > **Where notes and code differ (E2.3, E2.4).** The first stage neither halves nor doubles anything; the stem has a max
# > pool. The stride of a bottleneck sat on the first 1x1 in the paper, which skips three quarters of the pixels; libraries
# > put it on the 3x3.

# %%
assert weights(BasicBlock(64, 64, rng=0)) == 18 * 64 ** 2
assert weights(Bottleneck(256, 64, rng=0)) == 17 * 64 ** 2                       # (3)

# %% [markdown]
# ### Inception with increments
#
# $$y = \mathrm{relu}\big(x + s\,W\,\mathrm{concat}(\text{branches of } x)\big), \quad s \approx 0.1 \text{ to } 0.3. \tag{4}$$
#
# $W$ is a 1x1 convolution without activation. Large filters are taken apart: $1 \times 7$ and $7 \times 1$ have 14 weights
# where $7 \times 7$ has 49.
#
# > **Where notes and paper differ (E2.6, E2.7, E2.8).** Inception-v4 has no residual connections; those with them are called
# > Inception-ResNet-v1 and -v2. Module B starts with *two* 1x1 convolutions. There are also a module C and reductions.

# %%
assert np.isclose(factorized_share(), 14 / 49)
assert [sum(branch[0][1] == 1 for branch in figure) for figure in (BLOCK_A, BLOCK_B)] == [3, 2]       # E2.7
module = ResidualMixed(32, BLOCK_B, scale=0.1, width=0.1, rng=0)
x = Tensor(rng.random((1, 32, 9, 9), np.float32))
branches = np.concatenate([getattr(module, name)(x).data for name in module.order], axis=1)
assert np.allclose(module(x).data, np.maximum(x.data + 0.1 * module.conv2d(Tensor(branches)).data, 0), atol=1e-5)

# %% [markdown]
# ## Check by hand
#
# Weights of both blocks: $2 \cdot 9 \cdot 64^2 = 73\,728$ and $256 \cdot 64 + 9 \cdot 64^2 + 64 \cdot 256 = 69\,632$.

# %%
assert 2 * 9 * 64 ** 2 == 73_728 and 256 * 64 + 9 * 64 ** 2 + 64 * 256 == 69_632

# %% [markdown]
# ## Use the library

# %%
net = resnet.build("resnet18", num_classes=10, stem="cifar", widths=(8, 16, 32, 64), rng=0)
maps = net.features(Tensor(rng.random((1, 3, 32, 32), np.float32)))
print({name: y.shape for name, y in maps.items()})
assert maps["c2"].shape == (1, 8, 32, 32) and maps["c5"].shape == (1, 64, 4, 4)
for attempt in (lambda: resnet.build("resnet19"), lambda: Bottleneck(250, 250 / 4, rng=0),
                lambda: ResidualMixed(32, BLOCK_A, scale=0, rng=0)):
    try:
        attempt()
    except ArgError as error:
        print(error)
    else:
        raise AssertionError("accepted")

# %% [markdown]
# ## Experiment
#
# ### Residual blocks
#
# **Figure (skip connection)**, the gradient through fifty blocks, increments, and *depth with and without skips*.


# %%
def show(report, dpi=80):
    """Draw every figure of a report."""
    for draw in report.figures.values():
        draw().set_dpi(dpi)
        plt.show()


report = residual_block(asked_preset()).check()
show(report)
for line in report.tables["Training loss by depth"]:
    print(line)

# %% [markdown]
# ### Bottlenecks
#
# **Figure 2.4 (both blocks).**

# %%
report = bottleneck_block(asked_preset()).check()
show(report)
m = report.metrics
print(f"ResNet-50: {m['resnet50_3x3_gmac']:.2f} G with the stride on the 3x3, {m['resnet50_1x1_gmac']:.2f} G on the 1x1")

# %% [markdown]
# ### Networks
#
# **Figure 2.3 (ResNet-18).** *Batch normalisation is heavily used*: the same network without it.

# %%
report = resnet_18(asked_preset()).check()
show(report)
for line in report.tables["Stages of resnet18"]:
    print(line)

# %%
report = resnet_50(asked_preset()).check()
show(report)
for line in report.tables["Small networks of equal cost"]:
    print(line)

# %% [markdown]
# ### Inception-ResNet and Inception-v4
#
# **Figures (modules A and B).**

# %%
report = inception_resnet(asked_preset()).check()
show(report)
report = inception_v4(asked_preset()).check()
print({name: f"{value:g}" for name, value in report.metrics.items()})

# %% [markdown]
# ### The networks before
#
# AlexNet and VGG-16 have nearly all of their weights in linear layers and nearly all of their work in convolutions.

# %%
for network in (alexnet, vgg_16):
    show(network(asked_preset()).check())

# %% [markdown]
# ## Exercises
#
# **1.** How many weights have the convolutions of a bottleneck with $C = 512$, from (3)?
#
# <details><summary>Answer</summary>
#
# ```python
# assert weights(Bottleneck(512, 128, rng=0)) == 17 * 512 ** 2 // 16
# ```
#
# </details>
#
# **2.** How does what remains of the gradient in plain stacks change from 12 to 24 blocks?
#
# <details><summary>Answer</summary>
#
# It is about squared: every block multiplies it by about the same number.
#
# ```python
# longer = gradient_flow(24, np.random.default_rng(0))["plain, Glorot"]
# assert longer[0] / longer[-1] < kept["plain, Glorot"] / 50
# ```
#
# </details>
#
# **3.** What do three 3x3 convolutions see, and which share of the weights of one filter of that size do they have?
#
# <details><summary>Answer</summary>
#
# 7x7 pixels with $27/49$.
#
# ```python
# from minicv.nn import receptive_field
#
# assert receptive_field([(3,)] * 3).size == (7, 7)
# ```
#
# </details>
