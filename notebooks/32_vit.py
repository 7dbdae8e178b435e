# %% [markdown]
# # 32 Pictures as sentences
#
# **After this lesson you can** say why pixels make bad tokens, cut an image into patches and project them, build the vision
# transformer and count its parameters and operations, look inside a trained one, and classify a photograph with
# stored weights. About two minutes on two cores.

# %% [markdown]
# ## Goal and sources
#
# An encoder turns a sequence of vectors into another one. It does not care where the vectors come from. The vision
# transformer changes nothing about it: it only decides what the words of a picture are.
#
# * A. Dosovitskiy et al., *An image is worth 16x16 words*, ICLR 2021: equations 1 to 4, section 4.5.
# * S. Abnar, W. Zuidema, *Quantifying attention flow in transformers*, ACL 2020: equation 1.
# * A. Kolesnikov et al., *Big transfer (BiT)*, ECCV 2020.
#
# In the library: `minicv/vit/` (`patch.py`, `vit.py`, `pixels.py`, `analysis.py`), `minicv/plot/vit.py`.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from minicv import nn, vit, weights
from minicv.__main__ import main
from minicv.autograd import Tensor
from minicv.data import portrait, write_png
from minicv.errors import ArgError, LimitError, ShapeError
from minicv.experiments import asked_preset
from minicv.experiments.ch3.patches import patch_embedding, pixels
from minicv.experiments.ch3.pictures import analysis
from minicv.experiments.ch3.pictures import vit as vision_transformer
from minicv.experiments.ch3.scaling import data_scaling
from minicv.plot import plot_modules
from minicv.vit import AttentionRecord, patchify, unpatchify

# %% [markdown]
# ## Derive
#
# ### Why not pixels?
#
# Attention compares every token with every other one. With a token for each of $HW$ pixels, $L$ layers and $h$ heads have
#
# $$L\, h\, (HW)^2 \tag{1}$$
#
# weights: the memory grows with the *fourth power* of the side. Neighboring pixels say nearly the same anyway.

# %%
rng = np.random.default_rng(0)
for side in (8, 16, 32):
    assert vit.attention_bytes((2 * side) ** 2) == 16 * vit.attention_bytes(side**2)             # (1)

# %% [markdown]
# ### Patches
#
# Cut the image into $P \times P$ patches, write each as a vector of $P^2 C$ numbers, and map it to $D$ dimensions:
#
# $$z_i = W_E\, x_i + b + p_i, \qquad i = 1 \dots HW / P^2, \qquad z_0 = c + p_0. \tag{2}$$
#
# The vectors $p_i$ are learned and say where the patch was. $c$, the **class token**, is learned too: it belongs to no patch and
# collects what the classifier will read. The first part of (2) is a convolution whose stride is its size.
#
# > **Where notes and paper differ (E3.3, E3.9).** The class token is *prepended*, at position 0. $W_E$ has a bias.

# %%
x = rng.standard_normal((2, 3, 16, 24))
embed = vit.PatchEmbedding(8, 5, rng=0).astype(np.float64)
filters, bias = embed.proj.weight.data, embed.proj.bias.data
tokens = embed(x).data
for n, i, j in np.ndindex(2, 2, 3):
    patch = x[n, :, 8 * i:8 * i + 8, 8 * j:8 * j + 8]
    assert np.allclose(tokens[n, 3 * i + j], filters.reshape(5, -1) @ patch.ravel() + bias)      # (2)
assert np.array_equal(unpatchify(patchify(x, 8), 8, (2, 3)), x)

# %% [markdown]
# ### The encoder
#
# It is the pre-norm encoder with one more norm at the end, and GELU inside:
#
# $$z \leftarrow z + \mathrm{MSA}(\mathrm{LN}\, z), \qquad z \leftarrow z + W_2\, \mathrm{gelu}(W_1 \mathrm{LN}\, z), \qquad
#   y = W\, (\mathrm{LN}\, z)_0. \tag{3}$$

# %%
net = vit.ViT(8, 12, 2, 3, image_size=(16, 24), num_classes=4, rng=0).astype(np.float64).eval()
nn.init.assign(net.head.weight, rng.standard_normal((4, 12)))                   # zero at first
z = np.concatenate([np.broadcast_to(net.cls_token.data, (2, 1, 12)), net.patch_embed(x).data], axis=1)
z = Tensor(z + net.pos_embed.data)
for block in net.blocks:
    z = z + block.attn(block.norm1(z))
    z = z + block.mlp(block.norm2(z))
assert np.allclose(net.head(net.norm(z)[:, 0]).data, net(x).data)               # (3)

# %% [markdown]
# ### What it does not know
#
# Attention, norms and the network of each token treat all tokens alike. Without $p_i$ the order of the patches is
# lost: for every permutation $\pi$ of patches, $y(\pi x) = y(x)$. Only the learned positions tell a face from its puzzle.

# %%
blind = vit.ViT(8, 12, 2, 3, image_size=(16, 24), num_classes=4, positions="none", rng=0).astype(np.float64).eval()
nn.init.assign(blind.head.weight, net.head.weight.data)
puzzle = unpatchify(patchify(x, 8)[:, rng.permutation(6)], 8, (2, 3))
assert np.allclose(blind(puzzle).data, blind(x).data) and not np.allclose(net(puzzle).data, net(x).data)

# %% [markdown]
# ### How far does a head look?
#
# With $a_{qk}$ the weight of patch $k$ for query $q$ and $p$ the centers of the patches in pixels, the mean distance of a
# head, and the share of each token that arrives at the end if each layer passes on half of its input, are
#
# $$r = \frac{1}{n} \sum_q \sum_k a_{qk}\, |p_q - p_k|, \qquad R = \prod_l \tfrac12 (I + \bar A_l). \tag{4}$$
#
# The weights are usually never stored; `AttentionRecord` asks for them.

# %%
with AttentionRecord(net) as record:
    net(x)
a = record.weights                                                              # layers, images, heads, tokens, tokens
assert a.shape == (2, 2, 3, 7, 7) and np.allclose(a.sum(axis=-1), 1)
centers = np.array([[8 * i, 8 * j] for i in range(2) for j in range(3)])
far = np.linalg.norm(centers[:, None] - centers, axis=2)
among_patches = a[..., 1:, 1:] / a[..., 1:, 1:].sum(axis=-1, keepdims=True)
assert np.allclose(vit.attention_distance(a, (2, 3), 8), (among_patches * far).sum(axis=-1).mean(axis=-1))
half = (np.eye(7) + a.mean(axis=2)) / 2
assert np.allclose(vit.attention_rollout(a), half[1] @ half[0])                 # (4)

# %% [markdown]
# ## Check by hand
#
# ### Memory
#
# $224^2 = 50\,176$ tokens have $2.52 \cdot 10^9$ pairs: 5.035 GB in half precision, for one head of one layer. ViT-B/16 has 197 tokens
# and needs 11.2 MB for all of its 144 heads.
#
# > **Where notes leave a question (E3.10).** The 483 GB of "12 layers with 8 heads" are decimal (450 GiB), and fit neither ViT-B
# > (12 heads) nor the first transformer (6 layers). Kernels that work row by row never store the weights.

# %%
assert vit.attention_bytes(224**2, dtype=np.float16) == 2 * 50_176**2 == 5_035_261_952
assert round(vit.attention_bytes(224**2, heads=8, layers=12, dtype=np.float16) / 1e9, 1) == 483.4
assert round(vit.attention_bytes(197, heads=12, layers=12, dtype=np.float16) / 1e6, 1) == 11.2

# %% [markdown]
# ### Parameters
#
# A block has $4D^2 + 4D$ in its attention, $2DM + D + M$ in its network with $M = 4D$ units, and $4D$ in its norms. With $P = 16$,
# 197 positions and 1000 classes ViT-B has
# $12 \cdot 7\,087\,872 + (768 \cdot 768 + 768) + 768 + 197 \cdot 768 + 2 \cdot 768 + 769\,000 = 86\,567\,656$.
#
# > **Where notes and code differ (E3.7).** "86 M" is ViT-B without its classifier (85.8 M), "632 M" is ViT-H/14 with it, and "307 M" is
# > met by L/32 only; L/16 has 304.3 M.

# %%
def block_parameters(D):
    return 4 * D * D + 4 * D + 2 * D * 4 * D + D + 4 * D + 4 * D


assert block_parameters(768) == 7_087_872
assert [L * block_parameters(D) for L, D in ((12, 768), (24, 1024), (32, 1280))] == [
    85_054_464, 302_309_376, 629_678_080]
D = 768
assert 12 * block_parameters(D) + (D * D + D) + D + 197 * D + 2 * D + 1000 * (D + 1) == 86_567_656

# %% [markdown]
# ### Operations
#
# A layer multiplies $4nD^2$ for its projections, $8nD^2$ in its network and $2n^2D$ in its attention.
#
# > **Where notes and arithmetic differ (E3.13).** With $n = 197$ and $D = 768$ the quadratic part is 4 %. It dominates from $n > 6D$ on.

# %%
n = 197
assert [round(m / 1e6, 1) for m in (4 * n * D * D, 2 * n * n * D, 8 * n * D * D)] == [464.8, 59.6, 929.6]
assert round(2 * n * n * D / (12 * n * D * D + 2 * n * n * D), 3) == 0.041

# %% [markdown]
# ### Attention that looks everywhere
#
# On 14 x 14 patches of 16 pixels a head that attends to all patches alike looks 116.5 pixels far.

# %%
assert abs(vit.attention_distance(np.full((197, 197), 1 / 197), 14, 16) - 116.5) < 0.05
for wrong, error in ((lambda: patchify(x, 7), ShapeError), (lambda: vit.pixel_transformer(224, 48, 4, 3), LimitError),
                     (lambda: AttentionRecord(net).weights, ArgError), (lambda: net(x[:, :, :8]), ShapeError)):
    try:
        wrong()
    except error as refusal:
        print(refusal)
    else:
        raise AssertionError("should be refused")

# %% [markdown]
# ## Use the library
#
# `vit.build` makes each row of the paper's table. `interpolate=True` resizes the positions for other image sizes.

# %%
small = vit.build("vit_ti_16", num_classes=10, image_size=64, interpolate=True, rng=0).eval()
print(nn.cost(small, (1, 3, 64, 64))["blocks.0"])
assert small(np.zeros((1, 3, 96, 64), np.float32)).shape == (1, 10)

# %% [markdown]
# **Figure (ViT).** Drawings are made from the module tree: every box knows its output, its parameters and its multiply-adds.

# %%
for network, shape in ((vit.build("vit_b_16", rng=0), (1, 3, 224, 224)), (small.blocks[0], (1, 17, 192))):
    plot_modules(network, shape).figure.set_dpi(80)
    plt.show()

# %% [markdown]
# Weights of torchvision, timm and HF transformers load by name. The command line classifies a photograph with them: it cuts and
# scales it as they do and finds the name map by itself. Here with weights that mean nothing:

# %%
with tempfile.TemporaryDirectory() as folder:
    photo, file = Path(folder) / "portrait.png", Path(folder) / "ti.safetensors"
    write_png(photo, portrait())
    weights.save(vit.build("vit_ti_16", num_classes=3, rng=0), file)
    (Path(folder) / "labels.txt").write_text("cat\ndog\nperson\n")
    status = main(["predict", "vit_ti_16", str(photo), "--weights", str(file), "--labels",
                   str(Path(folder) / "labels.txt")])
assert status == 0

# %% [markdown]
# ## Experiment
#
# ### Pixels
#
# **Figures (memory; digits of 8 x 8 pixels).** *Single pixels as tokens:* 65 of them are fine.

# %%
report = pixels(asked_preset()).check()
for draw in report.figures.values():
    draw().set_dpi(80)
    plt.show()
print(f"accuracy on digits of 8 x 8 pixels: {report.metrics['accuracy']:.2f}")
assert report.metrics["refused"] == 3

# %% [markdown]
# ### Patches
#
# **Figures (patch embedding; patch size).** *Pixels are redundant:* patches of 8 x 8 make a sequence of 16 tokens where patches of
# 2 x 2 make 256. So short a training tells little about accuracy (the table is an observation); the cost differs by far more.

# %%
report = patch_embedding(asked_preset()).check()
for draw in report.figures.values():
    draw().set_dpi(80)
    plt.show()
for row in report.tables["A small transformer on patches of several sizes (observed)"]:
    print(row)

# %% [markdown]
# ### The vision transformer
#
# **Figures (confusions; where the operations are).** 119 000 parameters on 4000 pictures. *Convolutions and attention in time:* the
# table compares multiply-adds per second on this machine; convolutions usually reach more. *Positions:* without them the order of patches cannot
# matter, as derived above; these shapes are recognized by their parts nearly as well, wherever the parts are.

# %%
report = vision_transformer(asked_preset()).check()
for draw in report.figures.values():
    draw().set_dpi(80)
    plt.show()
print("model          parameters   GMACs")
for row in report.tables["Variants"]:
    print(f"{row['model']:12s}{row['parameters']:13,d}{row['GMACs']:8.2f}")
found = report.metrics
print(f"ten shapes: accuracy {found['accuracy']:.3f}, {found['lost_without_positions']:.3f} less with the positions set to 0")
assert found["order_changes"] < 1e-10

# %% [markdown]
# ### What it looks at
#
# **Figures 3.8 (filters), 3.9 (positions), 3.10 (attention distance), and rollout.** *Positions learn rows and columns:* each small map
# compares one patch with all others. With ten shapes instead of millions of photographs the filters stay faint, and
# after three epochs all heads still look nearly everywhere.
#
# > **Where notes and paper differ (E3.11).** Low layers do not only look near: some of their heads are global at once, which a convolution
# > cannot be. From the middle up all are.

# %%
report = analysis(asked_preset()).check()
for draw, dpi in zip(report.figures.values(), (80, 80, 80, 80), strict=True):
    draw().set_dpi(dpi)
    plt.show()
print(f"similarity in the same row or column: {report.metrics['row_and_column_gain']:.3f} above the rest")

# %% [markdown]
# ### Data
#
# **Figure 3.11 (accuracy against the pre-training set).** *Transformers need data:* a ResNet knows that neighbors belong together and
# that a shape is the same everywhere. The transformer learns both from examples, and at this size it stays behind.

# %%
report = data_scaling(asked_preset()).check()
(draw,) = report.figures.values()
draw().set_dpi(80)
plt.show()
for row in report.tables["Test accuracy"]:
    print("{:6d} {:8s}{:7.3f}{:7.3f}".format(*row.values()))

# %% [markdown]
# ## Exercises
#
# **1.** How many tokens has an image of 384 x 384 with patches of 16, and by how much does the quadratic part grow against 224 x 224?
#
# <details><summary>Answer</summary>
#
# $24^2 + 1 = 577$ tokens; the quadratic part grows by $(577 / 197)^2 = 8.6$, everything else by 2.9.
#
# ```python
# tokens = (384 // 16) ** 2 + 1
# assert tokens == 577 and round((tokens / 197) ** 2, 1) == 8.6 and round(tokens / 197, 1) == 2.9
# ```
#
# </details>
#
# **2.** Which permutation of the *positions* undoes a permutation of the patches?
#
# <details><summary>Answer</summary>
#
# The same one: patch and position only meet in their sum.
#
# ```python
# order = np.random.default_rng(1).permutation(6)
# moved = vit.ViT(8, 12, 2, 3, image_size=(16, 24), num_classes=4, rng=0).astype(np.float64).eval()
# moved.load_state_dict(net.state_dict())
# nn.init.assign(moved.pos_embed, net.pos_embed.data[:, np.concatenate([[0], 1 + order])])
# mixed = unpatchify(patchify(x, 8)[:, order], 8, (2, 3))
# assert np.allclose(moved(mixed).data, net(x).data)
# ```
#
# </details>
#
# **3.** What is the rollout of $L$ layers of uniform attention?
#
# <details><summary>Answer</summary>
#
# With $U$ the uniform matrix, $U^2 = U$, so that $R = 2^{-L} I + (1 - 2^{-L})\, U$: depth forgets where a token began.
#
# ```python
# uniform = np.full((5, 1, 1, 4, 4), 0.25)
# assert np.allclose(vit.attention_rollout(uniform)[0], np.eye(4) / 32 + (1 - 1 / 32) / 4)
# ```
#
# </details>
