# %% [markdown]
# # 31 The transformer
#
# **After this lesson you can** write down an encoder and a decoder layer in both orders of normalisation, say why a causal
# mask allows training in one pass, generate with and without a cache, and compare attention with recurrence.

# %% [markdown]
# ## Goal and sources
#
# Sources: Vaswani et al., NIPS 2017; Xiong et al., ICML 2020; Williams and Zipser, 1989. Library: `minicv/vit/encoder.py`,
# `decoder.py`, `position.py`, `seq2seq.py`, `generate.py`. Attention itself is the subject of lesson 30.

# %%
import matplotlib.pyplot as plt
import numpy as np

from minicv import vit
from minicv.autograd import Tensor
from minicv.autograd.softmax import softmax
from minicv.data import SeqToy
from minicv.errors import ArgError
from minicv.experiments import asked_preset
from minicv.experiments.ch3.blocks import (
    decoder_diagram,
    decoder_post_norm,
    decoder_pre_norm,
    encoder_diagram,
    encoder_post_norm,
    encoder_pre_norm,
    overview,
)
from minicv.experiments.ch3.positions import complexity, positional_encoding_learned, positional_encoding_sin
from minicv.experiments.ch3.seq2seq import autoregressive_generation, learn, teacher
from minicv.plot import decoding_player
from minicv.train.progress import silent

# %% [markdown]
# ## Derive
#
# An encoder layer mixes tokens with attention and then treats each token by itself with a small network. Both parts are
# *added* to what came in. The original places a norm after each sum (post-norm),
#
# $$\bar h = \mathrm{LN}(h + \mathrm{MHSA}(h)), \qquad h' = \mathrm{LN}(\bar h + \mathrm{FFN}(\bar h)), \tag{1}$$
#
# later networks inside each branch (pre-norm),
#
# $$\bar h = h + \mathrm{MHSA}(\mathrm{LN}(h)), \qquad h' = \bar h + \mathrm{FFN}(\mathrm{LN}(\bar h)). \tag{2}$$
#
# > **Where notes and practice differ (E3.8).** With (2) alone the output of the stack is a sum that was never normalised:
# > one more LN follows the last layer.
#
# A decoder layer has three parts: masked attention to its own tokens, attention to the encoder's output, the FFN.
#
# **Figures: the transformer; 3.5, encoder layers; 3.7, decoder layers, with the cross-attention of figure 3.6.** Drawn from
# the modules: a box knows its output, its parameters and its multiply-adds.

# %%
for draw_figure in (overview, encoder_diagram, decoder_diagram):
    draw_figure().set_dpi(80)
    plt.show()

# %% [markdown]
# Attention has four $d \times d$ maps and the FFN two of $d \times 4d$: $12 d^2 + 13 d$ parameters with biases and norms for
# an encoder layer, $16 d^2 + 19 d$ for a decoder layer.

# %%
for d in (64, 512):
    encoder, decoder = vit.EncoderLayer(d, 8), vit.DecoderLayer(d, 8)
    assert sum(p.size for p in encoder.parameters()) == 12 * d * d + 13 * d
    assert sum(p.size for p in decoder.parameters()) == 16 * d * d + 19 * d

# %% [markdown]
# ## Check by hand
#
# ### Positions
#
# Attention does not see order. The fixed encoding adds
#
# $$\mathrm{pe}_{p, 2i} = \sin(p / 10000^{2i/d}), \qquad \mathrm{pe}_{p, 2i+1} = \cos(p / 10000^{2i/d}). \tag{3}$$
#
# > **Where notes and paper differ (E3.6).** $i$ is not the dimension: it counts *pairs* of dimensions, $0 \dots d/2 - 1$.

# %%
assert np.allclose(vit.sinusoidal(2, 4)[1], [0.84147, 0.54030, 0.0099998, 0.99995], atol=1e-5)       # B3.3
pe = vit.sinusoidal(60, 16)
assert np.allclose((pe**2).sum(axis=1), 8)                                  # sin² + cos² = 1 for each pair
assert np.allclose(pe[10] @ pe[13], pe[40] @ pe[43])                        # only the distance counts
x = np.random.default_rng(0).standard_normal((1, 5, 16)).astype(np.float32)
stack, order = vit.Encoder(2, 16, 2, rng=0), [3, 1, 4, 0, 2]
assert np.allclose(stack(Tensor(x[:, order])).data, stack(Tensor(x)).data[:, order], atol=1e-5)       # blind to order

# %% [markdown]
# ### Training in one pass
#
# The input is the target without EoS, the expected output the target without SoS. The mask hides the future, *exactly*.

# %%
target = np.array([[1, 7, 8, 2], [1, 9, 2, 0]])
shifted = vit.teacher_forcing(target)
print(shifted.inputs.tolist(), "->", shifted.expected.tolist())
net = vit.build_seq2seq("tiny", 15, rng=0)
memory = net.encode(np.array([[5, 6, 7], [5, 6, 0]]))
other = shifted.inputs.copy()
other[:, 2] = 12
assert np.array_equal(net.decode(shifted.inputs, memory).data[:, :2], net.decode(other, memory).data[:, :2])
for wrong in ([1, 7, 8], [7, 8, 2], [1, 0, 8, 2]):
    try:
        vit.teacher_forcing(np.array([wrong]))
    except ArgError as error:
        print(error)
    else:
        raise AssertionError("accepted")

# %% [markdown]
# ## Use the library
#
# One layer in the encoder and one in the decoder, 32 dimensions, two heads. It learns to write a sequence backwards.

# %%
steps, rng = {"smoke": 2}.get(asked_preset(), 700), np.random.default_rng(0)
data = SeqToy("reverse", 64 if asked_preset() == "smoke" else 8000, max_len=7)
net = vit.build_seq2seq("tiny", 15, pre_norm=True, rng=0)
losses = learn(net, data.arrays(), steps, rng, silent)
print(f"loss {losses[0]:.2f} -> {losses[-1]:.3f}")

# %% [markdown]
# **Figure 3.1 (player): tokens step by step.** What has been written, and the likeliest tokens that may come next.

# %%
source = data.tokens("31415")[None]
written = vit.greedy(net, source, max_len=8)
print(data.text(source[0]), "->", data.text(written[0]))
assert np.array_equal(written, vit.greedy(net, source, max_len=8, cached=False))
steps = list(vit.generation_steps(net, source, vit.most_likely, max_len=8))
assert [step.tokens[0] for step in steps] == written[0].tolist()
symbols = ["·", "SoS", "EoS", *"0123456789.-"]
decoding_player(source[0], written[0], softmax(np.stack([step.logits[0] for step in steps]), axis=1), symbols)

# %% [markdown]
# ## Experiment
#
# ### Positions and cost
#
# **Figures: sinusoidal map, products of rows, a grid; a learned map before training.** *Path length:* in attention the
# last output depends on the first input directly; through a recurrence the gradient has to pass every step.

# %%
for experiment in (positional_encoding_sin, positional_encoding_learned, complexity):
    report = experiment(asked_preset()).check()
    for draw_figure in report.figures.values():
        draw_figure().set_dpi(80)
        plt.show()
assert report.metrics["crossover_over_d"] == 1

# %% [markdown]
# ### Norms
#
# **Figures: gradients at the start; losses of twelve layers without warm-up.** *Pre-norm leaves the residual way free.*

# %%
for experiment in (encoder_post_norm, encoder_pre_norm):
    report = experiment(asked_preset()).check()
    next(iter(report.figures.values()))().set_dpi(80)
    plt.show()
for experiment in (decoder_post_norm, decoder_pre_norm):
    assert experiment(asked_preset()).check().metrics["seen_of_the_future"] == 0

# %% [markdown]
# ### What the mask is for
#
# *Leak without a mask.* Each token then sees its own answer in the next input. The loss vanishes; generation, where there
# is no next input, fails.

# %%
report = teacher(asked_preset()).check()
next(iter(report.figures.values()))().set_dpi(80)
plt.show()
print(f"loss {report.metrics['leak_loss']:.4f}, generated without mistake {report.metrics['leak_exact_match']:.1%}")
report = autoregressive_generation(asked_preset()).check()
assert report.metrics["cached_tokens_differ"] == 0
report.figures["Temperature"]().set_dpi(80)
plt.show()

# %% [markdown]
# ## Exercises
#
# **1.** From which number of tokens on do the products with $n^2$ cost more than the projections?
#
# <details><summary>Answer</summary>
#
# $2 n^2 d > 4 n d^2$ for $n > 2d$.
#
# ```python
# n, d = 197, 768
# assert 4 * n * d * d == 464_781_312 and 2 * n * n * d == 59_610_624
# ```
#
# </details>
#
# **2.** Write the rotation that takes the row of position $p$ of (3) to that of $p + 1$, for $d = 2$.
#
# <details><summary>Answer</summary>
#
# ```python
# c, s = np.cos(1), np.sin(1)
# pe = vit.sinusoidal(9, 2)
# assert np.allclose(pe[:-1] @ np.array([[c, -s], [s, c]]), pe[1:])
# ```
#
# </details>
#
# **3.** How many tokens does a decoder compute for a sequence of $T$ tokens with and without a cache?
#
# <details><summary>Answer</summary>
#
# $T$ with a cache, $1 + 2 + \dots + T = T(T+1)/2$ without.
#
# ```python
# decode, seen = net.decode, []
# net.decode = lambda new, *rest, **options: seen.append(new.shape[1]) or decode(new, *rest, **options)
# for cached in (True, False):
#     seen.clear()
#     T = vit.greedy(net, source, max_len=6, cached=cached).shape[1]
#     assert sum(seen) == (T if cached else T * (T + 1) // 2)
# del net.decode
# ```
# </details>
