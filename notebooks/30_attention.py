# %% [markdown]
# # 30 Attention
#
# **After this lesson you can** derive scaled dot-product attention from a soft look-up, say why the scores are divided by
# $\sqrt{d_K}$, mask the future without a leak, take a multi-head layer apart, and say which parts of a transformer mix
# tokens (one) and which do not (all others). About one and a half minutes on two cores.

# %% [markdown]
# ## Goal and sources
#
# A sentence, a picture cut into patches, the boxes of a detector: sets of **tokens**, vectors that have to exchange
# information. Attention does it with an average whose weights the tokens choose themselves.
#
# * D. Bahdanau, K. Cho, Y. Bengio, *Neural machine translation by jointly learning to align and translate*, ICLR 2015.
# * I. Sutskever, O. Vinyals, Q. Le, *Sequence to sequence learning with neural networks*, NIPS 2014; K. Cho et al., 2014.
# * M.-T. Luong, H. Pham, C. Manning, *Effective approaches to attention-based neural machine translation*, EMNLP 2015.
# * A. Vaswani et al., *Attention is all you need*, NIPS 2017.
# * J. Ba, J. Kiros, G. Hinton, *Layer normalization*, 2016; Y. Wu, K. He, *Group normalization*, ECCV 2018.
#
# In the library: `minicv/vit/attention.py` (the definitions), `minicv/nn/attention.py` (the layer),
# `minicv/vit/recurrent.py`, `minicv/nn/norm.py`, `minicv/nn/embedding.py`.

# %%
import matplotlib.pyplot as plt
import numpy as np

from minicv import nn
from minicv.autograd import Tensor
from minicv.autograd.attention import scaled_dot_product_attention
from minicv.autograd.shape import concat
from minicv.data import PAD
from minicv.errors import ArgError, ShapeError
from minicv.experiments import asked_preset
from minicv.experiments.ch3.attention import cross, dot_product, masked, scaled, self_attention
from minicv.experiments.ch3.heads import mhsa
from minicv.experiments.ch3.layers import embedding, ffn, layer_norm, norm_axes
from minicv.experiments.ch3.recurrent import baseline, traditional
from minicv.plot import attention_player
from minicv.vit import (
    ProjectedAttention,
    RecurrentTranslator,
    dot_product_attention,
    scaled_dot_attention,
    split_heads,
    weigh,
)

# %% [markdown]
# ## Derive
#
# ### A soft look-up
#
# Let $Y$ ($M \times d$) hold one token in each row. A query $x$ that equals row $j$ could be answered by a search: compare
# with all rows, return the best. The search has no derivative. Replace "the best" by a softmax over the similarities:
#
# $$a = \mathrm{softmax}(x\,Y^\top)\; Y. \tag{1}$$
#
# The answer is an average of rows with positive weights that sum to 1. If the rows are orthonormal and $x = c\,y_j$, the
# score of row $j$ is $c$ and the others are 0, so its weight is $e^c / (e^c + M - 1)$: with growing $c$ the soft look-up
# becomes the search.

# %%
rng = np.random.default_rng(0)
rows, _ = np.linalg.qr(rng.standard_normal((5, 5)))
for c in (0.0, 1.0, 5.0, 50.0):
    a, weights = dot_product_attention(c * rows[3:4], rows)
    assert np.isclose(weights[0, 3], np.exp(c) / (np.exp(c) + 4)) and np.isclose(weights.sum(), 1)
assert np.allclose(a[0], rows[3])

# %% [markdown]
# ### Queries, keys and values
#
# What a token looks for, what it is found by and what it says need not be the same vector. Three learned maps make them
# different, and $x$ and $Y$ may have different widths:
#
# $$Q = X W_Q, \qquad K = Y W_K, \qquad V = Y W_V, \qquad
#   A = \mathrm{softmax}_{\text{rows}}\!\Big(\frac{Q K^\top}{\sqrt{d_K}}\Big) V. \tag{2}$$
#
# With $N$ queries the scores are $N \times M$ and $A$ is $N \times d_V$.
#
# > **Where notes and papers differ (E3.1, E3.2).** $V = Y W_V$, not $Y W_K$, and $q_1 = x_1 W_Q$, not $Y W_X$.
#
# **Why $\sqrt{d_K}$.** Let the numbers in $q$ and $k$ be independent with mean 0 and variance 1. A product of two has
# variance 1, and the variances add up:
#
# $$\mathrm{var}(q \cdot k) = \sum_{i=1}^{d_K} \mathrm{var}(q_i k_i) = d_K. \tag{3}$$
#
# With $d_K = 512$ scores differ by about 23, and $e^{23}$ is ten thousand millions: softmax returns one key and its gradient
# is zero. Divided by $\sqrt{d_K}$ the scores have variance 1 at any width.

# %%
q, k = rng.standard_normal((2, 100_000, 64))
assert abs((q * k).sum(axis=1).var() / 64 - 1) < 0.05 and abs((q * k / 8).sum(axis=1).var() - 1) < 0.05         # (3)
q, k, v = rng.standard_normal((3, 6, 4))
slow = np.zeros((6, 4))
for i in range(6):
    e = [np.exp(q[i] @ k[j] / 2) for j in range(6)]
    slow[i] = sum(e[j] * v[j] for j in range(6)) / sum(e)
assert np.allclose(scaled_dot_attention(q, k, v).output, slow, atol=1e-12)                                      # (2)
assert np.allclose(scaled_dot_product_attention(q, k, v), slow, atol=1e-12)      # the fast one, without storing weights

# %% [markdown]
# ### Self-attention and order
#
# In **self-attention** $X = Y$: each token asks all tokens. Let $P$ be a permutation matrix. Then
# $(PX W_Q)(PX W_K)^\top = P (Q K^\top) P^\top$, softmax works on each row, and $P^\top P = I$:
#
# $$\mathrm{SA}(P X) = P\, \mathrm{SA}(X). \tag{4}$$
#
# Tokens are a *set*. Order has to be added to them as a vector of the position.
#
# ### Masks
#
# When a network writes, position $i$ must not see what it is going to write. Setting scores to $-\infty$ *before* the
# softmax makes these weights $e^{-\infty} = 0$, and the rest still sums to 1:
#
# $$A = \mathrm{softmax}\Big(\frac{Q K^\top}{\sqrt{d_K}} + M\Big) V, \qquad M_{ij} = 0 \;\text{ if } j \le i
#   \;\text{ else } -\infty. \tag{5}$$
#
# > **Where notes and mathematics differ (E3.5).** Setting weights to 0 *after* the softmax is not the same: the
# > row then sums to less than 1, and how much less depends on the future, which leaks. Divided by its new sum it is (5) again.

# %%
layer, x = ProjectedAttention(8, rng=0).astype(np.float64), rng.standard_normal((6, 8))
order = rng.permutation(6)
assert np.allclose(layer(Tensor(x[order])).data, layer(Tensor(x)).data[order], atol=1e-12)                      # (4)
later = x.copy()
later[4:] = rng.standard_normal((2, 8))
assert np.array_equal(layer(Tensor(x), causal=True).data[:4], layer(Tensor(later), causal=True).data[:4])       # (5)
free, strict = (layer.with_weights(Tensor(x), causal=c).weights.data for c in (False, True))
cut = free * np.tri(6)
assert not np.allclose(cut, strict) and np.allclose(cut / cut.sum(axis=1, keepdims=True), strict)               # E3.5

# %% [markdown]
# ### Several heads
#
# One softmax gives one average per token. $h$ heads give $h$ of them, each with its own maps of width $d/h$, put side by
# side and mixed by one more map:
#
# $$A = [\,A^{(1)} \,|\, \dots \,|\, A^{(h)}\,]\; W_O. \tag{6}$$
#
# Parameters: $4 d^2$ weights and $4 d$ biases, whatever $h$ is.
#
# ### What mixes tokens and what does not
#
# A layer has two more parts. **Layer norm** standardizes each token by itself,
#
# $$\mathrm{LN}(a) = \gamma\, \frac{a - \mu}{\sqrt{v + \epsilon}} + \beta, \qquad
#   \mu = \frac1D \sum_j a_j, \quad v = \frac1D \sum_j (a_j - \mu)^2, \tag{7}$$
#
# and the **FFN** is a small network for each token, the same for all: $\mathrm{relu}(x W_1 + b_1) W_2 + b_2$.
# Without attention the Jacobian of a layer is block diagonal: *only attention mixes tokens*.
#
# > **Where notes and practice differ (E3.4, E3.12).** The width is $d_Y = d_{model}$ and the network the FFN. Padding
# > is one reason against batch norm; but ViT, whose inputs all have one length, uses layer norm too.

# %%
layer, x = nn.MultiHeadAttention(12, 3, rng=0).astype(np.float64), Tensor(rng.standard_normal((2, 5, 12)))
heads = [head(x) for head in split_heads(layer)]                       # three separate attentions of width 4
assert np.allclose(layer.out_proj(concat(*heads, axis=-1)).data, layer(x).data, atol=1e-12)                     # (6)
for h in (1, 2, 8):
    assert sum(p.size for p in nn.MultiHeadAttention(512, h, rng=0).parameters()) == 4 * 512**2 + 4 * 512
a = 3 + 2 * rng.standard_normal((4, 64))
y = nn.LayerNorm(64).astype(np.float64)(Tensor(a)).data
assert np.allclose(y, (a - a.mean(1, keepdims=True)) / np.sqrt(a.var(1, keepdims=True) + 1e-5))                 # (7)

# %% [markdown]
# ### Before transformers
#
# A recurrent network reads the source into states $h_1 \dots h_M$, another one writes. At first all the writer got was the
# last state: one vector for any length. **Additive attention** lets state $s_{t-1}$ of the writer look at all $h_j$:
#
# $$e_{tj} = v^\top \tanh(W s_{t-1} + U h_j), \qquad a_t = \mathrm{softmax}(e_t), \qquad c_t = \sum_j a_{tj} h_j. \tag{8}$$
#
# Here attention stands *between* two recurrent networks. The transformer keeps the attention and drops the networks.

# %% [markdown]
# ## Check by hand
#
# One query $(1, 0)$, keys $(1, 0)$ and $(0, 1)$, values $(10, 0)$ and $(0, 10)$, $d_K = 2$. Scores $1/\sqrt2 = 0.7071$ and 0;
# weights $e^{0.7071} / (e^{0.7071} + 1) = 2.0281 / 3.0281 = 0.6698$ and $0.3302$; output $(6.698, 3.302)$.
#
# Four tokens with equal scores and a causal mask: row $i$ has $i$ equal weights $1/i$. With zeros *after* the softmax,
# row 2 is $(\frac14, \frac14, 0, 0)$ and sums to one half.

# %%
output, weights = scaled_dot_attention(np.array([[1.0, 0.0]]), np.eye(2), 10 * np.eye(2))
assert np.allclose(weights, [[0.6698, 0.3302]], atol=5e-5) and np.allclose(output, [[6.698, 3.302]], atol=5e-4)
causal = weigh(np.zeros((4, 4)), causal=True)
assert np.allclose(causal, np.tri(4) / np.arange(1, 5)[:, None])
assert (weigh(np.zeros((4, 4))) * np.tri(4))[1].sum() == 0.5

# %% [markdown]
# ## Use the library
#
# `nn.MultiHeadAttention` gives outputs; `with_weights` gives the weights as well. A mask is True where a query *may* see a
# key. What cannot be meant is refused.

# %%
layer = nn.MultiHeadAttention(16, 4, rng=0)
x = Tensor(rng.standard_normal((2, 7, 16)).astype(np.float32))
kept = np.arange(7) < np.array([[7], [4]])                             # the second sequence has four tokens
output, weights = layer.with_weights(x, mask=kept[:, None], causal=True)
print(output.shape, weights.shape)
assert not weights.data[1, :, :, 4:].any() and np.allclose(weights.data.sum(axis=-1), 1)
for attempt in (
        lambda: scaled_dot_attention(q, k, v, np.zeros((6, 6), bool)),
        lambda: dot_product_attention(q, k[:, :3]),
        lambda: weigh(np.zeros((2, 3)), causal=True),
        lambda: nn.MultiHeadAttention(16, 3),
        lambda: nn.LayerNorm(1, eps=0.0),
        lambda: RecurrentTranslator(15, 8, rng=0).read(np.full((1, 4), PAD))):
    try:
        attempt()
    except (ArgError, ShapeError) as error:
        print(error)
    else:
        raise AssertionError("accepted")

# %% [markdown]
# **Player (the matrix $Q K^\top$).** The same seven tokens, scores multiplied by a growing number before the softmax:
# from an even average to a hard choice. The factor $1/\sqrt{d_K}$ is a place on this way.

# %%
q, k = rng.standard_normal((2, 7, 64))
factors = (0.0, 0.05, 0.125, 0.25, 0.5, 1.0)
matrices = np.stack([weigh(f * q @ k.T) for f in factors])
largest = matrices.max(axis=-1).mean(axis=-1)
assert (np.diff(largest) > 0).all() and np.isclose(largest[0], 1 / 7)
attention_player(matrices, title="Weights of seven queries", width=360, interval=1200, labels=[
    f"scores times {f:g}" + (" = 1 / sqrt(64)" if f == 0.125 else "") for f in factors])

# %% [markdown]
# ## Experiment
#
# ### A look-up that turns hard
#
# **Figures (dot-product attention; a query that grows).**


# %%
def show(draw, dpi=80):
    """Show a figure of a report in a size that keeps the page small."""
    draw().set_dpi(dpi)
    plt.show()


report = dot_product(asked_preset()).check()
for draw in report.figures.values():
    show(draw)
assert report.metrics["row_sums_off_one"] < 1e-12

# %% [markdown]
# ### The temperature
#
# **Figures (five kinds of attention; the largest of 16 weights).** Scaled, the largest weight stays near 0.25 at every
# width: that is what 16 scores with variance 1 give. Not scaled, it is above 0.9 at $d_K = 512$.

# %%
report = scaled(asked_preset()).check()
_, five, temperature = report.figures.values()
show(five)
show(temperature)
print(f"d_K = 512: largest weight {report.metrics['largest_weight_unscaled']:.3f}, "
      f"scaled {report.metrics['largest_weight_scaled']:.3f}")

# %% [markdown]
# ### Order and masks
#
# **Figures (permutation equivariance; masked attention; figure 3.6, cross-attention).** The residual of (4) is rounding,
# until positions are added. Cross-attention has queries of the decoder and keys and values of the encoder: each query is
# answered alone, and keys and values are computed once. Its output is an addition to each token; with $W_O = 0$ it adds nothing.

# %%
for experiment in (self_attention, masked, cross):
    report = experiment(asked_preset()).check()
    show(list(report.figures.values())[-1])
assert report.metrics["change_of_other_outputs"] == 0 and report.metrics["silent_delta"] == 0

# %% [markdown]
# ### Two heads for two rules
#
# **Figure 3.3 (two heads) and which tokens they look at.** Each token must report the value of the token before it *and*
# the value of the other token of its colour (a letter). Two heads take one rule each. One head has as many parameters,
# but one average: it must give up one rule.

# %%
report = mhsa(asked_preset()).check()
for draw in report.figures.values():
    show(draw)
print(f"right answers: one head {report.metrics['one_head_accuracy']:.2f}, two {report.metrics['two_heads_accuracy']:.2f}")

# %% [markdown]
# ### Embeddings and norms
#
# **Figures (an embedding; its gradient; training and inference; figure 3.4, axes of the norms).** Only rows that occur get
# a gradient. Batch norm with two vectors turns every number into $\pm 1$ in training and does something else in inference;
# layer norm does the same in both. Four norms are one formula over different axes.

# %%
for experiment in (embedding, layer_norm, norm_axes):
    report = experiment(asked_preset()).check()
    for draw in report.figures.values():
        show(draw)

# %% [markdown]
# ### Only attention mixes tokens
#
# **Figure (which token depends on which).** The largest derivative of each output token by each input token. The FFN, as
# two convolutions of size 1, has nothing off the diagonal.

# %%
report = ffn(asked_preset()).check()
show(*report.figures.values())
assert report.metrics["jacobian_between_tokens"] == 0 and report.metrics["off_convolutions"] < 1e-12

# %% [markdown]
# ### Alignment, learned from nothing
#
# **Figure 3.2 (weights of a translation).** Dates like `4.11.2026` become `2026-11-04`. Nobody says which input belongs to
# which output; the weights show what the network found: first the year, then the month, then the day.

# %%
report = traditional(asked_preset()).check()
for draw in list(report.figures.values())[1:]:
    show(draw)
print({name: round(value, 3) for name, value in report.metrics.items() if name.startswith(("dates", "reverse"))})

# %% [markdown]
# **Figure (accuracy against length).** One vector is enough for short sequences; for longer ones it is not.

# %%
report = baseline(asked_preset()).check()
show(*report.figures.values())
assert report.metrics["numbers_for_3_tokens"] == report.metrics["numbers_for_10_tokens"]

# %% [markdown]
# ## Exercises
#
# **1.** Which weights does softmax give to scores $(\ln 1, \ln 2, \ln 5)$? What if a mask hides the last key?
#
# <details><summary>Answer</summary>
#
# $\frac18, \frac28, \frac58$; without the last $\frac13, \frac23$: the others keep their ratio.
#
# ```python
# scores = np.log([[1.0, 2.0, 5.0]])
# assert np.allclose(weigh(scores), [[1 / 8, 2 / 8, 5 / 8]])
# assert np.allclose(weigh(scores, np.array([True, True, False])), [[1 / 3, 2 / 3, 0]])
# ```
#
# </details>
#
# **2.** Show that adding the same vector to all keys changes nothing.
#
# <details><summary>Answer</summary>
#
# $q \cdot (k_j + b) = q \cdot k_j + q \cdot b$: a row of scores moves by one constant, which softmax ignores. The bias of $W_K$
# is therefore useless.
#
# ```python
# q, k, v, b = rng.standard_normal((4, 5, 3))
# assert np.allclose(scaled_dot_attention(q, k, v).output, scaled_dot_attention(q, k + b[:1], v).output)
# ```
#
# </details>
#
# **3.** How large is the weight of the best of $M$ orthonormal rows for a query $c\,y_j$, and how large must $c$ be for 0.99 with
# $M = 100$?
#
# <details><summary>Answer</summary>
#
# $e^c/(e^c + M - 1) = 0.99$ gives $e^c = 99 \cdot 99$, $c = 9.19$.
#
# ```python
# c = np.log(99 * 99)
# weights = dot_product_attention(c * np.eye(100)[:1], np.eye(100)).weights
# assert np.isclose(c, 9.19, atol=5e-3) and np.isclose(weights[0, 0], 0.99)
# ```
#
# </details>
#
# **4.** Why does batch norm with two vectors give only $\pm 1$?
#
# <details><summary>Answer</summary>
#
# The mean of $a$ and $b$ is $(a + b)/2$, the deviation from it $\pm(a - b)/2$, and the standard deviation $|a - b|/2$.
#
# ```python
# y = nn.BatchNorm1d(4, eps=0.0)(Tensor(rng.standard_normal((2, 4)))).data
# assert np.allclose(np.abs(y), 1, atol=1e-5)
# ```
#
# </details>
#
# **5.** How many tokens does a date have before and after?
#
# <details><summary>Answer</summary>
#
# 8 to 10 symbols before, always 10 after, and SoS and EoS around them.
#
# ```python
# from minicv.data import SeqToy
#
# samples = [SeqToy("date", 50)[i] for i in range(50)]
# assert {len(s["target"]) for s in samples} == {12} and {len(s["source"]) for s in samples} <= {8, 9, 10}
# ```
#
# </details>
