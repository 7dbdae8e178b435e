"""Sections 3.1.3 and 3.1.4: layers of encoders and decoders, and where their norms stand."""

import numpy as np

from ...autograd import Tensor, no_grad
from ...errors import ArgError
from ...nn import Embedding, LayerNorm, Linear, Module, cross_entropy, init
from ...optim import Adam
from ...plot import plot_modules
from ...vit import Decoder, DecoderLayer, Encoder, EncoderLayer, SinusoidalPositions, build_seq2seq
from .. import Report, Target, experiment
from ..parts import exact, panels, refused
from ._errata import departures

NOTEBOOK = "notebooks/31_transformer.py"
VASWANI = "Vaswani et al. 2017, Attention Is All You Need"
XIONG = "Xiong et al. 2020, On Layer Normalization in the Transformer Architecture"


def parameters(layer):
    """Number of parameters."""
    return sum(p.size for p in layer.parameters())


def gradient_norms(pre_norm, depth, rng, dim=32):
    """Norm of the gradient of each layer's FFN at the start, for a random linear loss of the stack's output."""
    stack = Encoder(depth, dim, 2, pre_norm=pre_norm, rng=rng)
    x = Tensor(rng.standard_normal((8, 10, dim), np.float32))
    (stack(x) * rng.standard_normal((8, 10, dim), np.float32)).sum().backward()
    return [float(np.linalg.norm(layer.linear2.weight.grad.data)) for layer in stack.layers]


@experiment(
    "encoder-post-norm", title="Post-norm encoder", chapter="3.1", notebook=NOTEBOOK, module="minicv/vit/encoder.py",
    paper=VASWANI, equations="h1 = LN(h + MHSA(h)), h2 = LN(h1 + FFN(h1))",
    shows="A norm stands on the way of each residual: every output is normalised. At the start, gradients of a "
          "deep post-norm stack are largest at its end.",
    targets=[*exact({"layer_parameters_512": 3_152_384, "layer_parameters_768": 7_087_872, "output_mean": (0, 1e-5),
                     "output_variance": (1, 1e-3), "permutation_error": (0, 1e-12), "refused": 1})])
def encoder_post_norm(preset, rng, out, progress):
    stack, x = Encoder(2, 32, 4, rng=rng).astype(np.float64), rng.standard_normal((2, 7, 32))
    y, order = stack(Tensor(x)).data, rng.permutation(7)
    norms = {name: gradient_norms(name == "pre-norm", 12, rng) for name in ("post-norm", "pre-norm")}
    metrics = {"layer_parameters_512": parameters(EncoderLayer(512, 8)),                              # B3.8
               "layer_parameters_768": parameters(EncoderLayer(768, 12)),
               "output_mean": np.abs(y.mean(axis=2)).max(), "output_variance": y.var(axis=2).mean(),
               "permutation_error": np.abs(stack(Tensor(x[:, order])).data - y[:, order]).max(),
               "refused": refused(ArgError, lambda: Encoder(0, 32, 4)),
               "gradient_last_over_first": norms["post-norm"][-1] / norms["post-norm"][0]}
    return Report(metrics, {"Gradient of each layer at the start": lambda: _norms_figure(norms),
                            "Post-norm and pre-norm encoder layer": encoder_diagram})


def _norms_figure(norms):
    figure, (ax,) = panels(1)
    for name, values in norms.items():
        ax.semilogy(np.arange(1, len(values) + 1), values, marker="o", label=name)
    ax.set(xlabel="layer", ylabel="norm of the gradient of W2")
    ax.legend()
    return figure


@experiment(
    "encoder-pre-norm", title="Pre-norm encoder", chapter="3.1", notebook=NOTEBOOK, module="minicv/vit/encoder.py",
    paper=XIONG, equations="h1 = h + MHSA(LN(h)), h2 = h1 + FFN(LN(h1)), one LN after the stack",
    shows="The residual way is free: a stack of twelve layers learns to copy within thirty steps without warm-up; what "
          "a post-norm stack reaches in the same steps differs between seeds (0.1 to 0.9).",
    departures="The task is copying by an encoder alone. " + departures("E3.8"),
    targets=[*exact({"identity_error": 0, "final_norm_error": (0, 1e-12), "layer_parameters_512": 3_152_384}),
             Target("pre_norm_accuracy", ">=", 0.95)])
def encoder_pre_norm(preset, rng, out, progress, *, depth=12, lr=1e-3):
    stack, x = _silent(Encoder(3, 32, 4, pre_norm=True, rng=rng)), Tensor(rng.standard_normal((2, 7, 32)))
    through = x
    for layer in stack.layers:
        through = layer(through)
    metrics = {"identity_error": np.abs(through.data - x.data).max(),
               "final_norm_error": np.abs(stack(x).data - LayerNorm(32).astype(np.float64)(x).data).max(),
               "layer_parameters_512": parameters(EncoderLayer(512, 8, pre_norm=True))}
    losses, steps = {}, {"smoke": 2, "fast": 30, "full": 30}[preset]
    for name in ("pre_norm", "post_norm"):
        losses[name], metrics[name + "_accuracy"] = copying(name == "pre_norm", depth, steps, lr, rng, progress)
    return Report(metrics, {"Loss of deep stacks without warm-up": lambda: _losses_figure(losses)})


class Copyist(Module):
    """Tokens (N, L) -> logits (N, L, V) of the same tokens, through a deep encoder."""

    def __init__(self, vocabulary, dim, depth, *, pre_norm, rng):
        self.embed = Embedding(vocabulary, dim, std=dim ** -0.5, rng=rng)
        self.positions = SinusoidalPositions()
        self.encoder = Encoder(depth, dim, 2, pre_norm=pre_norm, rng=rng)
        self.output = Linear(dim, vocabulary, rng=rng)

    def forward(self, tokens):
        """tokens (N, L) -> logits (N, L, V)."""
        return self.output(self.encoder(self.positions(self.embed(tokens) * self.embed.embedding_dim ** 0.5)))


def copying(pre_norm, depth, steps, lr, rng, progress, vocabulary=15):
    """(losses, accuracy on new sequences) of learning to copy, Adam with a constant rate and no warm-up."""
    model = Copyist(vocabulary, 32, depth, pre_norm=pre_norm, rng=rng)
    optimizer, losses = Adam(model.parameters(), lr=lr), []
    for _ in progress(range(steps), desc="pre-norm" if pre_norm else "post-norm"):
        tokens = rng.integers(3, vocabulary, (32, 10))
        loss = cross_entropy(model(tokens).reshape(-1, vocabulary), tokens.reshape(-1))
        model.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    tokens = rng.integers(3, vocabulary, (200, 10))
    with no_grad():
        return losses, (model(tokens).data.argmax(axis=2) == tokens).mean()


def _silent(stack):
    """`stack` in float64 with all output projections zero."""
    for layer in stack.astype(np.float64).layers:
        for part in (layer.self_attn.out_proj, layer.linear2):
            init.assign(part.weight, np.zeros(part.weight.shape))
            init.assign(part.bias, np.zeros(part.bias.shape))
    return stack


def _losses_figure(losses):
    figure, (ax,) = panels(1)
    for name, values in losses.items():
        ax.plot(values, label=name)
    ax.set(xlabel="step", ylabel="cross-entropy")
    ax.legend()
    return figure


def decoder_metrics(pre_norm, rng):
    """What holds for both kinds of decoders: counts, what may be seen, caches, refusals."""
    stack = Decoder(2, 32, 4, pre_norm=pre_norm, rng=rng).astype(np.float64)
    x, memory = rng.standard_normal((2, 6, 32)), Tensor(rng.standard_normal((2, 5, 32)))
    y, changed, cache = stack(Tensor(x), memory).data, x.copy(), stack.cache()
    changed[:, 4:] += 1
    steps = np.concatenate([stack(Tensor(x[:, t:t + 1]), memory, cache=cache).data for t in range(6)], axis=1)
    return {"layer_parameters_512": parameters(DecoderLayer(512, 8, pre_norm=pre_norm)),
            "seen_of_the_future": np.abs(stack(Tensor(changed), memory).data - y)[:, :4].max(),
            "cache_error": np.abs(steps - y).max(),
            "refused": refused(ArgError, lambda: stack(Tensor(x), None), lambda: Decoder(0, 32, 4))}


DECODER = {"layer_parameters_512": 4_204_032, "seen_of_the_future": 0, "cache_error": (0, 1e-12), "refused": 2}


@experiment(
    "decoder-post-norm", title="Post-norm decoder", chapter="3.1", notebook=NOTEBOOK, module="minicv/vit/decoder.py",
    paper=VASWANI, equations="h = LN(x + masked MHSA(x)), z = LN(h + cross(h, memory)), y = LN(z + FFN(z))",
    shows="Three parts with a norm after each: look back, look across, think.", targets=exact(DECODER))
def decoder_post_norm(preset, rng, out, progress):
    return Report(decoder_metrics(False, rng), {"Decoder layers": decoder_diagram, "The transformer": overview})


@experiment(
    "decoder-pre-norm", title="Pre-norm decoder", chapter="3.1", notebook=NOTEBOOK, module="minicv/vit/decoder.py",
    paper=XIONG, equations="h = x + masked MHSA(LN(x)), z = h + cross(LN(h), memory), y = z + FFN(LN(z)), final LN",
    shows="The same parts with the norms inside; one more follows the stack.", departures=departures("E3.8"),
    targets=exact(DECODER))
def decoder_pre_norm(preset, rng, out, progress):
    return Report(decoder_metrics(True, rng), {"Decoder layers": decoder_diagram})


def encoder_diagram():
    """Figure 3.5."""
    return _two_forms(EncoderLayer, (1, 7, 512))


def decoder_diagram():
    """Figures 3.6 and 3.7: the tokens and the encoder's output come from above."""
    return _two_forms(DecoderLayer, (1, 7, 512), (1, 9, 512))


def _two_forms(kind, *shapes):
    """A layer with its norms behind and before its parts, drawn from the modules."""
    figure, axes = panels(2, (4.2, 9.0 if kind is EncoderLayer else 11.5))
    for ax, pre_norm in zip(axes, (False, True), strict=True):
        plot_modules(kind(512, 8, pre_norm=pre_norm, rng=0), *shapes, ax=ax)
        ax.set_title("pre-norm" if pre_norm else "post-norm")
    return figure


def overview():
    """The whole transformer of a small vocabulary, drawn from the module: 9 tokens are read, 7 written."""
    net = build_seq2seq("small", 100, rng=0)
    return plot_modules(net, np.full((1, 9), 5), np.full((1, 7), 5)).figure
