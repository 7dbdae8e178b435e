"""Where common notes on transformers are imprecise, and what is right: text for lessons and for `departures`."""

from functools import partial

from ..parts import Erratum, corrections

ERRATA = {
    # attention
    "E3.1": Erratum("the values are V = Y W_K", "V = Y W_V: keys and values have projections of their own",
                    "scaled-dot-attention"),
    "E3.2": Erratum("the query is q_1 = Y W_X", "q_1 = x_1 W_Q: the query is a projection of its own token",
                    "scaled-dot-attention"),
    "E3.4": Erratum("the width of an embedding is Y_D, the network of a token is the FNN",
                    "the width is d_Y = d_model, and the network is the FFN (feed-forward network)", "ffn"),
    "E3.5": Erratum(
        "attention weights of later tokens may also be set to 0",
        "only if the rows are divided by their new sums; -inf before the softmax does both at once",
        "masked-self-attention"),
    "E3.12": Erratum(
        "text has no batch norm because sentences differ in length",
        "padding is one reason; layer norm is also used where all inputs have one length, as in ViT, because it treats "
        "each token alone and the same in training and inference", "layer-norm"),

    # encoders, decoders, sequences
    "E3.6": Erratum(
        "the index i of the sinusoidal encoding is the dimension of the vector",
        "i counts pairs of a sine and a cosine, 0 .. d/2 - 1; the dimensions are 2i and 2i + 1",
        "positional-encoding-sin"),
    "E3.8": Erratum(
        "a pre-norm stack consists of h + MHSA(LN(h)) and h + FFN(LN(h)) only",
        "one more norm follows the last layer, otherwise the output is a sum that grows with depth and was never "
        "normalised", "encoder-pre-norm"),

    # pictures
    "E3.3": Erratum(
        "the class token is appended at the beginning",
        "it is prepended: it stands at position 0, in front of the patches, and has a position of its own", "vit"),
    "E3.7": Erratum(
        "ViT-large has 307 M parameters",
        "with patches of 16 it has 304.3 M with its classifier and 303.3 M without; 306.5 M is L/32 with its "
        "classifier", "vit"),
    "E3.9": Erratum(
        "the encoder is that of the first transformer, relu included",
        "it is pre-norm with one more norm at the end, the network of each token has GELU, W_E has a bias, and the eps "
        "of the norms is 1e-6", "vit"),
    "E3.10": Erratum(
        "a classic transformer has 12 layers with 8 heads and 483 GB of attention weights",
        "the arithmetic is right in decimal units (450 GiB), but ViT-B has 12 heads in 12 layers and the first "
        "transformer 8 heads in 6; kernels that never store the weights need none of it", "pixel-transformer"),
    "E3.11": Erratum(
        "higher layers attend to distant patches, as with convolutions",
        "low layers already mix local heads with global ones, which no convolution can, and from the middle up all "
        "heads are global", "vit-analysis"),
    "E3.13": Erratum(
        "the operations of a ViT come from the quadratic attention",
        "with 197 tokens of 768 numbers the two products of the attention are 4 % of the multiply-adds; they outweigh "
        "the 12 n d^2 of the linear layers only for n > 6 d", "vit"),
}

departures = partial(corrections, ERRATA)
